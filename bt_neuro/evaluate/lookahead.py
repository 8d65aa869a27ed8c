"""Does a strategy see bars that have not closed? Shown by hiding, cutting off and poisoning the future."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bt_neuro.errors import StrategyError
from bt_neuro.evaluate.poison import poisoned
from bt_neuro.evaluate.processes import recorder
from bt_neuro.evaluate.tape import Run, Tape, timeframe_of
from bt_neuro.market.bars import read_bars
from bt_neuro.plugin.strategy import NeuroStrategy

CURTAIN, CUT, POISON = "curtain", "cut", "poison"
REMEDIES = {
    CURTAIN: "A line was read ahead, as close[1] or .array do: in next(), read index 0 and before.",
    CUT: "Something is computed from the whole file before the first bar: in __init__, in an indicator's once() "
    "or by line(1).\nCompute it bar by bar, in the strategy's next() or in an indicator that uses index 0 and "
    "before.",
}
REMEDIES[POISON] = REMEDIES[CUT]


@dataclass(frozen=True)
class Leak:
    """The first thing that depends on bars to come.

    Attributes
    ----------
    bar, time : where
    what : a feature or an indicator's line by its name, prediction, signal, orders, network, or the run itself
    whole, other : what it is with the file as it is, and with another future
    future : "curtain", "cut" or "poison", what was done to the bars after `bar`
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
    predicted_bars : of these; the curtain hid the future at each
    cuts : after how many bars the future was cut off and poisoned
    orders : what the broker was told or told, compared too
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
                f"No look-ahead found: {checked}; with the future hidden at every bar, and cut off and poisoned "
                f"at {len(self.cuts)}, the past stays the same to the bit."
            )
        leak = self.leak
        changed = {
            CURTAIN: "with all lines beyond that bar poisoned",
            CUT: f"where the file ends before bar {leak.from_bar:,}",
            POISON: f"with poisoned bars from bar {leak.from_bar:,} on",
        }[leak.future]
        return (
            f"Look-ahead found: {checked}; at bar {leak.bar:,}, {leak.time}, {leak.what} is {leak.whole}, "
            f"but {leak.other} {changed}."
        )

    @property
    def remedy(self) -> str | None:
        return REMEDIES[self.leak.future] if self.leak else None

    @property
    def covered(self) -> tuple[str, ...]:
        """What a pass says, in plain words."""
        if self.leak:
            return ()
        return (
            f"At each of the {self.predicted_bars:,} bars with a prediction, all lines of prices and indicators "
            "held poison beyond that bar: neither predictions nor orders changed, so next() reads none of "
            "them ahead.",
            f"At {len(self.cuts)} cuts from bar {self.cuts[0]:,} to bar {self.cuts[-1]:,} the file ended there, "
            "and went on with wild bars: the lines of all indicators, predictions, signals and orders before "
            "are the same, and so is the hash of the network's weights, moments and statistics.",
            "It ran as a Cerebro does by default, with the whole file preloaded, where look-ahead shows; "
            "`bt-neuro backtest` loads bar by bar and keeps even less of the future in reach.",
        )

    @property
    def not_covered(self) -> tuple[str, ...]:
        """What no pass can say."""
        return (
            "What the strategy knows from elsewhere: a file it opens, a network trained before, parameters "
            "chosen after seeing these bars.",
            "Code that did not run: another file, other parameters, or a branch that no bar led into.",
            "What is computed before the first bar, by __init__ and indicators, where a later bar matters only "
            f"at bars other than the {len(self.cuts)} before the cuts.",
            "Whether fills are realistic, and whether the time stamps of the file are those of the opens.",
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

    One run over the file as it is, one with a curtain over all that lies ahead at every bar (`Curtain`), and at
    each cut one with the file ending there and one with wild bars following (`poisoned`). Up to the change all
    must agree to the bit: the lines of indicators, predictions, signals, orders and the network itself.

    Parameters
    ----------
    path : bar file, whatever `read_bars` reads
    strategy : a class; or "FILE.py:Class", which is loaded anew for each run, so that nothing stays behind in
        the module from one run to the next
    parameters : its params
    bars_options : of `read_bars`
    cuts : how many, from the first prediction to the middle of the file, closer together early: together they
        cost about as much as running the file twice
    processes : runs at the same time; more than 1 needs a strategy that other processes can import (see
        `recorder`) and, in a script, ``if __name__ == "__main__":``
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
    (True, (53, 56, 60))
    """
    if cuts < 1:
        raise StrategyError(f"cuts is {cuts}: give 1 or more")
    bars = read_bars(path, **(bars_options or {}))
    frame = bars.frame
    whole = Run(
        frame,
        strategy,
        parameters or {},
        bars.point,
        timeframe_of(frame),
        digest_at=partial(places, bars=len(frame), count=cuts),
    )
    told = _Told(progress or (lambda done, total: None), 2 * len(frame))
    with recorder(processes, told) as tapes:
        truth, screened = tapes([whole, replace(whole, curtain=True)])
        first = truth.first_signal
        if first is None:
            raise StrategyError(
                f"{path}: nothing was predicted in {len(frame):,} bars"
                + (f"; the strategy failed: {truth.failure}" if truth.failure else "; give a longer file")
            )
        chosen = places(first, bars=len(frame), count=cuts)
        leak = _compare(truth, screened, len(frame), CURTAIN)
        if leak is None:
            runs = [run for cut in chosen for run in _other_futures(whole, cut)]
            told.total += sum(run.stop_after or len(run.frame) for run in runs)
            leak = next(_leaks(truth, tapes(runs), chosen), None)
        if leak is not None:
            (again,) = tapes([replace(whole, stop_after=leak.bar + 1)])
            _require_the_same(truth, again, leak.bar + 1)
            leak = replace(leak, time=str(frame["datetime"].iloc[leak.bar]))
        elif truth.failure:
            time = frame["datetime"].iloc[min(truth.bars, len(frame) - 1)]
            raise StrategyError(f"bar {truth.bars:,}, {time}: the strategy failed: {truth.failure}")
    return LookaheadResult(
        file=bars.path.name,
        strategy=strategy if isinstance(strategy, str) else strategy.__name__,
        bars=len(frame),
        predicted_bars=int((truth.signals != "").sum()),
        cuts=tuple(chosen),
        orders=len(truth.orders),
        leak=leak,
    )


def places(first: int, *, bars: int, count: int) -> list[int]:
    """Return after how many bars to cut: from the first prediction to the middle, each so many times further.

    Examples
    --------
    >>> places(52, bars=83_260, count=5)
    [53, 280, 1485, 7863, 41630]
    """
    last = bars // 2 if bars // 2 > first else bars - 1
    return np.unique(np.geomspace(first + 1, max(last, first + 1), count).round().astype(int)).tolist()


def _other_futures(whole: Run, cut: int) -> tuple[Run, Run]:
    ends = replace(whole, frame=whole.frame[:cut])
    return ends, replace(whole, frame=poisoned(whole.frame, cut), stop_after=cut)


def _leaks(truth: Tape, tapes: Iterator[Tape], cuts: list[int]) -> Iterator[Leak]:
    ways = [(cut, future) for cut in cuts for future in (CUT, POISON)]
    for (cut, future), tape in zip(ways, tapes, strict=True):
        if leak := _compare(truth, tape, cut, future):
            yield leak


def _compare(truth: Tape, tape: Tape, before: int, future: str) -> Leak | None:
    """Return the first difference of two tapes before a bar."""
    found = min(_differences(truth, tape, before), key=lambda difference: difference[0], default=None)
    if found is None:
        return None
    bar, *texts = found
    return Leak(bar, "", *texts, future, from_bar=bar + 1 if future == CURTAIN else before)


def _require_the_same(truth: Tape, again: Tape, before: int) -> None:
    for bar, what, one, other in _differences(truth, again, before):
        raise StrategyError(
            f"the same bars twice gave two answers: at bar {bar:,} {what} was {one}, then {other}.\n"
            "Seed what is random, and do not ask the clock; then check again."
        )


def _differences(truth: Tape, tape: Tape, before: int) -> Iterator[tuple[int, str, str, str]]:
    """Yield for each thing compared where it first differs: bar, what, and both values. Causes come first."""
    before = min(before, truth.bars)
    lived = min(before, tape.bars)
    series = {f"{name}": (line, tape.lines.get(name, line[:0])) for name, line in truth.lines.items()}
    series |= {"the prediction": (truth.outputs, tape.outputs), "the signal": (truth.signals, tape.signals)}
    for what, (true, other) in series.items():
        true, other = true[:lived], other[:lived]
        if true.tobytes() == other.tobytes():  # to the bit, NaN included
            continue
        differs = [a.tobytes() != b.tobytes() for a, b in zip(true, other, strict=True)]
        bar = differs.index(True)
        yield bar, what, _shown(true[bar]), _shown(other[bar])
    ours, theirs = ([order for order in one.orders if order[0] < lived] for one in (truth, tape))
    if ours != theirs:
        at = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
        at = min(len(ours), len(theirs)) if at is None else at
        here, there = (orders[at] if at < len(orders) else None for orders in (ours, theirs))
        bar = min(order[0] for order in (here, there) if order)
        yield bar, "the order", *(o[1] if o and o[0] == bar else "none" for o in (here, there))
    for seen, state in truth.states.items():
        if seen <= lived and tape.states.get(seen, state) != state:
            yield seen - 1, "the network", f"in state {state[:8]}", f"in state {tape.states[seen][:8]}"
    if lived < before:
        yield lived, "the run", "alive", tape.failure or "at its end"


def _shown(value: Any) -> str:
    if np.ndim(value):
        return ", ".join(f"{number:.9g}" for number in value)
    return str(value) or "none" if isinstance(value, str) else f"{value:.9g}"


class _Told:
    """Adds up the bars that were done."""

    def __init__(self, progress: Callable[[int, int], None], total: int) -> None:
        self.total, self._done, self._progress = total, 0, progress

    def __call__(self, bars: int) -> None:
        self._done += bars
        self._progress(min(self._done, self.total), self.total)
