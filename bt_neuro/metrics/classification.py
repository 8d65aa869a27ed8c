"""How good answers were: the same figures, on the same bars, for the network and for every baseline."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.baselines import majority_class
from bt_neuro.metrics.bootstrap import CONFIDENCE, block_bootstrap, block_length
from bt_neuro.metrics.predictions import (
    PROBABILITIES,
    DelayedLabels,
    network_signals,
    shares_of,
    targets_of,
)

Array = NDArray[np.floating]
Scores = dict[str, Any]

NETWORK = "this network"
MINIMUM_SIGNALS = 30  # below this no verdict is given


def wilson_bounds(hits: ArrayLike, signals: ArrayLike, confidence: float = CONFIDENCE) -> tuple[Array, Array]:
    """Return low and high of Wilson's interval for each count; NaN where there were no signals."""
    k, n = np.asarray(hits, dtype=float), np.asarray(signals, dtype=float)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = k / n
        middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def wilson_interval(hits: int, signals: int, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the interval that holds the true hit rate with that confidence; None without signals.

    Wilson's score interval (1927): honest for few signals and for rates near 0 or 1. Signals of neighbouring
    bars are not independent, so the true interval is somewhat wider.

    Examples
    --------
    >>> low, high = wilson_interval(60, 100)
    >>> round(low, 3), round(high, 3)
    (0.502, 0.691)
    """
    if not signals:
        return None
    low, high = wilson_bounds(hits, signals, confidence)
    return float(low), float(high)


def predictor_scores(predictions: pd.DataFrame, answers: dict[str, Array]) -> dict[str, Scores]:
    """Score the network and every baseline on the rows whose label is known.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    answers : of `baseline_probabilities`

    Returns
    -------
    dict of dicts
        By name, the network's first. What is undefined is None. Each holds

        - ``scored_bars``, ``signals``, ``hits``, ``hit_rate`` with its Wilson interval ``hit_rate_low`` and
          ``hit_rate_high``, ``coverage`` (signals / scored bars)
        - ``accuracy``: bars whose label holds the answer, "none" being an answer too
        - ``mean_squared_error``: of the probabilities against the targets, over the three classes. The
          network's own error in ``run.json`` is of its raw outputs, which need not sum to 1: another figure
        - ``brier_score``: summed over the classes; a label that is buy and sell counts as a half of each
        - ``log_loss``: None if what happened was ever given probability 0
        - ``kappa_majority``, ``kappa_no_change``: (accuracy - a) / (1 - a), where a is the accuracy of always
          answering the majority class so far, or the last label known. 0 is no better, 1 is perfect, below 0
          is worse. Kappa M of Bifet et al. 2015, and kappa-temporal of Zliobaite et al. 2015, both under
          the delay of the labels.
    """
    targets = targets_of(predictions)
    scored = targets.any(axis=1)
    examples = DelayedLabels.of(predictions)
    references = {
        "kappa_majority": _accuracy(signals_of(majority_class(examples))[scored], targets[scored]),
        "kappa_no_change": _accuracy(signals_of(examples.last())[scored], targets[scored]),
    }
    told = {
        NETWORK: (predictions[PROBABILITIES].to_numpy(), network_signals(predictions)),
        **{name: (answer, signals_of(answer)) for name, answer in answers.items()},
    }
    return {
        name: _scores(probabilities[scored], signals[scored], targets[scored], references)
        for name, (probabilities, signals) in told.items()
    }


def _scores(
    probabilities: Array, signals: NDArray[np.intp], targets: Array, references: dict[str, float | None]
) -> Scores:
    bars, given, hits = len(targets), int((signals > 0).sum()), int(_hits(signals, targets).sum())
    low, high = wilson_interval(hits, given) or (None, None)
    accuracy = _accuracy(signals, targets)
    scores = {
        "scored_bars": bars,
        "signals": given,
        "hits": hits,
        "hit_rate": hits / given if given else None,
        "hit_rate_low": low,
        "hit_rate_high": high,
        "coverage": given / bars if bars else None,
        "accuracy": accuracy,
        "mean_squared_error": float(((probabilities - targets) ** 2).mean()) if bars else None,
        "brier_score": float(brier_scores(probabilities, targets).mean()) if bars else None,
        "log_loss": _log_loss(probabilities, targets),
    }
    return scores | {name: _kappa(accuracy, reference) for name, reference in references.items()}


def _kappa(accuracy: float | None, reference: float | None) -> float | None:
    if accuracy is None or reference is None or reference == 1:
        return None
    return (accuracy - reference) / (1 - reference)


def brier_scores(probabilities: Array, targets: Array) -> Array:
    """Return each row's squared distance from the label, summed over the classes: 0 to 2."""
    distances: Array = ((probabilities - shares_of(targets)) ** 2).sum(axis=1)
    return distances


def _log_loss(probabilities: Array, targets: Array) -> float | None:
    shares = shares_of(targets)
    happened = shares > 0
    if not len(shares) or not probabilities[happened].all():
        return None
    return float(-(shares[happened] * np.log(probabilities[happened])).sum() / len(shares))


def _hits(signals: NDArray[np.intp], targets: Array) -> NDArray[np.bool_]:
    return (signals > 0) & (targets[np.arange(len(targets)), signals] == 1)


def _accuracy(answers: NDArray[np.intp], targets: Array) -> float | None:
    return float(targets[np.arange(len(targets)), answers].mean()) if len(targets) else None


def best_baseline(baselines: dict[str, Scores]) -> tuple[str, float] | None:
    """Return name and hit rate of the baseline whose signals hit most, among those with enough of them."""
    rates = {
        name: figures["hit_rate"]
        for name, figures in baselines.items()
        if figures["signals"] >= MINIMUM_SIGNALS and figures["hit_rate"] is not None
    }
    return max(rates.items(), key=lambda item: item[1]) if rates else None


def hit_rate_difference(
    predictions: pd.DataFrame, answer: Array, *, block: int | None = None, seed: int = 0
) -> Scores | None:
    """Return the network's hit rate less a baseline's, with the interval of a block bootstrap.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    answer : of one baseline, from `baseline_probabilities`
    block : bars of a block; the cube root of their number by default
    seed : of the draws

    Returns
    -------
    dict or None
        ``difference``, ``low``, ``high`` (95 %) as shares, and ``block_bars``; None where one of the two gave
        no signal. Bars are drawn with both predictors' signals on them, so what they share cancels.
    """
    targets = targets_of(predictions)
    scored = targets.any(axis=1)
    columns = []
    for signals in (network_signals(predictions), signals_of(answer)):
        columns += [_hits(signals, targets)[scored], signals[scored] > 0]
    counts = np.stack(columns, axis=1).astype(float)
    found = block_bootstrap(
        counts, lambda sums: sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3], block=block, seed=seed
    )
    if found is None:
        return None
    return {
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "block_bars": block or block_length(len(counts)),
    }


