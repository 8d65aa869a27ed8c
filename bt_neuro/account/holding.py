"""Open position, followed bar by bar."""

from __future__ import annotations

from typing import Any

import backtrader as bt


class Holding:
    """Order that opened a position, and the prices that certainly lay inside its trade.

    Parameters
    ----------
    order : the order that opened the position

    Attributes
    ----------
    low, high : lowest and highest price since the entry
    """

    __slots__ = ("_bars", "_since", "high", "low", "owner", "tradeid")

    def __init__(self, order: bt.Order) -> None:
        self.owner, self.tradeid = order.owner, order.tradeid
        self.low, self.high = float("inf"), float("-inf")
        self._bars = 0
        self._since: float | None = None

    def opened(self, order: bt.Order, price: float, at_open: bool) -> None:
        """Note a fill that opens or enlarges the position."""
        self.owner, self.tradeid = order.owner, order.tradeid
        self.include(price)
        self._since = None if at_open else price
        if order.exectype == order.Close:  # nothing of this bar comes after it
            self._bars = len(order.data)

    def closed(self, data: Any, price: float) -> None:
        """Note the fill that ends the position."""
        if self._bars and self.is_in_bar(data):
            self.include(data.open[0])
        self.include(price)

    def include(self, price: float) -> None:
        self.low, self.high = min(self.low, price), max(self.high, price)

    def is_in_bar(self, data: Any) -> bool:
        """Return whether the current bar of `data` has not ended for this position."""
        return len(data) != self._bars or bool(data.replaying)

    def range_of(self, data: Any) -> tuple[float, float, float]:
        """Return first, lowest and highest price of the current bar since the entry.

        If the entry lies inside the bar, the price moved from the open to the entry first. Extremes beyond the
        entry, seen from the open, therefore came after it. On the other side only entry and close did for certain.
        """
        price, first, low, high = self._since, data.open[0], data.low[0], data.high[0]
        if price is None:
            return first, low, high
        close = data.close[0]
        return (price, low, max(price, close)) if price < first else (price, min(price, close), high)

    def end(self, data: Any) -> None:
        """Note that the current bar has ended."""
        if self._since is None:
            low, high = data.low[0], data.high[0]
        else:
            _, low, high = self.range_of(data)
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._bars, self._since = len(data), None
