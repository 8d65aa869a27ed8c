"""Calibration of probabilities, and the effect of a threshold on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bt_neuro.learning.signals import CLASSES
from bt_neuro.metrics.classification import wilson_bounds
from bt_neuro.metrics.predictions import ScoredBars

THRESHOLDS = tuple(np.round(np.arange(0.34, 1.0, 0.02), 2).tolist())  # the largest of three is above a third


def threshold_sweep(predictions: pd.DataFrame, thresholds: ArrayLike = THRESHOLDS) -> pd.DataFrame:
    """Return the number of signals at each minimum probability, and their hit rate.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    thresholds : minimum probabilities of a signal

    Returns
    -------
    DataFrame
        One row per threshold: ``threshold``, ``signals``, ``kept`` (share of all signals), ``hits``,
        ``hit_rate`` (precision), ``low``, ``high`` (Wilson, 95 %); NaN without signals.

    Notes
    -----
    A threshold chosen on these bars must be tested on others.
    """
    _, targets, probabilities, signals = ScoredBars.of(predictions)
    rows = np.flatnonzero(signals)
    confidence, hit = (values[rows, signals[rows]] for values in (probabilities, targets))
    order = np.argsort(confidence)[::-1]
    limits = np.asarray(thresholds, dtype=float)
    n = len(rows) - np.searchsorted(confidence[order][::-1], limits)
    hits = np.concatenate([[0.0], np.cumsum(hit[order])])[n].astype(int)
    low, high = wilson_bounds(hits, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {"threshold": limits, "signals": n, "kept": n / np.float64(len(rows)), "hits": hits}
        return pd.DataFrame({**columns, "hit_rate": hits / n, "low": low, "high": high})


def reliability_curve(predictions: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """Return predicted and observed frequencies of each class, by bins of the probability.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    bins : number of bins of equal width, from 0 to 1

    Returns
    -------
    DataFrame
        One row per class and bin that holds bars: ``name`` (none, buy, sell), ``bin``, ``bars``, ``predicted``
        (mean probability), ``happened`` (share of the bars), ``low``, ``high`` (Wilson, 95 %). A label "both"
        counts as buy and as sell.
    """
    _, targets, probabilities, _ = ScoredBars.of(predictions)
    tables = []
    for name, p, happened in zip(CLASSES, probabilities.T, targets.T, strict=True):
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
    """Return the expected calibration error of a `reliability_curve` (Naeini et al. 2015); None if empty."""
    if curve.empty:
        return None
    return float(np.average((curve["predicted"] - curve["happened"]).abs(), weights=curve["bars"]))
