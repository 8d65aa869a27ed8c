"""Circular block bootstrap: confidence intervals of statistics of dependent rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.metrics.predictions import running_sums

Array = NDArray[np.floating]

RESAMPLES = 2_000
CONFIDENCE = 0.95
MINIMUM_ROWS = 30  # fewer rows or events have no interval
_MANY_BLOCKS = 100  # with fewer, quantiles of resamples are too narrow by 2 % and more
_AT_ONCE = 1 << 17  # blocks drawn together: their sums stay in the cache


class Interval(NamedTuple):
    """A statistic with its 95 % confidence interval; bounds are NaN if there are too few rows for one."""

    value: float
    low: float
    high: float


def interval_metrics(
    name: str, interval: Interval | None, unit: str = "", scale: float = 1.0
) -> dict[str, float | None]:
    """Return value and bounds under the keys `name`, `name`_low and `name`_high, which end in the unit.

    Undefined ones are None.

    Examples
    --------
    >>> interval_metrics("lift", Interval(0.25, 0.0, 0.5), "_pct", 100)
    {'lift_pct': 25.0, 'lift_low_pct': 0.0, 'lift_high_pct': 50.0}
    """
    numbers = (math.nan,) * 3 if interval is None else interval
    values = [None if math.isnan(number) else scale * number for number in numbers]
    return {f"{name}{end}{unit}": value for end, value in zip(("", "_low", "_high"), values, strict=True)}


def mean(sums: Array) -> Array:
    """Return the first column sum over the second: a mean, if the second column is ones, or a ratio."""
    ratio: Array = sums[..., 0] / sums[..., 1]
    return ratio


def block_length(rows: int) -> int:
    """Return the cube root of the number of rows, the best order for a variance (Hall et al. 1995)."""
    return max(math.ceil(rows ** (1 / 3)), 1)


def block_bootstrap(
    columns: Array,
    statistic: Callable[[Array], Array] = mean,
    *,
    events: int | None = None,
    block: int | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Return a statistic of column sums with its percentile interval.

    Parameters
    ----------
    columns : (n, k), one row per bar or day, in order. Rows are drawn whole, so columns stay paired
    statistic : from sums (..., k) to (...), such as a ratio of two sums. It must not depend otherwise on the
        number of rows, since the last block may pass the n-th
    events : rows on which the statistic depends, such as signals; all by default
    block : rows of a block; `block_length` by default
    seed : of the draws

    Returns
    -------
    Interval or None
        None without rows, or if the statistic is not finite. Below 30 rows or events it has no bounds.

    Notes
    -----
    Politis and Romano 1992. Blocks start anywhere and wrap round, so that every row is drawn equally often.
    Sums of blocks come from one cumulative sum. Below 100 blocks or events the bounds are moved away from the
    statistic, by the ratio of the deviations that Student's t and an unbiased variance give.

    Examples
    --------
    >>> heads = np.random.default_rng(1).integers(0, 2, 1000)
    >>> share = block_bootstrap(np.stack([heads, np.ones(1000)], axis=1))
    >>> share.low < 0.5 < share.high
    True
    """
    if not len(columns):
        return None
    n = len(columns)
    block = min(block or block_length(n), n)
    drawn = block_totals(columns, block=block, resamples=resamples, seed=seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = percentile_interval(float(statistic(columns.sum(axis=0))), statistic(drawn))
    events = n if events is None else events
    if found is None or min(n, events) < MINIMUM_ROWS:
        return None if found is None else Interval(found.value, math.nan, math.nan)
    blocks = math.ceil(n / block)
    independent = min(blocks, events)
    if independent >= _MANY_BLOCKS:
        return found
    wider = math.sqrt(blocks * block / n) * _student_ratio(independent)
    return Interval(found.value, *(found.value + wider * (bound - found.value) for bound in found[1:]))


def _student_ratio(n: int) -> float:
    """Return the half width of a mean's interval by Student's t, over that by the deviation of resamples."""
    # Fisher and Cornish 1960: exact to 0.2 % from 5 degrees of freedom on.
    z, v = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2), n - 1
    t = z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    return t / z * math.sqrt(n / v)


def block_totals(
    columns: Array, *, block: int | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Array:
    """Return the column sums of each resample, (resamples, k); parameters as in `block_bootstrap`.

    Equal numbers of rows, block lengths and seeds draw equal rows, so sums of several calls are paired.
    """
    n, k = columns.shape
    block = min(block or block_length(n), n)
    sums = running_sums(np.concatenate([columns, columns[:block]]))
    with np.errstate(invalid="ignore"):  # an infinite loss leaves its column without an interval
        # By column, then by their first row.
        of_blocks = np.ascontiguousarray((sums[block:] - sums[:-block]).T)
    blocks = math.ceil(n / block)
    rng = np.random.default_rng(seed)
    totals = np.empty((k, resamples))
    at_once = max(_AT_ONCE // blocks, 1)
    for first in range(0, resamples, at_once):
        some = slice(first, min(first + at_once, resamples))
        starts = rng.integers(0, n, (some.stop - first, blocks))
        starts = np.ascontiguousarray(starts.T)  # so that many resamples are added side by side
        for total, column in zip(totals, of_blocks, strict=True):
            total[some] = column.take(starts).sum(axis=0)
    return np.ascontiguousarray(totals.T)


def percentile_interval(value: float, drawn: Array) -> Interval | None:
    """Return a value with the percentile interval of its resamples; None if it is not finite."""
    finite = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or not len(finite):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
