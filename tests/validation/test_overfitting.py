"""Probability of backtest overfitting: against a second way to compute it, on noise, on planted skill."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from bt_neuro.metrics.sharpe import sharpe_ratio
from bt_neuro.validation.overfitting import BLOCKS, block_sums, overfitting_probability, performance

DAYS = pd.date_range("2020-01-01", periods=500)


def equity_of(returns):
    return pd.DataFrame({"datetime": DAYS[: len(returns)], "equity": 100 * np.cumprod(1 + returns)})


def sums_of(returns, objective="sharpe"):
    return np.stack([block_sums(objective, pd.DataFrame(), equity_of(row), 100.0) for row in returns])


def noise(trials, days=500, seed=0):
    return np.random.default_rng(seed).normal(0, 0.01, (trials, days))


def by_hand(returns):
    """Every split, from the returns themselves."""
    blocks = np.array_split(np.arange(returns.shape[1]), BLOCKS)
    overfitted = []
    for half in combinations(range(BLOCKS), BLOCKS // 2):
        inside = np.concatenate([blocks[block] for block in half])
        outside = np.setdiff1d(np.arange(returns.shape[1]), inside)
        best = int(np.argmax([row[inside].mean() / row[inside].std(ddof=1) for row in returns]))
        ratios = np.array([row[outside].mean() / row[outside].std(ddof=1) for row in returns])
        rank = 1 + (ratios < ratios[best]).sum()
        overfitted.append(np.log(rank / (len(returns) + 1 - rank)) <= 0)
    return np.mean(overfitted)


@pytest.mark.slow
def test_it_is_that_of_every_split():
    returns = noise(5, 100)
    assert overfitting_probability("sharpe", sums_of(returns)) == pytest.approx(by_hand(returns), abs=1e-12)


@pytest.mark.slow
def test_without_skill_it_is_about_a_half():
    found = [overfitting_probability("sharpe", sums_of(noise(20, seed=seed))) for seed in range(6)]
    assert 0.3 < np.mean(found) < 0.7


@pytest.mark.parametrize("objective", ["sharpe", "return"])
def test_planted_skill_is_no_overfitting(objective):
    returns = noise(20)
    returns[7] += 0.003
    assert overfitting_probability(objective, sums_of(returns, objective)) < 0.01


def test_equal_trials_are_no_better_than_the_median():
    assert overfitting_probability("sharpe", sums_of(noise(1).repeat(4, axis=0))) == 1
    assert overfitting_probability("sharpe", sums_of(noise(1))) is None


def test_objectives_follow_from_their_sums():
    returns = noise(1)[0]
    whole = {
        name: performance(name, sums_of([returns], name).sum(axis=1))[0] for name in ("sharpe", "return")
    }
    assert whole["sharpe"] == pytest.approx(sharpe_ratio(returns))
    assert np.exp(whole["return"]) == pytest.approx(np.prod(1 + returns))
    predictions = pd.DataFrame(
        {
            "p_none": 0.2,
            "p_buy": 0.5,
            "p_sell": 0.3,
            "signal": "buy",
            "label": ["buy", "none"] * 10,
            "hit": [1, None] * 10,
        }
    )
    rate, brier = (
        performance(name, block_sums(name, predictions, pd.DataFrame(), 1.0).sum(axis=0))
        for name in ("hit_rate", "brier_score")
    )
    assert (rate, brier) == (1.0, pytest.approx(-(0.38 + 0.98) / 2))


def test_a_lost_equity_has_no_returns_afterwards():
    returns = noise(1)[0]
    returns[250] = -1.5
    sums = sums_of([returns])
    assert sums[0, :, 0].sum() == 500
    assert (sums[0, 9:, 1] == 0).all()
