"""Settings of an account: presets, ranges, and what a Cerebro gets."""

from __future__ import annotations

from typing import Any

import backtrader as bt
import pandas as pd
import pytest
from accounts import daily, orders, trade

from bt_neuro.account.account import PRESETS, Account, margin_account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.account.instrument import Instrument
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.feed import BarsFeed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cash": 0}, "cash must be above 0, got 0"),
        ({"cash": float("nan")}, "cash must be a finite number of at least 0, got nan"),
        ({"spread": -1}, "spread must be a finite number of at least 0, got -1"),
        ({"cash": "1000"}, "cash must be a finite number of at least 0, got '1000'."),
        ({"lot_minimum": True}, "lot_minimum must be a finite number of at least 0, got True."),
        ({"swap_long": float("-inf")}, "swap_long must be a finite number, got -inf."),
        ({"protected": "no"}, "protected must be True or False, got 'no'."),
        ({"preset": 5}, "account must be one of off, forex, stock, crypto, futures, got 5."),
        (
            {"lot_step": 1e-12},
            "lot x lot_step must be at least 1e-10 units, got 1e-12. Use a larger lot_step.",
        ),
        ({"leverage": 0.5}, "leverage must be at least 1, got 0.5"),
        ({"commission": 1.5}, "commission must be a fraction of the value below 1, got 1.5"),
        ({"stop_out": 1.0}, "stop_out x margin_rate must be below 1"),
        ({"stop_out_short": 1.2, "leverage": 30}, "stop_out x margin_rate must be below 1"),
        ({"slippage": 3, "slippage_range": 0.1}, "slippage must be points or a share"),
        ({"swap_unit": "pips"}, "swap_unit must be 'points' or 'percent', got 'pips'"),
        (
            {"triple_day": "wensday"},
            "triple_day must be a weekday or 'calendar', got 'wensday'. Did you mean wednesday?",
        ),
        (
            {"preset": "forx"},
            "account must be one of off, forex, stock, crypto, futures, got 'forx'. Did you mean forex?",
        ),
        ({"preset": "futures"}, "contract_margin must be given for futures"),
        ({"leverag": 30}, "An account has no setting 'leverag'. Did you mean leverage?"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError) as error:
        Account.of(**settings)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"leverage": None}, "leverage must be a finite number of at least 0, got None."),
        ({"triple_day": None}, "triple_day must be a weekday or 'calendar', got None."),
    ],
)
def test_none_is_no_setting(settings: dict[str, Any], message: str) -> None:
    """`Account.of` takes None for the preset's."""
    with pytest.raises(StrategyError) as error:
        Account(**settings)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(preset: str) -> None:
    money = {"contract_margin": 13_200.0} if preset == "futures" else {}
    account = Account.of(preset, leverage=None, **money)
    assert account.preset == preset
    assert account.instrument(point=0.01).p.step == account.lot * account.lot_step
    assert Account.of(preset, leverage=7, **money).leverage == 7


