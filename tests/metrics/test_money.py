"""Money: every figure by hand, and the ratios against empyrical, scipy and the papers' own numbers."""

import math

import empyrical
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bt_neuro import Account
from bt_neuro.metrics.periods import worst_drawdowns
from bt_neuro.metrics.portfolio import account_metrics
from bt_neuro.metrics.sharpe import (
    best_of_luck,
    probabilistic_sharpe_ratio,
    probability_above,
    sharpe_ratio,
)
from bt_neuro.metrics.trading import (
    buy_and_hold,
    daily_returns,
    growth_metrics,
    has_costs,
    max_drawdown,
    money_metrics,
    sortino_ratio,
    trade_metrics,
)

TRADES = ["gross", "costs", "net", "net_pct", "bars"]


def equity_table(values, hours=24, position=1.0):
    values = np.asarray(values, dtype=float)
    return pd.DataFrame(
        {
            "bar": range(len(values)),
            "datetime": pd.date_range("2020-01-01", periods=len(values), freq=f"{hours}h"),
            "close": values,
            "cash": values,
            "equity": values,
            "position": position,
        }
    )


def bars_of(closes, spread=None):
    closes = np.asarray(closes, dtype=float)
    frame = pd.DataFrame({"open": np.concatenate([closes[:1], closes[:-1]]), "close": closes})
    return frame if spread is None else frame.assign(spread=float(spread))


def figures(values, account=None, trades=(), **options):
    account = account or Account(cash=float(values[0]))
    equity = equity_table(values, **options)
    bars = bars_of(values)
    table = pd.DataFrame(trades, columns=TRADES, dtype=float).assign(side="long", size=1.0)
    table = table.assign(entry_bar=0, exit_bar=len(values) - 1)
    return money_metrics(equity, table, bars, account, 1e-5, 0)


# The account, by hand.


def test_daily_returns_go_from_evening_to_evening():
    table = equity_table([100, 101, 104, 103, 110], hours=12)  # two bars a day
    assert daily_returns(table, 100) == pytest.approx([0.01, 103 / 101 - 1 + 0, 110 / 103 - 1])
    assert daily_returns(table, 50)[0] == pytest.approx(101 / 50 - 1)


def test_an_account_that_is_gone_has_no_more_returns():
    assert daily_returns(equity_table([100, 50, -10, 20]), 100) == pytest.approx([0, -0.5, -1.2])
    assert figures([100.0, 50, -10, 20])["lost_at"] == "2020-01-03 00:00:00"
    assert figures([100.0, 50, 20])["lost_at"] is None


@pytest.mark.parametrize(
    ("account", "spread", "expected"),
    [
        (Account(), None, False),
        (Account(), 0, False),
        (Account(), 7, True),
        (Account(spread=0), 7, False),
        (Account(spread=1), None, True),
        (Account(commission=1e-4), None, True),
        (Account(slippage=1), None, True),
    ],
)
def test_whether_a_trade_costs_anything(account, spread, expected):
    assert has_costs(bars_of([1.0, 1.1], spread), account, pd.DataFrame()) is expected


@pytest.mark.parametrize("paid", [0.0, 2.5])
def test_costs_are_what_was_paid_once_something_was(paid):
    """A strategy may tell its broker others than the account's."""
    trades = pd.DataFrame({"costs": [0.0, paid]})
    for account in (Account(), Account(commission=1e-4)):
        assert has_costs(bars_of([1.0, 1.1], None), account, trades) is (paid > 0)


def test_the_drawdown_has_dates():
    found = max_drawdown(equity_table([100, 120, 90, 110, 60, 119, 121, 115]))
    assert found == {
        "max_drawdown_pct": pytest.approx(50),
        "max_drawdown_peak": "2020-01-02 00:00:00",
        "max_drawdown_trough": "2020-01-05 00:00:00",
        "max_drawdown_recovered": "2020-01-07 00:00:00",
    }


