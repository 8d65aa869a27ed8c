"""Execution of orders against bars: each bar of its own feed once, with slippage."""

from __future__ import annotations

import math

import backtrader as bt
from backtrader.order import Order


class BarExecution(bt.brokers.BackBroker):
    """Part of `MarginBroker` that tries each order once a bar, and applies slippage to its price."""

    def init(self) -> None:
        super().init()
        self._slip = self._slipped = 0.0
        self._limit: float | None = None

    def _try_exec(self, order: Order) -> None:
        data = order.data
        if not self._is_next(order):
            return
        info = self.getcommissioninfo(data)
        if info.p.slippage_range:
            self._slip = info.p.slippage_range * (data.high[0] - data.low[0])
        else:
            self._slip = info.p.slippage * info.point if info.p.slippage else 0.0
        self._slipped, self._limit = 0.0, order.created.pricelimit
        super()._try_exec(order)

    def _is_next(self, order: Order) -> bool:
        """Return whether an order's feed has a bar that the order has not met.

        backtrader tries all orders when any feed has a bar. An order that was sent at the close of its bar, or has
        met it, would then fill within that same bar.
        """
        data = order.data
        if data.replaying or (order.exectype == Order.Market and (self.p.coc or self.p.coo)):
            return True  # a replayed bar still changes; an order that cheats fills in its own bar
        if getattr(order, "met", 0) == len(data):  # orders in older checkpoints have none
            return False
        if not self.p.coo and data.datetime[0] <= order.created.dt:
            return False
        order.met = len(data)
        return True

    def _bracketize(self, order: Order, cancel: bool = False) -> None:
        family = self._pchildren.get(order.ref, ())  # of a bracket's entry: itself, and its exits
        if cancel and len(family) > 1 and order.executed.size:
            cancel = not self._fit_exits(order, list(family)[1:])
        super()._bracketize(order, cancel)
        for child in self._toactivate:
            child.met = len(child.data)  # the bar in which its parent has filled

    def _fit_exits(self, entry: Order, exits: list[Order]) -> bool:
        """Reduce exits to what an entry has filled, and return whether any of that is still held.

        backtrader would cancel the exits with the rest of the entry, and leave what filled without its stop.
        At their full size they would turn the position over.
        """
        held = self.positions[entry.data].size
        size = min(abs(entry.executed.size), max(0.0, math.copysign(held, held * entry.executed.size)))
        for order in exits if size else ():
            order.size = order.executed.remsize = math.copysign(min(abs(order.size), size), order.size)
        return size > 0

    def _slip_up(self, pmax: float, price: float, doslip: bool = True, lim: bool = False) -> float | None:
        if lim and self._limit is not None:  # backtrader lets a stop-limit order slip beyond its limit
            pmax = min(pmax, self._limit)
        slipped = min(price + self._slip, pmax) if self._slip else super()._slip_up(pmax, price, doslip, lim)
        self._slipped = 0.0 if slipped is None else slipped - price
        return slipped

    def _slip_down(self, pmin: float, price: float, doslip: bool = True, lim: bool = False) -> float | None:
        if lim and self._limit is not None:
            pmin = max(pmin, self._limit)
        slipped = (
            max(price - self._slip, pmin) if self._slip else super()._slip_down(pmin, price, doslip, lim)
        )
        self._slipped = 0.0 if slipped is None else slipped - price
        return slipped
