"""Skill in direction: figures by slow loops, and accounts whose skill is known."""

import numpy as np
import pandas as pd
import pytest
from paths import SHARED
from scipy import stats

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import read_bars
from bt_neuro.metrics.direction import (
    direction_metrics,
    held_positions,
    long_short_metrics,
    rotation_test,
    trade_costs,
)
from bt_neuro.metrics.information_coefficient import information_coefficients
from bt_neuro.metrics.trading import daily_returns, money_metrics
from bt_neuro.metrics.verdict import NO_SKILL, PROFIT

CASH = 10_000.0
ACCOUNT = Account(CASH)


def market(seed, n=3_000, drift=0.0, planted=0.0):
    """Return bars of a walk; with `planted`, the bars of even hours rise and the others fall by so much."""
    rng = np.random.default_rng(seed)
    moves = drift + rng.normal(0, 1e-3, n) + planted * np.where(np.arange(n) % 2, -1, 1)
    close = 1.1 * np.exp(np.cumsum(moves))
    opened = np.concatenate([[1.1], close[:-1] * np.exp(rng.normal(0, 1e-4, n - 1))])
    times = pd.date_range("2020-01-01", periods=n, freq="h")
    return pd.DataFrame({"datetime": times, "open": opened, "close": close})


def account(bars, exposure, cost=0.0, fixed=False):
    """Return equity and trades of holding a share of the equity in each bar, from its open on.

    The position is set anew where the exposure changes; `fixed` trades units of the starting cash.
    """
    n = len(bars)
    opened, close = bars["open"].to_numpy(), bars["close"].to_numpy()
    equity, position, trades = np.empty(n), np.zeros(n), []
    worth, units, entry = CASH, 0.0, 0
    for bar in range(n):
        if bar:
            worth += units * (opened[bar] - close[bar - 1])
        if not bar or exposure[bar] != exposure[bar - 1]:
            new = exposure[bar] * (CASH if fixed else worth) / opened[bar]
            worth -= cost * abs(new - units)
            if units:
                gross = units * (opened[bar] - opened[entry])
                side = "long" if units > 0 else "short"
                paid = 2 * cost * abs(units)
                pct = 100 * (gross - paid) / (abs(units) * opened[entry])
                trades.append((side, entry, bar, abs(units), gross, paid, gross - paid, pct, bar - entry))
            units, entry = new, bar
        worth += units * (close[bar] - opened[bar])
        equity[bar], position[bar] = worth, units
    table = pd.DataFrame({"bar": range(n), "datetime": bars["datetime"], "close": close})
    columns = ["side", "entry_bar", "exit_bar", "size", "gross", "costs", "net", "net_pct", "bars"]
    return table.assign(equity=equity, position=position), pd.DataFrame(trades, columns=columns)


def judged(bars, exposure, **options):
    """Return the verdict of an account, and its metrics."""
    equity, trades = account(bars, exposure, **options)
    found = money_metrics(equity, trades, bars, ACCOUNT, 1e-5, first_bar=0)
    return found["money_verdict"], found


def reentered(exposure, every=20):
    """Return the exposure with a bar of rest now and then, so that there are trades to count."""
    return np.where(np.arange(len(exposure)) % every == every - 1, 0.0, exposure)


# -- figures against slow loops ------------------------------------------------------------------------------
def test_every_rotation_against_a_loop(rng):
    exposure, returns = rng.choice([-1.0, 0, 1], 301), rng.normal(0.001, 0.01, 301)
    own = (exposure * returns).sum()
    as_good = sum((np.roll(exposure, shift) * returns).sum() >= own for shift in range(1, 301))
    assert rotation_test(exposure, returns) == ((1 + as_good) / 301, 300)


@pytest.mark.parametrize("exposure", [-1.0, 0.0, 0.1, 2.0])
def test_a_position_that_never_changes_does_as_well_at_any_time(exposure, rng):
    returns = rng.normal(-0.001, 0.01, 2_003)
    assert rotation_test(np.full(2_003, exposure), returns) == (1.0, 2_002)


def test_too_few_bars_to_rotate():
    assert rotation_test(np.ones(1), np.ones(1)) == (None, 0)


