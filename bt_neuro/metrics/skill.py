"""Skill in signals: what a hit rate owes to the visible shape, and paired comparisons with the baselines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bt_neuro.metrics.bootstrap import Interval, block_bootstrap
from bt_neuro.metrics.predictions import shares_of
from bt_neuro.metrics.shape_counters import VisibleShape

Array = NDArray[np.floating]

MINIMUM_SIGNALS = 30  # below this no verdict is given
BETTER, WORSE = "better than every baseline", "worse than the best baseline"
UNCLEAR = "not clearly better than the best baseline"


def brier_scores(probabilities: Array, targets: Array) -> Array:
    """Return each row's squared distance from the label, summed over the classes: 0 to 2."""
    distances: Array = ((probabilities - shares_of(targets)) ** 2).sum(axis=1)
    return distances


def log_losses(probabilities: Array, targets: Array) -> Array:
    """Return each row's log loss; infinite if the probability of the label was 0."""
    shares = shares_of(targets)
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities)
    losses: Array = -np.where(shares > 0, shares * np.where(shares > 0, logs, 0), 0).sum(axis=1)
    return losses


def is_hit(signals: NDArray[np.integer], targets: Array) -> NDArray[np.bool_]:
    """Return whether each signal (0 none, 1 buy, 2 sell) is in its label."""
    return (signals > 0) & (targets[np.arange(len(targets)), signals] == 1)


def shape_hit_rates(
    signals: NDArray[np.integer], targets: Array, shapes: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Return each signal's expected hits if the bars of its shape had exchanged signals; 0 without a signal.

    Their sum over the number of signals is the base rate given the visible half; the hit rate less the base
    rate is the lift. A predictor of the shape alone has a lift of about 0, at any hit rate.

    Parameters
    ----------
    signals : (n,)
    targets : (n, 3), all known
    shapes : (n,), number of each bar's shape
    """
    n = np.maximum(np.bincount(shapes), 1)
    rates = np.stack([np.bincount(shapes, weights=column) / n for column in targets.T], axis=1)
    return np.where(signals > 0, rates[shapes, signals], 0.0)


def shape_scores(
    signals: NDArray[np.integer], targets: Array, shape: VisibleShape
) -> dict[str, float | None]:
    """Return ``impossible``, ``base_rate``, ``lift`` with ``lift_low`` and ``lift_high``, as shares.

    ``impossible`` are the signals whose label the visible half had ruled out. Parameters as of
    `shape_hit_rates`; None without signals.
    """
    n = int((signals > 0).sum())
    if not n:
        return dict.fromkeys(("impossible", "base_rate", "lift", "lift_low", "lift_high"))
    expected = shape_hit_rates(signals, targets, shape.number)
    columns = np.stack([is_hit(signals, targets) - expected, signals > 0], axis=1)
    lift = block_bootstrap(columns, _ratio)
    return {
        "impossible": float((~shape.is_possible(signals)).sum()) / n,
        "base_rate": float(expected.sum()) / n,
        "lift": float(columns[:, 0].sum()) / n,
        "lift_low": lift.low if lift else None,
        "lift_high": lift.high if lift else None,
    }


def hits_at_coverage(probabilities: Array, targets: Array, n: int) -> Array:
    """Return hits and signals of each bar, (bars, 2), if the n bars with the largest p_buy or p_sell signal.

    Bars of equal probability share the signals that are left for them. A bar whose p_buy and p_sell are equal
    counts half of each.
    """
    buy, sell = probabilities[:, 1], probabilities[:, 2]
    confidence = np.maximum(buy, sell)
    last = np.partition(confidence, len(confidence) - n)[len(confidence) - n] if n else np.inf
    above, level = confidence > last, confidence == last
    signals = above + level * (n - above.sum()) / max(level.sum(), 1)
    hits = np.select([buy > sell, sell > buy], [targets[:, 1], targets[:, 2]], targets[:, 1:].mean(axis=1))
    return np.stack([hits * signals, signals], axis=1)


def hit_rate_difference(hits: Array, other: Array) -> Interval | None:
    """Return one hit rate less another of the same bars, with the interval of a paired block bootstrap.

    Both are (bars, 2), hits and signals of each bar; None where one has no signal.
    """
    return block_bootstrap(
        np.hstack([hits, other]), lambda sums: _ratio(sums[..., :2]) - _ratio(sums[..., 2:])
    )


def mean_difference(scores: Array, other: Array) -> Interval | None:
    """Return the mean of one score less another of the same bars, with the interval of a paired bootstrap."""
    return block_bootstrap(np.stack([scores - other, np.ones(len(scores))], axis=1), _ratio)


def _ratio(sums: Array) -> Array:
    ratio: Array = sums[..., 0] / sums[..., 1]
    return ratio


def verdict(signals: int, brier: Interval | None, hits: Interval | None) -> str:
    """Return in plain words whether a network is better than the best of all baselines.

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