@pytest.mark.parametrize(
    ("values", "fall", "recovered"),
    [
        ([100, 110, 120], 0, None),
        ([100, 50, 60], 50, None),
        ([100, 50, 100], 50, "2020-01-03 00:00:00"),
        ([70, 75, 80], 30, None),  # a span that begins with an open position
        ([70, 60, 100], 40, "2020-01-03 00:00:00"),
    ],
)
def test_drawdowns_that_never_began_or_never_ended(values, fall, recovered):
    found = max_drawdown(equity_table(values), 100)
    assert (found["max_drawdown_pct"], found["max_drawdown_recovered"]) == (pytest.approx(fall), recovered)
    assert (found["max_drawdown_peak"] is None) is (fall == 0)
    worst = worst_drawdowns(equity_table(values), 100, 1)
    assert worst["depth_pct"].tolist() == pytest.approx([fall] if fall else [])
    assert worst["peak"].astype(str).tolist() == (["2020-01-01"] if fall else [])


ANNUALISED = (
    *(
        "sharpe_ratio_daily_annualised",
        "sortino_ratio_daily_annualised",
        "annual_return_pct",
        "turnover_a_year",
    ),
    *(
        f"{name}{end}_pct"
        for name in ("mean_return_a_year", "excess_a_year")
        for end in ("", "_low", "_high")
    ),
)