def test_the_held_positions_earn_what_the_account_earned():
    bars = market(1)
    exposure = np.repeat(np.random.default_rng(2).choice([-0.9, 0, 0.9], 300), 10)
    equity, _ = account(bars, exposure)
    held = held_positions(equity, bars, ACCOUNT, 0)
    # Each position is held from open to open; the last one to the close.
    earned = np.prod(1 + held.exposure * held.market) - 1
    assert earned == pytest.approx(equity["equity"].iloc[-1] / CASH - 1, abs=1e-3)
    assert np.prod(1 + held.market_close) == pytest.approx(bars["close"].iloc[-1] / bars["open"].iloc[0])
    later = held_positions(equity, bars, ACCOUNT, 100)
    assert (later.exposure == held.exposure[100:]).all()
    changes = np.flatnonzero(np.diff(exposure, prepend=0))
    assert set(np.flatnonzero(held.traded)) == set(changes)


def test_nothing_is_held_across_missing_bars_nor_after_ruin():
    bars = market(1, n=6).assign(open=[1.0, 2, 4, 8, 16, 32], close=[1.5, 3, 6, 12, 24, 48])
    equity, _ = account(bars, np.ones(6))
    apart = equity.drop(index=3).reset_index(drop=True)
    held = held_positions(apart, bars, ACCOUNT, 0)
    assert held.market == pytest.approx([1, 1, 0.5, 1, 0.5])
    assert held.market_close == pytest.approx([0.5, 1, 1, 0.5, 1])
    gone = held_positions(equity.assign(equity=[1e4, 5e3, -1.0, -2, -3, -4]), bars, ACCOUNT, 0)
    assert len(gone.exposure) == 3


def test_always_long_and_short_at_the_mean_exposure_by_hand():
    bars = market(3, n=24 * 40)
    exposure = np.where(np.arange(len(bars)) < 480, 0.5, 0.0)
    equity, _ = account(bars, exposure)
    found = direction_metrics(held_positions(equity, bars, ACCOUNT, 0), daily_returns(equity, CASH), 365.0)
    share = np.abs(held_positions(equity, bars, ACCOUNT, 0).exposure).mean()
    assert found["mean_exposure_pct"] == pytest.approx(100 * share)
    assert share == pytest.approx(0.25, rel=0.1)
    evenings = np.concatenate([[bars["open"].iloc[0]], bars["close"].to_numpy()[23::24]])
    daily = evenings[1:] / evenings[:-1] - 1
    assert found["always_long_return_pct"] == pytest.approx(100 * (np.prod(1 + share * daily) - 1))
    assert found["always_short_return_pct"] == pytest.approx(100 * (np.prod(1 - share * daily) - 1))
    assert found["passive"] == ("long" if daily.sum() > 0 else "short")
    own = daily_returns(equity, CASH) - share * daily * (1 if daily.sum() > 0 else -1)
    assert found["excess_a_year_pct"] == pytest.approx(100 * 365 * own.mean())
    assert found["turnover_a_year"] == pytest.approx(1.0 / 40 * 365, rel=0.1)


def test_information_coefficients_are_spearmans(rng):
    bars = market(4, n=500)
    bar = np.arange(60, 500)
    lean = rng.normal(size=440).round(1)  # with ties
    p = pd.DataFrame({"bar": bar, "p_buy": np.maximum(lean, 0), "p_sell": np.maximum(-lean, 0)})
    found = information_coefficients(p, bars)
    close = bars["close"].to_numpy()
    for ahead in (1, 5, 20):
        rows = bar + ahead < 500
        expected = stats.spearmanr(lean[rows], close[bar[rows] + ahead] / close[bar[rows]] - 1).statistic
        name = f"information_coefficient_{ahead}_bars"
        assert found[name] == pytest.approx(expected, abs=1e-12)
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]


def test_probabilities_that_see_the_next_bar_lean_to_it(rng):
    bars = market(5)
    ahead = 100 * bars["close"].pct_change().shift(-1).fillna(0)
    p = pd.DataFrame({"bar": range(len(bars)), "p_buy": 0.3 + ahead, "p_sell": 0.3 - ahead})
    found = information_coefficients(p, bars)
    assert found["information_coefficient_1_bars"] == pytest.approx(1)
    assert found["information_coefficient_5_bars_low"] > 0.3
    nothing = information_coefficients(p[:0], bars)
    assert set(nothing.values()) == {None}
    same = information_coefficients(p.assign(p_buy=0.5, p_sell=0.5), bars)
    assert same["information_coefficient_1_bars"] is None


