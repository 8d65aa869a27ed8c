"""Verdicts: signals against the best baseline, money against luck and exposure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.metrics.bootstrap import Interval, interval_metrics
from bt_neuro.metrics.classification import NETWORK, Metrics
from bt_neuro.metrics.predictions import ScoredBars, brier_scores, log_losses
from bt_neuro.metrics.skill import hit_rate_difference, hits_at_coverage, mean_difference

Array = NDArray[np.floating]

MINIMUM_SIGNALS = 30  # below this no verdict is given
MINIMUM_DAYS = 30  # of returns
MINIMUM_TRADES = 30  # closed ones
SIGNIFICANT = 0.95  # probability of the probabilistic Sharpe ratio; 1 less it, of the rotation test
BETTER, WORSE = "better than every baseline", "worse than the best baseline"
UNCLEAR = "not clearly better than the best baseline"
PROFIT, NO_SKILL = "the profit is more than luck", "no skill in money"


def baseline_comparison(
    predictions: pd.DataFrame, scores: dict[str, Metrics], baselines: dict[str, Array]
) -> Metrics:
    """Return the network's lead over the best baselines, and the verdict.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    scores : of `predictor_scores`
    baselines : (n, 3) probabilities by name

    Returns
    -------
    dict
        - ``best_baseline``: the one with the lowest Brier score
        - ``brier_difference``, ``log_loss_difference``: the network's mean less that baseline's, below 0 if
          the network is better
        - ``hit_rate_baseline``: the one with the highest ``equal_coverage_hit_rate_pct``, which is
          ``best_baseline_hit_rate_pct``
        - ``difference_pct``: the network's ``equal_coverage_hit_rate_pct`` less that one
        - ``verdict``

        Each difference has ``_low`` and ``_high`` (before a unit) from a paired block bootstrap. Undefined
        ones are None.
    """
    network = scores[NETWORK]
    scores = {name: one for name, one in scores.items() if name != NETWORK}
    scored, targets, own, _ = ScoredBars.of(predictions)
    best = rival = brier = loss = hits = None
    if len(targets):
        best = min(scores, key=lambda name: scores[name]["brier_score"])
        other = baselines[best][scored]
        brier = mean_difference(brier_scores(own, targets), brier_scores(other, targets))
        loss = mean_difference(log_losses(own, targets), log_losses(other, targets))
        n = network["signals"]
        if n:
            rival = max(scores, key=lambda name: scores[name]["equal_coverage_hit_rate_pct"])
            pair = (hits_at_coverage(p, targets, n) for p in (own, baselines[rival][scored]))
            hits = hit_rate_difference(*pair)
    return {
        "best_baseline": best,
        **interval_metrics("brier_difference", brier),
        **interval_metrics("log_loss_difference", loss),
        "hit_rate_baseline": rival,
        "best_baseline_hit_rate_pct": scores[rival]["equal_coverage_hit_rate_pct"] if rival else None,
        **interval_metrics("difference", hits, "_pct", 100),
        "verdict": verdict(network["signals"], brier, hits),
    }


def verdict(signals: int, brier: Interval | None, hits: Interval | None) -> str:
    """Return whether a network is better than the best of all baselines, in words.

    Parameters
    ----------
    signals : number of scored signals
    brier : the network's mean Brier score less that of the baseline with the lowest
    hits : its hit rate less that of the best baseline at equal coverage

    Examples
    --------
    >>> verdict(7, Interval(-0.02, -0.03, -0.01), Interval(0.03, 0.01, 0.05))
    'too few signals: 7 of 30'
    >>> verdict(1000, Interval(-0.02, -0.03, -0.01), Interval(0.03, 0.01, 0.05))
    'better than every baseline'
    >>> verdict(1000, Interval(-0.02, -0.03, -0.01), Interval(0.03, -0.01, 0.05))
    'not clearly better than the best baseline'
    >>> verdict(1000, Interval(0.02, 0.01, 0.03), Interval(0.03, -0.01, 0.05))
    'worse than the best baseline'
    """
    if signals < MINIMUM_SIGNALS:
        return f"too few signals: {signals} of {MINIMUM_SIGNALS}"
    if brier is None or hits is None:
        return "no baseline to compare with"
    if brier.high < 0 and hits.low > 0:
        return BETTER
    if (brier.low > 0 and hits.low <= 0) or (hits.high < 0 and brier.high >= 0):
        return WORSE
    return UNCLEAR


def money_verdict(
    *,
    days: int,
    trades: int,
    probability: float | None,
    mean: Interval | None,
    excess_low: float | None,
    passive: str,
    rotation_p_value: float | None,
) -> str:
    """Return whether the net return is skill, in words.

    All must agree: the probabilistic Sharpe ratio (skew and fat tails), the bootstrap of the mean (dependent
    days), the excess over always long and always short at the same mean exposure, and the rotation test.

    Parameters
    ----------
    days, trades : numbers of daily returns and of closed trades
    probability : that the true Sharpe ratio is above 0
    mean : daily return
    excess_low : lower bound of the mean return less that of the better passive side
    passive : "long" or "short", that side
    rotation_p_value : of `rotation_test`

    Examples
    --------
    >>> good = dict(days=900, trades=80, probability=0.99, mean=Interval(0.01, 0.001, 0.02), passive="short",
    ...             excess_low=0.001, rotation_p_value=0.01)
    >>> money_verdict(**good)
    'the profit is more than luck'
    >>> money_verdict(**good | {"excess_low": -0.001})
    'no skill in money: the profit is not clearly above that of always short at the same exposure'
    >>> money_verdict(**good | {"rotation_p_value": 0.4})
    'no skill in money: the same positions at other times did as well (p = 0.40)'
    >>> money_verdict(**good | {"probability": 0.8})
    'no skill in money'
    >>> money_verdict(**good | {"trades": 12})
    'too few trades to judge the money: 12 of 30'
    """
    if days < MINIMUM_DAYS:
        return f"too few days to judge the money: {days} of {MINIMUM_DAYS}"
    if trades < MINIMUM_TRADES:
        return f"too few trades to judge the money: {trades} of {MINIMUM_TRADES}"
    if probability is None or mean is None or excess_low is None or rotation_p_value is None:
        return NO_SKILL
    if mean.high < 0 and probability < 1 - SIGNIFICANT:
        return f"{NO_SKILL}: the loss is more than bad luck"
    if mean.low <= 0 or probability <= SIGNIFICANT:
        return NO_SKILL
    if excess_low <= 0:
        return f"{NO_SKILL}: the profit is not clearly above that of always {passive} at the same exposure"
    if rotation_p_value > 1 - SIGNIFICANT:
        return f"{NO_SKILL}: the same positions at other times did as well (p = {rotation_p_value:.2f})"
    return PROFIT
