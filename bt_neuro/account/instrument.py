"""Trading conditions of one instrument: costs, margin, lots and swap."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import backtrader as bt

from bt_neuro.account.bar_time import opening_time
from bt_neuro.bars.numbers import price_digits
from bt_neuro.errors import StrategyError

FINE = 1e-6  # steps below this are the resolution of a float, not a broker's lot step
FINEST = 1e-10  # the smallest step; an `Account` rounds its own to this many digits
UNKNOWN_SPREAD = "The spread must be known, got none. Pass spread=POINTS (0 for none), or a BarsFeed as data."


class Instrument(bt.CommInfoBase):
    """Costs, margin, lots and swap of one instrument.

    Spread and commission are costs of a fill and never move its price: ``trade.pnl`` is gross,
    ``trade.pnlcomm`` is net. It works with every broker of backtrader. Only `MarginBroker` uses margin, lot
    steps, slippage and the minimum of a commission.

    Params:

      - ``commission`` (default: ``0.0``): fraction of the value traded, each side; 0.0001 is a basis point
      - ``commission_lot`` (default: ``0.0``): money a lot and side
      - ``commission_minimum`` (default: ``0.0``): least commission of an order, over all its partial fills
      - ``commission_cap`` (default: ``None``): most commission of an order, as a fraction of its value; it
        also limits the minimum
      - ``spread`` (default: ``None``): points; half of it is paid on each side. ``None`` reads the line
        ``spread`` of the feed at the bar of the fill, see `BarsFeed`
      - ``slippage`` (default: ``0.0``): points, against market and stop orders, and against limit orders that
        the open passes; as far as the bar and the limit reach
      - ``slippage_range`` (default: ``0.0``): slippage as a share of the executing bar's range instead
      - ``point`` (default: ``None``): price of one point; ``None`` takes the decimals of a
        `BarsFeed`'s prices
      - ``data`` (default: ``None``): feed of the spread line; `MarginBroker` fills it in
      - ``mult`` (default: ``1.0``): money a unit gains when the price rises by 1; 50 for a future on an index
      - ``margin_rate`` (default: ``1.0``): initial margin as a fraction of the value, 1 / leverage
      - ``contract_margin`` (default: ``0.0``): initial margin of one contract in money, instead of a rate
      - ``stop_out`` (default: ``0.5``): share of the initial margin at which a position is closed
      - ``stop_out_short`` (default: ``None``): the same for shorts; ``None`` as for longs
      - ``lot`` (default: ``1.0``): units of one lot
      - ``step`` (default: ``1e-8``): sizes are multiples of it, in units
      - ``least`` (default: ``0.0``): smallest size that opens or adds to a position, in units; closing is
        exact
      - ``swap_long``, ``swap_short`` (default: ``0.0``): credited for each night; negative values are paid
      - ``swap_unit`` (default: ``"points"``): or ``"percent"`` of the value a year of 360 days
      - ``nights`` (default: ``(1, 1, 3, 1, 1, 0, 0)``): swaps charged at the end of Monday ... Sunday

    Raises
    ------
    StrategyError
        Neither a ``spread`` nor a feed with that line is given, or a margin that no stop-out can hold.

    Notes
    -----
    Nights end at midnight on the clock of the bars. The params ``leverage``, ``margin``, ``interest`` and
    ``automargin`` of ``bt.CommInfoBase`` must keep their defaults: they change size and value, not margin.

    On backtrader's own broker

    - an order that leaves cash below 0, costs included, becomes ``Margin`` without an exception;
    - shorts need no margin, of any size;
    - a reversal beyond the cash closes the old position and opens none;
    - an order of the last bar never executes, and an open position has not yet paid its exit.

    Examples
    --------
    >>> euro = Instrument(commission=0.0001, spread=10, point=0.00001, margin_rate=1 / 30, step=1000)
    >>> round(euro.getcommission(size=-10_000, price=1.10), 6)  # 1.10 of commission, 0.50 of half the spread
    1.6
    >>> round(euro.margin_of(272_000, 1.10), 2), euro.rounded(272_900)
    (9973.33, 272000.0)
    """

    params: Any = (
        ("commission", 0.0),
        ("commission_lot", 0.0),
        ("commission_minimum", 0.0),
        ("commission_cap", None),
        ("spread", None),
        ("slippage", 0.0),
        ("slippage_range", 0.0),
        ("point", None),
        ("data", None),
        ("margin_rate", 1.0),
        ("contract_margin", 0.0),
        ("stop_out", 0.5),
        ("stop_out_short", None),
        ("lot", 1.0),
        ("step", 1e-8),
        ("least", 0.0),
        ("swap_long", 0.0),
        ("swap_short", 0.0),
        ("swap_unit", "points"),
        ("nights", (1, 1, 3, 1, 1, 0, 0)),
        ("stocklike", True),
        ("commtype", bt.CommInfoBase.COMM_PERC),
        ("percabs", True),  # otherwise backtrader divides the commission by 100
    )

    def __init__(self) -> None:
        super().__init__()
        p = self.p
        if p.leverage != 1.0 or p.margin is not None or p.interest or p.automargin:
            raise StrategyError(
                "leverage, margin, interest and automargin of an Instrument must keep their defaults. "
                "Use margin_rate, contract_margin and swap_long, swap_short."
            )
        for stop_out in (p.stop_out, self.stop_out_of(-1.0)):
            # A fully paid long at stop-out 1 would be closed by its first loss, and no price is its level.
            if not 0 <= stop_out <= 1 or (not p.contract_margin and stop_out * p.margin_rate >= 1):
                raise StrategyError(
                    f"stop_out x margin_rate must be below 1 and stop_out within 0..1, "
                    f"got {stop_out} x {p.margin_rate:g}. Use a lower stop_out or more leverage."
                )
        if not p.step >= FINEST:
            raise StrategyError(f"step must be at least {FINEST} units, got {p.step}. Use a larger step.")
        if p.swap_unit not in ("points", "percent"):
            raise StrategyError(f"swap_unit must be 'points' or 'percent', got {p.swap_unit!r}.")
        self.has_swap = bool(p.swap_long or p.swap_short)
        self.has_order_fee = bool(p.commission_minimum or p.commission_cap is not None)
        self.has_step = p.step >= FINE
        self._each = p.commission_lot / p.lot

    def bound(self, data: bt.feed.DataBase) -> Instrument:
        """Return the conditions of one feed, with its spread line and point where none are set."""
        p = self.p
        if p.data is data or (p.spread is not None and p.point is not None):
            return self
        if p.spread is None and not hasattr(data, "spread"):
            raise StrategyError(UNKNOWN_SPREAD)
        bars = getattr(data.p, "bars", None)
        point = p.point
        if point is None and bars is not None:
            point = 10.0 ** -price_digits(bars["close"].to_numpy(float))
        return type(self)(**{**p._getkwargs(), "data": data, "point": point})

    @property
    def point(self) -> float:
        """Price of one point."""
        if self.p.point is None:
            raise StrategyError(
                "The point must be known, got none. Pass point=PRICE, such as 0.00001 for EURUSD."
            )
        return self.p.point

    # -- sizes -------------------------------------------------------------------------------------------
    def getsize(self, price: float, cash: float) -> float:
        """Return the number of units that `cash` buys at `price`, rounded down to a step."""
        if self.has_step:
            return abs(self.rounded(cash / (price * self.p.mult)))
        return cash // (price * self.p.mult * self.p.step) * self.p.step

    def rounded(self, size: float) -> float:
        """Return a signed size rounded towards 0 to a step, and 0 below the least size."""
        if not self.has_step:
            return size if abs(size) >= max(self.p.least, self.p.step) * 0.999 else 0.0
        units = round(math.floor(abs(size) / self.p.step + 1e-6) * self.p.step, 8)
        return math.copysign(units, size) if units and units >= self.p.least - 1e-9 else 0.0

    def lots(self, size: float) -> float:
        """Return a size in lots."""
        return size / self.p.lot

    def pips(self, move: float) -> float:
        """Return a move of the price in pips: ten points of a 3- or 5-digit quote, else one."""
        magnitude = round(-math.log10(self.point))  # not its decimals: a tick of 1/8 has three
        return move / (self.point * (10 if magnitude in (3, 5) else 1))

    # -- value, margin and costs -------------------------------------------------------------------------
    def getvaluesize(self, size: float, price: float) -> float:
        """Return the signed value of a position; backtrader's own leaves out ``mult``."""
        return size * price * self.p.mult

    def margin_of(self, size: float, price: float) -> float:
        """Return the initial margin of a position."""
        return abs(size) * (self.p.contract_margin or price * self.p.mult * self.p.margin_rate)

    def stop_out_of(self, size: float) -> float:
        """Return the share of the initial margin at which a long or short position is closed."""
        short = self.p.stop_out_short
        return self.p.stop_out if size > 0 or short is None else short

    def half_spread(self) -> float:
        """Return half the spread at the current bar, as a price."""
        points = self.p.spread
        if points is None:
            if self.p.data is None:
                raise StrategyError(UNKNOWN_SPREAD)
            points = self.p.data.spread[0]
        return 0.5 * points * self.point if points else 0.0

    def commission_of(self, size: float, price: float) -> float:
        """Return the commission of a fill without spread, minimum or cap."""
        return abs(size) * (self.p.commission * price * self.p.mult + self._each)

    def _getcommission(self, size: float, price: float, pseudoexec: bool) -> float:
        each = self.p.commission * price * self.p.mult + self._each
        return abs(size) * (each + self.half_spread() * self.p.mult)

    # -- swap --------------------------------------------------------------------------------------------
    def get_credit_interest(self, data: bt.feed.DataBase, pos: bt.Position, dt: Any) -> float:
        """Return the swap due since the bar before, positive where it is paid.

        Percentages are of the open of the first bar after midnight: with ``exactbars`` the close of the bar
        before is not kept.
        """
        if not self.has_swap:
            return 0.0
        first, last = pos.datetime.date(), opening_time(data).date()  # `dt` may be its closing
        if first == last:
            return 0.0
        rate = self.p.swap_long if pos.size > 0 else self.p.swap_short
        each = rate * self.point if self.p.swap_unit == "points" else rate / 100 / 360 * data.open[0]
        return -self.nights_between(first, last) * abs(pos.size) * self.p.mult * each

    def nights_between(self, first: date, last: date) -> int:
        """Return the number of swaps charged from one date to a later one."""
        nights, days = self.p.nights, (last - first).days
        weeks, rest = divmod(days, 7)
        return weeks * sum(nights) + sum(
            nights[(first + timedelta(days=day)).weekday()] for day in range(rest)
        )
