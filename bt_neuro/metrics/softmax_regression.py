"""Online softmax regression on the network's windows, with averaged weights."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES
from bt_neuro.metrics.predictions import DelayedLabels

Array = NDArray[np.floating]

RATE = 0.002
AVERAGED_EXAMPLES = 256
_ROWS = 16_384  # standardised at a time


def softmax_regression(
    examples: DelayedLabels,
    features: Array,
    history_bars: int,
    *,
    rate: float = RATE,
    averaged_examples: int = AVERAGED_EXAMPLES,
) -> Array:
    """Return the probabilities of a softmax regression trained label by label.

    Parameters
    ----------
    examples : labels of n rows of consecutive bars, and when each became known
    features : (n + history_bars - 1, features of a bar), those of the windows' bars
    history_bars : bars in a window
    rate : learning rate
    averaged_examples : time constant of the averaged weights, in examples; 1 uses the last weights

    Returns
    -------
    (n, 3) array
        Probabilities of none, buy and sell. The row of bar t uses features of bars up to t, and labels known
        by the close of t.

    Notes
    -----
    Equal to river's ``StandardScaler | SoftmaxRegression(SGD(rate))`` with ``averaged_examples=1``. Averaging
    is that of Polyak and Juditsky 1992 with an exponential window; both settings were chosen on EURUSD H1
    (docs/explanation/defaults.md).

    Examples are learned in blocks, in the dual form of kernel methods. The weights after an example are those
    before the block, less each error times its window. So a score needs only products of windows.
    """
    bars, width = standardised(features), history_bars * features.shape[1] + 1
    size = _block_size(width)
    places = np.arange(size)
    # Share of the average that is left after 0, 1, ... examples.
    kept = (1 - 1 / averaged_examples) ** np.arange(size + 1)[:, None]
    weights = averaged = np.zeros((len(CLASSES), width))
    scores = np.zeros((len(examples.known), len(CLASSES)))
    for first in range(0, len(examples.order), size):
        learned = examples.order[first : first + size]
        seen = _windows(bars, history_bars, learned, size)
        steps = rate * _errors(seen @ weights.T, rate * (seen @ seen.T), examples.shares[learned])
        # Rows predicted once examples of this block are known, and before those of the next.
        begin, end = np.searchsorted(examples.known, [first, first + len(learned)], side="right")
        for start in range(begin, end, size):
            rows = np.arange(start, min(start + size, end))
            window, known = _windows(bars, history_bars, rows, size), np.zeros(size, int)
            known[: len(rows)] = examples.known[rows] - first
            began = kept[known] * (window @ averaged.T) + (1 - kept[known]) * (window @ weights.T)
            share = 1 - kept[np.maximum(known[:, None] - places, 0), 0]  # of each step, in the average
            scores[rows] = (began - (share * (window @ seen.T)) @ steps)[: len(rows)]
        averaged = kept[-1] * averaged + (1 - kept[-1]) * weights - ((1 - kept[:0:-1]) * steps).T @ seen
        weights = weights - steps.T @ seen
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def _block_size(width: int) -> int:
    """Return the number of examples in a block."""
    # OpenBLAS splits larger products among threads, and might round by the number of cores.
    return max(1, min(32, math.isqrt(2**18 // width)))


def _windows(bars: Array, history_bars: int, rows: NDArray[np.integer], size: int) -> Array:
    """Return flat windows with a bias of 1 behind them, padded with zeros to (size, inputs + 1)."""
    # Always of one shape: products of other shapes round otherwise, so a row would depend on later ones.
    block = np.zeros((size, history_bars * bars.shape[1] + 1))
    block[: len(rows), :-1] = bars[rows[:, None] + np.arange(history_bars)].reshape(len(rows), -1)
    block[: len(rows), -1] = 1
    return block


def _errors(scores: Array, products: Array, shares: Array) -> Array:
    """Return the error of each example of a block, (size, 3), after training on the examples before it.

    Parameters
    ----------
    scores : (size, 3), by the weights before the block
    products : (size, size), of the windows, times the rate
    shares : labels of the examples, as probabilities
    """
    errors = np.zeros(scores.shape)
    for example, (score, product, wanted) in enumerate(zip(scores, products, shares.tolist(), strict=False)):
        # Plain floats take a third of NumPy's time. Later errors are still 0 in the product.
        none, buy, sell = (score - product.dot(errors)).tolist()
        largest = max(none, buy, sell)
        none, buy, sell = math.exp(none - largest), math.exp(buy - largest), math.exp(sell - largest)
        total = none + buy + sell
        errors[example] = none / total - wanted[0], buy / total - wanted[1], sell / total - wanted[2]
    return errors


def standardised(features: Array) -> Array:
    """Return features standardised by the mean and population deviation of all bars up to each.

    As river's ``StandardScaler``; a feature that has been constant so far is 0.
    """
    scaled = np.empty(features.shape)
    mean, squares = np.asarray(features[:1], dtype=float).sum(axis=0), np.zeros(features.shape[1])
    for start in range(0, len(features), _ROWS):
        rows = np.asarray(features[start : start + _ROWS], dtype=float)
        seen = np.arange(start + 1, start + len(rows) + 1)[:, None]
        # Sums about the mean so far, for large means and small moves (Chan, Golub and LeVeque 1983).
        moved = rows - mean
        sums = np.cumsum(moved, axis=0)
        deviations = squares + np.cumsum(moved**2, axis=0) - sums**2 / seen
        variance = np.maximum(deviations / seen, 0)
        moving = variance > 1e-18 * mean**2
        part = scaled[start : start + len(rows)]
        np.divide(moved - sums / seen, np.sqrt(variance), out=part, where=moving)
        part[~moving] = 0
        mean, squares = mean + sums[-1] / seen[-1], deviations[-1]
    return scaled
