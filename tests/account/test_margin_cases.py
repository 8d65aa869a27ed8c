"""Margin account: every rule on a case computed by hand, to the cent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import backtrader as bt
import pandas as pd
import pytest
from accounts import FOREX, Steps, adds, daily, orders, outcomes, trade

from bt_neuro.account.target import target_orders

STOCK: dict[str, Any] = {
    "preset": "stock",
    "spread": 0.0,
    "commission_lot": 0.0,
    "commission_minimum": 0.0,
    "point": 0.01,
}
SHARES: dict[str, Any] = {"preset": "stock", "spread": 0.0, "point": 0.01}  # with a commission a share
FUTURE: dict[str, Any] = {
    "preset": "futures",
    "cash": 30_000.0,
    "contract_margin": 13_200.0,
    "stop_out": 12_000 / 13_200,
    "multiplier": 50.0,
    "commission_lot": 2.25,
    "spread": 0.0,
    "point": 0.25,
}
PLAIN: dict[str, Any] = {"spread": 0.0, "point": 0.01}
FEE = PLAIN | {"commission": 0.001, "commission_minimum": 2.0}
DONE, REFUSED = "Completed", "Margin"
BOTH, CUT = [DONE, DONE], ["Partial", "Canceled"]


class Case(NamedTuple):
    """A script on bars, and the account after it."""

    name: str
    steps: Steps
    bars: pd.DataFrame
    settings: dict[str, Any]
    outcomes: list[str]
    equity: float
    position: float
    price: float | None = None  # of the last fill


def bracket(size: float, stop: float | None = None, limit: float | None = None) -> Steps:
    def script(strategy: bt.Strategy) -> Iterator[None]:
        parent = strategy.buy(size=size, transmit=False)
        if stop is not None:
            strategy.sell(
                size=size, exectype=bt.Order.Stop, price=stop, parent=parent, transmit=limit is None
            )
        if limit is not None:
            strategy.sell(size=size, exectype=bt.Order.Limit, price=limit, parent=parent)
        yield

    return script


def targets(*shares: float | None) -> Steps:
    """Call the helper at each bar; None does not."""

    def script(strategy: bt.Strategy) -> Iterator[None]:
        for share in shares:
            if share is not None:
                target_orders(strategy, share)
            yield

    return script


STOP, MARKET, CLOSE = bt.Order.Stop, bt.Order.Market, bt.Order.Close
TENFOLD = PLAIN | {"leverage": 10.0}  # 900 at 100 are stopped out at 93.57 with 4,210.53
LOW = (1.10, 1.10, 1.06, 1.08)  # a bar whose low is beyond the stop-out level
FLAT = 1.10
# fmt: off
CASES = [
    # Buying power at the fill.
    Case("buy within margin", orders(272_000), daily(FLAT, FLAT), FOREX, [DONE], 10_000, 272_000),
    Case("sell within margin", orders(-272_000), daily(FLAT, FLAT), FOREX, [DONE], 10_000, -272_000),
    Case("buy beyond margin", orders(273_000), daily(FLAT, FLAT), FOREX, [REFUSED], 10_000, 0),
    Case("sell beyond margin", orders(-273_000), daily(FLAT, FLAT), FOREX, [REFUSED], 10_000, 0),
    Case("beyond margin at the open", orders(272_000), daily(FLAT, 1.12), FOREX, [REFUSED], 10_000, 0),
    Case("helper cuts at the open", targets(30), daily(FLAT, 1.12), FOREX, CUT, 10_000, 267_000),
    Case("limit order beyond margin", orders(273_000, exectype=bt.Order.Limit, price=1.09),
         daily(FLAT, FLAT, (1.10, 1.10, 1.08, 1.09)), FOREX | {"leverage": 29.0}, [REFUSED], 10_000, 0),
    # Stop-out.
    Case("long stopped out", orders(200_000), daily(FLAT, FLAT, LOW), FOREX, BOTH, 3_559.32, 0, 1.0677966),
    Case("stopped out in its first bar", orders(200_000), daily(FLAT, LOW), FOREX, BOTH, 3_559.32, 0),
    Case("short stopped out", orders(-200_000), daily(FLAT, FLAT, (1.10, 1.14, 1.10, 1.11)), FOREX,
         BOTH, 3_770.49, 0, 1.1311475),
    Case("stopped out at a gap: ruin", orders(200_000), daily(FLAT, FLAT, 1.04), FOREX,
         BOTH, -2_000.00, 0, 1.04),
    Case("with negative balance protection", orders(200_000), daily(FLAT, FLAT, 1.04),
         FOREX | {"protected": True}, BOTH, 0.00, 0, 1.04),
    Case("a limit does not rescue", bracket(200_000, limit=1.15),
         daily(FLAT, FLAT, (1.10, 1.16, 1.06, 1.10)), FOREX, [DONE, "Canceled", DONE], 3_559.32, 0),
    Case("a stop nearer than the level does", bracket(200_000, stop=1.08), daily(FLAT, FLAT, LOW), FOREX,
         BOTH, 6_000.00, 0, 1.08),
    Case("a stop beyond the level does not", bracket(200_000, stop=1.065), daily(FLAT, FLAT, LOW), FOREX,
         [DONE, "Canceled", DONE], 3_559.32, 0),
    Case("a market order goes first", orders(200_000, -200_000), daily(FLAT, FLAT, LOW), FOREX,
         BOTH, 10_000.00, 0),
    Case("closing below the margin", orders(200_000, -200_000), daily(FLAT, FLAT, 1.07), FOREX,
         BOTH, 4_000.00, 0),
    Case("short of 1:1", orders(-8_000), daily(FLAT, FLAT, (1.5, 1.6, 1.5, 1.5)), PLAIN,
         BOTH, 6_266.67, 0, 1.566667),
    Case("stock, long", orders(400), daily(40, 40, (40, 40, 15, 20)), STOCK, BOTH, 2_000.00, 0, 20.00),
    Case("stock, short", orders(-400), daily(40, 40, (40, 55, 40, 40)), STOCK, BOTH, 6_000.00, 0, 50.00),
    Case("buy limit, low of its bar", orders(200_000, exectype=bt.Order.Limit, price=1.10),
         daily(1.12, (1.12, 1.12, 1.06, 1.10)), FOREX, BOTH, 3_559.32, 0),
    Case("buy stop, low before it", orders(200_000, exectype=bt.Order.Stop, price=1.10),
         daily(1.05, (1.08, 1.10, 1.06, 1.10)), FOREX, [DONE], 10_000.00, 200_000),
    Case("an adding stop does not", adds(900, (1, STOP, 105)), daily(100, 100, (100, 106, 85, 104)), TENFOLD,
         [DONE, "Canceled", DONE], 4_210.53, 0, 93.567251),
    Case("nor one of a short", adds(-900, (-1, STOP, 95)), daily(100, 100, (100, 115, 94, 96)), TENFOLD,
         [DONE, "Canceled", DONE], 4_761.90, 0, 105.820106),
    Case("one that the open passes goes first", adds(900, (1, STOP, 99)),
         daily(100, 100, (100, 106, 85, 104)), TENFOLD, [DONE] * 3, 4_215.79, 0, 93.580232),
    Case("an adding stop beside a market order", adds(900, (1, STOP, 105), (-200, MARKET, None)),
         daily(100, 100, (100, 106, 75, 104)), TENFOLD,
         [DONE, DONE, "Canceled", DONE], 3_157.89, 0, 90.225564),
    Case("an order at the close beside it", adds(900, (1, CLOSE, None), (-200, MARKET, None)),
         daily(100, 100, (100, 106, 75, 104)), TENFOLD,
         [DONE, DONE, "Canceled", DONE], 3_157.89, 0, 90.225564),
    Case("a market order raises the level", adds(800, (100, MARKET, None), (1, STOP, 105)),
         daily(100, 100, (100, 106, 93, 104)), TENFOLD,
         [DONE, DONE, "Canceled", DONE], 4_210.53, 0, 93.567251),
    Case("an adding stop, no level met", adds(400, (500, STOP, 105)), daily(100, 100, (100, 106, 95, 105)),
         TENFOLD, BOTH, 12_000.00, 900),
    Case("short at the close, high of the next bar", orders(-900, exectype=CLOSE),
         daily(100, (99, 101, 99, 100), (101, 115, 100, 102)), TENFOLD, BOTH, 4_761.90, 0, 105.820106),
    # Reversal is one order.
    Case("reversal", orders(100_000, -200_000), daily(FLAT, FLAT, 1.11), FOREX | {"spread": 10.0},
         BOTH, 10_985.00, -100_000),
    Case("reversal beyond margin", orders(100_000, -400_000), daily(FLAT, FLAT, 1.11),
         FOREX | {"spread": 10.0}, [DONE, REFUSED], 10_995.00, 100_000),
    Case("helper reverses as far as it can", targets(11, -30), daily(FLAT, (1.10, 1.11, 1.10, 1.11), 1.11),
         FOREX | {"spread": 10.0}, [DONE, *CUT], 10_975.20, -296_000),
    # Sizes.
    Case("below a step", orders(400), daily(FLAT, FLAT), FOREX, ["Rejected"], 10_000, 0),
    Case("floored to a step", orders(1_900), daily(FLAT, FLAT), FOREX, CUT, 10_000, 1_000),
    Case("closing is exact", orders(2_000, -1_500), daily(FLAT, FLAT, FLAT), FOREX, BOTH, 10_000, 500),
    Case("adding below a step", orders(2_000, 400), daily(FLAT, FLAT, FLAT), FOREX,
         [DONE, "Rejected"], 10_000, 2_000),
    Case("adding below the least size", orders(1_000, 200), daily(1, 1, 1),
         PLAIN | {"lot_step": 100.0, "lot_minimum": 1_000.0}, [DONE, "Rejected"], 10_000, 1_000),
    Case("closing below the least size", orders(1_000, -200), daily(1, 1, 1),
         PLAIN | {"lot_step": 100.0, "lot_minimum": 1_000.0}, BOTH, 10_000, 800),
    Case("a coin dearer than the account", targets(0.95), daily(60_000, 60_000),
         {"preset": "crypto", "leverage": 1.0, "spread": 0.0, "point": 0.01}, [DONE], 9_990.50, 0.15833),
    # Futures.
    Case("two futures", orders(2), daily(5_000, 5_000, 5_010), FUTURE, [DONE], 30_995.50, 2),
    Case("two futures, there and back", orders(2, -2), daily(5_000, 5_000, 5_010), FUTURE,
         BOTH, 30_991.00, 0),
    Case("three futures", orders(3), daily(5_000, 5_000), FUTURE, [REFUSED], 30_000, 0),
    Case("futures stopped out", orders(2), daily(5_000, 5_000, (5_000, 5_000, 4_900, 4_950)), FUTURE,
         BOTH, 23_995.50, 0, 4_940.045),
    # Costs.
    Case("spread of EURUSD", orders(100_000, -100_000), daily(FLAT, FLAT, FLAT), FOREX | {"spread": 12.0},
         BOTH, 9_988.00, 0),
    Case("spread of USDJPY", orders(1_000, -1_000), daily(150, 150, 150),
         {"spread": 12.0, "point": 0.001, "leverage": 30.0}, BOTH, 9_988.00, 0),
    Case("3.50 a lot and side", orders(100_000, -100_000), daily(FLAT, FLAT, FLAT),
         FOREX | {"commission_lot": 3.5}, BOTH, 9_993.00, 0),
    Case("0.005 a share: the minimum", orders(100), daily(25, 25), SHARES, [DONE], 9_999.00, 100),
    Case("0.005 a share", orders(1_000), daily(25, 25), SHARES | {"cash": 1e5}, [DONE], 99_995.00, 1_000),
    Case("0.005 a share: the cap", orders(1_000), daily(0.25, 0.25), SHARES, [DONE], 9_997.50, 1_000),
    Case("reversal pays one minimum", orders(50, -100), daily(20, 20, 20), SHARES, BOTH, 9_998.00, -50),
    Case("0.1 %: the minimum", orders(5), daily(100, 100), FEE, [DONE], 9_998.00, 5),
    Case("0.1 %", orders(50), daily(100, 100), FEE, [DONE], 9_995.00, 50),
]
# fmt: on


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case) -> None:
    strategy = trade(case.steps, case.bars, **case.settings)
    assert outcomes(strategy) == case.outcomes
    assert strategy.position.size == pytest.approx(case.position, abs=1e-9)
    assert round(strategy.broker.getvalue(), 2) == pytest.approx(round(case.equity, 2), abs=1e-9)
    if case.price is not None:
        assert strategy.orders[-1].executed.price == pytest.approx(case.price, abs=5e-7)
