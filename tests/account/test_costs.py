"""Costs on backtrader's own broker: exact fills, cash and trades, in every way of running."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import backtrader as bt
import pytest
from modes import Script, hours, play, run_modes

from bt_neuro.account.instrument import Instrument
from bt_neuro.errors import StrategyError

# Prices of whole numbers, a point of 0.01 and a commission of 1 %, so that every figure is checked by eye.
OPENS = [100.0, 102.0, 104.0, 101.0, 99.0]
SPREADS = [10, 20, 30, 40, 50]  # points; half of the spread at the bar of the fill: 0.05, 0.10, 0.15, ...

CHEAP = {"commission": 0.0, "spread": 0.0, "point": 0.01}


def by_bar(data: bt.feed.DataBase) -> Instrument:
    return Instrument(commission=0.01, point=0.01, data=data)


def fixed(**params: Any) -> Callable[[bt.feed.DataBase], Instrument]:
    return lambda data: Instrument(**{**CHEAP, **params})


def buy_two_and_close(strategy: bt.Strategy) -> Iterator[None]:
    strategy.buy(size=2)
    yield
    strategy.close()
    yield


def sell_two_and_close(strategy: bt.Strategy) -> Iterator[None]:
    strategy.sell(size=2)
    yield
    strategy.close()
    yield


def statuses(strategy: Script) -> list[str]:
    return [order.getstatusname() for order in strategy.orders]


@run_modes
@pytest.mark.parametrize(
    ("script", "gross"),
    [pytest.param(buy_two_and_close, 4.0, id="long"), pytest.param(sell_two_and_close, -4.0, id="short")],
)
def test_each_fill_pays_commission_and_half_the_spread_of_its_own_bar(
    script: Callable[[bt.Strategy], Iterator[None]], gross: float, mode: dict[str, Any]
) -> None:
    strategy = play(script, hours(OPENS, spread=SPREADS), by_bar, **mode)
    entry, exit_ = strategy.orders
    (trade,) = strategy.trades
    assert (entry.executed.price, exit_.executed.price) == (102.0, 104.0)
    assert entry.executed.comm == pytest.approx(2 * (0.01 * 102 + 0.5 * 20 * 0.01))
    assert exit_.executed.comm == pytest.approx(2 * (0.01 * 104 + 0.5 * 30 * 0.01))
    assert trade.pnl == pytest.approx(gross)
    assert trade.pnlcomm == pytest.approx(gross - 4.62)
    assert strategy.broker.getcash() == pytest.approx(1000 + gross - 4.62)


@pytest.mark.parametrize(
    ("params", "cost"),
    [
        ({}, 0.0),
        ({"spread": 10.0}, 2 * 2 * 0.05),
        ({"spread": 10.0, "point": 0.001}, 2 * 2 * 0.005),
        ({"commission": 0.01}, 2 * (1.02 + 1.04)),
        ({"commission": 0.01, "spread": 10.0}, 2 * (1.02 + 1.04) + 0.2),
    ],
)
def test_costs_are_commission_plus_spread(params: dict[str, float], cost: float) -> None:
    strategy = play(buy_two_and_close, hours(OPENS, spread=SPREADS), fixed(**params))
    (trade,) = strategy.trades
    assert trade.pnl - trade.pnlcomm == pytest.approx(cost)
    assert strategy.broker.getcash() == pytest.approx(1004 - cost)


def test_reversal_pays_for_both_sides() -> None:
    def reverse(strategy: bt.Strategy) -> Iterator[None]:
        strategy.buy(size=2)
        yield
        strategy.sell(size=5)  # 2 to close, 3 to open
        yield
        strategy.close()
        yield

    strategy = play(reverse, hours(OPENS), fixed(spread=10.0))
    assert [order.executed.comm for order in strategy.orders] == pytest.approx([0.10, 0.25, 0.15])
    assert [trade.pnl for trade in strategy.trades] == pytest.approx([4.0, 9.0])
    assert [trade.pnlcomm for trade in strategy.trades] == pytest.approx([3.8, 8.7])


# --- the traps ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "opens", "params", "size", "status"),
    [
        pytest.param(0.95, [7.0, 7.0], {}, 135.71428571, "Completed", id="950 / 7, rounded down"),
        pytest.param(
            0.95, [7.0, 7.0], {"commission": 0.01}, 135.71428571, "Completed", id="no less for costs"
        ),
        pytest.param(1.0, [7.0, 7.0], {}, 142.85714285, "Completed", id="all of 1000"),
        pytest.param(1.0, [7.0, 7.0], {"spread": 1.0}, 142.85714285, "Margin", id="no room for any costs"),
        pytest.param(0.95, [7.0, 7.3], {}, 135.71428571, "Completed", id="a gap of 4.3 %"),
        pytest.param(0.95, [7.0, 7.5], {}, 135.71428571, "Margin", id="a gap of 7.1 %"),
        pytest.param(
            0.95, [7.0, 7.3], {"commission": 0.01}, 135.71428571, "Margin", id="costs after the gap"
        ),
        pytest.param(0.95, [60_000.0] * 2, {}, 0.01583333, "Completed", id="a part of a coin"),
    ],
)
def test_target_percent_leaves_no_room_for_costs(
    target: float, opens: list[float], params: dict[str, float], size: float, status: str
) -> None:
    def enter(strategy: bt.Strategy) -> Iterator[None]:
        strategy.order_target_percent(target=target)
        yield

    # The bar that decides closes at its own open, so that a gap lies between it and the fill.
    strategy = play(enter, hours(opens, close=opens), fixed(**params))
    (order,) = strategy.orders
    assert order.created.size == pytest.approx(size, abs=1e-12)
    assert order.getstatusname() == status
    assert strategy.position.size == (order.created.size if status == "Completed" else 0)
    assert status == "Completed" or strategy.broker.getcash() == 1000.0


@pytest.mark.parametrize(("spreads", "status"), [([9999, 1, 1], "Completed"), ([1, 9999, 1], "Margin")])
def test_cash_is_tested_with_the_costs_of_the_bar_that_executes(spreads: list[int], status: str) -> None:
    strategy = play(buy_two_and_close, hours([100.0] * 3, spread=spreads), by_bar, cash=210.0)
    assert statuses(strategy)[0] == status


def test_shorts_need_no_margin() -> None:
    def sell_a_hundred_times_the_cash(strategy: bt.Strategy) -> Iterator[None]:
        strategy.sell(size=1000)
        yield

    strategy = play(sell_a_hundred_times_the_cash, hours([100.0] * 3), fixed(spread=10.0))
    assert statuses(strategy) == ["Completed"]
    assert strategy.broker.getcash() == pytest.approx(1000 + 100_000 - 50)
    assert strategy.broker.getvalue() == pytest.approx(1000 - 50)


def test_reversal_beyond_cash_closes_and_opens_nothing() -> None:
    def reverse(strategy: bt.Strategy) -> Iterator[None]:
        strategy.sell(size=9)
        yield
        strategy.buy(size=9 + 9)
        yield

    # The order passes the test at 100 and then opens at 112: 892 of cash buy 9 back, but not 9 more.
    strategy = play(reverse, hours([100.0, 100.0, 112.0, 112.0], close=[100.0, 100.0, 112.0, 112.0]), fixed())
    assert statuses(strategy) == ["Completed", "Partial", "Margin"]
    assert strategy.position.size == 0
    assert len(strategy.trades) == 1


def test_order_at_the_last_bar_never_executes() -> None:
    def enter_late(strategy: bt.Strategy) -> Iterator[None]:
        yield
        strategy.buy(size=1)
        yield

    strategy = play(enter_late, hours([100.0, 100.0]), by_bar)
    assert statuses(strategy) == []
    assert strategy.position.size == 0
    assert strategy.broker.getvalue() == 1000.0


def test_open_position_has_not_yet_paid_its_exit() -> None:
    def enter(strategy: bt.Strategy) -> Iterator[None]:
        strategy.buy(size=2)
        yield

    strategy = play(enter, hours([100.0] * 3), fixed(spread=10.0))
    assert strategy.trades == []
    assert strategy.broker.getvalue() == pytest.approx(1000 - 2 * 0.05)


@pytest.mark.parametrize(
    ("wick", "fills"),
    [
        pytest.param(1.0, (100.5, 99.5), id="inside the bar"),
        pytest.param(0.25, (100.25, 99.75), id="capped at its high and low"),
        pytest.param(0.0, (100.0, 100.0), id="a flat bar lets nothing slip"),
    ],
)
def test_slippage_moves_the_price_and_costs_come_on_top(wick: float, fills: tuple[float, float]) -> None:
    bars = hours([100.0] * 4, high=100.0 + wick, low=100.0 - wick)
    strategy = play(buy_two_and_close, bars, fixed(spread=10.0), slippage=0.5)
    assert tuple(order.executed.price for order in strategy.orders) == fills
    (trade,) = strategy.trades
    assert trade.pnl == pytest.approx(2 * (fills[1] - fills[0]))
    assert trade.pnl - trade.pnlcomm == pytest.approx(2 * 2 * 0.05)


# --- what it refuses ---------------------------------------------------------------------------------------


def test_an_unknown_spread_is_refused() -> None:
    with pytest.raises(StrategyError, match="spread=POINTS"):
        Instrument(commission=0.01).getcommission(1, 100.0)
    with pytest.raises(StrategyError, match="spread=POINTS"):
        Instrument(commission=0.01, point=0.01).bound(bt.feed.DataBase())


def test_a_known_spread_needs_no_data() -> None:
    assert Instrument(spread=0).getcommission(1, 100.0) == 0.0
