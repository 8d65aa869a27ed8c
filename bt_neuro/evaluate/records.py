"""Analyzers that write a run's CSV files bar by bar: memory does not grow with the number of bars."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from itertools import chain
from typing import Any

import backtrader as bt

from bt_neuro.fields import Fields
from bt_neuro.plugin.deferred import Deferred
from bt_neuro.signals import Scored, Signal


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

    Params:
      - ``file`` (required): to append to
      - ``rows`` (default: ``0``): that it holds already, below their header
    """

    params = (("file", None), ("rows", 0))
    header: tuple[str, ...] = ()

    def start(self) -> None:
        if not self.p.file.tell():
            self.p.file.write(",".join(self.header) + "\n")


class PredictionRecord(_Record):
    """One row a predicted bar, written once its label is known; at the end also those still unknown."""

    header = ("bar", "datetime", "p_none", "p_buy", "p_sell", "signal", "label", "known_bar", "hit")

    def start(self) -> None:
        super().start()
        self._unknown: dict[int, tuple[str, Signal, Scored | None]] = {}
        self._written, self._at_end = self.p.rows, 0

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
        self._at_end = len(self._unknown)  # they stay unknown: a checkpoint goes on from here
        for bar, row in self._unknown.items():
            self.p.file.write(_prediction(bar, *row))

    def _take(self, bar: int, time: float, signal: Signal | None, scored: list[Scored]) -> None:
        for one in scored:
            text, said, _ = self._unknown[one.signal.bar]
            self._unknown[one.signal.bar] = text, said, one
        if signal is not None:
            self._unknown[bar] = time_text(time), signal, None
        overdue = bar - self.strategy.learner.label.delay_bars
        # Rows stay in the order of bars, though labels with a delay of their own may not.
        while self._unknown:
            bar = next(iter(self._unknown))
            row = self._unknown[bar]
            if row[-1] is None and bar >= overdue:  # its label may still come
                return
            self.p.file.write(_prediction(bar, *row))
            del self._unknown[bar]
            self._written += 1

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, with the rows so far in the file and not on their way to it."""
        self.catch_up()
        self.p.file.flush()
        unknown = [
            {
                "bar": bar,
                "time": time,
                "outputs": signal.all_outputs,
                "target": list(scored.target) if scored else [],
                "known_bar": scored.known_bar if scored else 0,
            }
            for bar, (time, signal, scored) in self._unknown.items()
        ]
        return {"rows": self._written, "unknown": unknown}

    def restore(self, saved: Fields) -> None:
        """Go on from `state`; the rows that the file holds are the param ``rows``."""
        for values in saved.items("unknown"):
            row = Fields(values, "predictions.unknown")
            bar, outputs, target = row.whole("bar"), row.numbers("outputs"), row.numbers("target")
            shaped = outputs and len(outputs) % 3 == 0 and len(target) in (0, 3)
            if not shaped or not all(0 <= output <= 1 for output in outputs):
                raise row.refuse("outputs", "numbers from 0 to 1, three a network, and three or no targets,")
            signal = Signal.of(bar, outputs)
            scored = Scored(signal, tuple(target), row.whole("known_bar")) if target else None
            self._unknown[bar] = row.text("time"), signal, scored

    def get_analysis(self) -> dict[str, Any]:
        return {"rows": self._written + self._at_end}


def _prediction(bar: int, time: str, signal: Signal, scored: Scored | None) -> str:
    none, buy, sell = signal.probabilities
    row = f"{bar},{time},{none:.9g},{buy:.9g},{sell:.9g},{signal.name}"
    if scored is None:
        return f"{row},,,\n"
    hit = "" if scored.is_hit is None else int(scored.is_hit)
    return f"{row},{scored.label},{scored.known_bar},{hit}\n"


class EquityRecord(_Record):
    """One row a bar: close, cash, equity and position at its close."""

    header = ("bar", "datetime", "close", "cash", "equity", "position")

    def next(self) -> None:
        data, broker = self.data, self.strategy.broker
        if self.strategy.replaying or self.strategy.training:
            return
        self.later(
            self._write,
            len(data) - 1,
            data.datetime[0],
            (data.close[0], broker.getcash(), broker.getvalue(), self.strategy.position.size),
        )

    def _write(self, bar: int, time: float, numbers: tuple[float, ...]) -> None:
        close, cash, equity, position = numbers
        row = f"{bar},{time_text(time)},{close:.10g},{cash:.10g},{equity:.10g},{position:.10g}\n"
        self.p.file.write(row)


class TradeRecord(_Record):
    """One row a closed trade, costs apart from the gross result.

    Methods
    -------
      - ``get_analysis``: dict with the key ``refused_orders``
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

    def get_analysis(self) -> dict[str, Any]:
        return {"refused_orders": self._refused}


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
        # Of every order its group, "one cancels others": 60 bytes each, for ever.
        waiting = (*broker.pending, *broker.submitted, *chain.from_iterable(broker._pchildren.values()))
        needed = {order.ref for order in waiting if order is not None}.union(*broker._ocol.values())
        for ref in broker._ocos.keys() - needed - broker._ocol.keys():
            del broker._ocos[ref]
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
