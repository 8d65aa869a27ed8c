"""Margin broker: swaps, partial fills, deposits, refusals, ruin, several feeds."""

from __future__ import annotations

import datetime
import hashlib
import inspect
from collections.abc import Iterator
from typing import Any

import backtrader as bt
import pytest
from accounts import FOREX, Recorded, Steps, daily, orders, outcomes, trade

from bt_neuro.account.account import margin_account
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.feed import BarsFeed

FLAT = 1.10


class Parts:
    """A filler that fills an order in parts of the same size."""

    def __init__(self, size: float) -> None:
        self.size = size

    def __call__(self, order: bt.Order, price: float, ago: int) -> float:
        return min(self.size, abs(order.executed.remsize))


def test_the_method_that_is_replaced_has_not_changed() -> None:
    source = inspect.getsource(bt.brokers.BackBroker._execute)
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == "b6cc08ff1d7d4c9b"


# --- costs over time ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "start", "settings", "paid"),
    [
        pytest.param(100_000, "2024-01-01", {"swap_long": -6.5}, [0, 6.50, 26.00, 32.50, 39.00], id="long"),
        pytest.param(-100_000, "2024-01-04", {"swap_short": -2.0}, [0, 2.00], id="short over a weekend"),
        pytest.param(
            -100_000,
            "2024-01-04",
            {"swap_short": -2.0, "triple_day": "friday"},
            [0, 6.00],
            id="triple Friday",
        ),
        pytest.param(100_000, "2024-01-01", {"swap_short": -2.0}, [0, 0.0], id="other side"),
        pytest.param(100_000, "2024-01-01", {"swap_long": 1.5}, [0, -1.50], id="credit"),
        pytest.param(
            100_000,
            "2024-01-04",
            {"swap_long": -3.6, "swap_unit": "percent", "triple_day": "calendar"},
            [0, 33.00],
            id="percent a year, three nights",
        ),
    ],
)
def test_swap(size: float, start: str, settings: dict[str, Any], paid: list[float]) -> None:
    strategy = trade(orders(size), daily(*[FLAT] * (len(paid) + 1), start=start), **FOREX | settings)
    assert [10_000 - equity for equity in strategy.equity[1:]] == pytest.approx(paid, abs=1e-9)
    assert strategy.broker.books.swap == pytest.approx(paid[-1])


def test_a_swap_belongs_to_the_part_that_closes() -> None:
    bars = daily(*[FLAT] * 4, start="2024-01-01")
    strategy = trade(orders(100_000, 0, -25_000), bars, **FOREX | {"swap_long": -6.5})
    assert strategy.orders[-1].executed.comm == pytest.approx(26.00 / 4)
    assert strategy.broker.d_credit[strategy.data] == pytest.approx(26.00 * 3 / 4)


def test_the_swap_is_paid_before_a_stop_out() -> None:
    bars = daily(FLAT, FLAT, 1.04, start="2024-01-04")  # Thursday, Friday, Monday
    strategy = trade(orders(200_000), bars, **FOREX | {"swap_long": -10.0})
    assert strategy.broker.getvalue() == pytest.approx(-2_000.00 - 20.00)


@pytest.mark.parametrize(
    ("size", "part", "price", "settings", "commission"),
    [
        pytest.param(
            37_000, 20_000, 1.10, FOREX | {"commission_lot": 3.5}, 1.295, id="0.37 lot in two parts"
        ),
        pytest.param(300, 100, 20, {"preset": "stock", "spread": 0.0}, 1.50, id="300 shares in thirds"),
        pytest.param(
            90, 30, 20, {"preset": "stock", "spread": 0.0}, 1.00, id="90 shares in thirds: the minimum"
        ),
    ],
)
def test_commission_of_an_order_over_its_parts(
    size: float, part: float, price: float, settings: dict[str, Any], commission: float
) -> None:
    strategy = trade(orders(size), daily(*[price] * 5), filler=Parts(part), **settings)
    assert strategy.position.size == size
    assert strategy.orders[-1].executed.comm == pytest.approx(commission)
    assert strategy.broker.counts.partly_filled == 1


