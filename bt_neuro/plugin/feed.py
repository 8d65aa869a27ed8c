"""A pandas frame as a backtrader feed: exact time stamps, no second copy, half the time of PandasData.

backtrader, its resampler and its timers take a stamp for a bar's close, and files hold openings. So the line
``datetime`` holds the closing time, and ``opened`` the opening time of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from itertools import repeat
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
from backtrader.utils.dateintern import Localizer, tzparse

from bt_neuro.bars.resample import resample_bars
from bt_neuro.bars.timeframe import commonest_step
from bt_neuro.errors import BarsError
from bt_neuro.plugin.bar_loop import move_lines
from bt_neuro.plugin.feed_base import FeedBase
from bt_neuro.plugin.feed_frame import COLUMNS, require_bars
from bt_neuro.plugin.stamps import (
    CLOSE,
    closings_of,
    length_of,
    require_closed,
    timeframe_length,
)

CHUNK = 4096  # bars turned into Python floats at a time: long enough to be fast, short enough to be nothing


class BarsFeed(FeedBase):
    """Feed the bars of a frame.

    Params:

      - ``bars`` (required): ``pandas.DataFrame`` with the columns ``datetime``, ``open``, ``high``, ``low``,
        ``close``, ``volume`` and, if known, ``spread`` (in points); ascending in time. Read, never changed.
      - ``timeframe``, ``compression`` (default: ``None``): taken from the commonest step between two bars.
        With a ``timeframe`` of your own, ``compression`` is 1 unless given.

      - ``fromdate``, ``todate`` (default: ``None``): first and last opening to feed; a date means all of it

    Lines:
      - ``datetime``: closing time of the bar, as backtrader expects
      - ``opened``: its opening time, as in the frame; read it with ``self.data.opened.datetime(0)``
      - ``spread``: in points, 0.0 if the frame has none; the other lines are those of every backtrader feed.

    Index 0 of a line is the bar that has just closed. With ``preload=True``, backtrader's default, index 1 is
    tomorrow's: read index 0 only.

    ``cerebro.resampledata`` of it builds the bars of `read_bars(resample=...)`: from the frame, each when it has
    closed. Replaying is refused: half-made bars are no bars.

    Raises
    ------
    BarsError
        A column is missing, there are no bars, a value is missing or no finite number, or time does not ascend.
        backtrader itself accepts the last two and misreads them.

    Examples
    --------
    >>> bars = pd.DataFrame({"datetime": pd.date_range("2024-01-01", periods=3, freq="4h"),
    ...                      "open": 1.10, "high": 1.12, "low": 1.09, "close": [1.10, 1.11, 1.12],
    ...                      "volume": 900, "spread": 12})
    >>> class Show(bt.Strategy):
    ...     def next(self):
    ...         print(self.data.datetime.datetime(0), self.data.close[0], self.data.spread[0])
    >>> cerebro = bt.Cerebro()
    >>> _ = cerebro.adddata(BarsFeed(bars=bars)), cerebro.addstrategy(Show), cerebro.run()
    2024-01-01 04:00:00 1.1 12.0
    2024-01-01 08:00:00 1.11 12.0
    2024-01-01 12:00:00 1.12 12.0
    """

    params = (("bars", None), ("timeframe", None), ("compression", None))

    stamps = CLOSE
    opening = None  # in the line `opened`; not to be looked for among all lines, see `opening_line`

    def __init__(self) -> None:
        require_bars(self.p.bars)
        if self.p.tzinput is not None:
            raise BarsError("BarsFeed takes no tzinput. Convert the times with read_bars(tz=...).")
        # backtrader reads the two params after __init__.
        timeframe, compression = backtrader_timeframe(self.p.bars["datetime"])
        if self.p.timeframe is None:
            self.p.timeframe = timeframe
            self.p.compression = self.p.compression or compression
        self.p.compression = self.p.compression or 1
        self._cut()
        self._counter = self.lines.lines[0]

    def __len__(self) -> int:
        return self._counter.lencount  # backtrader gets there by four calls, 40 times a bar of a portfolio

    def _cut(self) -> None:
        # By openings: backtrader would cut by the stamps, and lose the last bar of a day.
        p = self.p
        if p.fromdate is None and p.todate is None:
            return
        opens, zone = days(p.bars["datetime"]), Localizer(tzparse(p.tz))
        first, last = (
            default if bound is None else day_number(_utc(zone, bound, clock))
            for bound, clock, default in ((p.fromdate, time.min, -np.inf), (p.todate, time.max, np.inf))
        )
        p.bars = p.bars[(opens >= first) & (opens <= last)].reset_index(drop=True)
        p.fromdate = p.todate = None
        if p.bars.empty:
            raise BarsError("No bars lie between fromdate and todate. Give a longer span.")

    def start(self) -> None:
        super().start()
        require_closed(self)
        lines = self.lines
        names = ("opened", *COLUMNS, "spread", "openinterest", "datetime")
        self._filled = [getattr(lines, name) for name in names]
        # As attributes of the feed: backtrader looks for other names among the lines only after a failed search
        # with an error and its text, nine times a bar, a microsecond each.
        for name in (*lines.getlinealiases(), "buflen"):
            setattr(self, name, getattr(lines, name))
        self._rows = self._stamped_rows()

    def _start_finish(self) -> None:
        super()._start_finish()
        self.lines.opened._settz(self._tz)

    def _stamped_rows(self) -> Iterator[tuple[float, ...]]:
        return rows(self.p.bars, self.closings())

    def closings(self) -> np.ndarray:
        """Return the closing time of each bar of the frame, as in the line ``datetime``."""
        p = self.p
        return days(closings_of(p.bars["datetime"], p.timeframe, p.compression))

    @property
    def is_plain(self) -> bool:
        """Whether the lines hold the bars of the frame as they are, without filters or a subclass."""
        return type(self) is BarsFeed and not self._filters

    def load(self) -> bool:
        if self._barstack or self._barstash or not self.is_plain:
            return super().load()
        # backtrader moves every line on by a NaN, and has `_load` write over it: 5 microseconds a bar more.
        row = next(self._rows, None)
        if row is None:
            return super().load()  # which finds none either, and leaves the lines as backtrader expects them
        move_lines(self._filled, row)
        return True

    def preload(self) -> None:
        super().preload()
        self._rows = iter(())  # optstrategy pickles a preloaded feed, and generators cannot be pickled

    def _load(self) -> bool:
        row = next(self._rows, None)
        if row is None:
            return False
        for line, value in zip(self._filled, row, strict=True):
            line[0] = value
        return True

    # -- coarser bars ----------------------------------------------------------------------------------------
    def clone(self, **kwargs: Any) -> BarsFeed:
        """Return another feed of the same bars; called by `cerebro.resampledata`."""
        p = self.p
        return type(self)(
            bars=p.bars, timeframe=p.timeframe, compression=p.compression, tz=p.tz, name=self._name, **kwargs
        )

    def resample(self, timeframe: int = bt.TimeFrame.Days, compression: int = 1, **edges: Any) -> None:
        """Become the feed of coarser bars; backtrader's `edges` have no meaning here."""
        finer, coarser = length_of(self), timeframe_length(timeframe, compression)
        if finer is None or coarser is None:
            raise BarsError("Bars of ticks or years cannot be resampled. Use read_bars(resample=...).")
        self.p.bars = resample_bars(self.p.bars, finer, coarser)
        self.p.timeframe = self._timeframe = timeframe
        self.p.compression = self._compression = compression

    def replay(self, **kwargs: Any) -> None:
        raise BarsError("BarsFeed cannot be replayed: half-made bars would be learned. Use resampledata.")