def test_off_is_the_default() -> None:
    assert Account.of() == Account()
    info = Account().instrument()
    assert (info.p.margin_rate, info.has_swap, info.has_order_fee, info.has_step) == (
        1.0,
        False,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"leverage": 10}, "must keep their defaults"),
        ({"margin": 1000.0}, "must keep their defaults"),
        ({"automargin": 0.1}, "must keep their defaults"),
        ({"interest": 0.05}, "must keep their defaults"),
        ({"step": 0.0}, "step must be at least 1e-10 units, got 0.0"),
    ],
)
def test_params_of_an_instrument_out_of_range(params: dict[str, float], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        Instrument(**params)


@pytest.mark.parametrize(
    ("point", "move", "pips"),
    [(1e-5, 0.0012, 12.0), (0.001, 0.12, 12.0), (0.01, 0.12, 12.0), (0.25, 10.0, 40.0), (0.125, 1.0, 8.0)],
)
def test_pips(point: float, move: float, pips: float) -> None:
    assert Instrument(point=point).pips(move) == pytest.approx(pips)


def test_lots() -> None:
    assert Account.of("forex").instrument().lots(37_000) == 0.37


@pytest.mark.parametrize(
    ("closes", "point"), [([1.10001, 1.2], 1e-5), ([150.123, 150.0], 1e-3), ([5000.0, 5001.0], 1.0)]
)
def test_the_point_is_that_of_the_prices(closes: list[float], point: float) -> None:
    broker = trade(orders(), daily(*closes), spread=12.0).broker
    (data,) = broker.cerebro.datas
    assert broker.getcommissioninfo(data).point == pytest.approx(point)


def pandas_feed() -> bt.feeds.PandasData:
    return bt.feeds.PandasData(dataname=daily(1.1, 1.2, 1.3).set_index("datetime"))


def test_another_feed_needs_spread_and_point() -> None:
    for settings, message in (
        ({}, "The spread must be known"),
        ({"spread": 12.0}, "The point must be known"),
    ):
        cerebro = bt.Cerebro()
        cerebro.adddata(pandas_feed())
        margin_account(cerebro, **settings)
        cerebro.addstrategy(bt.Strategy)
        cerebro.addstrategy(Once)
        with pytest.raises(StrategyError, match=message):
            cerebro.run()
    cerebro = bt.Cerebro()
    cerebro.adddata(pandas_feed())
    margin_account(cerebro, spread=0.0)
    cerebro.addstrategy(Once)
    assert cerebro.run()[0].position.size == 1


class Once(bt.Strategy):
    def next(self) -> None:
        if not self.position:
            self.buy(size=1)


def test_conditions_by_feed_and_cash_that_was_set_before() -> None:
    cerebro = bt.Cerebro()
    frames: list[pd.DataFrame] = [daily(1.1, 1.1), daily(40.0, 40.0)]
    for name, frame in zip(("EURUSD", "ACME"), frames, strict=True):
        cerebro.adddata(BarsFeed(bars=frame, name=name))
    cerebro.broker.setcash(25_000)
    broker = margin_account(cerebro, "forex", name="EURUSD")
    assert margin_account(cerebro, "stock", name="ACME") is broker
    assert isinstance(broker, MarginBroker)
    cerebro.addstrategy(bt.Strategy)
    cerebro.run()
    rates = [broker.getcommissioninfo(data).p.margin_rate for data in cerebro.datas]
    assert rates == [1 / 30, 1 / 2]
    assert broker.getcash() == 25_000


class OneOfEach(bt.Strategy):
    def start(self) -> None:
        self.prices: dict[str, float] = {}

    def next(self) -> None:
        for data in self.datas if len(self) == 1 else ():
            self.buy(data=data, size=1)

    def notify_order(self, order: bt.Order) -> None:
        if order.status == order.Completed:
            self.prices[order.data._name] = order.executed.price


def test_each_feed_has_its_own_slippage_and_all_have_one_account() -> None:
    conditions: dict[str, dict[str, Any]] = {
        "A": {"slippage": 20.0, "protected": True},
        "B": {"slippage_range": 0.25},
        "C": {},
    }
    cerebro = bt.Cerebro()
    for name, settings in conditions.items():
        cerebro.adddata(BarsFeed(bars=daily(*[(100, 101, 99, 100)] * 3)), name=name)
        broker = margin_account(cerebro, name=name, spread=0.0, point=0.01, **settings)
    cerebro.addstrategy(OneOfEach)
    (strategy,) = cerebro.run()
    assert strategy.prices == pytest.approx({"A": 100.2, "B": 100.5, "C": 100.0})
    assert broker.p.protected
    assert {name: account.slippage for name, account in broker.accounts.items()} == {
        "A": 20.0,
        "B": 0.0,
        "C": 0.0,
    }
