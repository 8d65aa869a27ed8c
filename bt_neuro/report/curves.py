"""Curves of a run, from its tables: running means, the article's figures, thinning."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bt_neuro.learning.epochs import ARTICLE_WINDOW
from bt_neuro.metrics.predictions import PROBABILITIES, targets_of

Floats = NDArray[np.float64]


def running_mean(samples: ArrayLike, window: int) -> Floats:
    """Return the mean of all samples up to the first `window`, then an exponential average.

    Examples
    --------
    >>> running_mean([0, 1, 1, 1], window=2)
    array([0.   , 0.5  , 0.75 , 0.875])
    """
    values = np.asarray(samples, dtype=np.float64)
    head = np.cumsum(values[:window]) / np.arange(1, min(window, len(values)) + 1)
    if len(values) <= window:
        return head
    tail = pd.Series(np.concatenate([head[-1:], values[window:]])).ewm(alpha=1 / window, adjust=False).mean()
    return np.concatenate([head, tail.to_numpy()[1:]])


def article_curves(predictions: pd.DataFrame, window: int = ARTICLE_WINDOW) -> dict[str, pd.DataFrame]:
    """Return the running figures that the article plots: error, forecast, undefine.

    Each is a frame of ``datetime`` and ``value``; forecast and undefine are shares. The error is the root
    mean square of target - probability.

    Examples
    --------
    >>> frame = pd.DataFrame({"datetime": pd.date_range("2024", periods=3), "p_none": [.2, 1, 0],
    ...     "p_buy": [.8, 0, 1], "p_sell": [0., 0, 0], "signal": ["buy", "none", "buy"],
    ...     "label": ["buy", "sell", "none"], "hit": [1, None, 0]})
    >>> {name: curve["value"].round(2).tolist() for name, curve in article_curves(frame).items()}
    {'error': [0.16, 0.49, 0.6], 'forecast': [1.0, 0.5], 'undefine': [0.0, 0.5]}
    """
    known = predictions[predictions["label"] != ""]
    difference = targets_of(known) - known[PROBABILITIES].to_numpy()
    signal, fractal = known["signal"] != "none", known["label"] != "none"
    samples = {
        "error": (known, np.sqrt((difference**2).mean(axis=1))),
        "forecast": (known[signal], known.loc[signal, "hit"].to_numpy(dtype=np.float64)),
        "undefine": (known[fractal], 1.0 - signal[fractal].to_numpy()),
    }
    return {
        name: pd.DataFrame({"datetime": rows["datetime"].to_numpy(), "value": running_mean(values, window)})
        for name, (rows, values) in samples.items()
    }


def thinned(values: ArrayLike, points: int = 1200) -> NDArray[np.intp]:
    """Return the indices of values to draw: the lowest and the highest of each stretch, NaN if it has no other.

    Examples
    --------
    >>> thinned([0, 9, 1, 2, 3, -5, 4, 5], points=4)
    array([0, 1, 5, 7])
    """
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) <= points:
        return np.arange(len(numbers))
    size = -(-len(numbers) // (points // 2))
    padded = np.pad(numbers, (0, -len(numbers) % size), mode="edge").reshape(-1, size)
    starts = np.arange(len(padded)) * size
    lowest, highest = (np.where(np.isnan(padded), worst, padded) for worst in (np.inf, -np.inf))
    picked = np.concatenate([starts + lowest.argmin(axis=1), starts + highest.argmax(axis=1)])
    return np.unique(np.minimum(picked, len(numbers) - 1))
