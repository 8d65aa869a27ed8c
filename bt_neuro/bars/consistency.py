"""Prices without known names, found by order, consistency and continuity.

High is the column that no other exceeds, low the one that exceeds no other, and open is the one that continues the
close of the bar before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from bt_neuro.bars.numbers import Floats, parse_prices
from bt_neuro.bars.times import best_times

Sample = Sequence[Sequence[str]]  # the first rows, all of one length

CONSISTENT = 0.9  # share of rows in which high and low must be so; the checks of rows name the rest
CONTINUOUS = 0.8  # open to the close before, against close to the open before: at most this
NEAR = 0.1  # distance from the close, as a share, within which a column is another price
USUAL = 0.9  # share of the steps that a damaged price cannot stretch
ALIKE = 2.0  # the largest of four prices of a bar over the smallest


def consistent_prices(sample: Sample, times: dict[str, int], columns: Sequence[int]) -> dict[str, int]:
    """Return the four neighbouring columns that can be prices, empty if others may be.

    A bid or an average among the prices makes other columns consistent and continuous. So where there are more than
    four, only open, high, low and close in this order and before the others are taken.
    """
    order = np.argsort(best_times(*(cells_of(sample, i) for i in times.values())), kind="stable")
    found = []
    for first, rows in _windows([sample[i] for i in order], columns):
        high, low = _extreme(rows, np.maximum), _extreme(rows, np.minimum)
        if high is None or low is None:
            continue
        one, other = (i for i in range(4) if i not in (high, low))
        steps = (np.abs(rows[1:, a] - rows[:-1, b]) for a, b in ((one, other), (other, one)))
        follows, leads = (np.minimum(step, np.quantile(step, USUAL)).sum() for step in steps)
        if follows > leads:
            one, other, follows, leads = other, one, leads, follows
        if follows < CONTINUOUS * leads:
            roles = {"open": first + one, "high": first + high, "low": first + low, "close": first + other}
            found.append(roles)
    usual = [roles for roles in found if [*roles.values()] == sorted(roles.values())]
    if len(found) != 1 and len(usual) != 1:
        return {}
    chosen = (usual or found)[0]
    closes, *others = parse_prices([cells_of(sample, i) for i in (chosen["close"], *columns)])[0]
    near = [
        i  # a repeated header among the rows is no number
        for i, prices in zip(columns, others, strict=True)
        if np.nanmedian(np.abs(prices / closes - 1)) < NEAR
    ]
    apart = [i for i in near if i not in chosen.values()]
    return chosen if not apart or (usual and min(apart) > chosen["close"]) else {}


def _windows(sample: Sample, columns: Sequence[int]) -> Iterator[tuple[int, Floats]]:
    """Yield the first of four neighbours among columns and their prices, where these are alike."""
    for first in columns:
        if set(range(first, first + 4)) <= set(columns):
            four = np.stack(parse_prices([cells_of(sample, i) for i in range(first, first + 4)])[0], axis=1)
            four = four[(four > 0).all(axis=1)]
            if len(four) > 1 and np.median(four.max(axis=1) / four.min(axis=1)) < ALIKE:
                yield first, four


def _extreme(four: Floats, reduce: np.ufunc) -> int | None:
    """Return the one column that holds the highest (or lowest) price of nearly every row, or None."""
    extreme = reduce.reduce(four, axis=1)
    share = (four == extreme[:, None]).mean(axis=0)
    best = int(share.argmax())
    alone = (share == share[best]).sum() == 1
    return best if share[best] >= CONSISTENT and alone else None


def cells_of(sample: Sample, column: int) -> pa.ChunkedArray:
    """Return the cells of a column."""
    return pa.chunked_array([[row[column] for row in sample]], pa.string())
