"""Resume verification: the bars up to a checkpoint pass again and are compared, not learned."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from datetime import date
from typing import Any

import backtrader as bt
import numpy as np

from bt_neuro.account.bar_time import opening_line
from bt_neuro.bars.fingerprint import Fingerprint
from bt_neuro.errors import CheckpointError
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.learning.label_queue import Example
from bt_neuro.learning.learner import Learner
from bt_neuro.plugin.bar_loop import values_of
from bt_neuro.plugin.phase import Phase

# Of a feature's largest recent value. backtrader computes some indicators in another order of sums where it
# computes them for all bars at once; another period or formula differs by much more.
ROUNDING = 1e-6


class ResumeVerification:
    """Fingerprint of every bar of a feed, and comparison with a checkpoint up to its last bar.

    Parameters
    ----------
    data : the feed
    checkpoint : the checkpoint to resume, if any
    features : names, for messages

    Attributes
    ----------
    fingerprint : of all bars so far
    """

    def __init__(
        self, data: bt.feed.DataBase, checkpoint: Checkpoint | None, features: Sequence[str]
    ) -> None:
        prices = (getattr(data.lines, name) for name in ("open", "high", "low", "close", "volume"))
        self._lines = [opening_line(data), *prices]
        self._checkpoint, self._features = checkpoint, features
        self._end = self._compared = -1
        self._rows: deque[Sequence[float]] = deque()
        self.fingerprint = Fingerprint()
        if checkpoint is not None and checkpoint.last_bar is not None:
            self._end = checkpoint.last_bar
            self._history = checkpoint.network.tensors["learner.history"]
            self._rows = deque(maxlen=len(self._history))
            self._scale = ROUNDING * np.abs(self._history).max(axis=0)
            self.fingerprint = Fingerprint(checkpoint.bars.values)
            if checkpoint.bars.integer("bars") != checkpoint.last_bar + 1:
                raise checkpoint.bars.invalid("bars", f"the number of bars up to bar {checkpoint.last_bar}")

    def trust(self) -> None:
        """Continue the checkpoint's fingerprint: its bars will not pass again."""
        assert self._checkpoint is not None
        self._compared, self.fingerprint = self._end, Fingerprint.resumed(self._checkpoint.bars)

    def add(self) -> tuple[float, float, float]:
        """Add the bar that has just closed to the fingerprint; return its high, low and close.

        Raises
        ------
        CheckpointError
            When the bars so far differ from those learned.
        """
        bar = self.fingerprint.bars
        time, open_, high, low, close, volume = values_of(self._lines)
        try:
            self.fingerprint.add(time, open_, high, low, close, volume)
        except CheckpointError as error:
            raise self._error(f"{error}, got another up to {self._time()}. Give the same bars.") from error
        if bar == 0 and self._end >= 0 and self._checkpoint is not None:
            first = self._checkpoint.bars.number("first")
            if self.fingerprint.first != first:
                raise self._error(
                    f"the bars must begin at {time_of(first)}, got {self._time()}. Give all bars."
                )
        return high, low, close

    def is_past(self, bar: int) -> bool:
        """Return whether a bar was learned before the checkpoint was saved."""
        if bar > self._end > self._compared:
            raise self._error(
                f"the features must begin by bar {self._end}, got {bar}. Give the same formulas."
            )
        return bar <= self._end

    def compare(self, bar: int, row: Sequence[float]) -> None:
        """Take the features of a bar that was learned; at the last one, compare those of the last bars.

        Only there: if a bar differs its features do too, and the error of the fingerprint names the bar.

        Raises
        ------
        CheckpointError
            When a feature differs.
        """
        self._compared = bar
        self._rows.append(row)
        if bar < self._end:
            return
        for ago, (then, now) in enumerate(zip(self._history[::-1], reversed(self._rows), strict=False)):
            for index in np.flatnonzero(~(np.abs(then - now) <= self._scale)).tolist():
                feature = f"{self._features[index]} of bar {bar - ago}"
                values = f"{then[index]:.10g}, got {now[index]:.10g}"
                raise self._error(f"{feature} must be {values}. Give the same formulas.")

    def row(self, bar: int) -> Sequence[float] | None:
        """Return the features of a bar that has just been compared; None if they were not known yet."""
        return self._rows[-1] if bar == self._compared else None

    def require_end(self, bars: int) -> None:
        """Raise CheckpointError if the feed has ended before the checkpoint's last bar."""
        if bars <= self._end and self._checkpoint is not None:
            last = time_of(self._checkpoint.bars.number("last"))
            got = f"got {bars:,} bars up to {self._time()}"
            raise self._error(f"the bars must reach bar {self._end}, {last}, {got}. Give more bars.")

    def _time(self) -> str:
        return time_of(self._lines[0][0]) if self.fingerprint.bars else "none"

    def _error(self, message: str) -> CheckpointError:
        path: Any = self._checkpoint and self._checkpoint.path
        return CheckpointError(f"cannot resume {path}: {message}")


class LearnedBars(bt.Analyzer):
    """Collect features and labels of the bars of a checkpoint, which pass again in the phase RESUME.

    Params:

      - ``bars`` (required): bars of the run, as `read_bars` returns them
      - ``on_features`` (required): called with the features of each of those bars
      - ``on_examples`` (required): called with a list of `Example` without windows, after the last one
    """

    params: Any = (("bars", None), ("on_features", None), ("on_examples", None))

    def start(self) -> None:
        self._bar = -1
        self._first: int | None = None

    def on_new_learner(self, learner: Learner, checkpoint: Checkpoint) -> None:
        """Take a new learner before it is restored from a checkpoint."""
        self._learner, self._last = learner, checkpoint.last_bar or 0
        self._label_state = deepcopy(learner.label.state())

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        strategy, bar = self.strategy, len(self.data) - 1
        if strategy.phase is not Phase.RESUME or bar == self._bar:  # or another feed's bar
            return
        self._bar = bar
        if (row := strategy._verification.row(bar)) is None:
            return
        self._first = bar if self._first is None else self._first
        self.p.on_features(row)
        if bar == self._last and not strategy._is_fitting:  # which collects its examples itself
            self.p.on_examples(self._examples(self._first))

    def _examples(self, first_bar: int) -> list[Example]:
        label, examples = self._learner.label, list[Example]()
        learned = deepcopy(label.state())
        label.restore(self._label_state)
        prices = self.p.bars[["high", "low", "close"]].iloc[first_bar : self._last + 1]
        for bar, values in enumerate(prices.itertuples(index=False, name=None), start=first_bar):
            examples += [Example(one.bar, bar, np.empty(0), one.target) for one in label.update(bar, *values)]
        label.restore(learned)
        first_window = first_bar + self._learner.history_bars - 1
        return [example for example in examples if example.bar >= first_window]


def time_of(time: float | None) -> str:
    """Return backtrader's number of a time as text; a checkpoint may hold any number."""
    if time is None or not 1 <= time < date.max.toordinal():
        return f"day {time}"
    return bt.num2date(time).isoformat(sep=" ", timespec="seconds")