def test_costs_and_sides_by_hand():
    rows = [("long", 100.0, 0.20, 0.10, 0.10), ("short", 300.0, -0.04, 0.30, -0.34)]
    trades = pd.DataFrame(rows, columns=["side", "size", "gross", "costs", "net"])
    assert trade_costs(trades, ACCOUNT, 1e-5) == pytest.approx(
        {"break_even_cost_points": 40, "cost_points": 100}
    )
    found = long_short_metrics(trades)
    assert found["long_trades"] == found["short_trades"] == 1
    assert (found["long_win_rate_pct"], found["short_win_rate_pct"]) == (100, 0)
    assert (found["long_profit_before_costs"], found["long_profit_after_costs"]) == (0.20, 0.10)
    assert (found["short_profit_before_costs"], found["short_profit_after_costs"]) == (-0.04, -0.34)
    assert set(trade_costs(trades[:0], ACCOUNT, 1e-5).values()) == {None}
    assert long_short_metrics(trades[:0])["long_win_rate_pct"] is None


# -- accounts whose skill is known ---------------------------------------------------------------------------
def right(bars):
    """Return the exposure that knows the planted direction."""
    return np.where(np.arange(len(bars)) % 2, -1.0, 1.0)


@pytest.mark.parametrize("size", [0.1, 1.0, 2.0])
@pytest.mark.parametrize("drift", [-1e-4, 0.0, 1e-4])
def test_skill_is_seen_at_any_size_and_in_any_trend(size, drift):
    """A profit at a tenth of the market's risk passes, though buy and hold makes more."""
    bars = market(6, drift=drift, planted=2e-4)
    verdict, found = judged(bars, size * right(bars))
    assert verdict == PROFIT
    if size == 0.1 and drift > 0:
        assert found["return_pct"] < 100 * (bars["close"].iloc[-1] / bars["open"].iloc[0] - 1)


def test_the_size_changes_no_p_value():
    bars = market(7, planted=1e-4)
    exposure = np.repeat(np.random.default_rng(1).choice([-1.0, 0, 1], 300), 10)
    one, two = (judged(bars, size * exposure)[1]["rotation_p_value"] for size in (0.5, 1.0))
    assert one == pytest.approx(two, abs=0.02)  # what is held grows with the equity


@pytest.mark.parametrize("side", [-2.0, -1.0, -0.1, 0.1, 1.0, 2.0])
@pytest.mark.parametrize("fixed", [False, True])
def test_one_side_in_a_trend_is_no_skill(side, fixed):
    """Always short in a falling market, always long in a rising one, at any size."""
    for seed in range(5):
        bars = market(seed, drift=np.sign(side) * 2e-4)
        assert (
            judged(bars, np.full(len(bars), side), fixed=fixed)[0]
            == "too few trades to judge the money: 0 of 30"
        )
        verdict, found = judged(bars, reentered(np.full(len(bars), side)), fixed=fixed)
        assert found["return_pct"] > 0
        assert verdict.startswith(f"{NO_SKILL}: the profit is not clearly above that of always")


@pytest.mark.slow
def test_a_walk_with_drift_is_called_skill_seldom():
    """Positions by a coin, by the last move, and mostly with the drift, in 20 walks each."""
    called = []
    for seed in range(20):
        bars = market(seed, drift=2e-4)
        rng = np.random.default_rng(seed)
        moved = np.sign(bars["close"].diff(10).shift(1).fillna(0).to_numpy())
        coin = np.repeat(rng.choice([-1.0, 1.0], 300), 10)
        mostly = np.repeat(rng.choice([0.0, 1.0], 300, p=[0.2, 0.8]), 10)
        called += [judged(bars, exposure)[0] == PROFIT for exposure in (coin, moved, mostly, 2 * mostly)]
    assert sum(called) <= 1


def test_always_short_in_a_falling_year():
    path = SHARED / "EURUSD_H1.csv"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    bars = read_bars(path, start="2014-05-01", end="2015-03-31").frame
    for size in (-0.95, -1.9):
        short = np.full(len(bars), size)
        verdict, found = judged(bars, short)
        assert found["return_pct"] > 20
        assert verdict == "too few trades to judge the money: 0 of 30"
        for every in (20, 24, 50):
            assert judged(bars, reentered(short, every))[0].startswith(NO_SKILL)
