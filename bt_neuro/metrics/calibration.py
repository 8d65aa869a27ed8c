"""Whether probabilities mean what they say, and what a threshold on them would keep."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bt_neuro.learning.signals import CLASSES
from bt_neuro.metrics.classification import wilson_bounds
from bt_neuro.metrics.predictions import PROBABILITIES, network_signals, targets_of

THRESHOLDS = tuple(np.round(np.arange(0.34, 1.0, 0.02), 2).tolist())  # the largest of three is above a third


def threshold_sweep(predictions: pd.DataFrame, thresholds: ArrayLike = THRESHOLDS) -> pd.DataFrame:
    """Return how many signals each confidence would keep, and how many of those hit.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    thresholds : a signal is kept if its probability is that or more; rising

    Returns
    -------
    DataFrame
        One row a threshold: ``threshold``, ``signals``, ``kept`` (share of all signals), ``hits``,
        ``hit_rate`` (precision), ``low``, ``high`` (Wilson, 95 %); NaN where nothing is kept.

    Notes
    -----
    A threshold picked here was picked with hindsight; it needs other bars to be believed.
    """
    confidence, hit = confidences(predictions)
    order = np.argsort(confidence)
    confidence, hits_above = confidence[order], _from_the_end(hit[order])
    limits = np.asarray(thresholds, dtype=float)
    first = np.searchsorted(confidence, limits, side="left")
    signals, hits = len(confidence) - first, hits_above[first]
    low, high = wilson_bounds(hits, signals)
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.DataFrame(
            {
                "threshold": limits,
                "signals": signals,
                "kept": signals / np.float64(len(confidence)),
                "hits": hits,
                "hit_rate": hits / signals,
                "low": low,
                "high": high,
            }
        )


def confidences(predictions: pd.DataFrame) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Return each scored signal's probability, and whether it hit."""
    targets, signals = targets_of(predictions), network_signals(predictions)
    rows = np.flatnonzero(targets.any(axis=1) & (signals > 0))
    classes = signals[rows]
    return predictions[PROBABILITIES].to_numpy()[rows, classes], targets[rows, classes] == 1


def _from_the_end(hit: NDArray[np.bool_]) -> NDArray[np.integer]:
    return np.concatenate([np.cumsum(hit[::-1])[::-1], [0]])


def reliability_curve(predictions: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """Return, for bars given about the same probability of a class, how often the class happened.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    bins : of equal width, from 0 to 1

    Returns
    -------
    DataFrame
        One row a class and bin that holds bars: ``name`` (none, buy, sell), ``bin``, ``bars``, ``predicted``
        (mean probability), ``happened`` (share of the bars), ``low``, ``high`` (Wilson, 95 %). A label that
        is buy and sell happened as both.
    """
    targets = targets_of(predictions)
    scored = targets.any(axis=1)
    probabilities = predictions[PROBABILITIES].to_numpy()[scored]
    tables = []
    for index, name in enumerate(CLASSES):
        p, happened = probabilities[:, index], targets[scored, index]
        places = np.minimum((p * bins).astype(int), bins - 1)
        bars = np.bincount(places, minlength=bins)
        held = np.flatnonzero(bars)
        predicted, hits = (np.bincount(places, values, minlength=bins)[held] for values in (p, happened))
        low, high = wilson_bounds(hits, bars[held])
        columns = {"bin": held, "bars": bars[held], "predicted": predicted / bars[held]}
        columns |= {"happened": hits / bars[held], "low": low, "high": high}
        tables.append(pd.DataFrame({"name": name, **columns}))
    return pd.concat(tables, ignore_index=True)


def calibration_error(curve: pd.DataFrame) -> float | None:
    """Return the mean distance between predicted and happened, weighted by bars (Naeini et al. 2015)."""
    if curve.empty:
        return None
    return float(np.average((curve["predicted"] - curve["happened"]).abs(), weights=curve["bars"]))
