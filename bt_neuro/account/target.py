"""Orders that bring a position to a share of the equity."""

from __future__ import annotations

import math
import warnings
from typing import Any

import backtrader as bt
from backtrader.order import Order

from bt_neuro.errors import StrategyError


def target_orders(
    strategy: bt.Strategy,
    share: float,
    data: bt.feed.DataBase | None = None,
    rebalance: float | None = None,
    **options: Any,
) -> Order | None:
    """Send the order that brings a position to `share` of the equity.

    Position and working market orders are counted together, so that a call with the same share sends nothing
    more while orders fill in parts, and nothing again after a restart.

    Parameters
    ----------
    strategy : owner of the orders
    share : of the equity, negative for a short, 0 for none; above 1 with leverage
    data : feed to trade; the first by default
    rebalance : while the position is on the right side, send an order where its size is off by more than this
        fraction of the target; None never does
    **options : of ``strategy.buy`` and ``strategy.sell``

    Returns
    -------
    Order or None
        None if no order is needed, or a cancellation must be confirmed first, see Notes.

    Raises
    ------
    StrategyError
        A share or rebalance that is no finite number.

    Notes
    -----
    Sizes are rounded down as ``order_target_percent`` does. A `MarginBroker` cuts the order at the fill to
    what the equity allows then. Orders of brackets are not counted. Working orders in the other direction
    are cancelled; one that was sent at this very bar cannot be, and is counted.

    A live broker needs ``working_orders(data)``, which returns its open orders for a feed. Where its
    ``cancel`` returns None, the target waits for the confirmation: call `repeat_targets` at each bar.
    """
    for name, value in (("share", share), ("rebalance", rebalance)):
        if value is not None and not math.isfinite(value):
            raise StrategyError(f"{name} must be a finite number, got {value}.")
    data = strategy.data if data is None else data
    _waiting(strategy).pop(data, None)
    broker, price = strategy.broker, data.close[0]
    info, orders = broker.getcommissioninfo(data), _market_orders(strategy, data)
    have = strategy.getposition(data).size + sum(order.executed.remsize for order in orders)
    target = share * broker.getvalue()
    missing = target - _value(info, have, price)
    if _side(share) == _side(have):
        exact = not share or rebalance is None
        if exact or abs(missing) <= (rebalance or 0.0) * abs(target):
            return None
    for order in orders:
        if order.executed.remsize * missing < 0:
            canceled = broker.cancel(order)
            if canceled is None:  # a live broker confirms later
                _waiting(strategy)[data] = share, rebalance, options
                return None
            if canceled:
                have -= order.executed.remsize
    missing = target - _value(info, have, price)
    size = info.getsize(price, abs(missing)) if share else abs(have)
    if not size:
        if share and have == 0:
            _tell_nothing_to_buy(strategy, data, share, target, price)
        return None
    send = strategy.buy if missing > 0 else strategy.sell
    return send(data=data, size=size, fit=True, **options)


def share_left(strategy: bt.Strategy, share: float, budget: float, data: bt.feed.DataBase) -> float:
    """Return `share` of a budget, or less where positions in other feeds, with their working orders, leave less.

    What they leave is shared equally with the feeds that have none, so that it does not matter which comes first.

    Parameters
    ----------
    share : of the equity, if all feeds had one budget together
    budget : equal part of the equity that one feed may have
    """
    equity, held, idle = strategy.broker.getvalue(), 0.0, round(1 / budget)
    for other in strategy.datas:
        if other is not data and len(other):
            size = strategy.broker.getposition(other).size
            working = _working_orders(strategy.broker, other)
            size += sum(order.executed.remsize for order in working if order.exectype == Order.Market)
            info = strategy.broker.getcommissioninfo(other)
            held += abs(_value(info, size, other.close[0]))
            idle -= size != 0
    left = max(0.0, abs(share) - held / equity) if equity > 0 else 0.0
    return math.copysign(min(abs(share) * budget, left / max(idle, 1)), share)


def repeat_targets(strategy: bt.Strategy) -> None:
    """Call `target_orders` again for the targets that wait for a cancellation."""
    waiting = _waiting(strategy)
    if waiting:
        for data, (share, rebalance, options) in list(waiting.items()):
            target_orders(strategy, share, data, rebalance, **options)


def _waiting(strategy: bt.Strategy) -> dict[Any, tuple[float, float | None, dict[str, Any]]]:
    return strategy.__dict__.setdefault("_waiting_targets", {})


def _market_orders(strategy: bt.Strategy, data: bt.feed.DataBase) -> list[Order]:
    return [
        order
        for order in _working_orders(strategy.broker, data)
        if order.owner is strategy and order.exectype == Order.Market and order.parent is None
    ]


def _working_orders(broker: bt.BrokerBase, data: bt.feed.DataBase) -> list[Order]:
    if hasattr(broker, "working_orders"):
        working = broker.working_orders(data)
    else:  # backtrader's own leaves out of get_orders_open() what was sent at this very bar
        working = [*broker.submitted, *broker.pending]
    return [order for order in working if order is not None and order.data is data]


def _value(info: bt.CommInfoBase, size: float, price: float) -> float:
    return size * price * info.p.mult


def _side(number: float) -> int:
    return (number > 0) - (number < 0)


def _tell_nothing_to_buy(
    strategy: bt.Strategy, data: bt.feed.DataBase, share: float, target: float, price: float
) -> None:
    """Tell once that the account is too small for a single order."""
    message = (
        f"No order was sent: {share:g} of the equity, {abs(target):,.2f}, is less than the least size at a "
        f"price of {price:,.6g}. Raise cash or size, or lower the step: margin_account(cerebro, lot_step=..)."
    )
    if hasattr(strategy.broker, "tell"):
        strategy.broker.tell("size", message)
    elif not getattr(strategy, "_told_nothing_to_buy", False):
        strategy._told_nothing_to_buy = True
        warnings.warn(message, stacklevel=3)