def verdict(signals: int, difference: Scores | None) -> str:
    """Return in plain words whether the signals are better than the best baseline's.

    Parameters
    ----------
    signals : how many the network gave on scored bars
    difference : of `hit_rate_difference` to the best baseline, None when none gave enough signals

    Examples
    --------
    >>> verdict(7, {"low": 0.01, "high": 0.05})
    'too few signals: 7 of 30'
    >>> verdict(1000, {"low": 0.01, "high": 0.05})
    'better than every baseline'
    >>> verdict(1000, {"low": -0.01, "high": 0.05})
    'not clearly better than a simple baseline'
    >>> verdict(1000, {"low": -0.05, "high": -0.01})
    'worse than a simple baseline'
    """
    if signals < MINIMUM_SIGNALS:
        return f"too few signals: {signals} of {MINIMUM_SIGNALS}"
    if difference is None:
        return "no baseline to compare with"
    if difference["low"] > 0:
        return "better than every baseline"
    if difference["high"] < 0:
        return "worse than a simple baseline"
    return "not clearly better than a simple baseline"


def hit_rate_over_time(
    predictions: pd.DataFrame, answers: dict[str, Array], window: int = 2_000
) -> pd.DataFrame:
    """Return hit rates of the last `window` scored bars, for pictures.

    Returns
    -------
    DataFrame
        One row a scored bar from the ``window``-th on: ``bar``, ``datetime``, ``signals``, ``hit_rate``,
        ``low``, ``high`` (Wilson, of the network), and one column of hit rates a baseline, by its name; NaN
        where a predictor gave no signal in the window.
    """
    targets = targets_of(predictions)
    scored = targets.any(axis=1)
    targets = targets[scored]
    window = max(min(window, len(targets)), 1)

    def rolling(signals: NDArray[np.intp]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        return _sums(_hits(signals, targets), window), _sums(signals > 0, window)

    hits, given = rolling(network_signals(predictions)[scored])
    low, high = wilson_bounds(hits, given)
    table = predictions.loc[scored, ["bar", "datetime"]].iloc[window - 1 :].reset_index(drop=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = table.assign(signals=given, hit_rate=hits / given, low=low, high=high)
        for name, answer in answers.items():
            hits, given = rolling(signals_of(answer)[scored])
            table[name] = hits / given
    return table


def _sums(flags: NDArray[np.bool_], window: int) -> NDArray[np.integer]:
    total = np.concatenate([[0], np.cumsum(flags)])
    return total[window:] - total[:-window]


def percent(part: float | None) -> float | None:
    return None if part is None else 100 * part