def _utc(zone: Any, bound: date, clock: time) -> datetime:
    """Return a bound in the feed's zone as UTC; a date means the clock time of that day."""
    moment = bound if isinstance(bound, datetime) else datetime.combine(bound, clock)
    if zone is None or moment.tzinfo is not None:
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    return zone.localize(moment).astimezone(UTC).replace(tzinfo=None)


def rows(bars: pd.DataFrame, *more: np.ndarray) -> Iterator[tuple[float, ...]]:
    """Yield (opening, open, high, low, close, volume, spread, open interest) of each bar as Python floats.

    Parameters
    ----------
    more : further columns
    """
    for first in range(0, len(bars), CHUNK):
        part = bars.iloc[first : first + CHUNK]
        columns = [part[name].astype(float).tolist() for name in COLUMNS]
        spread = part["spread"].astype(float).tolist() if "spread" in part else repeat(0.0)
        others = (column[first : first + CHUNK].tolist() for column in more)
        yield from zip(days(part["datetime"]).tolist(), *columns, spread, repeat(0.0), *others)


def days(times: pd.Series) -> np.ndarray:
    """Return times as backtrader keeps them, in days since the year 1, for all bars at once.

    Examples
    --------
    >>> days(pd.Series(pd.to_datetime(["2024-01-01 12:00"])))
    array([738886.5])
    >>> bt.date2num(pd.Timestamp("2024-01-01 12:00"))
    738886.5
    """
    stamps = times.to_numpy("datetime64[us]")
    midnights = stamps.astype("datetime64[D]")
    # Whole days and the rest are added last, so that only this sum rounds (to 6 microseconds).
    whole = (midnights - np.datetime64("0001-01-01", "D")).astype(float) + 1.0
    return whole + (stamps - midnights).astype(float) / 86_400e6


def day_number(time: datetime) -> float:
    """Return one time as `days` returns many, to the bit.

    Examples
    --------
    >>> time = pd.Timestamp("2024-01-01 12:34:56.789")
    >>> bool(day_number(time.to_pydatetime()) == days(pd.Series([time]))[0])
    True
    """
    seconds = time.hour * 3600 + time.minute * 60 + time.second
    return time.toordinal() + (seconds * 1_000_000 + time.microsecond) / 86_400e6


def backtrader_timeframe(times: pd.Series) -> tuple[int, int]:
    """Return backtrader's timeframe and compression of the commonest step from bar to bar.

    Examples
    --------
    >>> hours = pd.Series(pd.date_range("2024-01-01", periods=9, freq="4h"))
    >>> backtrader_timeframe(hours) == (bt.TimeFrame.Minutes, 240)
    True
    """
    stamps = times.to_numpy("datetime64[us]")
    seconds = commonest_step(stamps).total_seconds() if len(stamps) > 1 else 86_400.0
    whole_days, rest = divmod(seconds, 86_400)
    if whole_days >= 1:
        if 28 <= whole_days <= 31:
            return bt.TimeFrame.Months, 1
        if whole_days % 7 == 0:
            return bt.TimeFrame.Weeks, int(whole_days // 7)
        return bt.TimeFrame.Days, int(whole_days)
    if rest % 60 == 0:
        return bt.TimeFrame.Minutes, int(rest // 60)
    if rest >= 1:
        return bt.TimeFrame.Seconds, int(rest)
    return bt.TimeFrame.Ticks, 1
