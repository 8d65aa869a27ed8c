"""Visible half of a fractal: what a bar and the ``wing`` bars before it show of its label."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES
from bt_neuro.metrics.predictions import DelayedLabels

Array = NDArray[np.floating]

FIFTHS = 5
SHAPES = 4 * FIFTHS
_DECIMALS = 9  # a close on the border of two fifths must not fall to either side by rounding


class VisibleShape(NamedTuple):
    """Visible half of each bar's fractal.

    Attributes
    ----------
    higher : (n,), whether the high exceeds the highs of all ``wing`` bars before it. Only then can the bar
        become a top, and a sell signal hit
    lower : (n,), whether the low is below the lows of all ``wing`` bars before it: the same of bottom and buy
    fifth : (n,), fifth of the bar's range in which the close lies, 0 to 4 from the low up; 2 of a bar without
        a range
    """

    higher: NDArray[np.bool_]
    lower: NDArray[np.bool_]
    fifth: NDArray[np.intp]

    @property
    def number(self) -> NDArray[np.intp]:
        """Number of each bar's shape, 0 to 19."""
        return (2 * self.higher + self.lower) * FIFTHS + self.fifth

    def is_possible(self, signals: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Return whether each signal (0 none, 1 buy, 2 sell) could still hit when it was given."""
        return np.select([signals == 1, signals == 2], [self.lower, self.higher], True)


def visible_shape(bars: pd.DataFrame, evaluated: NDArray[np.integer], wing: int = 1) -> VisibleShape:
    """Return the shapes of the evaluated bars. Each uses prices of its own and earlier bars only.

    Parameters
    ----------
    bars : high, low and close; row = number of the bar
    evaluated : (n,), numbers of bars
    wing : bars on either side of a fractal

    Examples
    --------
    >>> bars = pd.DataFrame({"high": [3, 4, 4], "low": [1, 2, 0], "close": [2, 4, 1]})
    >>> shape = visible_shape(bars, np.arange(3))
    >>> shape.higher.tolist(), shape.lower.tolist(), shape.fifth.tolist()
    ([False, True, False], [False, False, True], [2, 4, 1])
    """
    high, low, close = (bars[name].to_numpy(dtype=float) for name in ("high", "low", "close"))
    complete = np.arange(len(bars)) >= wing  # the label of a bar without that many before it is never known
    higher, lower = complete.copy(), complete.copy()
    for back in range(1, wing + 1):
        higher[back:] &= high[back:] > high[:-back]
        lower[back:] &= low[back:] < low[:-back]
    size = high[evaluated] - low[evaluated]
    place = np.divide(close[evaluated] - low[evaluated], size, out=np.full(len(size), 0.5), where=size > 0)
    fifth = np.floor(np.round(FIFTHS * place, _DECIMALS)).astype(np.intp).clip(0, FIFTHS - 1)
    return VisibleShape(higher[evaluated], lower[evaluated], fifth)


def shape_counters(examples: DelayedLabels, shapes: NDArray[np.integer]) -> Array:
    """Return the label frequencies of earlier bars of the same shape, (n, 3) probabilities.

    Parameters
    ----------
    examples : labels of n bars, and when each became known
    shapes : (n,), number of each bar's shape

    Notes
    -----
    Counts start at one of each class (Laplace). A row counts the labels that are known by the close of its
    bar, as the network's training does. With the twenty shapes of `VisibleShape` this is the strongest simple
    predictor of fractals; see docs/scores.md.
    """
    counts = np.ones((len(shapes), len(CLASSES)))
    learned_shapes, learned_shares = shapes[examples.order], examples.shares[examples.order]
    for shape in np.unique(shapes):
        rows, learned = np.flatnonzero(shapes == shape), np.flatnonzero(learned_shapes == shape)
        sums = np.zeros((len(learned) + 1, len(CLASSES)))
        np.cumsum(learned_shares[learned], axis=0, out=sums[1:])
        counts[rows] += sums[np.searchsorted(learned, examples.known[rows])]
    return counts / counts.sum(axis=1, keepdims=True)
