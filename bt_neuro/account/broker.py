"""A backtrader broker with a margin account: buying power, stop-out, ruin and deposits."""

from __future__ import annotations

from collections import deque
from typing import Any

import backtrader as bt
from backtrader.order import BuyOrder, Order, SellOrder

from bt_neuro.account.bar_time import opening_time
from bt_neuro.account.fills import MarginFills
from bt_neuro.account.holding import Holding
from bt_neuro.errors import StrategyError


class MarginBroker(MarginFills):
    """backtrader's broker with margin, lot steps, stop-out and ruin.

    The ledger stays backtrader's own with short sales credited: equity = cash + sum(size x price x mult).
    Leverage does not change it; margin is tested separately.

    Params:

      - ``protected`` (default: ``False``): negative balance protection; a debt after ruin is forgiven
      - ``quiet`` (default: ``False``): do not warn; ``messages`` holds the same text
      - The others are those of ``bt.brokers.BackBroker``; ``shortcash`` must stay True.

    Attributes
    ----------
    accounts : `Account` by name of the feed it holds for; None for all others
    books : money by kind, see `Books`
    counts : orders by outcome, see `OrderCounts`
    messages : one sentence for each kind of refusal, with its remedy
    ruined_at : time of the bar at which all money was lost, or None

    Notes
    -----
    Order of one bar: deposits, swap, stop-out of the positions carried in, orders, stop-out of what the
    orders left, ruin. A market order, or a stop nearer than the stop-out level, fills before the stop-out. A
    take-profit, or an order that adds inside the bar, does not: the path there is unknown.

    - Margin is tested at the fill, if the position grows or turns: the equity after all costs must be at
      least the margin after. Closing is always allowed. Other positions count at the open of the same bar.
    - An order beyond the buying power is refused as a whole (``Margin``). An order sent with ``fit=True`` is
      cut to it, and the rest ``Canceled``.
    - A position is closed at its stop-out level, or at the open beyond it, the largest loser first. Its
      orders are cancelled.
    - After ruin every order is ``Rejected``, and deposits are refused.
    - ``order.info.reason`` names the reason of an order that was refused, cut, or sent by the broker.

    Examples
    --------
    >>> from bt_neuro.account.instrument import Instrument
    >>> cerebro = bt.Cerebro()
    >>> cerebro.broker = MarginBroker(cash=50_000)
    >>> cerebro.broker.addcommissioninfo(Instrument(spread=12, margin_rate=1 / 30, step=1000))
    """

    params: Any = (("protected", False),)

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[str | None, Any] = {}

    def init(self) -> None:
        super().init()
        if not self.p.shortcash:
            raise StrategyError("shortcash must be True, got False. The ledger credits short sales.")
        self._transfers: deque[float] = deque()

    def set_cash(self, cash: float) -> None:
        super().set_cash(cash)
        self.books.opening = cash

    setcash = set_cash

    def add_cash(self, cash: float) -> None:
        """Deposit money, or withdraw it where negative, before the next bar trades."""
        self._transfers.append(cash)

    def set_fund_history(self, fund: Any) -> None:
        raise StrategyError("A margin account must keep its own value, got a fund history. Use add_cash().")

    # -- state of the account ------------------------------------------------------------------------------
    def margin(self) -> float:
        """Return the initial margin of all positions at their last prices."""
        return self._others(None)[1]

    def free_margin(self) -> float:
        """Return the equity that is not tied up as margin."""
        value, margin, _ = self._others(None)
        return self.cash + value - margin

    def working_orders(self, data: bt.feed.DataBase) -> list[Order]:
        """Return the orders for `data` that can still fill, those of this very bar included."""
        return [o for o in (*self.submitted, *self.pending) if o is not None and o.data is data]

    def stop_out_price(self, data: bt.feed.DataBase) -> float:
        """Return the price of `data` at which its position is closed; 0 or less for a fully paid long."""
        size, info = self.positions[data].size, self.getcommissioninfo(data)
        stop_out, mult = info.stop_out_of(size), info.p.mult
        value, _, required = self._others(data)
        rate = 0.0 if info.p.contract_margin else stop_out * info.p.margin_rate
        required += abs(size) * (stop_out * info.p.contract_margin + mult * info.half_spread())
        # cash + value + size x mult x price = required + rate x |size| x mult x price
        return (required - self.cash - value) / (mult * (size - rate * abs(size)))

    # -- one bar -------------------------------------------------------------------------------------------
    def next(self) -> None:
        if self._transfers:
            self._transfer()
        while self._toactivate:  # children of a bracket can stop a loss from here on
            self._toactivate.popleft().activate()
        cash = self.cash
        again = bool(self._holdings) and self._carried_in()
        if again:  # what may save a position is tried before what enlarges it
            self.check_submitted()
            self.pending: deque[Order] = deque(sorted(self.pending, key=self._enlarges))
        if self.pending or self.submitted or self._userhist:
            super().next()
        else:  # nothing else is left to do there
            self._get_value()
        if self._holdings:
            self._note_time()
            again |= cash != self.cash  # a fill, a stop-out of another position, or a swap
            far = self._is_far_from_stop_out()
            for data, holding in list(self._holdings.items()):
                if holding.is_in_bar(data):
                    if again and not far:
                        self._stop_out_if_reached(data, holding)
                    holding.end(data)
            if len(self._holdings) > 1 and not far:
                self._stop_out_at_close()
        if self.cash <= 0 and not self._holdings and self.ruined_at is None:
            self._ruin()

    def _transfer(self) -> None:
        while self._transfers:
            amount, free = self._transfers.popleft(), self.free_margin()
            if self.ruined_at is not None:
                self.tell("deposit", f"A deposit was refused: all money was lost at {self.ruined_at}.")
                continue
            if amount < 0 and free + amount <= 0:
                self.tell(
                    "withdrawal",
                    f"A withdrawal of {-amount:,.2f} was refused: {free:,.2f} of margin is free. "
                    "Withdraw less, or close positions first.",
                )
                continue
            self.books.deposits += amount
            if self._fundval > 0:
                self._fundshares += amount / self._fundval
            self.cash += amount

    def _carried_in(self) -> bool:
        """Charge swaps and stop out; return whether an order that goes first calls for another test."""
        for data in self._holdings:
            info = self.getcommissioninfo(data)
            if info.has_swap:
                pos, time = self.positions[data], opening_time(data)
                swap = info.get_credit_interest(data, pos, time)
                self.cash -= swap
                self.d_credit[data] += swap
                self.books.swap += swap
                pos.datetime = time  # the inherited loop then charges nothing
        later = False
        for data in [] if self._is_far_from_stop_out() else self._losers_first():
            holding = self._holdings[data]
            if holding.is_in_bar(data):
                later |= self._stop_out_if_reached(data, holding, orders_first=True)
        return later

    def _note_time(self) -> None:
        """Note up to when swaps are charged; backtrader notes the closing, which may be on the next day."""
        for data in self._holdings:
            if self.getcommissioninfo(data).has_swap:
                self.positions[data].datetime = opening_time(data)

    def _losers_first(self) -> list[Any]:
        if len(self._holdings) == 1:
            return list(self._holdings)

        def profit(data: Any) -> float:
            pos = self.positions[data]
            price = data.open[0] if self._holdings[data].is_in_bar(data) else data.close[0]
            return self.getcommissioninfo(data).profitandloss(pos.size, pos.price, price)

        return sorted(self._holdings, key=profit)

    # -- stop-out ------------------------------------------------------------------------------------------
    def _is_far_from_stop_out(self) -> bool:
        """Return whether no stop-out is reached even if all positions meet their bars' worst prices at once.

        This saves the levels of n positions, which take n x n steps a bar. The level of a single position
        takes no longer than this test, so the answer is then False.
        """
        if len(self._holdings) == 1:
            return False
        equity = self.cash
        for data in self._holdings:
            size, info, low, high = (
                self.positions[data].size,
                self.getcommissioninfo(data),
                data.low[0],
                data.high[0],
            )
            equity += info.getvaluesize(size, low if size > 0 else high)
            equity -= info.stop_out_of(size) * info.margin_of(size, high)
            equity -= abs(size) * info.half_spread() * info.p.mult
        return equity > 0

    def _stop_out_if_reached(self, data: Any, holding: Holding, orders_first: bool = False) -> bool:
        """Stop out if the bar reaches the level; return whether an order may fill before that."""
        level, is_long = self.stop_out_price(data), self.positions[data].size > 0
        if data.low[0] > level if is_long else data.high[0] < level:
            return False  # nor does any part of the bar: most bars end here, without `range_of`
        first, low, high = holding.range_of(data)
        if low > level if is_long else high < level:
            return False
        if orders_first and any(
            self._goes_first(order, level, is_long) for order in self.working_orders(data)
        ):
            return True
        self._stop_out(data, min(first, level) if is_long else max(first, level))
        return False

    @staticmethod
    def _goes_first(order: Order, level: float, is_long: bool) -> bool:
        if order.exectype in (Order.Stop, Order.StopTrail):
            stop, first = order.created.price, order.data.open[0]
            if order.isbuy() == is_long:  # it enlarges the position, before the stop-out only at the open
                return order.active() and (stop <= first if is_long else stop >= first)
            return order.active() and (stop > level if is_long else stop < level)
        return order.exectype == Order.Market

    def _enlarges(self, order: Order) -> bool:
        size = self.positions[order.data].size
        return order.exectype != Order.Market and size * order.executed.remsize > 0

    def _stop_out_before(self, order: Order, price: float, time: float) -> None:
        """Stop out a position that meets its level in this bar before an order inside the bar enlarges it.

        The enlarged position is tested only on what comes after the fill, see `Holding.range_of`, and would
        pass. A fill on the way to the level comes first.
        """
        if not self._holdings or not self._enlarges(order):
            return
        data = order.data
        size, holding = self.positions[data].size, self._holdings[data]
        is_on_the_way = order.exectype != Order.Close and (price - data.open[0]) * size < 0
        if is_on_the_way or self._is_at_open(order, price, time) or not holding.is_in_bar(data):
            return
        self.pending.append(order)  # so that a stop-out cancels it as well
        self._stop_out_if_reached(data, holding)
        if order.alive():
            self.pending.pop()

    def _stop_out_at_close(self) -> None:
        """Close positions at the bar's end while all of them together are below the stop-out level.

        Each was tested with the others at their open; losses of the same bar add up only here.
        """
        for data in self._losers_first():
            value, _, required = self._others(None)
            for held in self._holdings:
                info = self.getcommissioninfo(held)
                required += abs(self.positions[held].size) * info.half_spread() * info.p.mult
            if self.cash + value > required:
                return
            self._stop_out(data, data.close[0])

    def _stop_out(self, data: Any, price: float) -> None:
        self._cancel_working(data, "stop-out")
        self.counts.stop_outs += 1
        size, holding = self.positions[data].size, self._holdings[data]
        self._fill_own(data, -size, price, "stop-out", owner=holding.owner, tradeid=holding.tradeid)

    def _cancel_working(self, data: Any, reason: str) -> None:
        for order in self.working_orders(data):
            if order.alive():  # not cancelled together with the one before
                order.addinfo(reason=reason)
                if not self.cancel(order):  # it was sent at the bar before, and not accepted yet
                    self.submitted.remove(order)
                    order.cancel()
                    self._end_of(order)

    def _fill_own(self, data: Any, size: float, price: float, reason: str, **options: Any) -> None:
        """Send an order of the broker's own and fill it at once, without slippage."""
        order = (BuyOrder if size > 0 else SellOrder)(data=data, size=abs(size), **options)
        order.addinfo(reason=reason)
        self._ocoize(order, None)
        order.submit(self)
        order.accept(self)
        self.orders.append(order)
        self._slipped = 0.0
        self._fill(order, size, price, data.datetime[0])
        self._get_value()

    def _ruin(self) -> None:
        self.ruined_at = opening_time(self._traded)
        if self.p.protected:
            self.books.forgiven, self.cash = -self.cash, 0.0
            self._get_value()
        for order in [order for order in self.pending if order is not None]:
            order.addinfo(reason="ruin")
            self.cancel(order)