def test_a_reversal_is_one_order_and_two_trades() -> None:
    bars = daily(FLAT, FLAT, 1.11)
    strategy = trade(orders(100_000, -200_000), bars, **FOREX | {"spread": 10.0})
    (closed,) = strategy.trades
    assert (closed.pnl, closed.pnlcomm) == pytest.approx((1_000.00, 990.00))
    books = strategy.broker.books
    assert (books.gross, books.spread, books.commission) == pytest.approx((1_000.00, 15.00, 0.0))
    assert books.closing(open_profit=0.0) == pytest.approx(10_985.00)


@pytest.mark.parametrize(
    ("settings", "fills"),
    [
        ({"slippage": 50}, (100.5, 99.5)),
        ({"slippage": 500}, (101.0, 99.0)),  # as far as the bar reaches
        ({"slippage_range": 0.25}, (100.5, 99.5)),
        ({"slippage_range": 1.0}, (101.0, 99.0)),
    ],
)
def test_slippage(settings: dict[str, float], fills: tuple[float, float]) -> None:
    bars = daily(*[(100.0, 101.0, 99.0, 100.0)] * 3)
    strategy = trade(orders(2, -2), bars, spread=0.0, point=0.01, **settings)
    assert tuple(order.executed.price for order in strategy.orders) == pytest.approx(fills)
    assert strategy.broker.books.slippage == pytest.approx(2 * (fills[0] - fills[1]))


