"""What a trade costs: commission and half the spread on each side, charged to cash and never to the price."""

from __future__ import annotations

import backtrader as bt

from bt_neuro.errors import StrategyError


class Costs(bt.CommInfoBase):
    """Commission and spread as costs of each fill.

    The price of a fill stays the bar's own, so that ``trade.pnl`` is gross and ``trade.pnlcomm`` is net; the
    difference is what the market took. Moving the price by half a spread instead would hide it in both.

    Params:
      - ``commission`` (default: ``0.0``): fraction of the value traded, per side; 0.0001 is one basis point.
      - ``spread`` (default: ``None``): in points; half of it is paid on each side. ``None`` reads the
        ``spread`` line of ``data`` at the bar in which the order executes.
      - ``point`` (default: ``0.00001``): price of one point; 0.001 for quotes in yen.
      - ``data`` (default: ``None``): the feed whose ``spread`` line is read, see `BarsFeed`.
      - The other params are those of ``bt.CommInfoBase``. ``stocklike`` is True: a purchase is paid in full
        (divided by ``leverage``), a short sale is credited.

    Raises
    ------
    StrategyError
        Neither a ``spread`` nor a ``data`` with that line was given.

    Notes
    -----
    What backtrader does with it:

    - ``order_target_percent`` sizes at the close of the deciding bar, here in fractions of a unit (a coin
      may cost more than the account), and leaves no room for costs. The order is tested twice, at that close
      and at the next open, both with the costs of the bar that executes; if cash would fall below 0 it
      becomes ``Margin``, without an exception. So ``target=1.0`` fails as soon as there are costs, while 0.95
      outlives a gap of some 5 percent.
    - Shorts need no margin: the sale is credited to cash and any size is accepted.
    - A reversal that cash cannot carry closes the old position and opens none: ``Margin``, half executed.
    - An order given at the last bar never executes, and the value of an open position does not yet contain
      the cost of leaving it.
    - ``broker.set_slippage_fixed`` moves the price of the fill, on top of these costs, but no further than
      the high or low of the executing bar.

    Examples
    --------
    >>> costs = Costs(commission=0.0001, spread=10)
    >>> round(costs.getcommission(size=-10_000, price=1.10), 6)  # 1.10 of commission, 0.50 of half the spread
    1.6

    With the spread of each bar: ``cerebro.broker.addcommissioninfo(Costs(data=data))``, where
    ``data = BarsFeed(bars=bars)``.
    """

    params = (
        ("commission", 0.0),
        ("spread", None),
        ("point", 0.00001),
        ("data", None),
        ("stocklike", True),
        ("commtype", bt.CommInfoBase.COMM_PERC),
        ("percabs", True),  # otherwise backtrader divides the commission by 100
    )

    def __init__(self) -> None:
        super().__init__()
        if self.p.spread is None and not hasattr(self.p.data, "spread"):
            raise StrategyError(
                "Costs does not know the spread: pass spread=POINTS (0 for none), or data=BarsFeed(...)."
            )

    def getsize(self, price: float, cash: float) -> float:
        """Return how many units the cash buys, rounded down to 8 decimals."""
        return self.p.leverage * (cash // (price * 1e-8)) * 1e-8

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        # backtrader asks at the bar that executes, for the test of cash too: index 0 is that bar.
        points = self.p.data.spread[0] if self.p.spread is None else self.p.spread
        return abs(size) * (self.p.commission * price + 0.5 * points * self.p.point)
