"""The circular block bootstrap: how far a statistic of a series moves by luck, neighbours being alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

RESAMPLES = 2_000
CONFIDENCE = 0.95
_AT_ONCE = 1 << 20  # blocks drawn in one go, so that memory stays small


class Interval(NamedTuple):
    """Where a statistic lies: its value, and the bounds that hold 95 % of its resamples."""

    value: float
    low: float
    high: float


def block_length(rows: int) -> int:
    """Return the cube root of the length, the order that is best for a variance (Hall et al. 1995)."""
    return max(math.ceil(rows ** (1 / 3)), 1)


def block_bootstrap(
    columns: Array,
    statistic: Callable[[Array], Array],
    *,
    block: int | None = None,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Interval | None:
    """Return a statistic of column sums with its percentile interval.

    Parameters
    ----------
    columns : (n, k), one row a bar or a day, in order; rows are drawn whole, so columns stay paired
    statistic : from sums (..., k) to (...), such as a mean or a ratio of two sums; it must not depend on
        how many rows were summed by more than a ratio does, as the last block may go past n
    block : rows of a block; `block_length` by default
    seed : of the draws

    Returns
    -------
    Interval or None
        None without rows, or where the statistic is not finite.

    Notes
    -----
    Politis and Romano 1992. Blocks begin anywhere and wrap round, so that every row is drawn equally often.
    Sums of blocks come from one cumulative sum: a resample costs its blocks, not its rows. SciPy has no
    block bootstrap, and arch's brings statsmodels and matplotlib.

    Examples
    --------
    >>> heads = np.random.default_rng(1).integers(0, 2, 1000)
    >>> heads_and_tosses = np.stack([heads, np.ones(1000)], axis=1)
    >>> share = block_bootstrap(heads_and_tosses, lambda sums: sums[..., 0] / sums[..., 1])
    >>> share.low < 0.5 < share.high
    True
    """
    if not len(columns):
        return None
    drawn = block_totals(columns, block=block, resamples=resamples, seed=seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        return percentile_interval(float(statistic(columns.sum(axis=0))), statistic(drawn), confidence)


def block_totals(
    columns: Array, *, block: int | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> Array:
    """Return the column sums of each resample, (resamples, k); parameters as of `block_bootstrap`.

    As many rows, blocks of one length and one seed draw the same rows: sums of several calls are paired.
    """
    n, k = columns.shape
    block = min(block or block_length(n), n)
    around = np.concatenate([columns, columns[:block]])
    sums = np.zeros((len(around) + 1, k))
    np.cumsum(around, axis=0, out=sums[1:])
    of_blocks = sums[block:] - sums[:-block]  # by their first row
    blocks = math.ceil(n / block)
    rng = np.random.default_rng(seed)
    totals = np.empty((resamples, k))
    at_once = max(_AT_ONCE // blocks, 1)
    for first in range(0, resamples, at_once):
        starts = rng.integers(0, n, (min(at_once, resamples - first), blocks))
        for row, some in enumerate(starts, start=first):
            totals[row] = of_blocks.take(some, axis=0).sum(axis=0)
    return totals


def percentile_interval(value: float, drawn: Array, confidence: float = CONFIDENCE) -> Interval | None:
    """Return a value with the bounds that hold so much of its resamples; None where it is not finite."""
    finite = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or not len(finite):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
