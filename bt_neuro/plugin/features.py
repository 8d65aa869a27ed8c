"""Features of a bar as backtrader lines: the visible shape of a fractal, and the article's twelve.

One indicator computes all features. Composed of ``bt.ind`` parts they would cost four times as much with
``exactbars=1``, the one mode whose memory does not grow with the bars, because each part is then called on
its own at every bar; and some parts are not MetaTrader's (see `MetaTraderFeatures`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from itertools import repeat, tee
from typing import Any

import backtrader as bt
import pandas as pd

from bt_neuro.account.bar_time import datetimes, opening_line
from bt_neuro.errors import StrategyError
from bt_neuro.learning.run_ahead import BarInputs
from bt_neuro.learning.visible_shape import FEATURES, VisibleShape
from bt_neuro.plugin.bar_loop import move_lines
from bt_neuro.plugin.feed import CHUNK, BarsFeed, days, rows

RSI_PERIOD = CCI_PERIOD = ATR_PERIOD = 14
MACD_FAST, MACD_SLOW, MACD_SIGNAL = 12, 26, 9


class BarFeatures(bt.Indicator):
    """Base of the indicators that compute all features of a bar at once, each bar once.

    backtrader calls an indicator again for the same bar when another feed has a new one.
    """

    plotinfo = (("plot", False),)  # twelve scales in one panel show nothing

    def __init__(self) -> None:
        if getattr(self.data, "replaying", False):
            raise StrategyError(
                "The features cannot follow replayed data: every update of a bar would count as a bar. "
                "Use cerebro.resampledata instead of replaydata."
            )
        # Looked up once: by name or by turns backtrader takes longer to find a line than to read it.
        self._prices = [getattr(self.data, name) for name in ("open", "high", "low", "close", "volume")]
        self._figures = list(self.lines)
        self._opened = opening_line(self.data)
        self._bars = 0
        self._ahead: Iterator[tuple[float, ...]] | None = None

    def prenext(self) -> None:
        if len(self.data) > self._bars:
            self._bars = len(self.data)
            self._observe()  # and write nothing: a half-warm figure looks like any other

    def next(self) -> None:
        if len(self.data) > self._bars:
            self._bars = len(self.data)
            for line, value in zip(self._figures, self._observe(), strict=True):
                line[0] = value

    def _next(self) -> None:
        # backtrader's moves each line on by a NaN, and then calls one of the two above.
        bars = len(self._clock)
        if bars > self._bars:
            self._bars = bars
            values = self._observe()
            move_lines(self._figures, values if bars >= self._minperiod else repeat(math.nan, len(values)))

    def _observe(self) -> tuple[float, ...]:
        """Return the features of the bar that has just closed."""
        if self._ahead is not None:
            return next(self._ahead)
        prices = [line[0] for line in self._prices]
        return self._compute(*prices, self.data.num2date(self._opened[0]))

    def _compute(
        self, open_: float, high: float, low: float, close: float, volume: float, time: datetime
    ) -> tuple[float, ...]:
        """Return the features of the next bar; called once for each bar, in order."""
        raise NotImplementedError

    def read_ahead(self) -> tuple[int, Iterator[BarInputs]] | None:
        """Return the number of the next bar, and features, high, low and close from it on; None if not known.

        Each bar's features are computed once, by this indicator or by the caller, whichever is earlier.
        """
        data = self.data
        if not isinstance(data, BarsFeed) or not data.is_plain or self._bars > len(data):
            return None  # the last where all bars were computed before the first one
        for_lines, for_caller = tee(self._rows(data.p.bars.iloc[self._bars :]))
        self._ahead = (features for features, *_ in for_lines)
        return self._bars, for_caller

    def _rows(self, bars: pd.DataFrame) -> Iterator[BarInputs]:
        for bar, moment in zip(rows(bars), self._moments(bars), strict=True):
            _, open_, high, low, close, volume, *_ = bar
            yield self._compute(open_, high, low, close, volume, moment), high, low, close

    def _moments(self, bars: pd.DataFrame) -> Iterator[datetime]:
        """Yield the opening times in the feed's zone."""
        for first in range(0, len(bars), CHUNK):
            part = days(bars["datetime"].iloc[first : first + CHUNK])
            yield from datetimes(part) if self.data._tz is None else map(self.data.num2date, part.tolist())


class ShapeFeatures(BarFeatures):
    """The visible shape of a fractal: lines and units as in `VisibleShape`.

    At bar t every line uses bars <= t only.

    Params:

      - ``wing`` (default: ``1``): bars on either side of the fractal
    """

    lines = FEATURES
    params = (("wing", 1),)

    def __init__(self) -> None:
        super().__init__()
        self.addminperiod(self.p.wing + 1)
        self._shape = VisibleShape(self.p.wing)

    def _compute(self, *bar: Any) -> tuple[float, ...]:
        return self._shape.update(*bar)


