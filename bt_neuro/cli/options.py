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
BarFiles = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="Bar files or a folder: MetaTrader exports, CSV."),
]
Device = Annotated[str, option("auto, cpu, gpu, numpy, an index, or part of a device's name.", "NAME")]
Seed = Annotated[int, option("Seed of initial weights and dropout.", "N", least=0)]
Processes = Annotated[int, option("Number of runs at the same time.", "N", least=1)]

Out = Annotated[Path | None, option("New folder to write.", "DIR", default="runs/NAME-TIME")]
NoReport = Annotated[bool, option("Write no report.html.", name="--no-report")]
SeedMoney = Annotated[bool, option("Trade each network of a vote alone too.", name="--seed-money")]


class Window(StrEnum):
    """Training span of a fold."""

    rolling = "rolling"
    expanding = "expanding"


class Retrain(StrEnum):
    """Training of the network from fold to fold."""

    fold = "fold"
    continue_ = "continue"
    never = "never"


class Kind(StrEnum):
    """Kind of surrogate market."""

    sign = "sign"
    hour = "hour"
    bars = "bars"


class Objective(StrEnum):
    """Figure that a search maximises, or minimises for the Brier score."""

    sharpe = "sharpe"
    return_ = "return"
    hit_rate = "hit_rate"
    brier_score = "brier_score"


class AccountPreset(StrEnum):
    """Rules of a broker."""

    off = "off"
    forex = "forex"
    stock = "stock"
    crypto = "crypto"
    futures = "futures"


class Repair(StrEnum):
    """Repair of rows that would be refused."""

    drop = "drop"
    widen = "widen"
    all = "all"


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
    repair: Annotated[
        Repair | None,
        option("Drop at most 2 % bad rows; widen high and low; drop all. No value: drop."),
    ] = None
    symbol: Annotated[str | None, option("Instrument to read from a file of several.", "NAME")] = None
    point: Annotated[
        float | None, option("Smallest step of the price.", "PRICE", default="from the prices")
    ] = None
    scale: Annotated[float | None, option("Factor of the prices, such as 0.00001.", "FACTOR")] = None

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self)) | {"repair": self.repair.value if self.repair else False}


@dataclass(frozen=True)
class StrategyOptions:
    """The strategy and the parameters that have an option."""

    panel: ClassVar[str] = "Strategy"

    strategy: Annotated[str | None, option("Strategy file.", "FILE.py[:CLASS]", default="NeuroStrategy")] = (
        None
    )
    param: Annotated[list[str] | None, option("Parameter of the strategy. Repeatable.", "NAME=VALUE")] = None
    timeframes: Annotated[
        str | None,
        option("Coarser timeframes as features, such as H4,D1.", "TF,TF", name="--with"),
    ] = None
    inputs: Annotated[
        list[Path] | None,
        option("Bars of another market as features. Repeatable.", "FILE", name="--input"),
    ] = None
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
        options |= {"learning": False if self.no_learning else None, "timeframes": self.timeframes}
        options["inputs"] = ",".join(map(str, self.inputs)) if self.inputs else None
        by_option = {name: value for name, value in options.items() if value is not None}
        by_param = parse_parameters(self.param or [], strategy)
        for name in by_option.keys() & by_param.keys() - {"device", "seed"}:  # these always have a value
            raise typer.BadParameter(f"{name} is given by its own option too", param_hint="--param")
        return strategy, by_option | by_param


def _preset(text: str, metavar: str) -> Any:
    return option(text, metavar, default=False)


