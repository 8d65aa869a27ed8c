"""Analyzers that write a run's CSV files bar by bar: memory does not grow with the number of bars."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any

import backtrader as bt
import numpy as np
from numpy.typing import NDArray

from bt_neuro.learner import Scored, Signal
from bt_neuro.plugin.deferred import Deferred


def time_text(number: float) -> str:
    """Return backtrader's number of a time, days and a fraction, as text to the second.

    Its own `num2date` takes 3 microseconds; here a day is converted once, and so is each second of a day.

    Examples
    --------
    >>> from datetime import datetime
    >>> time_text(bt.date2num(datetime(2016, 12, 30, 23, 59, 59)))
    '2016-12-30 23:59:59'
    """
    seconds = round(number * 86_400)
    return f"{_date_text(seconds // 86_400)} {_clock_text(seconds % 86_400)}"


@lru_cache(maxsize=8)
def _date_text(day: int) -> str:
    return date.fromordinal(day).isoformat()


@lru_cache(maxsize=86_400)
def _clock_text(second: int) -> str:
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


class _Record(Deferred):
    """Rows of a CSV file; whoever opened it closes it, also when the run breaks.

    Lines are written as they are: no cell holds a comma, and the csv module takes twice the time.
    """

    params = (("file", None),)
    header: tuple[str, ...] = ()

    def start(self) -> None:
        self.p.file.write(",".join(self.header) + "\n")


class RunningDeviation:
    """Mean and deviation of numbers that are not kept (Welford 1962).

    Examples
    --------
    >>> numbers = RunningDeviation()
    >>> for number in (1.0, 2.0, 4.0):
    ...     numbers.add(number)
    >>> round(numbers.mean, 3), round(numbers.deviation, 3)
    (2.333, 1.528)
    """

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, number: float) -> None:
        self.count += 1
        step = number - self.mean
        self.mean += step / self.count
        self._squares += step * (number - self.mean)

    @property
    def deviation(self) -> float | None:
        """Of the sample: divided by count - 1; None below two numbers."""
        return math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else None


class PredictionRecord(_Record):
    """One row a predicted bar, written once its label is known; at the end also those still unknown."""

    header = ("bar", "datetime", "p_none", "p_buy", "p_sell", "signal", "label", "known_bar", "hit")

    def start(self) -> None:
        super().start()
        self._unknown: dict[int, tuple[str, Signal, Scored | None]] = {}
        self._written = 0

    def prenext(self) -> None:
        pass

    def next(self) -> None:
        strategy, bar = self.strategy, len(self.data) - 1
        if strategy.training:
            return
        signal = strategy.signal if strategy.signal is not None and strategy.signal.bar == bar else None
        self.later(self._take, bar, self.data.datetime[0], signal, strategy.scored)

    def stop(self) -> None:
        super().stop()
        self._write(overdue=None)

    def _take(self, bar: int, time: float, signal: Signal | None, scored: list[Scored]) -> None:
        for one in scored:
            text, said, _ = self._unknown[one.signal.bar]
            self._unknown[one.signal.bar] = text, said, one
        if signal is not None:
            self._unknown[bar] = time_text(time), signal, None
        self._write(overdue=bar - self.strategy.learner.label.delay_bars)

    def _write(self, overdue: int | None) -> None:
        # Rows stay in the order of bars, though labels with a delay of their own may not.
        while self._unknown:
            bar = next(iter(self._unknown))
            time, signal, scored = self._unknown[bar]
            if scored is None and overdue is not None and bar >= overdue:
                return
            del self._unknown[bar]
            self._written += 1
            none, buy, sell = signal.probabilities
            row = f"{bar},{time},{none:.9g},{buy:.9g},{sell:.9g},{signal.name}"
            if scored is None:
                self.p.file.write(f"{row},,,\n")
            else:
                hit = "" if scored.is_hit is None else int(scored.is_hit)
                self.p.file.write(f"{row},{scored.label},{scored.known_bar},{hit}\n")

    def get_analysis(self) -> dict[str, Any]:
        return {"rows": self._written}


class EquityRecord(_Record):
    """One row a bar: close, cash, equity and position at its close. Also counts what the rows add up to.

    Methods
    -------
      - ``get_analysis``: dict with the keys ``bars``, ``exposure_bars``, ``first_close`` (of the first bar
        that had a signal), ``last_close``, ``days`` (dates in the file that have bars), ``daily_mean`` and
        ``daily_deviation`` (of the returns from day to day), ``max_drawdown_pct``, and the times
        ``max_drawdown_peak`` and ``max_drawdown_trough``
    """

    header = ("bar", "datetime", "close", "cash", "equity", "position")

    def create_analysis(self) -> None:
        self._bars = self._exposed = 0
        self._first_close: float | None = None
        self._last_close: float | None = None
        self._peak, self._peak_time = float("-inf"), ""
        self._drawdown, self._drawdown_times = 0.0, ("", "")
        self._day: int | None = None
        self._daily = RunningDeviation()

    def start(self) -> None:
        super().start()
        self._equity = self._evening = self.strategy.broker.getvalue()

    def next(self) -> None:
        strategy, data, broker = self.strategy, self.data, self.strategy.broker
        if strategy.training:
            return
        money = broker.getcash(), broker.getvalue(), strategy.position.size
        self.later(
            self._take, len(data) - 1, data.datetime[0], data.close[0], *money, strategy.signal is not None
        )

    def _take(
        self, bar: int, number: float, close: float, cash: float, equity: float, position: float, spoke: bool
    ) -> None:
        time = time_text(number)
        self.p.file.write(f"{bar},{time},{close:.10g},{cash:.10g},{equity:.10g},{position:.10g}\n")
        self._bars += 1
        self._exposed += position != 0
        if self._first_close is None and spoke:
            self._first_close = close
        self._last_close = close
        if (day := int(number)) != self._day:
            self._end_day()
            self._day = day
        self._equity = equity
        if equity > self._peak:
            self._peak, self._peak_time = equity, time
        elif self._peak > 0 and 1 - equity / self._peak > self._drawdown:
            self._drawdown, self._drawdown_times = 1 - equity / self._peak, (self._peak_time, time)

    def stop(self) -> None:
        super().stop()
        self._end_day()

    def _end_day(self) -> None:
        if self._day is not None and self._evening > 0:
            self._daily.add(self._equity / self._evening - 1)
            self._evening = self._equity

    def get_analysis(self) -> dict[str, Any]:
        return {
            "bars": self._bars,
            "exposure_bars": self._exposed,
            "first_close": self._first_close,
            "last_close": self._last_close,
            "days": self._daily.count,
            "daily_mean": self._daily.mean if self._daily.count else None,
            "daily_deviation": self._daily.deviation,
            "max_drawdown_pct": 100 * self._drawdown,
            "max_drawdown_peak": self._drawdown_times[0] or None,
            "max_drawdown_trough": self._drawdown_times[1] or None,
        }


class TradeRecord(_Record):
    """One row a closed trade, costs apart from the gross result. Also counts what the rows add up to.

    Methods
    -------
      - ``get_analysis``: dict with the keys ``closed``, ``won``, ``gross``, ``net``, ``costs`` (of closed
        trades), ``won_net``, ``lost_net``, ``best_pct``, ``worst_pct``, ``bars_held``, and ``refused_orders``
    """

    header = (
        "entry_bar",
        "exit_bar",
        "entry_datetime",
        "exit_datetime",
        "side",
        "size",
        "entry_price",
        "exit_price",
        "gross",
        "costs",
        "net",
        "net_pct",
        "bars",
    )

    def create_analysis(self) -> None:
        self._sums = {"closed": 0, "won": 0, "bars_held": 0}
        self._money = {"gross": 0.0, "net": 0.0, "costs": 0.0, "won_net": 0.0, "lost_net": 0.0}
        self._best: float | None = None
        self._worst: float | None = None
        self._refused = 0
        self._exit_size = self._exit_value = 0.0  # of the open trade: a closed one has forgotten its size

    def notify_order(self, order: bt.Order) -> None:
        self._refused += order.status in (order.Margin, order.Rejected)
        if order.status == order.Completed:
            for fill in order.executed.exbits:
                self._exit_size += abs(fill.closed)
                self._exit_value += abs(fill.closed) * fill.price

    def notify_trade(self, trade: bt.Trade) -> None:
        if not trade.isclosed:
            return
        size = self._exit_size
        exit_price = self._exit_value / size if size else trade.price
        self._exit_size = self._exit_value = 0.0
        net_pct = 100 * trade.pnlcomm / (size * trade.price) if size else 0.0
        times = (time_text(trade.dtopen), time_text(trade.dtclose))
        numbers = (size, trade.price, exit_price, trade.pnl, trade.commission, trade.pnlcomm, net_pct)
        shown = ",".join(f"{number:.10g}" for number in numbers)
        bars = f"{trade.baropen - 1},{trade.barclose - 1}"
        side = "long" if trade.long else "short"
        self.p.file.write(f"{bars},{','.join(times)},{side},{shown},{trade.barlen}\n")
        self._sums["closed"] += 1
        self._sums["won"] += trade.pnlcomm > 0
        self._sums["bars_held"] += trade.barlen
        for name, amount in (("gross", trade.pnl), ("net", trade.pnlcomm), ("costs", trade.commission)):
            self._money[name] += amount
        self._money["won_net" if trade.pnlcomm > 0 else "lost_net"] += trade.pnlcomm
        self._best = max(net_pct, self._best if self._best is not None else net_pct)
        self._worst = min(net_pct, self._worst if self._worst is not None else net_pct)

    def get_analysis(self) -> dict[str, Any]:
        return {
            **self._sums,
            **self._money,
            "refused_orders": self._refused,
            "best_pct": self._best,
            "worst_pct": self._worst,
        }


class FeatureRecord(bt.Analyzer):
    """The numbers of each bar that the learner took, as float32: a ``.npy`` file of (bars, features)."""

    params = (("file", None),)

    def start(self) -> None:
        self._block: NDArray[np.float32] | None = None
        self._rows = self._filled = 0
        self._last_bar: int | None = None

    def prenext(self) -> None:
        pass

    def next(self) -> None:
        learner = self.strategy.learner
        if learner.last_bar == self._last_bar:  # another feed's bar
            return
        self._last_bar = learner.last_bar
        if self._block is None:
            self._block = np.empty((1024, len(learner.feature_names)), np.float32)
            self._write_header()
        self._block[self._filled] = learner.features
        self._filled += 1
        if self._filled == len(self._block):
            self._write()

    def stop(self) -> None:
        if self._block is not None:
            self._write()
            self._write_header()

    def _write(self) -> None:
        assert self._block is not None
        self.p.file.write(self._block[: self._filled].tobytes())
        self._rows, self._filled = self._rows + self._filled, 0

    def _write_header(self) -> None:
        # NumPy pads a header so that it keeps its length when rows are added.
        assert self._block is not None
        shape = (self._rows, self._block.shape[1])
        self.p.file.seek(0)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.p.file, header)
        self.p.file.seek(0, io.SEEK_END)


class Forget(bt.Analyzer):
    """Let go of finished orders and trades, which backtrader keeps to the end: some 5 KB each."""

    def next(self) -> None:
        if len(self.data) % 256:
            return
        strategy, broker = self.strategy, self.strategy.broker
        strategy._orders.clear()
        broker.orders.clear()
        for ref, family in list(broker._pchildren.items()):
            if not any(order.alive() for order in family):
                del broker._pchildren[ref]
        for trades in strategy._trades.values():
            for numbered in trades.values():
                del numbered[:-1]  # the last one is where backtrader goes on


class Progress(bt.Analyzer):
    """Tell how far the run is, every ``every_bars`` bars."""

    params = (("report", None), ("every_bars", 256))

    def next(self) -> None:
        bar = len(self.data)
        if bar % self.p.every_bars == 0:
            report: Callable[[int], None] = self.p.report
            report(bar)
