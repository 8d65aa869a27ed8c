"""Skill in signals: lift over the visible shape, and paired differences of predictors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bt_neuro.metrics.bootstrap import Interval, block_bootstrap, interval_metrics, mean
from bt_neuro.metrics.predictions import is_hit
from bt_neuro.metrics.shape_counters import is_possible

Array = NDArray[np.floating]
SHAPE_METRICS = ("impossible_pct", "base_rate_pct", "lift_pct", "lift_low_pct", "lift_high_pct")


def shape_metrics(
    signals: NDArray[np.integer], targets: Array, shapes: NDArray[np.integer]
) -> dict[str, float | None]:
    """Return the part of the hits that the visible shape explains, and the rest.

    Parameters
    ----------
    signals : (n,), 0 none, 1 buy, 2 sell
    targets : (n, 3), all known
    shapes : (n,), number of each bar's shape

    Returns
    -------
    dict
        Percentages, None without signals:

        - ``impossible_pct``: signals that the shape excludes; None if labels are not fractals
        - ``base_rate_pct``: hit rate of the same signals dealt at random to bars of the same shape
        - ``lift_pct``: hit rate less the base rate, with a block bootstrap in ``lift_low_pct`` and
          ``lift_high_pct``. A predictor of the shape alone has a lift of about 0, at any hit rate
    """
    n = int((signals > 0).sum())
    if not n:
        return dict.fromkeys(SHAPE_METRICS)
    expected = expected_hits(signals, targets, shapes)
    columns = np.stack([is_hit(signals, targets) - expected, signals > 0], axis=1)
    impossible = ~is_possible(signals, shapes)
    is_fractal = all(is_possible(np.where(targets[:, side] == 1, side, 0), shapes).all() for side in (1, 2))
    return {
        "impossible_pct": 100 * float(impossible.sum()) / n if is_fractal else None,
        "base_rate_pct": 100 * float(expected.sum()) / n,
        **interval_metrics("lift", block_bootstrap(columns, events=n), "_pct", 100),
        "lift_pct": 100 * float(columns[:, 0].sum()) / n,
    }


def expected_hits(signals: NDArray[np.integer], targets: Array, shapes: NDArray[np.integer]) -> Array:
    """Return the share of hits of each signal, (n,), had it been dealt to a bar of the same shape at random."""
    n = np.maximum(np.bincount(shapes), 1)
    rates = np.stack([np.bincount(shapes, weights=column) / n for column in targets.T], axis=1)
    return np.where(signals > 0, rates[shapes, signals], 0.0)


def lift_over_time(
    signals: NDArray[np.integer], targets: Array, shapes: NDArray[np.integer], window: int
) -> Array:
    """Return the lift of the last `window` bars at each bar from the ``window``-th on; NaN without a signal.

    Parameters
    ----------
    signals, targets, shapes : as of `shape_metrics`; base rates are those of all bars
    window : bars

    Examples
    --------
    >>> signals, shapes = np.array([1, 1, 0, 1]), np.zeros(4, int)
    >>> targets = np.eye(3)[[1, 0, 0, 1]]
    >>> lift_over_time(signals, targets, shapes, 2).tolist()
    [0.0, -0.5, 0.5]
    """
    gained = np.where(signals > 0, is_hit(signals, targets) - expected_hits(signals, targets, shapes), 0.0)
    sums = [np.concatenate([[0.0], np.cumsum(values)]) for values in (gained, signals > 0)]
    total, n = (values[window:] - values[:-window] for values in sums)
    return np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)


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

    Both are (bars, 2), hits and signals of each bar; None if one has no signal.
    """
    events = int(min(hits[:, 1].sum(), other[:, 1].sum()))
    return block_bootstrap(
        np.hstack([hits, other]), lambda sums: mean(sums[..., :2]) - mean(sums[..., 2:]), events=events
    )


def mean_difference(scores: Array, other: Array) -> Interval | None:
    """Return the mean of one score less another of the same bars, with a paired interval."""
    return block_bootstrap(np.stack([scores - other, np.ones(len(scores))], axis=1))