@dataclass(frozen=True)
class AccountOptions:
    """Money, costs and margin."""

    panel: ClassVar[str] = "Account"

    cash: Annotated[float, option("Money at the start of each test.", "MONEY")] = 10_000.0
    size: Annotated[float | None, option("Share of the equity per position.", "SHARE", default="0.95")] = None
    preset: Annotated[
        AccountPreset, typer.Option("--account", help="Rules of a broker: defaults of the options below.")
    ] = AccountPreset.off
    leverage: Annotated[float | None, _preset("Value of positions per unit of margin.", "N")] = None
    stop_out: Annotated[float | None, _preset("Share of margin at which positions close.", "SHARE")] = None
    contract_margin: Annotated[
        float | None, _preset("Margin of a contract; replaces --leverage.", "MONEY")
    ] = None
    multiplier: Annotated[float | None, _preset("Money per unit and price move of 1.", "N")] = None
    commission: Annotated[float | None, _preset("Share of the traded value, each side.", "SHARE")] = None
    commission_lot: Annotated[
        float | None, _preset("Commission per lot, share or contract, each side.", "MONEY")
    ] = None
    commission_min: Annotated[float | None, _preset("Minimum commission of an order.", "MONEY")] = None
    spread: Annotated[float | None, option("Spread in points.", "POINTS", default="the file's column")] = None
    slippage: Annotated[str, option("Slippage in points, or in % of the bar's range.", "POINTS|%")] = "0"
    swap_long: Annotated[
        str | None,
        option("Overnight credit in points, or % a year; negative is paid.", "POINTS|%", default="0"),
    ] = None
    swap_short: Annotated[str | None, option("The same for shorts.", "POINTS|%", default="0")] = None
    triple_day: Annotated[str | None, _preset("Weekday counting three nights, or calendar.", "DAY")] = None
    lot: Annotated[float | None, _preset("Units of one lot.", "UNITS")] = None
    lot_step: Annotated[float | None, _preset("Step of sizes.", "LOTS")] = None
    lot_min: Annotated[float | None, _preset("Smallest size of an entry or addition.", "LOTS")] = None

    def account(self) -> Any:
        """Return the account, or raise an error that names the option."""
        from bt_neuro.account.account import Account

        slippage, slips_in_range = _amount("--slippage", self.slippage)
        long, is_percent = _amount("--swap-long", self.swap_long or self.swap_short or "0")
        short, is_percent_too = _amount("--swap-short", self.swap_short or self.swap_long or "0")
        if is_percent != is_percent_too:
            raise typer.BadParameter("use points or % for both swaps", param_hint="--swap-short")
        is_swap_set = self.swap_long is not None or self.swap_short is not None
        return Account.of(
            self.preset.value,
            cash=self.cash,
            leverage=self.leverage,
            stop_out=self.stop_out,
            contract_margin=self.contract_margin,
            multiplier=self.multiplier,
            commission=self.commission,
            commission_lot=self.commission_lot,
            commission_minimum=self.commission_min,
            spread=self.spread,
            slippage=0.0 if slips_in_range else slippage,
            slippage_range=slippage / 100 if slips_in_range else 0.0,
            swap_long=long if self.swap_long else None,
            swap_short=short if self.swap_short else None,
            swap_unit=("percent" if is_percent else "points") if is_swap_set else None,
            triple_day=self.triple_day,
            lot=self.lot,
            lot_step=self.lot_step,
            lot_minimum=self.lot_min,
        )


def _amount(option: str, text: str) -> tuple[float, bool]:
    """Return a number and whether it is a percentage."""
    try:
        return float(text.removesuffix("%")), text.endswith("%")
    except ValueError:
        raise typer.BadParameter(
            f"must be a number, or a number and %, got {text!r}", param_hint=option
        ) from None


@dataclass(frozen=True)
class FoldOptions:
    """Cut of a file into training and test parts."""

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

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "window": self.window.value}


@dataclass(frozen=True)
class WorkerOptions:
    """Processes or machines that share the work."""

    panel: ClassVar[str] = "Workers"

    jobs: Annotated[int | None, option("Number of processes.", "N", default="one per core", least=1)] = None
    cluster: Annotated[
        str | None, option("Dask scheduler in place of processes, such as tcp://10.0.0.1:8786.", "ADDRESS")
    ] = None


@dataclass(frozen=True)
class OutputOptions:
    """The run folder."""

    panel: ClassVar[str] = "Output"

    out: Out = None
    resume: Annotated[Path | None, option("Folder of a run to resume.", "DIR")] = None
    no_report: NoReport = False

    def as_dict(self) -> dict[str, Any]:
        return {"out": self.out, "resume": self.resume, "report": not self.no_report}
