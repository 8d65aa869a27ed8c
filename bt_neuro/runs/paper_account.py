"""Paper account of a stream: numbered orders, fills, and reconciliation with the broker's position."""

from __future__ import annotations

from typing import Any

from backtrader.order import Order

from bt_neuro.account.account import Account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.account.instrument import Instrument
from bt_neuro.errors import BarsError

# Attributes of the broker in a checkpoint, beside those of every broker.
STATE = ("is_settled", "settle_to", "truth", "_bar", "_number", "_seen_bars")
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
    is_settled : whether positions agree with the account told last; if not, new orders are refused
    """

    def init(self) -> None:
        super().init()
        self.sent: list[dict[str, Any]] = []
        self.fills: list[dict[str, Any]] = []
        self.ended: list[dict[str, Any]] = []
        self.is_settled = True
        self.truth: float | None = None
        self.settle_to: float | None = None
        self._bar, self._number, self._seen_bars = -1, 0, 0

    def submit(self, order: Order, check: bool = True) -> Order:
        self._name(order)
        self.sent.append(_described(order))
        if not self.is_settled:
            order.addinfo(reason="unsettled")
            self.counts.orders += 1
            self.counts.refused["unsettled"] += 1
            order.reject(self)
            self._end_of(order)
            return order
        return super().submit(order, check)

    def _name(self, order: Order) -> None:
        """Give an order its number: the bar that sent it, and a count within the bar."""
        bar = len(order.data) - 1
        self._bar, self._number = bar, self._number + 1 if bar == self._bar else 1
        order.addinfo(id=f"{bar}-{self._number}")

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
                    "side": "buy" if bit.size > 0 else "sell",
                    "size": abs(bit.size),
                    "price": bit.price,
                    "costs": bit.comm,
                    **({"reason": order.info["reason"]} if "reason" in order.info else {}),
                }
            )
        elif order.status in (Order.Canceled, Order.Expired, Order.Margin, Order.Rejected):
            status = "canceled" if order.status == Order.Canceled else order.getstatusname().lower()
            self.ended.append({"order": name, "status": status, "reason": order.info.get("reason") or None})

    def take(self) -> dict[str, list[dict[str, Any]]]:
        """Return the orders sent, filled and ended since the last call."""
        taken = {"orders": self.sent, "fills": self.fills, "ended": self.ended}
        self.sent, self.fills, self.ended = [], [], []
        return taken

    # -- another account ---------------------------------------------------------------------------------------
    @property
    def _data(self) -> Any:
        return self.cerebro.datas[0]

    def position_state(self) -> dict[str, Any]:
        """Return the paper position, now and after working market orders, and the broker's position."""
        size = self.positions[self._data].size
        working = sum(
            order.executed.remsize
            for order in self.working_orders(self._data)
            if order.exectype == Order.Market and order.parent is None
        )
        return {
            "position": size,
            "position_after_orders": size + working,
            "broker_position": self.truth,
            "is_settled": self.is_settled,
        }

    def command(self, values: dict[str, Any]) -> dict[str, Any]:
        """Carry out ``{"position": units}`` or ``{"settle": "broker"}``; return the `position_state`.

        The position is that of the real account. It agrees if it is ours, before or after the market orders
        that still work. If it differs, new orders are refused until an equal one is reported, or until ``settle``
        moves ours to it, at the next open.

        Raises
        ------
        BarsError
            Another command.
        """
        require_command(values)
        if "position" in values:
            self.truth = float(values["position"])
            state = self.position_state()
            least = self.getcommissioninfo(self._data).p.step / 2
            self.settle_to = None
            self.is_settled = any(
                abs(state[name] - self.truth) <= least for name in ("position", "position_after_orders")
            )
        elif not self.is_settled:
            self.settle_to = self.truth
        return self.position_state()

    def next(self) -> None:
        bars = len(self._data)
        if bars == self._seen_bars:  # backtrader also calls while no bar comes, and a restart would not know
            return
        self._seen_bars = bars
        if self.settle_to is not None:
            self._settle(self.settle_to)
        super().next()

    def _settle(self, wanted: float) -> None:
        data, self.settle_to, self.is_settled = self._data, None, True
        self._cancel_working(data, "settle")
        if missing := wanted - self.positions[data].size:
            (owner,) = self.cerebro.runningstrats
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
