"""Option groups of the commands, one panel of the help each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

BarFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Bar file: a MetaTrader export or any CSV of prices.")
]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="auto, cpu, gpu, numpy, an index, or part of a device's name.")
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of initial weights and dropout.")]
Processes = Annotated[int, typer.Option(metavar="N", min=1, help="Number of runs at the same time.")]


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

    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="First time to read, such as 2010-01-01.")
    ] = None
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Last time to read. A day means all of it.")
    ] = None
    tz: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Time zone to convert to: TO, or FROM,TO."),
    ] = None
    resample: Annotated[
        str | None, typer.Option(metavar="TF", help="Coarser timeframe to build, such as H4.")
    ] = None
    keep_flat: Annotated[bool, typer.Option("--keep-flat", help="Keep flat weekend bars without volume.")] = (
        False
    )
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop bad rows with a note instead of an error.")
    ] = False

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class StrategyOptions:
    """The strategy and the parameters that have an option."""

    panel: ClassVar[str] = "Strategy"

    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py[:CLASS]",
            help="Strategy file.",
            show_default="the article's expert",
        ),
    ] = None
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Parameter of the strategy. Repeatable."),
    ] = None
    device: Device = "auto"
    seed: Seed = 0
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Number of networks that vote, from --seed on.", show_default="1"
        ),
    ] = None
    no_learning: Annotated[
        bool, typer.Option("--no-learning", help="Predict and score without training.")
    ] = False

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

    cash: Annotated[float, typer.Option(metavar="MONEY", help="Money at the start of each test.")] = 10_000.0
    size: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of the equity per position.", show_default="0.95"),
    ] = None
    commission: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the traded value, each side.")
    ] = 0.0
    spread: Annotated[
        float | None,
        typer.Option(metavar="POINTS", help="Spread in points.", show_default="the file's column"),
    ] = None
    slippage: Annotated[
        float, typer.Option(metavar="POINTS", help="Slippage of market orders in points, within the bar.")
    ] = 0.0

    def account(self) -> Any:
        from bt_neuro.account.account import Account

        return Account(cash=self.cash, commission=self.commission, spread=self.spread, slippage=self.slippage)


@dataclass(frozen=True)
class FoldOptions:
    """Cut of a file into training and test parts, and where they run."""

    panel: ClassVar[str] = "Folds"

    train: Annotated[
        str,
        typer.Option(
            metavar="LENGTH", help="Training part: years, months, weeks, days, bars (2Y 24M 26W 90D 5000b)."
        ),
    ] = "24M"
    test: Annotated[str, typer.Option(metavar="LENGTH", help="Test part.")] = "6M"
    step: Annotated[
        str | None,
        typer.Option(metavar="LENGTH", help="Distance between folds.", show_default="as --test"),
    ] = None
    window: Annotated[
        Window,
        typer.Option(help="Training bars: the last --train only, or all bars before."),
    ] = Window.rolling
    eras: Annotated[int, typer.Option(metavar="N", min=1, help="Number of passes over a training part.")] = 1
    embargo_bars: Annotated[
        int, typer.Option(metavar="N", min=0, help="Bars left out of training before a test part.")
    ] = 0
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Number of folds at the same time.", show_default="one per core"
        ),
    ] = None
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler to run the folds, such as tcp://10.0.0.1:8786."),
    ] = None

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "window": self.window.value}


@dataclass(frozen=True)
class OutputOptions:
    """The run folder."""

    panel: ClassVar[str] = "Output"

    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="New folder to write.", show_default="runs/NAME-TIME"),
    ] = None
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of a run to resume.")] = None
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.html.")] = False
