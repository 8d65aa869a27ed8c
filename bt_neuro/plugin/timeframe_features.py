"""The visible shape in coarser timeframes of the same bars, as they have closed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import backtrader as bt
import pandas as pd

from bt_neuro.bars.timeframe import MONTH, UNITS, parse_timeframe, timeframe_name
from bt_neuro.errors import BarsError, StrategyError
from bt_neuro.learning.visible_shape import FEATURES, VisibleShape
from bt_neuro.plugin.features import BarFeatures
from bt_neuro.plugin.stamps import declared_length


class CoarserShape:
    """Visible shape of the last closed bar of a coarser timeframe, from finer bars one at a time.

    A coarser bar closes with the finer bar that ends its period, or else with the first one of a later period. A bar
    ends after the shortest step so far, so that files, live feeds and restarts agree.

    Parameters
    ----------
    length : of the coarser bars
    wing : as in `VisibleShape`

    Examples
    --------
    >>> shape = CoarserShape(pd.Timedelta(hours=2))
    >>> rows = [shape.update(1.0, 1.2 + 0.1 * hour, 0.9, 1.1, 5.0, datetime(2024, 1, 1, hour)) for hour in range(4)]
    >>> [row[FEATURES.index("high_distance")] > 0 for row in rows]
    [False, True, True, True]
    """

    def __init__(self, length: pd.Timedelta, wing: int = 1) -> None:
        self._length, self._shape = length, VisibleShape(wing)
        self._period: datetime | None = None
        self._bar: list[float] = []
        self._row: tuple[float, ...] = (0.0,) * len(FEATURES)
        self._last: datetime | None = None
        self._step = timedelta.max

    def update(
        self, open_: float, high: float, low: float, close: float, volume: float, time: datetime
    ) -> tuple[float, ...]:
        """Take a closed bar by its opening time; return the features, zeros before a first coarser bar."""
        if self._last is not None:
            self._step = min(self._step, time - self._last)
        self._last = time
        period = self._start(time)
        if self._period is not None and period != self._period:
            self._close()
        if not self._bar:
            self._bar = [open_, high, low, close, volume]
        else:
            bar = self._bar
            bar[1:] = max(bar[1], high), min(bar[2], low), close, bar[4] + volume
        self._period = period
        if self._step != timedelta.max and self._start(time + self._step) != period:
            self._close()
        return self._row

    def _close(self) -> None:
        if self._bar and self._period is not None:
            self._row = self._shape.update(*self._bar, self._period)  # type: ignore[arg-type]
        self._bar = []

    def _start(self, time: datetime) -> datetime:
        midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
        if self._length == MONTH:
            return midnight.replace(day=1)
        if self._length == UNITS["W"]:
            return midnight - timedelta(days=midnight.weekday())
        return time - (time - midnight) % self._length.to_pytimedelta()


class TimeframeFeatures(BarFeatures):
    """Base of the indicators that `timeframe_features` makes: lines of the bars, then of each timeframe."""

    params = (("wing", 1), ("timeframes", ()))

    def __init__(self) -> None:
        super().__init__()
        self.addminperiod(self.p.wing + 1)
        self._shape: Any = VisibleShape(self.p.wing)
        for name in self.p.timeframes:  # each an attribute, which a checkpoint saves
            setattr(self, f"_{name}", CoarserShape(parse_timeframe(name), self.p.wing))

    def _compute(self, *bar: Any) -> tuple[float, ...]:
        row: tuple[float, ...] = self._shape.update(*bar)
        for name in self.p.timeframes:
            row += getattr(self, f"_{name}").update(*bar)
        return row


def names_of(timeframes: Any) -> tuple[str, ...]:
    """Return the timeframes of "H4,D1" or a sequence, checked."""
    words = timeframes.split(",") if isinstance(timeframes, str) else list(timeframes)
    names = tuple(str(word).strip().upper() for word in words)
    try:
        lengths = [parse_timeframe(name) for name in names]
    except BarsError as error:
        raise StrategyError(f"timeframes: {error}") from error
    if len(set(lengths)) < len(lengths):
        raise StrategyError(f"timeframes must differ, got {', '.join(names)}. Give each once.")
    return names


def timeframe_features(data: bt.feed.DataBase, timeframes: Any, wing: int = 1) -> dict[str, bt.LineBuffer]:
    """Return the visible shape of the bars and of their coarser timeframes, as lines by name, such as ``D1_range``.

    Parameters
    ----------
    data : backtrader data feed
    timeframes : such as ``"H4,D1"``, coarser than the bars; checked where the feed declares its stamps
    wing : as in `shape_features`

    Raises
    ------
    StrategyError
        When a timeframe is unknown, given twice, or not longer than the bars.
    """
    names, length = names_of(timeframes), declared_length(data)
    for name in names:
        if length is not None and parse_timeframe(name) <= length:
            raise StrategyError(
                f"timeframes must be longer than the bars, {timeframe_name(length)}, got {name}. "
                "Give longer ones, or the feed its timeframe."
            )
    lines = (*FEATURES, *(f"{name}_{feature}" for name in names for feature in FEATURES))
    kind: Any = type("TimeframeFeatures", (TimeframeFeatures,), {"lines": lines, "__module__": __name__})
    indicator = kind(data, wing=wing, timeframes=names)
    return {name: getattr(indicator.lines, name) for name in lines}
