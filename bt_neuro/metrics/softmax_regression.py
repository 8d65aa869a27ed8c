"""The strongest baseline: an online softmax regression on the network's own windows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES
from bt_neuro.metrics.predictions import DelayedLabels

Array = NDArray[np.floating]

RATE = 0.002
AVERAGED_EXAMPLES = 256
_ROWS = 16_384  # of the features that are standardised at a time


def softmax_regression(
    examples: DelayedLabels,
    features: Array,
    history_bars: int,
    *,
    rate: float = RATE,
    averaged_examples: int = AVERAGED_EXAMPLES,
) -> Array:
    """Return the answers of a softmax regression on the network's windows, learned label by label.

    Parameters
    ----------
    examples : labels of n rows of consecutive bars, and when each became known
    features : (n + history_bars - 1, features of a bar), those of the windows' bars
    history_bars : bars in a window
    rate : of the gradient descent
    averaged_examples : the answers come from weights averaged over about that many examples; 1 is the last
        weights alone

    Returns
    -------
    (n, 3) array
        Probabilities of none, buy and sell. The answer for bar t uses features of bars up to t, and labels
        known by the close of t.

    Notes
    -----
    This is river's ``StandardScaler | SoftmaxRegression(SGD(rate))``, and with ``averaged_examples=1`` a test
    holds the two together to 1e-12. river is not used because its dictionaries of 240 inputs take
    620 microseconds a bar, 51 s for EURUSD H1; this takes some 8. Neighbouring windows share all bars but
    one and pull the weights towards the last label: the average, which river does not have, brings the mean
    squared error on EURUSD H1 from 0.1829 to 0.1710. Rate and average did best there of 0.0005 to 0.004 and 1
    to 1,024 (docs/explanation/defaults.md). Averaging: Polyak and Juditsky 1992, here with an exponential window.

    A step moves the weights along its own window, so the weights are those before a block of examples less
    each error times its window, and a score needs only the products of windows: one matrix product a block,
    instead of passes over the weights at each example (the dual form, as in kernel methods).
    """
    bars, width = standardised(features), history_bars * features.shape[1] + 1
    size = _block_size(width)
    places = np.arange(size)
    kept = (1 - 1 / averaged_examples) ** np.arange(size + 1)[
        :, None
    ]  # of an average, so many examples later
    weights = averaged = np.zeros((len(CLASSES), width))
    scores = np.zeros((len(examples.known), len(CLASSES)))
    for first in range(0, len(examples.order), size):
        learned = examples.order[first : first + size]
        seen = _windows(bars, history_bars, learned, size)
        steps = rate * _errors(seen @ weights.T, rate * (seen @ seen.T), examples.shares[learned])
        # Who is asked when examples of this block are known, and none of the next.
        begin, end = np.searchsorted(examples.known, [first, first + len(learned)], side="right")
        for start in range(begin, end, size):
            asked = np.arange(start, min(start + size, end))
            window, known = _windows(bars, history_bars, asked, size), np.zeros(size, int)
            known[: len(asked)] = examples.known[asked] - first
            began = kept[known] * (window @ averaged.T) + (1 - kept[known]) * (window @ weights.T)
            share = 1 - kept[np.maximum(known[:, None] - places, 0), 0]  # of each step, in the average
            scores[asked] = (began - (share * (window @ seen.T)) @ steps)[: len(asked)]
        averaged = kept[-1] * averaged + (1 - kept[-1]) * weights - ((1 - kept[:0:-1]) * steps).T @ seen
        weights = weights - steps.T @ seen
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def _block_size(width: int) -> int:
    """Return how many examples make a block.

    OpenBLAS deals larger products out to threads, and might round by the number of cores.
    """
    return max(1, min(32, math.isqrt(2**18 // width)))


def _windows(bars: Array, history_bars: int, rows: NDArray[np.integer], size: int) -> Array:
    """Return windows, flat, each with a 1 behind it, and zeros below them, (size, inputs + 1).

    Always as many: products of other shapes round otherwise, and an answer must not depend on what follows.
    """
    block = np.zeros((size, history_bars * bars.shape[1] + 1))
    block[: len(rows), :-1] = bars[rows[:, None] + np.arange(history_bars)].reshape(len(rows), -1)
    block[: len(rows), -1] = 1
    return block


def _errors(scores: Array, products: Array, shares: Array) -> Array:
    """Return the error of each example of a block, (size, 3): of the answer after the examples before it.

    Parameters
    ----------
    scores : (size, 3), with the weights before the block
    products : (size, size), of the windows, times the rate
    shares : the examples' labels, as probabilities
    """
    errors = np.zeros(scores.shape)
    for example, (score, product, wanted) in enumerate(zip(scores, products, shares.tolist(), strict=False)):
        # Three numbers: plain floats take a third of NumPy's time. Errors still to come are 0 in the product.
        none, buy, sell = (score - product.dot(errors)).tolist()
        largest = max(none, buy, sell)
        none, buy, sell = math.exp(none - largest), math.exp(buy - largest), math.exp(sell - largest)
        total = none + buy + sell
        errors[example] = none / total - wanted[0], buy / total - wanted[1], sell / total - wanted[2]
    return errors


def standardised(features: Array) -> Array:
    """Return each bar's features less the mean and over the deviation of all bars up to it, (bars, features).

    Population deviation, as river's ``StandardScaler``; a feature that has not moved yet is 0.
    """
    scaled = np.empty(features.shape)
    mean, squares = np.asarray(features[:1], dtype=float).sum(axis=0), np.zeros(features.shape[1])
    for start in range(0, len(features), _ROWS):
        rows = np.asarray(features[start : start + _ROWS], dtype=float)
        seen = np.arange(start + 1, start + len(rows) + 1)[:, None]
        # Chan, Golub and LeVeque 1983: sums about the mean so far, or large means would drown small moves.
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
