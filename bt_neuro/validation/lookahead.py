"""Look-ahead check: runs with equal pasts and different futures must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.feed import backtrader_timeframe
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.validation.future import perturbed
from bt_neuro.validation.parallel import ProcessPool, UnitCounter
from bt_neuro.validation.trace import Trace, differences
from bt_neuro.validation.trace_recording import TraceTask, record_trace

MASK, CUT, PERTURBED = "mask", "cut", "perturbed"
READ_AHEAD = "The strategy's next() reads a line ahead, as close[1] or .array do. Read index 0 and before."
COMPUTED_AHEAD = (
    "Something is computed from the whole file before the first bar (in __init__, in an indicator, by "
    "line(1)), or depends on the length of the file.\n"
    "Compute it bar by bar: in next(), or in an indicator that uses index 0 and before, and read only its "
    "lines."
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
    """

    bar: int
    time: str
    what: str
    whole: str
    other: str
    future: str
    from_bar: int
    start_bar: int = 0


@dataclass(frozen=True)
class LookaheadResult:
    """Result of `lookahead_check`; printed, it is one sentence.

    Attributes
    ----------
    file, strategy, bars : what was checked
    predicted_bars : number of predicted bars, at each of which the future was masked
    cuts : bars from which the future was cut off and perturbed
    stretch_bars : bars before each cut that were compared, or fewer where the file begins
    orders : number of changes of orders that were compared
    files : data files that the strategy opened
    leak : the first quantity that depends on later bars, or None
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

    @property
    def passed(self) -> bool:
        return self.leak is None

    def __str__(self) -> str:
        checked = f"{self.strategy} on {self.file}, {self.bars:,} bars"
        if self.leak is None:
            return (
                f"No look-ahead found: {checked}; with the future hidden at every bar, and cut off or "
                f"perturbed at {len(self.cuts)}, nothing before it changes, to the bit."
            )
        leak = self.leak
        changed = {
            MASK: "with other values in all lines beyond that bar",
            CUT: f"where the file ends before bar {leak.from_bar:,}",
            PERTURBED: f"with perturbed bars from bar {leak.from_bar:,} on",
        }[leak.future]
        start = f" (run from bar {leak.start_bar:,} on)" if leak.start_bar else ""
        where = f"{checked}; at bar {leak.bar:,}, {leak.time}"
        return f"Look-ahead found: {where}, {leak.what} is {leak.whole}, but {leak.other} {changed}{start}."

    @property
    def remedy(self) -> str | None:
        if self.leak is None:
            return None
        return READ_AHEAD if self.leak.future == MASK else COMPUTED_AHEAD

    @property
    def covered(self) -> tuple[str, ...]:
        """Sentences on what a pass shows; none with a leak."""
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
        return {"passed": self.passed, **asdict(self), **texts, **lists}


def lookahead_check(
    path: str | Path,
    *,
    strategy: type[NeuroStrategy] | str = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    bars_options: dict[str, Any] | None = None,
    cuts: int = 12,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> LookaheadResult:
    """Check whether a strategy depends on bars that have not closed.

    One run takes the file as it is. In a second run all lines hold other values beyond the present bar. At
    each cut, the bars before it run three times: followed by the true bars, by none, and by perturbed ones.
    Before the change all runs must be bit-identical: lines of indicators, predictions, signals, orders and
    the network. The account has 10,000 and pays the file's spread.

    Parameters
    ----------
    path : str or Path
        Bar file, in any format of `read_bars`.
    strategy : class or str
        "FILE.py:Class" is loaded anew for each run, so that runs share no state of the module.
    parameters : dict, optional
        Parameters of the strategy.
    bars_options : dict, optional
        Options of `read_bars`.
    cuts : int, default 12
        Number of cuts, evenly from the first prediction to the last bar. A run before a cut has a third of
        the file over the number of cuts, at least twice the bars up to the first prediction. All cuts cost as
        much as one run over the file.
    processes : int, default 1
        Number of runs at the same time. More than 1 requires a strategy that other processes can import and,
        in a script, ``if __name__ == "__main__":``.
    progress : callable, optional
        Called with the number of bars done and of all bars.

    Returns
    -------
    LookaheadResult

    Raises
    ------
    NeuroError
        If the file or the strategy is invalid, nothing is predicted, or two runs over the same bars differ.

    Examples
    --------
    >>> result = lookahead_check("data/SYNTHETIC_EURUSD_H1.csv", parameters={"device": "numpy"}, cuts=3,
    ...                          bars_options={"end": "2024-01-08"})
    >>> result.passed, result.cuts
    (True, (4, 62, 119))
    """
    if cuts < 1:
        raise StrategyError(f"cuts must be 1 or more, got {cuts}. Give a higher number.")
    bars = read_bars(path, **(bars_options or {}))
    frame, counter = bars.frame, UnitCounter(progress, 2 * len(bars))
    whole = TraceTask(frame, strategy, parameters or {}, bars.point, backtrader_timeframe(frame["datetime"]))
    with ProcessPool(record_trace, processes, counter) as pool:
        truth, masked = pool.map([whole, replace(whole, mask=True)])
        first = truth.first_signal
        if first is None or first + 1 == len(frame):
            failed = f" It failed: {truth.failure}" if truth.failure else ""
            few = f"{path}: the strategy must predict some of the {len(frame):,} bars, got too few"
            raise StrategyError(f"{few}. Give a longer file.{failed}")
        chosen = places(first, bars=len(frame), count=cuts)
        stretch = max(2 * (first + 1), len(frame) // (3 * cuts))
        leak = _leak(truth, masked, MASK, len(frame))
        if leak is None:
            tasks = [task for cut in chosen for task in _tasks(whole, cut, stretch)]
            counter.total += sum(task.digest_after or 0 for task in tasks)
            leak = _first_leak(pool.map(tasks), chosen, stretch)
        if leak is not None:
            # To the end: over a few bars two runs of a random strategy may be equal.
            (again,) = pool.map([whole])
            _require_equal(truth, again, len(frame))
            leak = replace(leak, time=str(frame["datetime"].iloc[leak.bar]))
    if truth.failure and not leak:
        raise StrategyError(f"The strategy failed after {truth.bars:,} bars: {truth.failure}")
    return LookaheadResult(
        file=bars.path.name,
        strategy=strategy if isinstance(strategy, str) else strategy.__name__,
        bars=truth.bars,  # a strategy may end its run
        predicted_bars=int((truth.signals != "").sum()),
        cuts=tuple(chosen),
        stretch_bars=stretch,
        orders=len(truth.orders),
        files=truth.files,
        leak=leak,
    )


def places(first: int, *, bars: int, count: int) -> list[int]:
    """Return the bars at which to cut, evenly from the one after the first prediction to the last.

    Examples
    --------
    >>> places(52, bars=1000, count=5)
    [53, 290, 526, 762, 999]
    """
    return np.unique(np.linspace(first + 1, bars - 1, count).round().astype(int)).tolist()


def _tasks(whole: TraceTask, cut: int, stretch: int) -> list[TraceTask]:
    """Return runs over the bars before a cut: with the true bars behind it, none, and perturbed ones."""
    start = max(0, cut - stretch)
    n = cut - start
    frame = whole.frame[start : cut + n].reset_index(drop=True)
    part = replace(whole, frame=frame, stop_after=n, digest_after=n)
    return [part, replace(part, frame=frame[:n], stop_after=None), replace(part, frame=perturbed(frame, n))]


def _first_leak(traces: Iterator[Trace], chosen: list[int], stretch: int) -> Leak | None:
    for cut in chosen:
        start = max(0, cut - stretch)
        truth = next(traces)
        for future in (CUT, PERTURBED):
            leak = _leak(truth, next(traces), future, cut - start, start)
            if leak is not None:
                return leak
    return None


def _leak(truth: Trace, trace: Trace, future: str, before: int, start: int = 0) -> Leak | None:
    """Return the first difference of two traces before a bar, counted from the start of their runs."""
    if trace.failure and not trace.bars:
        change = "ends" if future == CUT else "continues with perturbed bars"
        raise StrategyError(
            f"The strategy must run where the file {change} at bar {start + before:,}, got an error before "
            f"its first bar: {trace.failure}"
        )
    first = min(differences(truth, trace, before), key=lambda difference: difference.bar, default=None)
    if first is None:
        return None
    bar = start + first.bar
    from_bar = bar + 1 if future == MASK else start + before
    return Leak(bar, "", first.what, first.one, first.other, future, from_bar, start)


def _require_equal(truth: Trace, again: Trace, before: int) -> None:
    for difference in differences(truth, again, before):
        raise StrategyError(
            f"Two runs over the same bars must be equal, got {difference.one} and {difference.other} for "
            f"{difference.what} at bar {difference.bar:,}.\nSeed random numbers, and do not read the clock."
        )