class MetaTraderFeatures(BarFeatures):
    """Price moves, volume, calendar and four oscillators, computed as MetaTrader 5 computes them.

    At bar t every line uses bars <= t only.

    Lines:
      - ``close_open``, ``high_open``, ``low_open``: price minus the open of the same bar
      - ``volume``: tick volume / 1000
      - ``hour`` (0 to 23), ``weekday`` (Sunday is 0), ``month`` (1 to 12): of the bar's opening
      - ``rsi``: 100 up / (up + down), Wilder's averages of gains and losses over 14 bars; 50 if nothing moved
      - ``cci``: (typical price - mean) / (0.015 x mean absolute deviation from it), 14 bars; 0 if all equal
      - ``atr``: simple average of 14 true ranges
      - ``macd``: EMA(12) - EMA(26) of the close, each begun with the first close
      - ``macd_signal``: simple average of 9 values of ``macd``

    Notes
    -----
    ``bt.ind.CCI`` averages the deviations of 14 prices from 14 *different* means, ``bt.ind.ATR`` smooths as
    Wilder did and ``bt.ind.MACD`` has an exponential signal: none of these is MetaTrader's. ``bt.ind.EMA``
    begins with a simple average instead of the first price; the two agree to rounding after some 400 bars.
    """

    lines = (
        "close_open",
        "high_open",
        "low_open",
        "volume",
        "hour",
        "weekday",
        "month",
        "rsi",
        "cci",
        "atr",
        "macd",
        "macd_signal",
    )

    def __init__(self) -> None:
        super().__init__()
        self.addminperiod(MACD_SLOW + MACD_SIGNAL - 1)
        # The past lies here and not in the lines, which keep none of it with exactbars=1.
        self._typical: deque[float] = deque(maxlen=CCI_PERIOD)
        self._ranges: deque[float] = deque(maxlen=ATR_PERIOD)
        self._macd: deque[float] = deque(maxlen=MACD_SIGNAL)
        self._close: float | None = None
        self._changes = 0
        self._up = self._down = 0.0
        self._fast = self._slow = 0.0

    def _compute(
        self, open_: float, high: float, low: float, close: float, volume: float, time: datetime
    ) -> tuple[float, ...]:
        last = close if self._close is None else self._close
        rsi = self._wilder(close - last)
        atr = self._true_range(high, low, last)
        macd, signal = self._averages(close)
        cci = self._deviation((high + low + close) / 3.0)
        self._close = close
        return (
            close - open_,
            high - open_,
            low - open_,
            volume / 1000.0,
            float(time.hour),
            float(time.isoweekday() % 7),
            float(time.month),
            rsi,
            cci,
            atr,
            macd,
            signal,
        )

    def _wilder(self, change: float) -> float:
        if self._close is None:
            return 50.0
        # Dividing by the count so far makes the first 14 a plain mean, which is how Wilder begins.
        self._changes = min(self._changes + 1, RSI_PERIOD)
        self._up += (max(change, 0.0) - self._up) / self._changes
        self._down += (max(-change, 0.0) - self._down) / self._changes
        moved = self._up + self._down
        return 100.0 * self._up / moved if moved else 50.0

    def _true_range(self, high: float, low: float, last: float) -> float:
        if self._close is not None:
            self._ranges.append(max(high, last) - min(low, last))
        return sum(self._ranges) / ATR_PERIOD

    def _averages(self, close: float) -> tuple[float, float]:
        if self._close is None:
            self._fast = self._slow = close
        self._fast += (close - self._fast) * 2.0 / (MACD_FAST + 1)
        self._slow += (close - self._slow) * 2.0 / (MACD_SLOW + 1)
        self._macd.append(self._fast - self._slow)
        return self._macd[-1], sum(self._macd) / MACD_SIGNAL

    def _deviation(self, typical: float) -> float:
        self._typical.append(typical)
        mean = sum(self._typical) / CCI_PERIOD
        deviation = sum([abs(price - mean) for price in self._typical]) / CCI_PERIOD
        # The mean of equal prices can be one rounding off them, and rounding / rounding is not 0 but +-67.
        return (typical - mean) / (0.015 * deviation) if deviation > 1e-12 * abs(mean) else 0.0


def article_features(data: bt.feed.DataBase) -> dict[str, bt.LineBuffer]:
    """Return the article's twelve features of a bar as backtrader lines, read with ``line[0]``.

    Parameters
    ----------
    data : backtrader data feed
        Open, high, low, close, tick volume and time of each bar. Call it in the strategy's ``__init__``, like
        any indicator.

    Returns
    -------
    dict of str to line
        In the order of the article; at bar t they use bars <= t. The first bar that has them all is the 34th.

    Raises
    ------
    StrategyError
        The data is replayed: use ``cerebro.resampledata``.

    Examples
    --------
    >>> import pandas as pd
    >>> from bt_neuro.plugin.feed import BarsFeed
    >>> prices = [1.0 + 0.01 * (hour % 5) for hour in range(40)]
    >>> bars = pd.DataFrame({"datetime": pd.date_range("2024-01-01", periods=40, freq="h"), "open": prices,
    ...                      "high": prices, "low": prices, "close": prices, "volume": 1500})
    >>> class Show(bt.Strategy):
    ...     def __init__(self):
    ...         self.features = {**article_features(self.data), "slope": bt.ind.ROC(period=20)}
    ...     def stop(self):
    ...         print({name: round(line[0], 2) for name, line in self.features.items()
    ...                if name in ("volume", "hour", "weekday", "rsi", "slope")})
    >>> cerebro = bt.Cerebro()
    >>> _ = cerebro.adddata(BarsFeed(bars=bars)), cerebro.addstrategy(Show), cerebro.run(exactbars=1)
    {'volume': 1.5, 'hour': 15.0, 'weekday': 2.0, 'rsi': 55.49, 'slope': 0.0}
    """
    return _by_name(MetaTraderFeatures(data))


def shape_features(data: bt.feed.DataBase, wing: int = 1) -> dict[str, bt.LineBuffer]:
    """Return the visible shape of a fractal as backtrader lines, twelve by name; see `VisibleShape`.

    Parameters
    ----------
    data : backtrader data feed
        As in `article_features`.
    wing : int
        Bars on either side of the fractal; the first bar that has all features is number ``wing + 1``.

    Raises
    ------
    StrategyError
        The data is replayed: use ``cerebro.resampledata``.
    """
    return _by_name(ShapeFeatures(data, wing=wing))


def _by_name(indicator: bt.Indicator) -> dict[str, bt.LineBuffer]:
    return {name: getattr(indicator.lines, name) for name in indicator.lines.getlinealiases()}