@pytest.mark.parametrize(("days", "defined"), [(2, False), (29, False), (30, True)])
def test_a_few_days_make_no_year(days, defined):
    m = figures([100.0, 101, 100.5] * (days // 3) + [100.0, 103][: days % 3])
    assert {m[name] is not None for name in ANNUALISED} == {defined}


@pytest.mark.parametrize(
    ("account", "spread", "expected"),
    [
        (Account(), None, 10.0),
        (Account(spread=1000), None, 100 * (1.095 / 1.005 - 1)),  # half of 0.01 on each side
        (Account(), 1000, 100 * (1.095 / 1.005 - 1)),  # the file's own
        (Account(spread=0), 1000, 10.0),
        (Account(commission=0.01), None, 100 * (1.1 * 0.99 / 1.01 - 1)),
        (Account(slippage=100), None, 100 * (1.099 / 1.001 - 1)),
    ],
)
def test_buy_and_hold_pays_once_to_enter_and_once_to_leave(account, spread, expected):
    closes = [5.0, 1.0, 1.3, 1.1, 9.0]
    found = buy_and_hold(equity_table(closes[:4]), bars_of(closes, spread), account, 1e-5, first_bar=1)
    assert found["buy_and_hold_return_pct"] == pytest.approx(10)
    assert found["buy_and_hold_after_costs_pct"] == pytest.approx(expected)


def test_buy_and_hold_holds_nothing_where_the_account_could_not():
    closes = [1.0, 1.1, 2.0, 4.0, 5.0]
    apart = equity_table(closes).drop(index=2).reset_index(drop=True)
    found = buy_and_hold(apart, bars_of(closes), Account(commission=0.01), 1e-5, first_bar=0)
    assert found["buy_and_hold_return_pct"] == pytest.approx(100 * (1.1 * 1.25 - 1))
    assert found["buy_and_hold_after_costs_pct"] == pytest.approx(100 * (1.1 * 1.25 * (0.99 / 1.01) ** 2 - 1))


def test_buy_and_hold_needs_a_prediction_to_begin_with():
    found = buy_and_hold(equity_table([1.0, 1.1]), bars_of([1.0, 1.1]), Account(), 1e-5, first_bar=None)
    assert set(found.values()) == {None}


def test_trades_by_hand():
    rows = [(12, 2, 10, 1.0, 3), (-4, 1, -5, -0.5, 5), (1, 1, 0, 0.0, 1)]
    found = trade_metrics(pd.DataFrame(rows, columns=TRADES, dtype=float))
    assert found == {
        "trades": 3,
        "win_rate_pct": pytest.approx(100 / 3),  # nothing won is no win
        "profit_before_costs": 9,
        "profit_after_costs": 5,
        "costs": 4,
        "profit_factor": 2,
        "best_trade_pct": 1,
        "worst_trade_pct": -0.5,
        "mean_trade_bars": 3,
    }


def test_without_trades_all_is_undefined():
    m = figures([100.0] * 50, position=0.0)
    undefined = {name for name, value in m.items() if value is None}
    assert {
        "win_rate_pct",
        "costs",
        "sharpe_ratio_daily_annualised",
        "sortino_ratio_daily_annualised",
    } <= undefined
    assert {"calmar_ratio_whole_run", "probabilistic_sharpe_ratio_pct", "max_drawdown_peak"} <= undefined
    assert (m["return_pct"], m["exposure_pct"], m["open_trades"], m["trades"]) == (0, 0, 0, 0)
    assert m["money_verdict"] == "too few trades to judge the money: 0 of 30"


def of_table(equity, cash=100.0):
    trades = pd.DataFrame([], columns=[*TRADES, "side", "size"], dtype=float)
    return money_metrics(equity, trades, bars_of(equity["close"]), Account(cash=cash), 1e-5, 0)


def test_before_costs_each_bar_has_its_costs_back_and_compounds():
    m = of_table(equity_table([100.0, 100.0, 110.0]).assign(costs=[2.5, 0.0, 2.5], deposits=0.0))
    assert (m["return_pct"], m["return_before_costs_pct"]) == pytest.approx((10, 100 * (1.025 * 1.125 - 1)))


def test_deposits_are_no_return():
    m = of_table(equity_table([110.0, 231.0, 115.5]).assign(costs=0.0, deposits=[0.0, 100.0, 0.0]))
    assert (m["return_pct"], m["deposits"]) == pytest.approx((100 * (1.1 * 1.1 * 0.5 - 1), 100))
    assert m["max_drawdown_pct"] == pytest.approx(50)


def test_ruin_leaves_no_ratios():
    m = of_table(equity_table([100.0, 150.0, *[-20.0] * 60]).assign(costs=0.0, deposits=0.0))
    assert (m["return_pct"], m["lost_at"]) == (pytest.approx(-120), "2020-01-03 00:00:00")
    assert {m[name] for name in ANNUALISED} == {None}
    assert (m["calmar_ratio_whole_run"], m["probabilistic_sharpe_ratio_pct"], m["rotation_p_value"]) == (
        None,
    ) * 3
    assert m["money_verdict"] == "no skill in money: all money was lost"


@pytest.mark.parametrize(
    ("values", "deposits", "expected"),
    [
        ([100.0] * 20 + [150.0] * 20, {20: 50.0}, (0.0, None, 0.0)),
        ([110.0, 210.0, 189.0] + [189.0] * 37, {1: 100.0}, (-1.0, "negative", 10.0)),
        ([100 * 1.01**day for day in range(150)] + [0.0] * 5, {}, (-100.0, None, 100.0)),
    ],
)
def test_a_portfolio_is_measured_as_one_account_is(values, deposits, expected):
    equity = equity_table(values).assign(costs=0.0, deposits=0.0)
    equity.loc[list(deposits), "deposits"] = list(deposits.values())
    together = account_metrics(equity.drop(columns=["bar", "close", "position", "costs"]), [], 100.0)
    assert {name: together[name] for name in growth_metrics(equity, 100.0)} == {
        name: pytest.approx(value) if isinstance(value, float) else value
        for name, value in of_table(equity).items()
        if name in growth_metrics(equity, 100.0)
    }
    total, ratio, fall = expected
    assert together["deposits"] == sum(deposits.values())
    assert together["return_pct"] == pytest.approx(total)
    assert together["max_drawdown_pct"] == pytest.approx(fall)
    assert (ratio is None) is (together["sharpe_ratio_daily_annualised"] is None)


# The ratios, against empyrical: daily returns and the same number of days a year.

moves = st.lists(st.floats(-0.2, 0.2).map(lambda move: round(move, 4)), min_size=5, max_size=60)


@given(moves)
def test_sharpe_and_sortino_are_empyricals(returns):
    returns = np.array(returns)
    if returns.std() > 1e-9:
        expected = empyrical.sharpe_ratio(returns, annualization=252)
        assert sharpe_ratio(returns, 252) == pytest.approx(expected)
    else:
        assert sharpe_ratio(returns, 252) is None
    if (returns < 0).any():
        assert sortino_ratio(returns, 252) == pytest.approx(
            empyrical.sortino_ratio(returns, annualization=252)
        )
    else:
        assert sortino_ratio(returns, 252) is None


def test_calmar_and_drawdown_are_empyricals(rng):
    returns = rng.normal(0.0005, 0.01, 500)
    values = 100 * np.cumprod(np.concatenate([[1], 1 + returns]))
    m = figures(values)
    a_year = 365.25  # a bar a day
    drawdown = empyrical.max_drawdown(returns)
    assert m["max_drawdown_pct"] == pytest.approx(-100 * drawdown)
    assert m["annual_return_pct"] == pytest.approx(
        100 * empyrical.annual_return(returns, annualization=a_year)
    )
    assert m["calmar_ratio_whole_run"] == pytest.approx(empyrical.calmar_ratio(returns, annualization=a_year))


# Probable, deflated.


@pytest.mark.parametrize(
    ("trials", "skew", "kurtosis", "expected"),
    [(100, -3, 10, 0.9004), (46, -3, 10, 0.9505), (88, 0, 3, 0.9505)],
)
def test_the_deflated_ratio_has_the_papers_numbers(trials, skew, kurtosis, expected):
    # Bailey and Lopez de Prado 2014: a yearly ratio of 2.5 over 1,250 days of 250 a year, variance 1/2.
    luck = best_of_luck(trials, variance=0.5 / 250)
    probability = probability_above(2.5 / math.sqrt(250), luck, 1250, skew, kurtosis)
    assert probability == pytest.approx(expected, abs=5e-4)


def test_the_best_of_luck_is_what_luck_gives(rng):
    best = rng.normal(0, 0.1, (20_000, 50)).max(axis=1).mean()
    assert best_of_luck(50, variance=0.01) == pytest.approx(best, rel=0.02)  # an approximation


def test_moments_are_scipys(rng):
    r = rng.standard_t(4, 400) * 0.01 + 0.0005
    ratio = r.mean() / r.std(ddof=1)
    skew, kurtosis = stats.skew(r), stats.kurtosis(r, fisher=False)
    spread = math.sqrt(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2)
    expected = stats.norm.cdf((ratio - 0.02) * math.sqrt(len(r) - 1) / spread)
    assert probabilistic_sharpe_ratio(r, above=0.02) == pytest.approx(expected)


def test_trials_deflate(rng):
    r = rng.normal(0.001, 0.01, 500)
    alone, many = (probabilistic_sharpe_ratio(r, best_of_luck(trials, variance=0.002)) for trials in (1, 100))
    assert alone == probabilistic_sharpe_ratio(r)
    assert many < alone


def test_the_probability_is_honest_about_luck(rng):
    probabilities = [probabilistic_sharpe_ratio(rng.normal(0, 0.01, 200)) for _ in range(1000)]
    assert stats.kstest(probabilities, "uniform").pvalue > 0.001


@pytest.mark.parametrize("returns", [[], [0.01], [0.01, 0.02], [0.01] * 50])
def test_what_has_no_deviation_has_no_probability(returns):
    assert probabilistic_sharpe_ratio(returns) is None


def test_two_values_only_are_no_error():
    assert 0 <= probabilistic_sharpe_ratio([0.1, 0.1, 0.1, -0.1] * 30) <= 1
