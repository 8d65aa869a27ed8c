"""Paper account of a stream: numbered orders, fills, and reconciliation with the broker's position."""

from __future__ import annotations

from typing import Any

from backtrader.order import Order

from bt_neuro.account.account import Account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.account.instrument import Instrument
from bt_neuro.errors import BarsError

# Attributes of the broker in a checkpoint, beside those of every broker.
STATE = ("unsettled", "settle_to", "truth", "_numbers", "_seen_bars")
UNSETTLED = "the position differs from the broker's. Settle it first."


class QuotedInstrument(Instrument):
    """Trading conditions whose point, where none is given, is that of the prices so far."""

    @property
    def point(self) -> float:
        return self.p.point if self.p.point is not None else 10.0**-self.p.data.digits


class PaperBroker(MarginBroker):
    """Margin broker that numbers orders, records their outcome, and is reconciled with another account.

    Attributes
    ----------
    unsettled : names of feeds whose position differs from that reported last; their new orders are refused
    truth : position reported last, by feed
    settle_to : position to move to at the feed's next open, by feed
    """

    def init(self) -> None:
        super().init()
        self.sent: list[dict[str, Any]] = []
        self.fills: list[dict[str, Any]] = []
        self.ended: list[dict[str, Any]] = []
        self.unsettled: set[str] = set()
        self.truth: dict[str, float] = {}
        self.settle_to: dict[str, float] = {}
        self._numbers: dict[str, list[int]] = {}  # bar of the last order, and orders in it
        self._seen_bars: dict[str, int] = {}

    def submit(self, order: Order, check: bool = True) -> Order:
        self._name(order)
        self.sent.append(_described(order) | self._symbol_of(order))
        if order.data._name in self.unsettled:
            order.addinfo(reason="unsettled")
            self.counts.orders += 1
            self.counts.refused["unsettled"] += 1
            order.reject(self)
            self._end_of(order)
            return order
        return super().submit(order, check)

    def _name(self, order: Order) -> None:
        """Give an order its number: its instrument's bar when it was sent, and a count within the bar."""
        name, bar = order.data._name, len(order.data) - 1
        last, count = self._numbers.get(name, [-1, 0])
        count = count + 1 if bar == last else 1
        self._numbers[name] = [bar, count]
        order.addinfo(id=f"{name}-{bar}-{count}" if self._is_of_several else f"{bar}-{count}")

    def _symbol_of(self, order: Order) -> dict[str, str]:
        return {"symbol": order.data._name} if self._is_of_several else {}

    @property
    def _is_of_several(self) -> bool:
        return len(self.cerebro.datas) > 1

    def notify(self, order: Order) -> None:
        super().notify(order)
        if "id" not in order.info:  # of the broker's own
            self._name(order)
        name = order.info["id"]
        if order.status in (Order.Partial, Order.Completed):
            bit = order.executed.exbits[-1]
            self.fills.append(
                {
                    "order": name,
                    **self._symbol_of(order),
                    "side": "buy" if bit.size > 0 else "sell",
                    "size": abs(bit.size),
                    "price": bit.price,
                    "costs": bit.comm,
                    **({"reason": order.info["reason"]} if "reason" in order.info else {}),
                }
            )
        elif order.status in (Order.Canceled, Order.Expired, Order.Margin, Order.Rejected):
            status = "canceled" if order.status == Order.Canceled else order.getstatusname().lower()
            reason = order.info.get("reason") or None
            self.ended.append({"order": name, **self._symbol_of(order), "status": status, "reason": reason})

    def take(self) -> dict[str, list[dict[str, Any]]]:
        """Return the orders sent, filled and ended since the last call."""
        taken = {"orders": self.sent, "fills": self.fills, "ended": self.ended}
        self.sent, self.fills, self.ended = [], [], []
        return taken

    # -- another account ---------------------------------------------------------------------------------------
    def position_state(self, data: Any) -> dict[str, Any]:
        """Return the paper position, now and after working market orders, and the broker's position."""
        size = self.getposition(data).size
        working = sum(
            order.executed.remsize
            for order in self.working_orders(data)
            if order.exectype == Order.Market and order.parent is None
        )
        return {
            "position": size,
            "position_after_orders": size + working,
            "broker_position": self.truth.get(data._name),
            "is_settled": data._name not in self.unsettled,
        }

    def command(self, values: dict[str, Any]) -> dict[str, Any]:
        """Carry out ``{"position": units}`` or ``{"settle": "broker"}``; return the `position_state`.

        The position is that of the real account. It agrees if it is ours, before or after the market orders
        that still work. If it differs, new orders are refused until an equal one is reported, or until ``settle``
        moves ours to it, at the next open. Of several instruments ``symbol`` names the one.

        Raises
        ------
        BarsError
            Another command.
        """
        data = self.cerebro.datasbyname[values.get("symbol", self.cerebro.datas[0]._name)]
        values, name = {key: value for key, value in values.items() if key != "symbol"}, data._name
        require_command(values)
        if "position" in values:
            truth = self.truth[name] = float(values["position"])
            state = self.position_state(data)
            least = self.getcommissioninfo(data).p.step / 2
            self.settle_to.pop(name, None)
            self.unsettled.discard(name)
            if all(abs(state[key] - truth) > least for key in ("position", "position_after_orders")):
                self.unsettled.add(name)
        elif name in self.unsettled:
            self.settle_to[name] = self.truth[name]
        return self.position_state(data)

    def next(self) -> None:
        moved = [data for data in self.cerebro.datas if len(data) != self._seen_bars.get(data._name, 0)]
        if not moved:  # backtrader also calls while no bar comes, which a restart does not repeat
            return
        for data in moved:
            self._seen_bars[data._name] = len(data)
            if data._name in self.settle_to:
                self._settle(data, self.settle_to.pop(data._name))
        super().next()

    def _settle(self, data: Any, wanted: float) -> None:
        self.unsettled.discard(data._name)
        self._cancel_working(data, "settle")
        if missing := wanted - self.positions[data].size:
            owner = next(one for one in self.cerebro.runningstrats if one.data is data)
            self._fill_own(data, missing, data.open[0], "settle", owner=owner)


def paper_broker(account: Account, point: float | None) -> PaperBroker:
    """Return a broker with the cash and the conditions of an account."""
    broker = PaperBroker()
    broker.p.quiet = True
    account.use(broker, point)
    conditions = account.instrument(point).p._getkwargs()
    broker.addcommissioninfo(QuotedInstrument(**conditions))
    return broker


def is_command(values: dict[str, Any]) -> bool:
    return "position" in values or "settle" in values


def require_command(values: dict[str, Any]) -> None:
    """Raise BarsError unless a line is a command."""
    position, settle = values.get("position"), values.get("settle")
    is_number = isinstance(position, int | float) and not isinstance(position, bool) and abs(position) < 1e15
    if values.keys() not in ({"position"}, {"settle"}) or not (is_number or settle == "broker"):
        raise BarsError('a command must be {"position": UNITS} or {"settle": "broker"}')


def _described(order: Order) -> dict[str, Any]:
    found = {
        "id": order.info["id"],
        "side": "buy" if order.isbuy() else "sell",
        "size": abs(order.created.size),
        "type": order.getordername().lower(),
    }
    if order.exectype != Order.Market:
        found["price"] = order.created.price
    for name in ("pricelimit", "trailamount", "trailpercent"):
        if (value := getattr(order.created, name)) is not None and order.exectype != Order.Market:
            found[name] = value
    for name in ("parent", "oco"):
        if (other := getattr(order, name)) is not None:
            found[name] = other.info["id"]
    return found
