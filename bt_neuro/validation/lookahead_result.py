"""Result of a look-ahead check: what was compared, and the first quantity that depends on later bars."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bt_neuro.report.checks import FUTURES

MASK, CUT, PERTURBED = "mask", "cut", "perturbed"
READ_AHEAD = "The strategy's next() reads a line ahead, as close[1] or .array do. Read index 0 and before."
COMPUTED_AHEAD = (
    "Something is computed from the whole file before the first bar (in __init__, in an indicator, by "
    "line(1)), or depends on the length of the file.\n"
    "Compute it bar by bar: in next(), or in an indicator that uses index 0 and before, and read only its "
    "lines. A feed of backtrader beside others must be stamped at the close of its bars."
)


@dataclass(frozen=True)
class Leak:
    """The first quantity that depends on later bars.

    Attributes
    ----------
    bar, time : where
    what : a feature or an indicator's line, the prediction, signal, order, network's state, or the run
    whole, other : its value with the true future, and with another one
    future : "mask", "cut" or "perturbed": the change of the future
    from_bar : the first changed bar
    start_bar : the first bar of the runs that were compared
    instrument : name of the learned feed among several; bars are numbered by it
    """

    bar: int
    time: str
    what: str
    whole: str
    other: str
    future: str
    from_bar: int
    start_bar: int = 0
    instrument: str = ""


@dataclass(frozen=True)
class LookaheadResult:
    """Result of `lookahead_check`, printed as one line.

    Attributes
    ----------
    file, strategy, bars : what was checked; several files are named by their stems
    predicted_bars : number of predicted bars, at each of which the future was masked
    cuts : bars from which the future was cut off and perturbed; of several files they are numbered by the moments
        at which some bar closes
    stretch_bars : bars before each cut that were compared, or fewer where the file begins
    orders : number of changes of orders that were compared
    files : data files that the strategy opened
    leak : the first quantity that depends on later bars, or None
    data : manifest of the bars of each file, by its stem; by its path where another has the stem
    """

    file: str
    strategy: str
    bars: int
    predicted_bars: int
    cuts: tuple[int, ...]
    stretch_bars: int
    orders: int
    files: tuple[str, ...]
    leak: Leak | None
    data: dict[str, dict[str, Any]] = field(repr=False)

    @property
    def passed(self) -> bool:
        return self.leak is None

    def __str__(self) -> str:
        checked = f"{self.strategy} on {self.file}, {self.bars:,} bars"
        if self.leak is None:
            return (
                f"No look-ahead found: {checked}. The future was hidden at every bar, and cut off and perturbed "
                f"at {len(self.cuts)} bars. Nothing before the change differs, to the bit."
            )
        leak = self.leak
        start = f" Both runs start at bar {leak.start_bar:,}." if leak.start_bar else ""
        of = f" of {leak.instrument}" if leak.instrument else ""
        where = f"{checked}. At bar {leak.bar:,}{of}, {leak.time}"
        return (
            f"Look-ahead found: {where}, {leak.what} depends on later bars. With the true ones: {leak.whole}. "
            f"With {FUTURES[leak.future]} from bar {leak.from_bar:,} on: {leak.other.rstrip('.')}.{start}"
        )

    @property
    def remedy(self) -> str | None:
        if self.leak is None:
            return None
        return READ_AHEAD if self.leak.future == MASK else COMPUTED_AHEAD

    @property
    def covered(self) -> tuple[str, ...]:
        """Sentences on the meaning of a passed check; none with a leak."""
        if self.leak:
            return ()
        return (
            f"Every bar: at each of the {self.predicted_bars:,} predicted bars, all lines of prices, times "
            "and indicators held other values beyond it, and nothing changed. So next() reads none ahead.",
            f"{len(self.cuts)} cuts over the whole file, at bars {self.cuts[0]:,} to {self.cuts[-1]:,}: the "
            f"file ended there, or continued with perturbed bars. In the {self.stretch_bars:,} bars before "
            "each cut, the lines of indicators, predictions, signals, orders and the network's state are the "
            "same. So nothing that is computed before the first bar shows a later bar there.",
            "The mode with look-ahead: the file preloaded and indicators run before the first bar, as by "
            "default in a Cerebro. `bt-neuro backtest` loads bar by bar.",
        )

    @property
    def not_covered(self) -> tuple[str, ...]:
        """Sentences on what no pass can show."""
        opened = f" It opened {', '.join(self.files)}." if self.files else " It opened no data file."
        return (
            "Knowledge from elsewhere: data files that the strategy opens, a network trained before, "
            f"parameters chosen after seeing these bars.{opened}",
            "Code that did not run: on another file, with other parameters, in a branch that no bar reached; "
            f"and values computed beforehand that show only at bars far from the {len(self.cuts)} cuts.",
            "Whether orders would fill at these prices, and whether the file's times are those of the opens.",
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        lists = {name: list(getattr(self, name)) for name in ("cuts", "files", "covered", "not_covered")}
        texts = {"sentence": str(self), "remedy": self.remedy}
        plain = asdict(self)
        del plain["data"]  # of the run folder's manifest
        return {"passed": self.passed, **plain, **texts, **lists}
