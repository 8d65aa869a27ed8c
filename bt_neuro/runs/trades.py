"""Record of a run's trades, and times as text."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Any

import backtrader as bt

from bt_neuro.account.bar_time import opening_line
from bt_neuro.io import Fields

_TRADE = "%d,%d,%s,%s,%s" + 7 * ",%.10g" + ",%d" + 4 * ",%.10g"


class TradeRecord(bt.Analyzer):
    """Write one row per closed trade, costs apart from the gross result.

    Run-up and drawdown (MFE, MAE) are of the best and worst price that lay inside the trade for certain.

    Params:

      - ``table`` (required): the `TextTable`
      - ``continues`` (default: ``False``): whether the account of a checkpoint continues

    Methods
    -------
      - ``get_analysis``: dict with the keys ``open_trade``, the net result of open trades at the last close,
        and ``open_trades``, a row of the table each, without run-up and drawdown
    """

    params = (("table", None), ("continues", False))
    header = (
        *("entry_bar", "exit_bar", "entry_datetime", "exit_datetime", "side", "size", "entry_price"),
        *("exit_price", "gross", "costs", "net", "net_pct", "bars"),
        *("lots", "pips", "run_up_pct", "drawdown_pct"),
    )

    def create_analysis(self) -> None:
        self._open_trade = 0.0
        self._open_trades: list[dict[str, Any]] = []
        self._entries: dict[tuple[int, int], float] = {}  # opening times of the bars, by feed and trade id
        self._prices: tuple[float, float] | None = None
        self._exit_size = self._exit_value = 0.0  # of the open trade: a closed one has forgotten its size

    def start(self) -> None:
        self._feeds = {data: number for number, data in enumerate(self.strategy.datas)}
        self._openings = [opening_line(data) for data in self.strategy.datas]

    def notify_order(self, order: bt.Order) -> None:
        if order.status in (order.Partial, order.Completed):
            for fill in order.executed.iterpending():
                self._exit_size += abs(fill.closed)
                self._exit_value += abs(fill.closed) * fill.price
            self._prices = order.info.get("excursion") or self._prices

    def notify_trade(self, trade: bt.Trade) -> None:
        key = self._key_of(trade)
        now = self._openings[key[0]][0]  # the fill's own time is the bar's closing
        entered = self._entries.setdefault(key, now)
        if not trade.isclosed:
            return
        del self._entries[key]
        size = self._exit_size
        exit_price = self._exit_value / size if size else trade.price
        self._exit_size = self._exit_value = 0.0
        info, entry = self.strategy.broker.getcommissioninfo(trade.data), trade.price
        value = info.getvaluesize(size, entry)
        net_pct = 100 * trade.pnlcomm / value if value else 0.0
        (low, high), self._prices = self._prices or (entry, entry), None
        moves = (high - entry, entry - low) if trade.long else (entry - low, high - entry)
        run_up, drawdown = [100 * max(0.0, move) / entry for move in moves]
        pips = info.pips(exit_price - entry if trade.long else entry - exit_price)
        bars = trade.baropen - 1, trade.barclose - 1, time_text(entered), time_text(now)
        prices = "long" if trade.long else "short", size, entry, exit_price
        money = trade.pnl, trade.commission, trade.pnlcomm, net_pct
        moved = info.lots(size), pips, run_up, drawdown
        self.p.table.write(_TRADE % (*bars, *prices, *money, trade.barlen, *moved))

    def stop(self) -> None:
        self.p.table.flush()
        broker = self.strategy.broker
        for data, trades in self.strategy._trades.items():
            info = broker.getcommissioninfo(data)
            open_ = [numbered[-1] for numbered in trades.values() if numbered and numbered[-1].isopen]
            units = sum(abs(trade.size) for trade in open_)
            for trade in open_:  # a trade's own costs hold its share of the swaps once it closes
                swap = broker.d_credit[data] * abs(trade.size) / units
                self._open_trades.append(self._open_row(trade, info, swap))
        self._open_trade = sum((row["net"] for row in self._open_trades), 0.0)

    def get_analysis(self) -> dict[str, Any]:
        return {"open_trade": self._open_trade, "open_trades": self._open_trades}

    def _open_row(self, trade: bt.Trade, info: Any, swap: float) -> dict[str, Any]:
        data, entry, size, price = trade.data, trade.price, abs(trade.size), trade.data.close[0]
        unrealised = info.profitandloss(trade.size, entry, price)
        net, value = trade.pnlcomm + unrealised - swap, info.getvaluesize(size, entry)
        return {
            "entry_bar": trade.baropen - 1,
            "exit_bar": len(data) - 1,
            "entry_datetime": time_text(self._entries.get(self._key_of(trade), trade.dtopen)),
            "exit_datetime": time_text(opening_line(data)[0]),
            "side": "long" if trade.long else "short",
            "size": size,
            "entry_price": entry,
            "exit_price": price,
            "gross": trade.pnl + unrealised,
            "costs": trade.commission + swap,
            "net": net,
            "net_pct": 100 * net / value if value else 0.0,
            "bars": len(data) - trade.baropen,
            "lots": info.lots(size),
            "pips": info.pips(price - entry if trade.long else entry - price),
            "run_up_pct": None,
            "drawdown_pct": None,
        }

    def state(self) -> dict[str, Any]:
        """Return plain JSON values for `restore`; the rows written so far are in the file."""
        self.p.table.flush()
        return {
            "rows": self.p.table.rows,
            "size": self.p.table.size,
            "exit": [self._exit_size, self._exit_value],
            "prices": list(self._prices or ()),
            "entries": [[*key, time] for key, time in self._entries.items()],
        }

    def restore(self, saved: Fields) -> None:
        """Restore the open trade, if the account continues."""
        if not self.p.continues:
            return
        self._exit_size, self._exit_value = saved.numbers("exit")
        low_high = saved.numbers("prices")
        self._prices = (low_high[0], low_high[1]) if low_high else None
        self._entries = {(int(feed), int(number)): time for feed, number, time in saved.items("entries")}

    def _key_of(self, trade: bt.Trade) -> tuple[int, int]:
        """Return feed and trade id: unlike ``trade.ref`` they do not count the runs of the process."""
        return self._feeds[trade.data], trade.tradeid


@lru_cache(maxsize=2)  # the tables of a run write the same bar
def time_text(number: float) -> str:
    """Return backtrader's number of a time, days and a fraction, as text to the second.

    Its own `num2date` takes 3 microseconds. Here a day is converted once, and so is each second of a day.

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
