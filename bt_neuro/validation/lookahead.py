"""Does a strategy see bars that have not closed? Shown by hiding, cutting off and poisoning the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.feed import backtrader_timeframe
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.validation.parallel import ProcessPool
from bt_neuro.validation.perturb import perturbed
from bt_neuro.validation.trace import Trace, differences
from bt_neuro.validation.trace_recording import Run, record

MASK, CUT, PERTURBED = "mask", "cut", "perturbed"
READ_AHEAD = (
    "A line was read ahead, as close[1] or .array do: in the strategy's next(), read index 0 and before."
)
COMPUTED_AHEAD = (
    "Something is computed from the whole file before the first bar (in __init__, in an indicator, by "
    "line(1)), or asks how long the file is.\n"
    "Compute it bar by bar: in the strategy's next(), or in an indicator that uses index 0 and before and is "
    "asked for nothing but its lines."
)


@dataclass(frozen=True)
class Leak:
    """The first thing that depends on bars to come.

    Attributes
    ----------
    bar, time : where
    what : a feature or an indicator's line, the prediction, signal, order, network's state, or the run
    whole, other : what it is with the file as it is, and with another future
    future : "mask", "cut" or "perturbed": what was done to the bars to come
    from_bar : the first bar that was changed
    """

    bar: int
    time: str
    what: str
    whole: str
    other: str
    future: str
    from_bar: int


@dataclass(frozen=True)
class LookaheadResult:
    """What the check found; printed, it is one sentence.

    Attributes
    ----------
    file, strategy, bars : what was checked
    predicted_bars : of these; the mask hid the future at each
    cuts : after how many bars the future was cut off and perturbed
    orders : how often something was ordered, or something became of an order; all compared
    leak : the first thing that depends on bars to come, or None
    """

    file: str
    strategy: str
    bars: int
    predicted_bars: int
    cuts: tuple[int, ...]
    orders: int
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
            MASK: "with perturbed prices in all lines beyond that bar",
            CUT: f"where the file ends before bar {leak.from_bar:,}",
            PERTURBED: f"with perturbed bars from bar {leak.from_bar:,} on",
        }[leak.future]
        return (
            f"Look-ahead found: {checked}; at bar {leak.bar:,}, {leak.time}, {leak.what} is {leak.whole}, "
            f"but {leak.other} {changed}."
        )

    @property
    def remedy(self) -> str | None:
        if self.leak is None:
            return None
        return READ_AHEAD if self.leak.future == MASK else COMPUTED_AHEAD

    @property
    def covered(self) -> tuple[str, ...]:
        """What a pass says, in plain words; nothing where a leak was found."""
        if self.leak:
            return ()
        return (
            f"Every bar: at each of the {self.predicted_bars:,} with a prediction, all lines of prices and "
            "indicators held other values beyond it, and nothing changed. So next() reads none ahead.",
            f"{len(self.cuts)} cuts, after {self.cuts[0]:,} to {self.cuts[-1]:,} bars: the file ended there, "
            "or went on with wild bars, and before it the lines of indicators, predictions, signals, orders "
            "and the hash of the network's weights, moments and statistics are the same. So nothing that is "
            "computed before the first bar, by __init__ or an indicator, shows a bar to come there.",
            "The mode in which look-ahead shows: the file preloaded and indicators run beforehand, as a "
            "Cerebro does by default. `bt-neuro backtest` loads bar by bar.",
        )

    @property
    def not_covered(self) -> tuple[str, ...]:
        """What no pass can say."""
        return (
            "What the strategy knows from elsewhere: a file it opens, a network trained before, parameters "
            "chosen after seeing these bars.",
            "Code that did not run: another file, other parameters, a branch that no bar led into; and what "
            f"is computed beforehand but shows only at bars other than the {len(self.cuts)} before the cuts.",
            "Whether orders would fill at these prices, and whether the file's times are those of the opens.",
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        texts = {
            "sentence": str(self),
            "remedy": self.remedy,
            "covered": list(self.covered),
            "not_covered": list(self.not_covered),
        }
        return {"passed": self.passed, **asdict(self), "cuts": list(self.cuts), **texts}


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
    """Look for a dependence of what a strategy does on bars that have not closed.

    One run takes the file as it is; one has a mask over all that lies ahead, at every bar (`FutureMask`);
    and at each cut the file ends in one run and goes on with wild bars in another (`perturbed`). Up to the
    change all must agree to the bit: lines of indicators, predictions, signals, orders and the network.
    Orders are those of an account of 10,000 that pays the file's spread.

    Parameters
    ----------
    path : bar file, whatever `read_bars` reads
    strategy : a class; or "FILE.py:Class", which is loaded anew for each run, so that nothing stays behind in
        the module from one run to the next
    parameters : its params
    bars_options : of `read_bars`
    cuts : how many, from the first prediction to an eighth of the file, closer together early: so all of them
        together cost less than running the file once
    processes : runs at the same time; more than 1 needs a strategy that other processes can import (see
        `ProcessPool`) and, in a script, ``if __name__ == "__main__":``
    progress : called now and then with (bars done, bars in all)

    Returns
    -------
    LookaheadResult

    Raises
    ------
    NeuroError
        When the file or the strategy cannot be used, when nothing is predicted, or when the strategy does
        not do the same twice with the same bars: then nothing can be compared.

    Examples
    --------
    >>> result = lookahead_check("data/SYNTHETIC_EURUSD_H1.csv", parameters={"device": "numpy"}, cuts=3,
    ...                          bars_options={"end": "2024-01-08"})
    >>> result.passed, result.cuts
    (True, (53, 79, 119))
    """
    if cuts < 1:
        raise StrategyError(f"cuts is {cuts}: give 1 or more")
    bars = read_bars(path, **(bars_options or {}))
    frame = bars.frame
    at = partial(places, bars=len(frame), count=cuts)
    timeframe = backtrader_timeframe(frame["datetime"])
    whole = Run(frame, strategy, parameters or {}, bars.point, timeframe, digest_at=at)
    told = _Told(progress or (lambda done, total: None), 2 * len(frame))
    with ProcessPool(record, processes, told) as pool:
        truth, behind_curtain = pool.map([whole, replace(whole, mask=True)])
        first = truth.first_signal
        if first is None or first + 1 == len(frame):
            failed = f", or mend the strategy: {truth.failure}" if truth.failure else ""
            few = f"{path}: too few predictions to check in {len(frame):,} bars"
            raise StrategyError(f"{few}; give a longer file{failed}")
        chosen = at(first)
        leak = _leak(truth, behind_curtain, len(frame), MASK)
        if leak is None:
            runs = [run for cut in chosen for run in _other_futures(whole, cut)]
            told.total += sum(run.stop_after or len(run.frame) for run in runs)
            ways = product(chosen, (CUT, PERTURBED))
            found = (_leak(truth, trace, *way) for trace, way in zip(pool.map(runs), ways, strict=True))
            leak = next(filter(None, found), None)
        if leak is not None:
            # To the end: of a few bars two throws of a coin may well be the same.
            (again,) = pool.map([whole])
            _require_the_same(truth, again, len(frame))
            leak = replace(leak, time=str(frame["datetime"].iloc[leak.bar]))
    if truth.failure and not leak:
        raise StrategyError(f"after {truth.bars:,} bars the strategy failed: {truth.failure}")
    return LookaheadResult(
        file=bars.path.name,
        strategy=strategy if isinstance(strategy, str) else strategy.__name__,
        bars=truth.bars,  # a strategy may end its run
        predicted_bars=int((truth.signals != "").sum()),
        cuts=tuple(chosen),
        orders=len(truth.orders),
        leak=leak,
    )


def places(first: int, *, bars: int, count: int) -> list[int]:
    """Return after how many bars to cut: from the first prediction to an eighth, each so many times further.

    Examples
    --------
    >>> places(52, bars=83_260, count=5)
    [53, 198, 743, 2780, 10407]
    """
    last = bars // 8 if bars // 8 > first else bars - 1
    return np.unique(np.geomspace(first + 1, last, count).round().astype(int)).tolist()


def _other_futures(whole: Run, cut: int) -> tuple[Run, Run]:
    ends = replace(whole, frame=whole.frame[:cut])
    return ends, replace(whole, frame=perturbed(whole.frame, cut), stop_after=cut)


def _leak(truth: Trace, trace: Trace, before: int, future: str) -> Leak | None:
    """Return the first difference of two traces before a bar."""
    if trace.failure and not trace.bars:
        how = "ends" if future == CUT else "goes on with wild bars"
        raise StrategyError(
            f"the strategy cannot be checked: where the file {how} after {before:,} bars, it fails before "
            f"its first: {trace.failure}"
        )
    found = min(differences(truth, trace, before), key=lambda difference: difference.bar, default=None)
    if found is None:
        return None
    from_bar = found.bar + 1 if future == MASK else before
    return Leak(found.bar, "", found.what, found.one, found.other, future, from_bar)


def _require_the_same(truth: Trace, again: Trace, before: int) -> None:
    for difference in differences(truth, again, before):
        raise StrategyError(
            f"the same bars twice gave two answers: at bar {difference.bar:,} {difference.what} was "
            f"{difference.one}, then {difference.other}.\n"
            "Seed what is random, and do not ask the clock; then check again."
        )


class _Told:
    """Adds up the bars that were done."""

    def __init__(self, progress: Callable[[int, int], None], total: int) -> None:
        self.total, self._done, self._progress = total, 0, progress

    def __call__(self, bars: int) -> None:
        self._done += bars
        self._progress(min(self._done, self.total), self.total)
