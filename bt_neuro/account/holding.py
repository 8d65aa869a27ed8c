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
        self._since: list[float | None] | None = None  # fills in the current bar, None for one at its open

    def opened(self, order: bt.Order, price: float, at_open: bool) -> None:
        """Note a fill that opens or enlarges the position."""
        earlier = [] if self.low > self.high else self._since or [None]
        self.owner, self.tradeid = order.owner, order.tradeid
        if order.exectype == order.Close and not at_open:  # nothing of this bar comes after it
            if earlier:
                self.end(order.data)
            self._bars = len(order.data)
        else:
            self._since = [*earlier, None if at_open else price]
        self.include(price)

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
        """Return first, lowest and highest price of the current bar since the last fill."""
        return _range_since(self._since[-1] if self._since else None, data)

    def end(self, data: Any) -> None:
        """Note the end of the bar: each part of the position met what came after its fill."""
        for price in self._since or (None,):
            _, low, high = _range_since(price, data)
            self.low, self.high = min(self.low, low), max(self.high, high)
        self._bars, self._since = len(data), None


def _range_since(price: float | None, data: Any) -> tuple[float, float, float]:
    """Return first, lowest and highest price of the current bar after a fill at `price`, None for the open.

    If the fill lies inside the bar, the price moved from the open to it first. Extremes beyond the fill, seen
    from the open, therefore came after it. On the other side only fill and close did for certain.
    """
    first, low, high = data.open[0], data.low[0], data.high[0]
    if price is None:
        return first, low, high
    close = data.close[0]
    return (price, low, max(price, close)) if price < first else (price, min(price, close), high)
