"""Verdicts in plain words: of the signals against the best baseline, of the money against luck."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.bootstrap import Interval, block_bootstrap, block_length
from bt_neuro.metrics.classification import Metrics, is_hit, percent
from bt_neuro.metrics.predictions import network_signals, targets_of

Array = NDArray[np.floating]

MINIMUM_SIGNALS = 30  # below this no verdict is given
MINIMUM_DAYS = 30  # of returns
SIGNIFICANT = 0.95  # probability of the probabilistic Sharpe ratio
BETTER = "better than every baseline"
PROFIT, NO_SKILL = "the profit is more than luck", "no skill in money"


def baseline_comparison(
    predictions: pd.DataFrame, network: Metrics, scores: dict[str, Metrics], baselines: dict[str, Array]
) -> Metrics:
    """Return the network's lead over the best baseline, and the verdict.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    network, scores : from `predictor_scores`, those of the baselines by name
    baselines : (n, 3) probabilities by name

    Returns
    -------
    dict
        ``best_baseline``, ``best_baseline_hit_rate_pct``, ``difference_pct``, ``difference_low_pct``,
        ``difference_high_pct``, ``difference_block_bars``, ``verdict``
    """
    name, rate = best_baseline(scores) or (None, None)
    difference = hit_rate_difference(predictions, baselines[name]) if name else None
    undefined = ("difference_pct", "difference_low_pct", "difference_high_pct", "difference_block_bars")
    return {
        "best_baseline": name,
        "best_baseline_hit_rate_pct": rate,
        **(difference or dict.fromkeys(undefined)),
        "verdict": verdict(network["signals"], difference),
    }


def best_baseline(baselines: dict[str, Metrics]) -> tuple[str, float] | None:
    """Return name and hit rate, in percent, of the baseline with the highest among those with 30 signals."""
    rates = {
        name: scores["hit_rate_pct"]
        for name, scores in baselines.items()
        if scores["signals"] >= MINIMUM_SIGNALS
    }
    return max(rates.items(), key=lambda item: item[1]) if rates else None


def hit_rate_difference(
    predictions: pd.DataFrame, baseline: Array, *, block: int | None = None, seed: int = 0
) -> Metrics | None:
    """Return the network's hit rate less a baseline's, with the interval of a block bootstrap.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    baseline : (n, 3), probabilities of one baseline
    block : bars of a block; the cube root of their number by default
    seed : of the draws

    Returns
    -------
    dict or None
        ``difference_pct``, ``difference_low_pct``, ``difference_high_pct`` (95 %) and
        ``difference_block_bars``; None if one of the two has no signal. Bars are drawn with the signals of
        both predictors, so luck that they share cancels.
    """
    targets = targets_of(predictions)
    scored = targets.any(axis=1)
    columns = []
    for signals in (network_signals(predictions), signals_of(baseline)):
        columns += [is_hit(signals, targets)[scored], signals[scored] > 0]
    counts = np.stack(columns, axis=1).astype(float)
    found = block_bootstrap(
        counts, lambda sums: sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3], block=block, seed=seed
    )
    if found is None:
        return None
    return {
        "difference_pct": percent(found.value),
        "difference_low_pct": percent(found.low),
        "difference_high_pct": percent(found.high),
        "difference_block_bars": block or block_length(len(counts)),
    }


def verdict(signals: int, difference: Metrics | None) -> str:
    """Return in plain words whether the signals are better than those of the best baseline.

    Parameters
    ----------
    signals : number of scored signals
    difference : from `hit_rate_difference` with the best baseline; None if no baseline has enough signals

    Examples
    --------
    >>> verdict(7, {"difference_low_pct": 1, "difference_high_pct": 5})
    'too few signals: 7 of 30'
    >>> verdict(1000, {"difference_low_pct": 1, "difference_high_pct": 5})
    'better than every baseline'
    >>> verdict(1000, {"difference_low_pct": -1, "difference_high_pct": 5})
    'not clearly better than a simple baseline'
    >>> verdict(1000, {"difference_low_pct": -5, "difference_high_pct": -1})
    'worse than a simple baseline'
    """
    if signals < MINIMUM_SIGNALS:
        return f"too few signals: {signals} of {MINIMUM_SIGNALS}"
    if difference is None:
        return "no baseline to compare with"
    if difference["difference_low_pct"] > 0:
        return BETTER
    if difference["difference_high_pct"] < 0:
        return "worse than a simple baseline"
    return "not clearly better than a simple baseline"


def money_verdict(
    days: int, probability: float | None, mean: Interval | None, more_pct: float = math.inf
) -> str:
    """Return in plain words whether the net return is more than luck.

    Two tests must agree: the probabilistic Sharpe ratio, which allows for skew and fat tails, and the
    bootstrap, which allows for dependent days. The return must also exceed that of buy and hold.

    Parameters
    ----------
    days : number of daily returns
    probability : that the true Sharpe ratio is above 0
    mean : mean daily return with its interval
    more_pct : return less that of buy and hold

    Examples
    --------
    >>> money_verdict(12, 0.99, Interval(0.01, 0.001, 0.02))
    'too few days to judge the money: 12 of 30'
    >>> money_verdict(900, 0.99, Interval(0.01, 0.001, 0.02))
    'the profit is more than luck'
    >>> money_verdict(900, 0.99, Interval(0.01, 0.001, 0.02), more_pct=-5)
    'no skill in money: the profit is more than luck, but buy and hold made more'
    >>> money_verdict(900, 0.80, Interval(0.01, -0.001, 0.02))
    'no skill in money'
    >>> money_verdict(900, 0.01, Interval(-0.01, -0.02, -0.001))
    'no skill in money: the loss is more than bad luck'
    """
    if days < MINIMUM_DAYS:
        return f"too few days to judge the money: {days} of {MINIMUM_DAYS}"
    if probability is None or mean is None:
        return NO_SKILL
    if mean.low > 0 and probability > SIGNIFICANT:
        return PROFIT if more_pct > 0 else f"{NO_SKILL}: {PROFIT}, but buy and hold made more"
    if mean.high < 0 and probability < 1 - SIGNIFICANT:
        return f"{NO_SKILL}: the loss is more than bad luck"
    return NO_SKILL
