"""Shape counters: label frequencies by the visible half of a fractal, a strong simple baseline."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES
from bt_neuro.metrics.predictions import DelayedLabels, running_sums

Array = NDArray[np.floating]

FIFTHS = 5
_DECIMALS = 9  # a close on the border of two fifths must not fall to either side by rounding


def visible_shapes(bars: pd.DataFrame, evaluated: NDArray[np.integer], wing: int = 1) -> NDArray[np.intp]:
    """Return the shape number of each evaluated bar, 0 to 19, from its own and earlier prices.

    Parameters
    ----------
    bars : high, low and close; row = number of the bar
    evaluated : (n,), bar numbers
    wing : bars on either side of a fractal

    Returns
    -------
    (n,) array
        10 if the high exceeds the highs of all ``wing`` bars before, as a top must; plus 5 if the low is
        below their lows; plus the fifth of the bar's range in which the close lies, 0 to 4 from the low up,
        2 of a bar without a range.

    Examples
    --------
    >>> bars = pd.DataFrame({"high": [3, 4, 4], "low": [1, 2, 0], "close": [2, 4, 1]})
    >>> visible_shapes(bars, np.arange(3)).tolist()
    [2, 14, 6]
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
    return (2 * higher[evaluated] + lower[evaluated]) * FIFTHS + fifth


def is_possible(signals: NDArray[np.integer], shapes: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return whether the visible shape allows each signal (0 none, 1 buy, 2 sell) to hit.

    A buy needs a lower low than the ``wing`` bars before, a sell a higher high.
    """
    higher, lower = shapes // (2 * FIFTHS) == 1, shapes // FIFTHS % 2 == 1
    return np.select([signals == 1, signals == 2], [lower, higher], True)


def shape_counters(examples: DelayedLabels, shapes: NDArray[np.integer]) -> Array:
    """Return the label frequencies of earlier bars of the same shape, (n, 3) probabilities.

    Parameters
    ----------
    examples : labels of n bars, and when each became known
    shapes : (n,), number of each bar's shape

    Notes
    -----
    Counts start at one of each class (Laplace). A row counts the labels that are known by the close of its
    bar, as the network's training does.
    """
    counts = np.ones((len(shapes), len(CLASSES)))
    learned_shapes, learned_shares = shapes[examples.order], examples.shares[examples.order]
    for shape in np.unique(shapes):
        rows, learned = np.flatnonzero(shapes == shape), np.flatnonzero(learned_shapes == shape)
        sums = running_sums(learned_shares[learned])
        counts[rows] += sums[np.searchsorted(learned, examples.known[rows])]
    return counts / counts.sum(axis=1, keepdims=True)
