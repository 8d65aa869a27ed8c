"""Target orders: what they send while orders work, fill in parts, or cannot fill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import backtrader as bt
import pytest
from accounts import FOREX, daily, outcomes, trade
from modes import Script, random_hours

from bt_neuro.account.account import margin_account
from bt_neuro.account.target import target_orders
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.feed import BarsFeed

FLAT = 1.10
PLAIN: dict[str, Any] = {"spread": 0.0, "point": 0.01}


class Percent(bt.Strategy):
    """Turns by random signals, with the helper or as a strategy without one would."""

    params = (("helper", True), ("size", 0.95))

    def __init__(self) -> None:
        self.log: list[Any] = []

    def next(self) -> None:
        close, before = round(self.data.close[0] * 1e5), self.position.size
        share = {0: self.p.size, 1: -self.p.size}.get(close % 7)
        if share is None:
            return
        if self.p.helper:
            target_orders(self, share)
        elif (before <= 0) if share > 0 else (before >= 0):
            self.order_target_percent(target=share)

    def notify_order(self, order: bt.Order) -> None:
        done = order.executed
        self.log.append(
            (order.getstatusname(), order.created.size, done.size, done.price, done.comm, done.pnl)
        )


@pytest.mark.parametrize("is_margin", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_sends_what_order_target_percent_sends(is_margin: bool, seed: int) -> None:
    logs = []
    for helper in (False, True):
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(BarsFeed(bars=random_hours(300, seed=seed)))
        broker = margin_account(cerebro, spread=12.0, point=1e-5)
        if not is_margin:
            cerebro.broker = bt.brokers.BackBroker()
            cerebro.broker.addcommissioninfo(broker.comminfo[None])
        cerebro.addstrategy(Percent, helper=helper)
        logs.append(cerebro.run()[0].log)
    assert len(logs[0]) > 100
    assert logs[0] == logs[1]


def test_orders_that_fill_in_parts_do_not_add_up() -> None:
    def always(strategy: bt.Strategy) -> Iterator[None]:
        while True:
            target_orders(strategy, 0.95)
            yield

    bars = daily(*[100.0] * 8).assign(volume=100.0)
    strategy = trade(always, bars, filler=bt.fillers.FixedBarPerc(perc=20), **PLAIN)
    assert strategy.position.size == pytest.approx(95.0)
    assert strategy.broker.counts.orders == 1


@pytest.mark.parametrize(
    ("shares", "fill", "sizes", "position"),
    [
        pytest.param([0.95, -0.95], 20, [95, -115], -95, id="cancels 75 at work, sells the 20 held and 95"),
        pytest.param([0.95, 0.0], 20, [95, -20], 0, id="flat"),
        pytest.param([0.95, 0.95, 0.95], 20, [95], 95, id="the same again"),
        pytest.param([(0.95, -0.95)], 1000, [95, -190], -95, id="an order of this very bar is counted"),
        pytest.param([0.95, None, 0.95], 1000, [95], 95, id="is there"),
        pytest.param([0.0], 1000, [], 0, id="is flat"),
    ],
)
def test_position_and_working_orders(
    shares: list[Any], fill: float, sizes: list[float], position: float
) -> None:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        for share in shares:
            for each in share if isinstance(share, tuple) else (share,):
                if each is not None and (order := target_orders(strategy, each)) is not None:
                    sent.append(order.size)
            yield

    sent: list[float] = []
    strategy = trade(
        script, daily(*[100.0] * 12), filler=lambda order, *_: min(fill, abs(order.executed.remsize)), **PLAIN
    )
    assert sent == pytest.approx(sizes)
    assert strategy.position.size == pytest.approx(position)


@pytest.mark.parametrize(("rebalance", "sizes"), [(None, [50.0]), (0.3, [50.0]), (0.05, [50.0, -8.33333334])])
def test_rebalance(rebalance: float | None, sizes: list[float]) -> None:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        for _ in range(3):
            if (order := target_orders(strategy, 0.5, rebalance=rebalance)) is not None:
                sent.append(order.size)
            yield

    sent: list[float] = []
    trade(script, daily(100.0, (100, 150, 100, 150), 150), **PLAIN)
    assert sent == pytest.approx(sizes)


@pytest.mark.parametrize("size", [1.0, 5.0, 30.0])
def test_all_of_the_equity_fills(size: float) -> None:
    """A share beyond the buying power is cut at the fill; nothing is refused, nobody runs away."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=random_hours(300)))
    margin_account(cerebro, leverage=max(1.0, size), spread=12.0, point=1e-5).p.quiet = True
    cerebro.addstrategy(Percent, size=size)
    (strategy,) = cerebro.run()
    counts = strategy.broker.counts
    assert counts.orders > 20
    assert counts.refused == {}
    assert counts.cut > 5


def test_too_small_an_account_is_told_once() -> None:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        for _ in range(3):
            assert target_orders(strategy, 0.95) is None
            yield

    message = (
        "No order was sent: 0.95 of the equity, 950.00, is less than the least size at a price of 1.1. "
        "Raise cash or size, or lower the step: margin_account(cerebro, lot_step=..)."
    )
    broker = trade(script, daily(*[FLAT] * 4), **FOREX | {"cash": 1_000.0}).broker
    assert broker.messages == {"size": message}
    with pytest.warns(UserWarning, match="No order was sent") as warned:
        plain(script, [60_000.0] * 4)  # with backtrader's whole units a coin is dearer than the account
    assert len(warned) == 1


def test_a_target_of_0_that_cancels_a_pending_order_is_silent() -> None:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        target_orders(strategy, 0.5, strategy.data1)
        yield  # a bar of the other feed: the order is accepted and cannot fill
        assert len(strategy.broker.working_orders(strategy.data1)) == 1
        assert target_orders(strategy, 0, strategy.data1) is None
        assert not strategy.broker.working_orders(strategy.data1)
        yield

    hours = random_hours(60)
    days = daily(*[FLAT] * 4, start=str(hours["datetime"].iloc[0].date()))
    assert trade(script, hours, days, **PLAIN).broker.messages == {}


def plain(script: Any, closes: list[float], broker: Any = None) -> Script:
    """Run a generator on a plain Cerebro."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=daily(*closes)))
    if broker is not None:
        cerebro.broker = broker
    cerebro.addstrategy(Script, script=script)
    return cerebro.run()[0]


class Live(bt.brokers.BackBroker):
    """Confirms a cancellation at the next bar, as brokers do."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bt.Order] = []

    def working_orders(self, data: bt.feed.DataBase) -> list[bt.Order]:
        return [order for order in (*self.submitted, *self.pending) if order is not None]

    def cancel(self, order: bt.Order, bracket: bool = False) -> None:
        self.asked.append(order)

    def next(self) -> None:
        while self.asked:
            super().cancel(self.asked.pop())
        super().next()


def test_a_live_broker_confirms_a_cancellation_first() -> None:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        assert target_orders(strategy, 0.95).size == 95
        yield  # fills 20 of 95
        assert target_orders(strategy, -0.95) is None
        yield
        assert target_orders(strategy, -0.95).size == -115
        yield

    broker = Live()
    broker.set_filler(lambda order, *_: min(20, abs(order.executed.remsize)))
    strategy = plain(script, [100.0] * 12, broker)
    assert strategy.position.size == -95
    assert outcomes(strategy)[-1] == "Completed"


@pytest.mark.parametrize("options", [{"share": float("nan")}, {"share": 0.5, "rebalance": float("inf")}])
def test_shares_are_numbers(options: dict[str, float]) -> None:
    with pytest.raises(StrategyError, match="must be a finite number, got"):
        target_orders(None, **options)