@pytest.mark.parametrize(
    ("kind", "price", "limit", "fill"),
    [
        pytest.param(bt.Order.Limit, 102.0, None, 100.2, id="the open passes the limit: as at market"),
        pytest.param(bt.Order.Limit, 100.1, None, 100.1, id="no further than the limit"),
        pytest.param(bt.Order.Limit, 99.5, None, 99.5, id="inside the bar: at the limit"),
        pytest.param(bt.Order.Stop, 100.5, None, 100.7, id="a stop"),
        pytest.param(bt.Order.Stop, 100.9, None, 101.0, id="no further than the bar"),
        pytest.param(bt.Order.StopLimit, 100.5, 100.9, 100.7, id="a stop-limit"),
        pytest.param(bt.Order.StopLimit, 100.5, 100.6, 100.6, id="a stop-limit, no further than its limit"),
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_slippage_by_kind_of_order(side: int, kind: int, price: float, limit: float, fill: float) -> None:
    def mirrored(value: float | None) -> float | None:
        return value if value is None or side > 0 else 200.0 - value

    steps = orders(side, exectype=kind, price=mirrored(price), plimit=mirrored(limit))
    strategy = trade(steps, daily(100, (100, 101, 99, 100)), spread=0.0, point=0.01, slippage=20, leverage=10)
    assert strategy.orders[-1].executed.price == pytest.approx(mirrored(fill))


# --- exits of an entry that fills in part ----------------------------------------------------------------

FALLS = [100, 100, 100, 100, (100, 101, 80, 85), 85]
EXPIRES = {"exectype": bt.Order.Limit, "price": 100, "oargs": {"valid": datetime.timedelta(days=1)}}


def enters(size: float, held: float = 0, then: str = "", **options: Any) -> Steps:
    """Enter with a stop at 95 and a limit at 110, after a position of `held`, and act two bars later."""

    def script(strategy: bt.Strategy) -> Iterator[None]:
        if held:
            strategy.order_target_size(target=held)
        yield
        entry, *_ = strategy.buy_bracket(
            size=size, **{"exectype": bt.Order.Market, "stopprice": 95, "limitprice": 110} | options
        )
        yield
        if then == "cancel":
            strategy.cancel(entry)
        elif then == "close":
            strategy.close()
            yield
            strategy.cancel(entry)
        yield

    return script


@pytest.mark.parametrize(
    ("steps", "part", "stopped"),
    [
        pytest.param(enters(1_500), 1e9, 1_000, id="below a step"),
        pytest.param(enters(30_000, oargs={"fit": True}), 1e9, 20_000, id="cut to the buying power"),
        pytest.param(enters(30_000), 15_000, 15_000, id="its second part is refused"),
        pytest.param(enters(3_000, **EXPIRES), 1_000, 1_000, id="expires"),
        pytest.param(enters(3_000, then="cancel"), 1_000, 1_000, id="is cancelled"),
        pytest.param(enters(2_500, held=-1_000), 1e9, 1_000, id="turns a position"),
        pytest.param(enters(3_000, held=-2_000, then="cancel"), 1_500, None, id="only reduces a position"),
        pytest.param(enters(3_000, then="close"), 1_000, 1_000, id="half was closed before"),
        pytest.param(enters(500), 1e9, None, id="nothing fills"),
    ],
)
def test_exits_are_for_what_the_entry_filled(steps: Steps, part: float, stopped: float | None) -> None:
    money = FOREX | {"point": 0.01, "cash": 1e6, "leverage": 2.0}
    strategy = trade(steps, daily(*FALLS), filler=Parts(part), **money)
    ends = {
        order.getordername(): (order.getstatusname(), -order.executed.size)
        for order in strategy.orders
        if order.parent is not None
    }
    if stopped is None:
        assert {size for _, size in ends.values()} == {0}
        assert not strategy.broker.pending
    else:
        assert ends == {"Stop": ("Completed", stopped), "Limit": ("Canceled", 0)}
        assert strategy.position.size == 0


# --- cash that moves ------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [False, True], ids=["", "an order that reads the value follows"])
def test_a_deposit_arrives_before_the_next_bar(looks: bool) -> None:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        strategy.buy(size=100)
        yield
        strategy.broker.add_cash(10_000)
        if looks:
            strategy.order_target_percent(target=1.0)  # the position has that size
            assert strategy.broker.getvalue() == 10_000
        yield

    strategy = trade(script, daily(100, 100, 110), spread=0.0)
    assert strategy.broker.getvalue() == pytest.approx(21_000)
    assert strategy.broker.fundvalue == pytest.approx(105.0)
    assert strategy.broker.books.deposits == 10_000


def test_a_withdrawal_beyond_the_free_margin_is_refused() -> None:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        strategy.buy(size=150_000)  # 5,500 of margin
        yield
        strategy.broker.add_cash(-4_600)
        strategy.broker.add_cash(-4_400)
        yield

    strategy = trade(script, daily(FLAT, FLAT, FLAT), **FOREX)
    assert strategy.broker.getvalue() == pytest.approx(5_600)
    assert strategy.broker.messages["withdrawal"] == (
        "A withdrawal of 4,600.00 was refused: 4,500.00 of margin is free. "
        "Withdraw less, or close positions first."
    )


def test_oandas_example() -> None:
    """1,000,000 EUR/GBP at 0.8567, as in OANDA's margin rules."""
    settings = {"cash": 50_000.0, "leverage": 100 / 3.33333, "spread": 20.0, "point": 1e-5}
    broker = trade(orders(1_000_000), daily(0.8567, 0.8567), **settings | {"cash": 50_000.0}).broker
    # Half of the spread is paid at the entry.
    assert broker.margin() == pytest.approx(28_556.64, abs=5e-3)
    assert broker.getvalue() == pytest.approx(49_900.00)
    assert broker.free_margin() == pytest.approx(49_900.00 - 28_556.64, abs=5e-3)


# --- refusals, counts, ruin -----------------------------------------------------------------------------


def test_orders_are_counted_by_outcome_and_told_once_a_kind() -> None:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        strategy.buy(size=400)  # below a step
        strategy.buy(size=500)
        strategy.buy(size=900_000)  # beyond margin
        strategy.buy(size=1_900)  # floored
        strategy.buy(size=1_000, exectype=bt.Order.Limit, price=0.5, valid=strategy.data.datetime.datetime(0))
        yield

    strategy = trade(script, daily(FLAT, FLAT, FLAT), **FOREX)
    assert strategy.broker.counts.as_dict() == {
        "orders": 5,
        "refused_orders": 3,
        "refused_margin": 1,
        "refused_size": 2,
        "refused_ruin": 0,
        "partly_filled_orders": 0,
        "cut_orders": 1,
        "expired_orders": 1,
        "stop_outs": 0,
    }
    assert [
        order.info.reason for order in strategy.orders if order.status in (order.Margin, order.Rejected)
    ] == [
        "size",
        "size",
        "margin",
    ]
    assert strategy.broker.messages == {
        "size": "An order to buy 400 was refused: the least size is 1000. "
        "Raise cash or size, or lower lot_step and lot_minimum.",
        "margin": "An order to buy 900000 was refused: it needs 33,000.00 of margin and the equity is "
        "10,000.00. Trade smaller sizes, raise leverage, or send orders with fit=True.",
    }


def test_a_refusal_warns_once() -> None:
    with pytest.warns(UserWarning, match="least size is 1000") as warned:
        trade(orders(400, 500, 600), daily(*[FLAT] * 4), quiet=False, **FOREX)
    assert len(warned) == 1


def test_ruin_ends_trading() -> None:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        strategy.buy(size=200_000)
        strategy.sell(size=1_000, exectype=bt.Order.Limit, price=2.0)
        yield
        yield
        strategy.broker.add_cash(50_000)
        yield
        strategy.buy(size=1_000)
        strategy.buy_bracket(size=1_000, price=1.0, stopprice=0.9, limitprice=1.2)
        yield

    bars = daily(FLAT, FLAT, 1.04, 1.04, 1.04, 1.04)
    strategy = trade(script, bars, **FOREX)
    broker = strategy.broker
    assert broker.ruined_at == bars["datetime"][2]
    assert strategy.equity[2:] == pytest.approx([-2_000] * 4)
    assert outcomes(strategy) == ["Completed", "Canceled", "Completed", *["Rejected"] * 4]
    assert broker.counts.refused == {"ruin": 4}
    assert not broker.pending
    assert not broker.submitted


# --- several feeds --------------------------------------------------------------------------------------


def both(first: float, second: float, later: float = 0.0) -> Steps:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        strategy.buy(data=strategy.datas[0], size=first)
        if second:
            strategy.buy(data=strategy.datas[1], size=second)
        yield
        if later:
            strategy.buy(data=strategy.datas[1], size=later)
        yield

    return script


def test_losses_of_several_feeds_add_up_at_the_close_and_the_largest_goes_first() -> None:
    # 100,000 each: 7,333 of margin, and a stop-out at half of it. Alone each may fall by 0.065 or so.
    falls = (1.10, 1.10, 1.06, 1.06), (1.10, 1.10, 1.07, 1.07)
    frames = [daily(FLAT, FLAT, fall) for fall in falls]
    strategy = trade(both(100_000, 100_000), *frames, **FOREX)
    broker = strategy.broker
    assert [broker.positions[data].size for data in strategy.datas] == [0, 100_000]
    assert strategy.orders[-1].executed.price == 1.06
    assert broker.getvalue() == pytest.approx(10_000 - 4_000 - 3_000)


def test_margin_at_the_open_knows_no_later_price_of_another_feed() -> None:
    # The first feed doubles within the very bar at whose open the second is bought.
    rises = daily(FLAT, FLAT, (1.10, 2.20, 1.10, 2.20), 2.20)
    strategy = trade(both(136_000, 0, later=200_000), rises, daily(*[FLAT] * 4), **FOREX)
    assert outcomes(strategy) == ["Completed", "Margin"]


# --- what it refuses ------------------------------------------------------------------------------------


def test_the_spread_is_that_of_the_feed_that_trades() -> None:
    frames = [daily(FLAT, FLAT, spread=10.0), daily(FLAT, FLAT, spread=30.0)]
    broker = trade(both(1_000, 1_000), *frames, leverage=30, point=1e-5).broker
    assert broker.books.spread == pytest.approx(0.05 + 0.15)


def test_conditions_must_be_an_instrument() -> None:
    cerebro = bt.Cerebro()
    cerebro.adddata(BarsFeed(bars=daily(FLAT, FLAT)))
    margin_account(cerebro).setcommission(0.001)
    cerebro.addstrategy(Recorded, script=orders(1))
    with pytest.raises(StrategyError, match="must be an Instrument, got CommInfoBase"):
        cerebro.run()


def test_a_fund_history_is_refused() -> None:
    with pytest.raises(StrategyError, match=r"Use add_cash\(\)"):
        margin_account(bt.Cerebro()).set_fund_history([])
