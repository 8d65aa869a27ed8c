"""Option groups of the commands, one panel of the help each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from bt_neuro.cli.common import option

BarFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Bar file: a MetaTrader export or any CSV of prices.")
]
Device = Annotated[str, option("auto, cpu, gpu, numpy, an index, or part of a device's name.", "NAME")]
Seed = Annotated[int, option("Seed of initial weights and dropout.", "N", least=0)]
Processes = Annotated[int, option("Number of runs at the same time.", "N", least=1)]


class Window(StrEnum):
    """Training span of a fold."""

    rolling = "rolling"
    expanding = "expanding"


class Retrain(StrEnum):
    """Training of the network from fold to fold."""

    fold = "fold"
    continue_ = "continue"
    never = "never"


class Objective(StrEnum):
    """Figure that a search maximises, or minimises for the Brier score."""

    sharpe = "sharpe"
    return_ = "return"
    hit_rate = "hit_rate"
    brier_score = "brier_score"


@dataclass(frozen=True)
class BarOptions:
    """Options of `read_bars`."""

    panel: ClassVar[str] = "Bars"

    start: Annotated[str | None, option("First time to read, such as 2010-01-01.", "TIME", name="--from")] = (
        None
    )
    end: Annotated[str | None, option("Last time to read. A day means all of it.", "TIME", name="--to")] = (
        None
    )
    tz: Annotated[str | None, option("Time zone to convert to: TO, or FROM,TO.", "ZONE")] = None
    resample: Annotated[str | None, option("Coarser timeframe to build, such as H4.", "TF")] = None
    keep_flat: Annotated[bool, option("Keep flat weekend bars without volume.", name="--keep-flat")] = False
    repair: Annotated[bool, option("Drop bad rows with a note instead of an error.", name="--repair")] = False

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class StrategyOptions:
    """The strategy and the parameters that have an option."""

    panel: ClassVar[str] = "Strategy"

    strategy: Annotated[
        str | None, option("Strategy file.", "FILE.py[:CLASS]", default="the article's expert")
    ] = None
    param: Annotated[list[str] | None, option("Parameter of the strategy. Repeatable.", "NAME=VALUE")] = None
    device: Device = "auto"
    seed: Seed = 0
    seeds: Annotated[
        int | None, option("Number of networks that vote, from --seed on.", "N", default="1", least=1)
    ] = None
    no_learning: Annotated[bool, option("Predict and score without training.", name="--no-learning")] = False

    def load(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Return the strategy class, and its parameters from options (None: not given) and ``--param``."""
        from bt_neuro.plugin.loading import load_strategy, parse_parameters
        from bt_neuro.plugin.strategy import NeuroStrategy

        strategy = load_strategy(self.strategy) if self.strategy else NeuroStrategy
        options |= {"device": self.device, "seed": self.seed, "seeds": self.seeds}
        options |= {"learning": False if self.no_learning else None}
        by_option = {name: value for name, value in options.items() if value is not None}
        by_param = parse_parameters(self.param or [], strategy)
        for name in by_option.keys() & by_param.keys() - {"device", "seed"}:  # these always have a value
            raise typer.BadParameter(f"{name} is given by its own option too", param_hint="--param")
        return strategy, by_option | by_param


@dataclass(frozen=True)
class AccountOptions:
    """Money and costs."""

    panel: ClassVar[str] = "Account"

    cash: Annotated[float, option("Money at the start of each test.", "MONEY")] = 10_000.0
    size: Annotated[float | None, option("Share of the equity per position.", "SHARE", default="0.95")] = None
    commission: Annotated[float, option("Share of the traded value, each side.", "SHARE")] = 0.0
    spread: Annotated[float | None, option("Spread in points.", "POINTS", default="the file's column")] = None
    slippage: Annotated[float, option("Slippage of market orders in points, within the bar.", "POINTS")] = 0.0

    def account(self) -> Any:
        from bt_neuro.account.account import Account

        return Account(cash=self.cash, commission=self.commission, spread=self.spread, slippage=self.slippage)


@dataclass(frozen=True)
class FoldOptions:
    """Cut of a file into training and test parts, and where they run."""

    panel: ClassVar[str] = "Folds"

    train: Annotated[
        str, option("Training part: years, months, weeks, days, bars (2Y 24M 26W 90D 5000b).", "LENGTH")
    ] = "24M"
    test: Annotated[str, option("Test part.", "LENGTH")] = "6M"
    step: Annotated[str | None, option("Distance between folds.", "LENGTH", default="as --test")] = None
    window: Annotated[Window, option("Training bars: the last --train only, or all bars before.")] = (
        Window.rolling
    )
    eras: Annotated[int, option("Number of passes over a training part.", "N", least=1)] = 1
    embargo_bars: Annotated[int, option("Bars left out of training before a test part.", "N", least=0)] = 0
    jobs: Annotated[
        int | None, option("Number of folds at the same time.", "N", default="one per core", least=1)
    ] = None
    cluster: Annotated[
        str | None, option("Dask scheduler to run the folds, such as tcp://10.0.0.1:8786.", "ADDRESS")
    ] = None

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "window": self.window.value}


@dataclass(frozen=True)
class OutputOptions:
    """The run folder."""

    panel: ClassVar[str] = "Output"

    out: Annotated[Path | None, option("New folder to write.", "DIR", default="runs/NAME-TIME")] = None
    resume: Annotated[Path | None, option("Folder of a run to resume.", "DIR")] = None
    no_report: Annotated[bool, option("Write no report.html.", name="--no-report")] = False

    def as_dict(self) -> dict[str, Any]:
        return {"out": self.out, "resume": self.resume, "report": not self.no_report}
