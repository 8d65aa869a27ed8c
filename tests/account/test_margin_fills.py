"""Margin broker beside backtrader's own: the same fills, and the prices inside a trade."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import backtrader as bt
import numpy as np
import pytest
from accounts import FOREX, Steps, adds, daily, orders, trade
from modes import random_hours, run_modes

from bt_neuro.account.account import margin_account
from bt_neuro.account.instrument import Instrument
from bt_neuro.plugin.feed import BarsFeed

# --- inside a trade -------------------------------------------------------------------------------------


def both_ways(limit: float, stop: float) -> Steps:
    """Buy at a limit below the price and at a stop above it."""

    def script(strategy: bt.Strategy) -> Iterator[None]:
        strategy.buy(size=1, exectype=bt.Order.Limit, price=limit)
        strategy.buy(size=1, exectype=bt.Order.Stop, price=stop)
        yield

    return script


@pytest.mark.parametrize(
    ("steps", "bars", "excursion"),
    [
        pytest.param(
            orders(1, 0, -1),
            [100, (100, 104, 97, 101), (101, 108, 99, 102), (102, 120, 80, 100)],
            (97, 108),
            id="the bar after the exit does not count",
        ),
        pytest.param(
            orders(1, -1), [100, (100, 104, 97, 101), (94, 120, 80, 100)], (94, 104), id="exit at a gap"
        ),
        pytest.param(
            orders(1, exectype=bt.Order.Limit, price=98),
            [100, (100, 105, 97, 99), 99],
            (97, 99),
            id="a limit: the high may lie before it",
        ),
        pytest.param(
            orders(1, exectype=bt.Order.Stop, price=103),
            [100, (100, 105, 97, 104), 104],
            (103, 105),
            id="a stop: the low may lie before it",
        ),
        pytest.param(
            adds(1, (1, bt.Order.Stop, 105)),
            [100, (100, 104, 97, 101), (101, 108, 95, 104)],
            (95, 108),
            id="a stop that adds: what was held met the whole bar",
        ),
        pytest.param(
            adds(1, (1, bt.Order.Close, None)),
            [100, (100, 104, 97, 101), (101, 108, 95, 104)],
            (95, 108),
            id="adding at the close",
        ),
        pytest.param(
            adds(1, (1, bt.Order.Stop, 105), (-2, bt.Order.Stop, 96)),
            [100, (100, 104, 97, 101), (101, 108, 90, 104)],
            (96, 105),
            id="adding and leaving in one bar",
        ),
        pytest.param(
            both_ways(98, 103),
            [100, (100, 105, 96, 104)],
            (96, 105),
            id="a limit and a stop in one bar",
        ),
        pytest.param(
            orders(1, exectype=bt.Order.Close),
            [100, (100, 104, 97, 98), (99, 105, 97, 99)],
            (97, 105),
            id="at the close: the whole of the next bar",
        ),
    ],
)
def test_excursion(steps: Steps, bars: list[Any], excursion: tuple[float, float]) -> None:
    strategy = trade(steps, daily(*bars), spread=0.0, cash=1_000.0)
    holdings = strategy.broker._holdings
    if strategy.position.size:
        holding = holdings[strategy.data]
        assert (holding.low, holding.high) == excursion
    else:
        assert strategy.orders[-1].info.excursion == excursion
        assert not holdings


# --- the same as backtrader's own broker ----------------------------------------------------------------


class Wanderer(bt.Strategy):
    """Sends random orders of every kind and keeps all that it is notified of."""

    params = (("seed", 0),)

    def __init__(self) -> None:
        self.rng = np.random.default_rng(self.p.seed)
        self.log: list[Any] = []

    def next(self) -> None:
        self.log.append((self.broker.getcash(), self.broker.getvalue(), self.broker.fundvalue))
        data = self.datas[self.rng.integers(len(self.datas))]
        share = self.rng.uniform(-0.9, 0.9) / len(self.datas)
        kind = self.rng.integers(12)
        if kind < 7:  # without margin backtrader would let brackets and targets add up
            for order in self.broker.get_orders_open():
                if order.data is data:
                    self.cancel(order)
        if kind < 5:
            self.order_target_percent(data=data, target=share)
        elif kind == 5 and not self.getposition(data).size:
            price = data.close[0]
            enter, sign = (self.buy_bracket, 1) if share > 0 else (self.sell_bracket, -1)
            enter(
                data=data,
                size=abs(share) * self.broker.getvalue() / price,
                price=price * (1 - 1e-3 * sign),
                stopprice=price * (1 - 3e-3 * sign),
                limitprice=price * (1 + 3e-3 * sign),
            )
        elif kind == 6:
            self.close(data=data)

    def notify_order(self, order: bt.Order) -> None:
        done = order.executed
        self.log.append(
            (order.getstatusname(), done.dt, done.size, done.price, done.comm, done.pnl, done.value)
        )

    def notify_trade(self, trade: bt.Trade) -> None:
        self.log.append((trade.size, trade.price, trade.pnl, trade.pnlcomm, trade.baropen, trade.barclose))


@pytest.mark.parametrize("feeds", [1, 3])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slippage", [0.0, 7.0])
def test_off_fills_as_backtrader_does(feeds: int, seed: int, slippage: float) -> None:
    logs = []
    for is_margin in (False, True):
        cerebro = bt.Cerebro(stdstats=False)
        for number in range(feeds):
            cerebro.adddata(BarsFeed(bars=random_hours(150, seed=10 * seed + number), name=f"feed{number}"))
        costs = {"commission": 2e-5, "spread": 12.0, "point": 1e-5}
        if is_margin:
            margin_account(cerebro, slippage=slippage, **costs).p.quiet = True
        else:
            cerebro.broker.addcommissioninfo(Instrument(**costs))
            if slippage:
                cerebro.broker.set_slippage_fixed(slippage * 1e-5)
        cerebro.addstrategy(Wanderer, seed=seed)
        logs.append(cerebro.run()[0].log)
    assert len(logs[0]) > 300
    assert logs[0] == logs[1]


@run_modes
def test_every_way_of_running_gives_the_same(mode: dict[str, Any]) -> None:
    bars = daily(
        *[(1.10 - 0.004 * day, 1.11, 1.09 - 0.004 * day, 1.10) for day in range(12)], start="2024-01-01"
    )
    settings = FOREX | {"swap_long": -6.5, "spread": None}
    bars["spread"] = range(12)
    steps = orders(100_000, 50_000, -20_000, 0, -200_000, 0, 300_000)
    strategy = trade(steps, bars, mode=mode, **settings)
    assert strategy.equity == trade(steps, bars, **settings).equity
    assert len({round(equity, 2) for equity in strategy.equity}) > 8


# --- beside another feed --------------------------------------------------------------------------------


class Every(bt.Strategy):
    """Sends every kind of order for the first feed, at its bars, and remembers each fill."""

    def start(self) -> None:
        self.seen, self.fills, self.chance = 0, [], np.random.default_rng(3)

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        if len(self.data) == self.seen:
            return
        self.seen, close, kinds = len(self.data), self.data.close[0], bt.Order
        if self.seen % 8 == 0:
            for order in self.broker.get_orders_open():
                self.cancel(order)
            return
        near = close * (1 + 0.001 * self.chance.uniform(-1, 1))
        match self.seen % 4:
            case 0:
                self.buy(size=3, exectype=kinds.Limit, price=near)
            case 1:
                self.sell(size=2, exectype=kinds.StopTrail, trailamount=0.0005)
            case 2:
                self.buy(size=2, exectype=kinds.StopLimit, price=near, plimit=close)
            case 3:
                self.sell_bracket(
                    size=1, exectype=kinds.Market, stopprice=1.001 * close, limitprice=0.999 * close
                )

    def notify_order(self, order: bt.Order) -> None:
        if order.status == order.Completed:
            self.fills.append(
                (len(self.data), order.getordername(), order.executed.price, order.executed.size)
            )


@pytest.mark.parametrize("minutes", [20, 60])
def test_orders_fill_as_if_their_feed_were_alone(minutes: int) -> None:
    """backtrader tries an order again at each bar of any feed, also within the bar that sent or activated it."""
    fills = []
    for beside in (False, True):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(BarsFeed(bars=random_hours(240)), name="own")
        if beside:
            other = random_hours(3 * 240, seed=1)
            start, step = other["datetime"].iloc[0], np.timedelta64(minutes, "m")
            other["datetime"] = start + step * np.arange(len(other))
            cerebro.adddata(BarsFeed(bars=other[40:]), name="other")
        margin_account(cerebro, cash=10_000, spread=0.0)
        cerebro.addstrategy(Every)
        (ran,) = cerebro.run()
        fills.append(ran.fills)
    assert fills[0] == fills[1]
    assert {name for _, name, *_ in fills[0]} >= {"Limit", "StopTrail", "StopLimit", "Stop", "Market"}
