"""Account of a run: situations a trader meets, told in the result."""

import pandas as pd
import pytest
from accounts import daily
from small import Small

from bt_neuro import Account, backtest
from bt_neuro.account.costs import costs_used


class Sells(Small):
    """Sells twenty times the equity at each signal, and ignores what works."""

    def decide(self, signal):
        self.sell(size=20 * max(1.0, self.broker.getvalue()) / self.data.close[0])


class Buys(Small):
    """Buys once, sells half, and holds the rest to the end."""

    def decide(self, signal):
        if signal.bar in (100, 120):
            (self.buy if signal.bar == 100 else self.sell)(size=200_000 if signal.bar == 100 else 100_000)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    prices = [1.10 + 0.002 * ((7 * day) % 11) + 0.0005 * day for day in range(160)]
    bars = daily(*[(price, price + 0.003, price - 0.002, price + 0.001) for price in prices])
    bars.assign(spread=[0, 12] * 80).to_csv(path, index=False)
    return path


def run(file, tmp_path, strategy=Small, **settings):
    account = Account.of(**settings)
    return backtest(file, strategy=strategy, account=account, out=tmp_path / "run", report=False)


def test_orders_beyond_margin_are_told(file, tmp_path):
    m = run(file, tmp_path, Sells).metrics
    assert m["refused_orders"] == m["refused_margin"] == m["orders"] - 1 > 20  # the last one never fills
    assert f"({m['orders'] - 1} of {m['orders']} orders refused: margin)" in m["sentence"]
    assert "Trade smaller sizes, raise leverage" in m["order_notes"][0]
    assert m["return_pct"] == 0


def test_ruin_is_told_and_ends_trading(file, tmp_path):
    result = run(file, tmp_path, Sells, leverage=500, stop_out=0.0)
    m = result.metrics
    assert "The account lost all its money by" in m["sentence"]
    assert m["sharpe_ratio_daily_annualised"] is None
    after = result.equity[result.equity["datetime"] >= pd.Timestamp(m["lost_at"])]
    assert set(after["position"]) == {0.0}
    assert after["equity"].nunique() == 1
    assert m["refused_ruin"] > 0


def test_costs_a_headline_doubts(file, tmp_path):
    m = run(file, tmp_path).metrics
    assert m["zero_spread_pct"] == 50
    assert "after costs, with no spread on 50 % of the bars" in m["sentence"]


def test_trades_and_account_reconcile(file, tmp_path):
    result = run(file, tmp_path, preset="forex", cash=1e6, spread=12.0, swap_long=-6.5, commission_lot=3.5)
    statement = result.metrics["reconciliation"]
    assert statement["is_reconciled"]
    assert min(statement[kind] for kind in ("commission", "spread_costs", "swap")) > 0
    trades = result.trades
    assert (trades["lots"] * 100_000).to_numpy() == pytest.approx(trades["size"].to_numpy())
    moves = (trades["exit_price"] - trades["entry_price"]) * trades["side"].map({"long": 1, "short": -1})
    assert trades["pips"].to_numpy() == pytest.approx((moves / 1e-4).to_numpy(), abs=1e-3)
    assert (trades[["run_up_pct", "drawdown_pct"]] >= 0).all(axis=None)


def test_the_swap_is_a_cost_of_the_open_trade(file, tmp_path):
    result = run(file, tmp_path, Buys, preset="forex", cash=1e6, swap_long=-6.5, commission_lot=3.5)
    (trade,), statement = result.manifest["open_trades"], result.metrics["reconciliation"]
    assert statement["is_reconciled"]
    assert statement["swap"] > 0
    costs = statement["swap"] + statement["commission"] + statement["spread_costs"]
    assert trade["costs"] == pytest.approx(costs)
    assert trade["net"] == pytest.approx(trade["gross"] - trade["costs"])
    assert trade["net"] == statement["open_trade"]


def test_costs_by_year_and_a_round_trip():
    bars = daily(1.0, 1.0, 1.0, start="2023-12-29", spread=[10.0, 20.0, 0.0])
    found = costs_used(Account(), bars, 1e-5)
    assert found["spread_points_by_year"] == {"2023": 10.0, "2024": 10.0}
    assert found["round_trip_cost_pct"] == pytest.approx(0.01)
    assert costs_used(Account(spread=3.0, commission=1e-4), bars, 1e-5)[
        "round_trip_cost_pct"
    ] == pytest.approx(0.023)
