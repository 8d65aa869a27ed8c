"""A run's CSV files, written bar by bar: memory does not grow with the number of bars."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from itertools import chain
from typing import IO, Any

import backtrader as bt

from bt_neuro.io import Fields
from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.plugin.run_observer import BarRecord


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


def _begin(file: IO[str], header: tuple[str, ...]) -> None:
    # Lines are written as they are: no cell holds a comma, and the csv module takes twice the time.
    if not file.tell():
        file.write(",".join(header) + "\n")


class PredictionRecord:
    """One row a predicted bar, written once its label is known; at the end also those still unknown.

    Parameters
    ----------
    file : to append to; whoever opened it closes it, also when the run breaks
    rows : that it holds already, below their header
    """

    header = ("bar", "datetime", "p_none", "p_buy", "p_sell", "signal", "label", "known_bar", "hit")

    def __init__(self, file: IO[str], rows: int = 0) -> None:
        self._file, self._written = file, rows
        self._unknown: dict[int, tuple[str, Signal, ScoredSignal | None]] = {}
        _begin(file, self.header)

    def stop(self) -> None:
        for bar, row in self._unknown.items():  # they stay unknown: a checkpoint goes on from here
            self._file.write(_prediction(bar, *row))

    def on_bar(self, record: BarRecord) -> None:
        for one in record.scored:
            if one.signal.bar in self._unknown:  # a script's own checkpoint brings no rows of those that wait
                text, said, _ = self._unknown[one.signal.bar]
                self._unknown[one.signal.bar] = text, said, one
        if record.signal is not None:
            self._unknown[record.bar] = time_text(record.time), record.signal, None
        # Rows stay in the order of bars, though labels with a delay of their own may not.
        while self._unknown:
            bar = next(iter(self._unknown))
            row = self._unknown[bar]
            if row[-1] is None and bar >= record.first_open:
                return
            self._file.write(_prediction(bar, *row))
            del self._unknown[bar]
            self._written += 1

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, with the rows so far in the file and not on their way to it."""
        self._file.flush()
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
        """Go on from `state`; how many rows the file holds was said at the beginning."""
        for values in saved.items("unknown"):
            row = Fields(values, "predictions.unknown")
            bar, outputs, target = row.integer("bar"), row.numbers("outputs"), row.numbers("target")
            shaped = outputs and len(outputs) % 3 == 0 and len(target) in (0, 3)
            if not shaped or not all(0 <= output <= 1 for output in outputs):
                raise row.refuse("outputs", "numbers from 0 to 1, three a network, and three or no targets,")
            signal = Signal.of(bar, outputs)
            scored = ScoredSignal(signal, tuple(target), row.integer("known_bar")) if target else None
            self._unknown[bar] = row.text("time"), signal, scored


def _prediction(bar: int, time: str, signal: Signal, scored: ScoredSignal | None) -> str:
    none, buy, sell = signal.probabilities
    row = f"{bar},{time},{none:.9g},{buy:.9g},{sell:.9g},{signal.name}"
    if scored is None:
        return f"{row},,,\n"
    hit = "" if scored.is_hit is None else int(scored.is_hit)
    return f"{row},{scored.label},{scored.known_bar},{hit}\n"


class EquityRecord:
    """One row a bar: close, cash, equity and position at its close; `file` as in `PredictionRecord`."""

    header = ("bar", "datetime", "close", "cash", "equity", "position")

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        _begin(file, self.header)

    def on_bar(self, record: BarRecord) -> None:
        if record.account is not None:
            numbers = ",".join(f"{number:.10g}" for number in (record.close, *record.account))
            self._file.write(f"{record.bar},{time_text(record.time)},{numbers}\n")


class TradeRecord(bt.Analyzer):
    """One row a closed trade, costs apart from the gross result.

    Params:
      - ``file`` (required): as in `PredictionRecord`

    Methods
    -------
      - ``get_analysis``: dict with the key ``refused_orders``
    """

    params = (("file", None),)
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
        _begin(self.p.file, self.header)

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


def forget(strategy: bt.Strategy) -> None:
    """Let go of finished orders and trades, which backtrader keeps to the end: some 5 KB each."""
    broker = strategy.broker
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
