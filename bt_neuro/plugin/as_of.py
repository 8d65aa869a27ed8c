"""AsOf: a line of another feed at the bars of this one, so that both may be computed with."""

from __future__ import annotations

import math
from typing import Any

import backtrader as bt
import numpy as np

from bt_neuro.errors import StrategyError
from bt_neuro.plugin.learned_feed import feeds_of


class AsOf(bt.Indicator):
    """A line of another feed, as it was known when a bar of this feed closed.

    backtrader pairs lines of two feeds by the number of their bars, not by time. ``AsOf(self.data,
    line=self.data1.close)`` has the bars of ``self.data``, in every mode of running, so that
    ``self.data.close - AsOf(self.data, line=self.data1.close)`` may be a feature.

    Params:
      - ``line`` (required): line, or indicator, of another feed

    Lines:
      - ``value``: NaN until the other line has its first value

    Raises
    ------
    StrategyError
        If `line` is no line of one feed, or the first argument is no feed.

    Examples
    --------
    >>> import pandas as pd
    >>> from bt_neuro import BarsFeed
    >>> def bars(hours, closes):
    ...     times = pd.date_range("2024-01-01", periods=len(closes), freq=f"{hours}h")
    ...     return BarsFeed(bars=pd.DataFrame({"datetime": times, "close": closes}).assign(
    ...         open=1.0, high=9.0, low=0.5, volume=1))
    >>> class Show(bt.Strategy):
    ...     def __init__(self):
    ...         self.known = AsOf(self.data, line=self.data1.close)
    ...     def next(self):
    ...         print(self.data.datetime.time(0), self.known[0])
    >>> cerebro = bt.Cerebro(stdstats=False)
    >>> _ = cerebro.adddata(bars(1, [1.0, 1.0, 1.0, 1.0])), cerebro.adddata(bars(2, [5.0, 6.0]))
    >>> _ = cerebro.addstrategy(Show), cerebro.run()
    02:00:00 5.0
    03:00:00 5.0
    04:00:00 6.0
    """

    lines = ("value",)
    params = (("line", None),)

    def __init__(self) -> None:
        if not isinstance(self.data, bt.feed.AbstractDataBase):
            raise StrategyError("AsOf must have a feed first. Write AsOf(self.data, line=...).")
        line, datas = self.p.line, self.data._env.datas
        feeds = feeds_of(line, datas) if isinstance(line, bt.LineRoot) else []
        if len(feeds) != 1 or line is feeds[0]:
            raise StrategyError(
                f"AsOf: line must be a line of one feed, such as self.data1.close, got {line!r}."
            )
        self._other = feeds[0]
        self.as_of = line.lines[0] if isinstance(line, bt.LineSeries) else line
        self._bars = 0

    def next(self) -> None:
        # backtrader calls again for the same bar when another feed has a new one.
        if len(self.data) > self._bars:
            self._bars = len(self.data)
            self.lines.value[0] = self.as_of[0] if len(self._other) else math.nan

    prenext = next

    def once(self, start: int, end: int) -> None:
        times, others = (np.array(data.lines.datetime.array) for data in (self.data, self._other))
        known = np.searchsorted(others, times[start:end], side="right") - 1
        values: Any = np.array(self.as_of.array)
        for bar, last in enumerate(known.tolist(), start=start):
            self.lines.value.array[bar] = values[last] if last >= 0 else math.nan

    preonce = once
