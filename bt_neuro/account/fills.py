"""Execution of orders against the buying power of a margin account."""

from __future__ import annotations

import math
import warnings
from typing import Any

import backtrader as bt
from backtrader.order import Order

from bt_neuro.account.bar_time import opening_time
from bt_neuro.account.books import Books, OrderCounts
from bt_neuro.account.execution import BarExecution
from bt_neuro.account.holding import Holding
from bt_neuro.account.instrument import Instrument
from bt_neuro.errors import StrategyError

REMEDIES = {
    "margin": "Trade smaller sizes, raise leverage, or send orders with fit=True.",
    "size": "Raise cash or size, or lower lot_step and lot_minimum.",
    "ruin": "Trade smaller sizes or with less leverage.",
}


def copy_of(thing: Any) -> Any:
    """Return a shallow copy of an object without methods of its own for that."""
    copy = object.__new__(type(thing))
    copy.__dict__.update(thing.__dict__)
    return copy


class MarginFills(BarExecution):
    """Part of `MarginBroker` that submits, fills, refuses and counts orders.

    It replaces one private method of backtrader's broker, ``_execute``, which contains the test of cash.
    """

    params: Any = (("quiet", False),)
    cash: float

    def init(self) -> None:
        super().init()
        self.books = Books(opening=self.cash)
        self.counts = OrderCounts()
        self.messages: dict[str, str] = {}
        self.ruined_at: Any = None
        self._holdings: dict[Any, Holding] = {}
        self._instruments: dict[Any, Instrument] = {}
        self._traded = None

    def getcommissioninfo(self, data: bt.feed.DataBase) -> Instrument:
        found = self._instruments.get(data)
        if found is None:
            info = super().getcommissioninfo(data)
            if not isinstance(info, Instrument):
                raise StrategyError(
                    f"Trading conditions must be an Instrument, got {type(info).__name__}. "
                    "Pass them to margin_account(), or call addcommissioninfo(Instrument(...))."
                )
            found = self._instruments[data] = info.bound(data)
        return found

    def addcommissioninfo(self, comminfo: bt.CommInfoBase, name: str | None = None) -> None:
        super().addcommissioninfo(comminfo, name)
        self._instruments.clear()

    def getposition(self, data: bt.feed.DataBase) -> bt.Position:
        # backtrader would also keep an empty one before the feed has prices, and then read them.
        return self.positions[data] if data in self.positions or len(data) else bt.Position()

    # -- orders in and out ---------------------------------------------------------------------------------
    def submit(self, order: Order, check: bool = True) -> Order:
        self.counts.orders += 1
        # backtrader's orders would look them up in their params, thirty times an order.
        order.data, order.owner, order.tradeid = order.p.data, order.p.owner, order.p.tradeid
        order.transmit, order.met = order.p.transmit, 0
        info = self.getcommissioninfo(order.data)
        if order.data._compensate is not None:
            raise StrategyError(
                "Feeds must not compensate each other in a margin account. Trade one of them."
            )
        if self.ruined_at is not None:
            return self._refuse(order, "ruin", f"all money was lost at {self.ruined_at}")
        # A child of a bracket closes what is not open yet.
        if order.parent is None and not self.positions[order.data].size and not info.rounded(order.size):
            return self._refuse_size(order, info)
        return super().submit(order, check)

    def notify(self, order: Order) -> None:
        self.counts.count(order)
        # As `order.clone()`, whose copy module looks for methods that an order then looks for in its params.
        order.executed.markpending()
        clone = copy_of(order)
        clone.executed = copy_of(order.executed)
        self.notifs.append(clone)

    def tell(self, kind: str, message: str) -> None:
        """Keep a message, and warn, once a kind."""
        if kind not in self.messages:
            self.messages[kind] = message
            if not self.p.quiet:
                warnings.warn(message, stacklevel=2)

    def _refuse(self, order: Order, kind: str, reason: str) -> Order:
        order.addinfo(reason=kind)
        side = "buy" if order.isbuy() else "sell"
        self.counts.refused[kind] += 1
        self.tell(kind, f"An order to {side} {abs(order.size):g} was refused: {reason}. {REMEDIES[kind]}")
        if kind == "margin":
            order.margin()
        else:
            order.reject(self)
        self._end_of(order)
        return order

    def _refuse_size(self, order: Order, info: Instrument) -> Order:
        return self._refuse(order, "size", f"the least size is {max(info.p.least, info.p.step):g}")

    def _end_of(self, order: Order) -> None:
        """Notify the end of an order that did not fill, and cancel those tied to it."""
        self.notify(order)
        self._ococheck(order)
        self._bracketize(order, cancel=True)

    # -- fills ---------------------------------------------------------------------------------------------
    def _execute(
        self,
        order: Order,
        ago: int | None = None,
        price: float | None = None,
        cash: float | None = None,
        position: bt.Position | None = None,
        dtcoc: float | None = None,
    ) -> float | None:
        if ago is None:  # at submission; buying power is tested at the fill alone
            return 0.0
        if price is None:
            return None
        data = order.data
        self._stop_out_before(order, price, data.datetime[ago])
        if not order.alive():
            return None
        info, pos, size = self.getcommissioninfo(data), self.positions[data], order.executed.remsize
        part = size
        if self.p.filler:
            part = math.copysign(min(self.p.filler(order, price, ago), abs(size)), size)
        _, _, opened, closed = pos.pseudoupdate(part, price)
        if opened and info.has_step:
            opened = info.rounded(opened)
        affordable = self._affordable(order, info, closed, opened, price)
        if affordable != opened and not (order.info.get("fit") and (closed or affordable)):
            margin = info.margin_of(pos.size + closed + opened, price)
            equity = self._equity_at(data, info, price)
            self._refuse(order, "margin", f"it needs {margin:,.2f} of margin and the equity is {equity:,.2f}")
            return None
        if not closed and not opened and part == size:
            self._refuse_size(order, info)
            return None
        if closed or affordable:
            self._fill(order, closed + affordable, price, dtcoc or data.datetime[ago])
        rest = order.executed.remsize
        # What is left would only open, and may be beyond the buying power or below a step.
        below_step = info.has_step and rest and pos.size * rest >= 0 and not info.rounded(rest)
        if affordable != opened or below_step:
            order.addinfo(reason="cut")
            self.counts.cut += 1
            self.counts.partly_filled -= len(order.executed.exbits) == 1
            order.cancel()
            self._end_of(order)
        return None

    def _stop_out_before(self, order: Order, price: float, time: float) -> None:
        """Stop out, if the position meets its level in this bar before the order does; `MarginBroker` does so."""

    def _equity_at(self, data: Any, info: Instrument, price: float) -> float:
        return self.cash + self._others(data)[0] + info.getvaluesize(self.positions[data].size, price)

    def _others(self, data: Any) -> tuple[float, float, float]:
        """Return value, initial margin and stop-out margin of the positions but that of `data`."""
        value = margin = required = 0.0
        if len(self._holdings) > (data in self._holdings):
            for other, holding in self._holdings.items():
                if other is not data:
                    size, info = self.positions[other].size, self.getcommissioninfo(other)
                    # Before the end of its bar a close would be known too early.
                    price = other.open[0] if holding.is_in_bar(other) else other.close[0]
                    initial = info.margin_of(size, price)
                    value += info.getvaluesize(size, price)
                    margin += initial
                    required += info.stop_out_of(size) * initial
        return value, margin, required

    def _affordable(
        self, order: Order, info: Instrument, closed: float, opened: float, price: float
    ) -> float:
        """Return the part of an opening for which the equity, after all costs, covers the margin."""
        if not opened:
            return opened
        _, margin, _ = self._others(order.data)
        held, before = self.positions[order.data].size, self._equity_at(order.data, info, price)
        size = opened
        while size:
            closing, opening, _ = self._costs_of(order, info, closed, size, price)
            equity = before - closing - opening
            lacking = margin + info.margin_of(held + closed + size, price) - equity
            if lacking <= 1e-9 * abs(equity):
                break
            unit = info.margin_of(1.0, price) + info.getcommission(1.0, price)
            size = info.rounded(math.copysign(max(0.0, abs(size) - max(lacking / unit, info.p.step)), size))
        return size

    def _costs_of(
        self, order: Order, info: Instrument, closed: float, opened: float, price: float
    ) -> tuple[float, float, Any]:
        """Return the costs of the closing and the opening part, and the order's fees so far.

        Minimum and cap hold for the order, over its parts; a reversal is one order.
        """
        closing = info.getcommission(closed, price) if closed else 0.0
        opening = info.getcommission(opened, price) if opened else 0.0
        if not info.has_order_fee:
            return closing, opening, None
        raw, paid, value = getattr(order, "fees", None) or (0.0, 0.0, 0.0)
        size = closed + opened
        now = info.commission_of(size, price)
        raw, value = raw + now, value + abs(info.getvaluesize(size, price))
        due = max(raw, info.p.commission_minimum)
        if info.p.commission_cap is not None:
            due = min(due, info.p.commission_cap * value)
        extra, fees = due - paid - now, (raw, due, value)
        return (closing + extra, opening, fees) if closed else (closing, opening + extra, fees)

    def _fill(self, order: Order, size: float, price: float, time: float) -> None:
        data = order.data
        info, pos = self.getcommissioninfo(data), self.positions[data]
        entry, held = pos.price, pos.size
        psize, pprice, opened, closed = pos.pseudoupdate(size, price)
        pnl = info.profitandloss(-closed, entry, price)
        closing, opening, order.fees = self._costs_of(order, info, closed, opened, price)
        closed_value, opened_value = info.getvaluesize(-closed, entry), info.getvaluesize(opened, price)
        # In backtrader's own order of sums, for the same bits.
        self.cash = self.cash + (closed_value + pnl) - closing - opened_value - opening
        books, spread = self.books, abs(size) * info.half_spread() * info.p.mult
        books.gross += pnl
        books.spread += spread
        books.commission += closing + opening - spread
        books.slippage += abs(size * self._slipped) * info.p.mult
        pos.update(size, price, opening_time(data))
        self._follow(order, data, closed, opened, price, self._is_at_open(order, price, time))
        self._traded = data
        if closed and self.p.int2pnl and info.has_swap:
            swap = self.d_credit[data] * min(1.0, abs(closed / held))
            self.d_credit[data] -= swap
            closing += swap
        order.execute(
            time,
            size,
            price,
            closed,
            closed_value,
            closing,
            opened,
            opened_value,
            opening,
            None,
            pnl,
            psize,
            pprice,
        )
        order.addcomminfo(info)
        self.notify(order)
        self._ococheck(order)

    def _is_at_open(self, order: Order, price: float, time: float) -> bool:
        """Return whether all of the current bar comes after a fill."""
        is_first = order.exectype == Order.Market or price - self._slipped == order.data.open[0]
        return is_first or time < order.data.datetime[0]  # such as an order for the close of a session before

    def _follow(
        self, order: Order, data: Any, closed: float, opened: float, price: float, at_open: bool
    ) -> None:
        """Keep the holding of `data` in step with its position."""
        holding = self._holdings.get(data)
        if closed and holding is not None and (opened or not self.positions[data].size):
            holding.closed(data, price)
            order.addinfo(excursion=(holding.low, holding.high))
            del self._holdings[data]
            holding = None
        if opened:
            if holding is None:
                holding = self._holdings[data] = Holding(order)
            holding.opened(order, price, at_open)
