"""Margin account under any orders and bars: it reconciles, keeps to its leverage and stops at ruin."""

from __future__ import annotations

from typing import Any

import backtrader as bt
import hypothesis.strategies as st
import pandas as pd
from accounts import daily
from hypothesis import given, settings

from bt_neuro.account.account import margin_account
from bt_neuro.account.target import target_orders
from bt_neuro.plugin.feed import BarsFeed

BARS, PRICE = 8, 100.0
moves = st.floats(-0.35, 0.35)


@st.composite
def bars(draw: st.DrawFn) -> pd.DataFrame:
    rows, close = [], PRICE
    for _ in range(BARS):
        first = close * (1 + draw(moves))
        close = first * (1 + draw(moves))
        high = max(first, close) * (1 + abs(draw(moves)))
        low = min(first, close) * (1 - abs(draw(moves)))
        rows.append((first, high, low, close))
    return daily(*rows, spread=draw(st.lists(st.integers(0, 500), min_size=BARS, max_size=BARS)))


kinds = st.sampled_from(["market", "limit", "stop", "bracket", "target", "close", "cancel", "deposit"])
actions = st.lists(
    st.tuples(kinds, st.integers(0, 1), st.floats(-40.0, 40.0), st.floats(-0.1, 0.1)),
    min_size=BARS,
    max_size=3 * BARS,
)
accounts = st.fixed_dictionaries(
    {
        "leverage": st.sampled_from([1.0, 2.0, 30.0, 500.0]),
        "stop_out": st.sampled_from([0.0, 0.5, 0.9]),
        "stop_out_short": st.sampled_from([None, 0.6]),
        "multiplier": st.sampled_from([1.0, 50.0]),
        "lot_step": st.sampled_from([1e-8, 0.1, 1.0]),
        "commission": st.sampled_from([0.0, 1e-3]),
        "commission_minimum": st.sampled_from([0.0, 25.0]),
        "commission_cap": st.sampled_from([None, 0.01]),
        "swap_long": st.sampled_from([0.0, -20.0, 5.0]),
        "swap_unit": st.sampled_from(["points", "percent"]),
        "slippage": st.sampled_from([0.0, 30.0]),
        "protected": st.booleans(),
    }
)


class Anything(bt.Strategy):
    """Carries out a list of actions, some each bar, and checks the account at every event."""

    params = (("actions", ()),)

    def __init__(self) -> None:
        self.left = list(self.p.actions)
        self.orders: list[bt.Order] = []

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        self.check()
        for _ in range(-(-len(self.p.actions) // BARS)):
            if self.left:
                self.act(*self.left.pop())

    def act(self, kind: str, feed: int, amount: float, away: float) -> None:
        data, broker = self.datas[feed], self.broker
        price, size = data.close[0], abs(amount) * broker.p.cash / data.close[0]
        size = max(size, 1e-6)
        send, enter = (self.buy, self.buy_bracket) if amount > 0 else (self.sell, self.sell_bracket)
        if kind == "market":
            self.orders.append(send(data=data, size=size))
        elif kind in ("limit", "stop"):
            exectype = bt.Order.Limit if kind == "limit" else bt.Order.Stop
            self.orders.append(send(data=data, size=size, exectype=exectype, price=price * (1 + away)))
        elif kind == "bracket":
            up, down = price * (1 + abs(away) + 1e-3), price * (1 - abs(away) - 1e-3)
            stop, limit = (down, up) if amount > 0 else (up, down)
            enter(data=data, size=size, exectype=bt.Order.Market, stopprice=stop, limitprice=limit)
        elif kind == "target":
            target_orders(self, amount, data)
        elif kind == "close":
            self.close(data=data)
        elif kind == "cancel" and self.orders:
            self.cancel(self.orders.pop())
        elif kind == "deposit":
            broker.add_cash(100 * amount)

    def notify_order(self, order: bt.Order) -> None:
        self.check()

    def check(self) -> None:
        broker = self.broker
        open_profit = value = 0.0
        for data in self.datas:
            pos, info = broker.positions[data], broker.getcommissioninfo(data)
            open_profit += info.profitandloss(pos.size, pos.price, data.close[0])
            value += abs(info.getvaluesize(pos.size, data.close[0]))
            assert (pos.size != 0) == (data in broker._holdings)
        scale = max(1.0, value, abs(broker.books.gross), broker.books.opening + abs(broker.books.deposits))
        assert abs(broker.books.closing(open_profit) - broker.getvalue()) <= 1e-6 * scale


@settings(max_examples=150)
@given(
    frames=st.tuples(bars(), bars()),
    account=accounts,
    actions=actions,
    part=st.sampled_from([None, 5.0, 40.0]),
)
def test_any_orders_on_any_bars(
    frames: tuple[pd.DataFrame, ...], account: dict[str, Any], actions: list[Any], part: float | None
) -> None:
    cerebro = bt.Cerebro(stdstats=False)
    for number, frame in enumerate(frames):
        cerebro.adddata(BarsFeed(bars=frame, name=f"feed{number}"))
    broker = margin_account(cerebro, point=0.01, **account)
    broker.p.quiet = True
    if part is not None:
        broker.set_filler(lambda order, price, ago: min(part, abs(order.executed.remsize)))
    watch_margin(broker)
    cerebro.addstrategy(Anything, actions=actions)
    (strategy,) = cerebro.run()
    assert broker.opened_beyond_margin == []
    if broker.ruined_at is not None:
        assert not any(broker.positions[data].size for data in strategy.datas)


def watch_margin(broker: Any) -> None:
    """Record each fill that grows or turns a position and leaves more margin than equity."""
    fill = broker._fill
    broker.opened_beyond_margin = []

    def watched(order: bt.Order, size: float, price: float, time: float) -> None:
        held = broker.positions[order.data].size
        fill(order, size, price, time)
        now, info = broker.positions[order.data].size, broker.getcommissioninfo(order.data)
        grows = abs(now) > abs(held) or now * held < 0
        equity = broker._equity_at(order.data, info, price)
        margin = broker._others(order.data)[1] + info.margin_of(now, price)
        assert broker.ruined_at is None  # nothing trades after ruin
        if grows and margin > equity + 1e-6 * max(1.0, abs(equity)):
            broker.opened_beyond_margin.append((order.ref, margin, equity))

    broker._fill = watched
