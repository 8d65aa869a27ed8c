"""Meaning of a feed's time stamps: several feeds can be combined only if each is stamped at the close.

backtrader shows a bar from its stamp on. Beside hourly bars, a daily bar that is stamped with its opening is visible
a day too early.
"""

from __future__ import annotations

from datetime import time
from typing import Any, Literal

import backtrader as bt
import pandas as pd

from bt_neuro.bars.closing import closing_times
from bt_neuro.bars.timeframe import MONTH, commonest_step
from bt_neuro.errors import StrategyError

OPEN, CLOSE = "open", "close"
_LENGTHS = {
    bt.TimeFrame.MicroSeconds: pd.Timedelta(microseconds=1),
    bt.TimeFrame.Seconds: pd.Timedelta(seconds=1),
    bt.TimeFrame.Minutes: pd.Timedelta(minutes=1),
    bt.TimeFrame.Days: pd.Timedelta(days=1),
    bt.TimeFrame.Weeks: pd.Timedelta(weeks=1),
}
_MIDNIGHT = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}


def timeframe_length(timeframe: int, compression: int) -> pd.Timedelta | None:
    """Return the length of a bar; None for ticks and years.

    >>> timeframe_length(bt.TimeFrame.Minutes, 240)
    Timedelta('0 days 04:00:00')
    """
    if timeframe == bt.TimeFrame.Months and compression == 1:
        return MONTH
    return _LENGTHS[timeframe] * compression if timeframe in _LENGTHS else None


def length_of(data: bt.feed.DataBase) -> pd.Timedelta | None:
    """Return the length of a feed's bars, as its timeframe and compression give it."""
    return timeframe_length(data._timeframe, data._compression)


def declared_length(data: bt.feed.DataBase) -> pd.Timedelta | None:
    """Return the length of a feed's bars if its stamps are declared; else its timeframe may be backtrader's default."""
    return length_of(data) if _stamps(data) == CLOSE else None


def closings_of(opens: pd.Series, timeframe: int, compression: int) -> pd.Series:
    """Return the closing times of bars of a timeframe, from their openings."""
    months = compression if timeframe == bt.TimeFrame.Months else 0
    length = timeframe_length(timeframe, compression) or commonest_step(opens.to_numpy("datetime64[us]"))
    return closing_times(opens, length, months)


def stamped(data: bt.feed.DataBase, at: Literal["open", "close"]) -> bt.feed.DataBase:
    """Declare what the stamps of a feed of backtrader mean, and return it; for runs with several feeds.

    Parameters
    ----------
    data : a feed that is no `BarsFeed`, with the timeframe and compression of its bars, before it is added
    at : "open" moves each stamp to the close of its bar, a timeframe later; 23:59:59.99999, which backtrader's CSV
        feeds give to days, counts as its day. "close" leaves the stamps as they are: they must be closings

    Raises
    ------
    StrategyError
        When `at` is neither, or the timeframe has no length.

    Examples
    --------
    >>> hours = pd.DataFrame({name: 1.1 for name in ("open", "high", "low", "close", "volume")},
    ...                      index=pd.date_range("2024-01-01", periods=3, freq="h"))
    >>> class Show(bt.Strategy):
    ...     def next(self):
    ...         print(self.data.datetime.datetime(0))
    >>> cerebro = bt.Cerebro()
    >>> feed = bt.feeds.PandasData(dataname=hours, timeframe=bt.TimeFrame.Minutes, compression=60)
    >>> _ = cerebro.adddata(stamped(feed, "open")), cerebro.addstrategy(Show), cerebro.run()
    2024-01-01 01:00:00
    2024-01-01 02:00:00
    2024-01-01 03:00:00
    """
    if at not in (OPEN, CLOSE):
        raise StrategyError(
            f'at must be "open" or "close", got {at!r}. Declare what the stamps of the feed mean.'
        )
    if at == OPEN and getattr(data, "stamps", None) is None:
        length = length_of(data)
        if length is None:
            raise StrategyError(f"{name_of(data)}: the timeframe must be from seconds to a month. Give it.")
        data.opening = _Earlier(data, length)
        data.addfilter(_to_close, data.opening)
    data.p.sessionend = time(0, 0)  # a day ends with the bar that closes at midnight
    data.stamps = CLOSE
    return data


class _Earlier:
    """Opening times of a feed, from the stamps that were moved to the close."""

    def __init__(self, data: bt.feed.DataBase, length: pd.Timedelta) -> None:
        self.length, self._time = length.to_pytimedelta(), data.lines.datetime
        self._is_month, self._days = length == MONTH, data._timeframe >= bt.TimeFrame.Days
        self._moved = length / pd.Timedelta(days=1)

    def __getitem__(self, ago: int) -> float:
        if not self._is_month:
            return float(self._time[ago]) - self._moved
        return float(bt.date2num((bt.num2date(self._time[ago]) - pd.Timedelta(days=1)).replace(day=1)))

    def close(self, stamp: float) -> float:
        moment = bt.num2date(stamp)
        if self._days:
            moment = moment.replace(**_MIDNIGHT)
        if self._is_month:
            moment = (moment.replace(day=1) + pd.Timedelta(days=32)).replace(day=1)
            return float(bt.date2num(moment))
        return float(bt.date2num(moment + self.length))


def _to_close(data: bt.feed.DataBase, opening: _Earlier) -> bool:
    """Move a stamp to the close of its bar, as a filter of backtrader."""
    data.lines.datetime[0] = opening.close(data.lines.datetime[0])
    return False


def require_closed(data: bt.feed.DataBase) -> None:
    """Raise StrategyError if a feed runs beside one whose stamps may be openings, or beside a replayed one."""
    require_all_closed(getattr(getattr(data, "_env", None), "datas", ()))


def require_all_closed(datas: Any) -> None:
    """Raise StrategyError if several feeds cannot be combined; names the first."""
    for data in datas:
        if data.replaying:
            raise StrategyError(
                f"{name_of(data)} is replayed: half-made bars must not be learned. Use cerebro.resampledata."
            )
        if len(datas) > 1 and _stamps(data) is None:
            raise StrategyError(
                f"{name_of(data)} must declare its stamps beside other feeds: stamped at the opening, its bars are "
                f'seen before they close. Add stamped(feed, "open"), "close" if they are closings, or a BarsFeed.'
            )


def require_ours(data: bt.feed.DataBase) -> None:
    """Raise StrategyError if a feed of backtrader runs beside others with exactbars=1, which it cannot."""
    datas = data._env.datas
    for other in datas:
        if len(datas) > 1 and not hasattr(type(other), "stamps"):
            raise StrategyError(
                f"{name_of(other)}: with exactbars=1 backtrader's own feeds lose bars beside others. "
                "Use a BarsFeed, or leave exactbars out."
            )


def _stamps(data: bt.feed.DataBase) -> str | None:
    """Return the time stamps that a feed declares; a clone has those of its source."""
    declared = getattr(data, "stamps", None)
    source = getattr(data, "data", None)
    return declared or (_stamps(source) if data._clone and source is not None else None)


def name_of(data: bt.feed.DataBase) -> str:
    """Return a feed's name for messages."""
    return f"feed {data._name!r}" if data._name else f"a {type(data).__name__}"
