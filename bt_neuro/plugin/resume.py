"""The bars up to a checkpoint: seen again by the indicators, compared, and not learned a second time."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import date
from typing import Any

import backtrader as bt
import numpy as np

from bt_neuro.bars.fingerprint import Fingerprint
from bt_neuro.errors import CheckpointError
from bt_neuro.learning.checkpoint import Checkpoint

# Of a feature's largest value of late. backtrader computes some indicators in another order of sums where it
# computes them for all bars at once; another period or formula differs by much more.
ROUNDING = 1e-6


class ResumeVerification:
    """Fingerprint every bar of a feed, and hold those up to a checkpoint's last one against it.

    Parameters
    ----------
    data : the feed
    saved : the checkpoint to go on from, if any
    features : names, for messages
    """

    def __init__(self, data: bt.feed.DataBase, saved: Checkpoint | None, features: Sequence[str]) -> None:
        self._lines = [
            getattr(data.lines, name) for name in ("datetime", "open", "high", "low", "close", "volume")
        ]
        self._data, self._saved, self._features = data, saved, features
        self._end = self._compared = -1
        self._rows: deque[Sequence[float]] = deque()
        self.fingerprint = Fingerprint()
        if saved is not None and saved.last_bar is not None:
            self._end = saved.last_bar
            self._history = saved.network.tensors["learner.history"]
            self._rows = deque(maxlen=len(self._history))
            self._scale = ROUNDING * np.abs(self._history).max(axis=0)
            self.fingerprint = Fingerprint(saved.bars.values)
            if saved.bars.integer("bars") != saved.last_bar + 1:
                raise saved.bars.refuse("bars", f"the number of bars up to bar {saved.last_bar}")

    def see(self) -> tuple[float, float, float]:
        """Take the bar that has just closed; return its high, low and close.

        Raises
        ------
        CheckpointError
            When the bars so far are not those that were learned.
        """
        saved, bar = self._saved, self.fingerprint.bars
        time, open_, high, low, close, volume = [line[0] for line in self._lines]
        try:
            self.fingerprint.add(time, open_, high, low, close, volume)
        except CheckpointError as error:
            raise self._error(f"{error}, here up to {self._time()}; give the bars as they were") from error
        if bar == 0 and self._end >= 0 and saved is not None:
            first = saved.bars.number("first")
            if self.fingerprint.first != first:
                begin = f"its bars begin at {time_of(first)}, these at {self._time()}"
                raise self._error(f"{begin}; give all bars from the first on")
        return high, low, close

    def is_past(self, bar: int) -> bool:
        """Tell whether a bar was learned before the checkpoint was made."""
        if bar > self._end > self._compared:
            raise self._error(f"the features now begin at bar {bar}: they are computed in another way")
        return bar <= self._end

    def compare(self, bar: int, row: Sequence[float]) -> None:
        """Take the features of a bar that was learned; at the last one, compare those of the last bars.

        Not before: where a bar differs its features do too, and the fingerprint names the bar.

        Raises
        ------
        CheckpointError
            When they are not what they were.
        """
        self._compared = bar
        self._rows.append(row)
        if bar < self._end:
            return
        for ago, (then, now) in enumerate(zip(self._history[::-1], reversed(self._rows), strict=False)):
            for index in np.flatnonzero(~(np.abs(then - now) <= self._scale)).tolist():
                feature = f"{self._features[index]} of bar {bar - ago}"
                was, is_ = f"was {then[index]:.10g}", f"is {now[index]:.10g}"
                raise self._error(f"{feature} {was} and {is_}: it is computed in another way")

    def require_end(self, bars: int) -> None:
        """Raise CheckpointError when the feed has ended before the checkpoint's last bar."""
        if bars <= self._end and self._saved is not None:
            last = time_of(self._saved.bars.number("last"))
            raise self._error(
                f"it has learned up to bar {self._end}, {last}, and the bars end at {self._time()} after "
                f"{bars} bars; give at least as many"
            )

    def _time(self) -> str:
        return time_of(self._lines[0][0]) if self.fingerprint.bars else "once"

    def _error(self, told: str) -> CheckpointError:
        path: Any = self._saved and self._saved.path
        return CheckpointError(f"cannot go on from {path}: {told}")


def time_of(time: float | None) -> str:
    """Return backtrader's number of a time as text; a checkpoint may hold any number."""
    if time is None or not 1 <= time < date.max.toordinal():
        return f"day {time}"
    return bt.num2date(time).isoformat(sep=" ", timespec="seconds")
