"""Classification scores of the network and the baselines on the same bars."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bt_neuro.learning.epochs import RunningFigures
from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.baselines import majority_class
from bt_neuro.metrics.bootstrap import CONFIDENCE
from bt_neuro.metrics.predictions import (
    LABELS,
    DelayedLabels,
    ScoredBars,
    brier_scores,
    is_hit,
    labels_of,
    log_losses,
    network_signals,
    running_sums,
    targets_of,
)
from bt_neuro.metrics.skill import hits_at_coverage, shape_metrics

Array = NDArray[np.floating]
Metrics = dict[str, Any]

NETWORK = "this network"
RECENT_SIGNALS = 1000
SIDES = {"buy": 1, "sell": 2}


def wilson_bounds(hits: ArrayLike, signals: ArrayLike, confidence: float = CONFIDENCE) -> tuple[Array, Array]:
    """Return the bounds of Wilson's score interval of each hit rate; NaN without signals.

    Signals of neighbouring bars are dependent, so the true interval is somewhat wider.

    Examples
    --------
    >>> [round(float(bound), 3) for bound in wilson_bounds(60, 100)]
    [0.502, 0.691]
    """
    k, n = np.asarray(hits, dtype=float), np.asarray(signals, dtype=float)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = k / n
        middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def predictor_scores(
    predictions: pd.DataFrame,
    outputs: Array,
    baselines: dict[str, Array],
    shapes: NDArray[np.integer] | None = None,
) -> dict[str, Metrics]:
    """Return the scores of the network and of every baseline on the bars with a confirmed label.

    Parameters
    ----------
    predictions, outputs, baselines, shapes : as in `Predictors`; without `shapes`, what depends on them is
        left out

    Returns
    -------
    dict of dicts
        By name, the network first; the keys of `score` and of `shape_metrics`,
        ``equal_coverage_hit_rate_pct`` (with as many signals as the network has, at the bars of the largest
        p_buy or p_sell), ``kappa_majority`` and ``kappa_no_change``. Kappa is (accuracy - a) / (1 - a), where
        a is the accuracy of the majority class so far, or of the last known label. 1 is perfect, 0 no better
        than a. Kappa M of Bifet et al. 2015, kappa-temporal of Zliobaite et al. 2015, both under the label
        delay.
    """
    scored, targets, own, own_signals = ScoredBars.of(predictions)
    examples = DelayedLabels.of(predictions)
    references = {
        "kappa_majority": _accuracy(signals_of(majority_class(examples))[scored], targets),
        "kappa_no_change": _accuracy(signals_of(examples.last())[scored], targets),
    }
    predictors = {NETWORK: (own, own_signals, mean_output(outputs)[scored])}
    predictors |= {name: (p[scored], signals_of(p)[scored], p[scored]) for name, p in baselines.items()}
    scores = {}
    for name, (probabilities, signals, raw) in predictors.items():
        scores[name] = score(probabilities, signals, targets, raw)
        if shapes is not None:
            scores[name] |= shape_metrics(signals, targets, shapes[scored])
        n = scores[NETWORK]["signals"]
        hits = float(hits_at_coverage(probabilities, targets, n)[:, 0].sum())
        scores[name]["equal_coverage_hit_rate_pct"] = percent(ratio(hits, n))
        accuracy = _accuracy(signals, targets)
        scores[name] |= {key: _kappa(accuracy, reference) for key, reference in references.items()}
    return scores


def score(probabilities: Array, signals: NDArray[np.intp], targets: Array, outputs: Array) -> Metrics:
    """Return the scores of predictions with confirmed labels.

    Parameters
    ----------
    probabilities : (n, 3), of none, buy and sell
    signals : (n,), 0 none, 1 buy, 2 sell
    targets : (n, 3), zeros and ones
    outputs : (n, 3), which the loss compares with targets; the probabilities, if there are no others

    Returns
    -------
    dict
        Undefined figures are None.

        - ``scored_bars``, ``signals``, ``hits``, ``hit_rate_pct`` with its Wilson interval
          ``hit_rate_low_pct`` and ``hit_rate_high_pct``, ``coverage_pct`` (signals / scored bars)
        - ``accuracy_pct``: bars whose label contains the prediction, "none" included
        - ``mean_squared_error``: of the outputs, over the three classes
        - ``brier_score``: of the probabilities, summed over the classes; a label that is buy and sell counts
          as a half of each
        - ``log_loss``: None if the probability of a class that happened was 0
    """
    bars, n_signals, hits = len(targets), int((signals > 0).sum()), int(is_hit(signals, targets).sum())
    low, high = (float(bound) for bound in wilson_bounds(hits, n_signals)) if n_signals else (None, None)
    loss = float(log_losses(probabilities, targets).mean()) if bars else math.nan
    return {
        "scored_bars": bars,
        "signals": n_signals,
        "hits": hits,
        "hit_rate_pct": percent(ratio(hits, n_signals)),
        "hit_rate_low_pct": percent(low),
        "hit_rate_high_pct": percent(high),
        "coverage_pct": percent(ratio(n_signals, bars)),
        "accuracy_pct": percent(_accuracy(signals, targets)),
        "mean_squared_error": float(((outputs - targets) ** 2).mean()) if bars else None,
        "brier_score": float(brier_scores(probabilities, targets).mean()) if bars else None,
        "log_loss": loss if math.isfinite(loss) else None,
    }


def mean_output(outputs: Array) -> Array:
    """Return the mean output of the members, (n, 3), from (n, members, 3)."""
    return outputs.mean(axis=1, dtype=float)


def signal_metrics(predictions: pd.DataFrame, outputs: Array, window: int = RECENT_SIGNALS) -> Metrics:
    """Return the figures of scored signals by class and over time.

    Parameters
    ----------
    predictions, outputs : as of `predictor_scores`
    window : number of last signals in ``window_hit_rate_pct``

    Returns
    -------
    dict
        ``window_hit_rate_pct``, the keys of `side_metrics`, and those of `ArticleFigures`, computed as after
        an epoch.
    """
    rows = DelayedLabels.of(predictions).order  # on which the running figures depend
    signals, targets = network_signals(predictions)[rows], targets_of(predictions)[rows]
    hits = is_hit(signals, targets)
    running = RunningFigures(networks=1)
    running.add(mean_output(outputs[rows])[None], targets, signals[None])
    recent = hits[signals > 0][-window:]
    return {
        "window_hit_rate_pct": percent(ratio(int(recent.sum()), len(recent))),
        **side_metrics(
            signals={name: int((signals == number).sum()) for name, number in SIDES.items()},
            hits={name: int(hits[signals == number].sum()) for name, number in SIDES.items()},
            labels={name: int((labels_of(targets) == name).sum()) for name in LABELS.tolist()},
        ),
        **running.figures()[0]._asdict(),
    }


def side_metrics(signals: dict[str, int], hits: dict[str, int], labels: dict[str, int]) -> Metrics:
    """Return ``buy`` and ``sell``, each a dict, and ``labels``, from counts by name.

    Each side has ``signals``, ``hits``, ``hit_rate_pct``, ``fractals`` (labels that contain it) and
    ``recall_pct`` (hits / fractals).
    """
    sides = {}
    for name in SIDES:
        fractals = labels[name] + labels["both"]
        sides[name] = {
            "signals": signals[name],
            "hits": hits[name],
            "hit_rate_pct": percent(ratio(hits[name], signals[name])),
            "fractals": fractals,
            "recall_pct": percent(ratio(hits[name], fractals)),
        }
    return {**sides, "labels": labels}


def _kappa(accuracy: float | None, reference: float | None) -> float | None:
    if accuracy is None or reference is None or reference == 1:
        return None
    return (accuracy - reference) / (1 - reference)


def _accuracy(predicted: NDArray[np.intp], targets: Array) -> float | None:
    return float(targets[np.arange(len(targets)), predicted].mean()) if len(targets) else None


def hit_rate_over_time(
    predictions: pd.DataFrame, baselines: dict[str, Array], window: int = 2_000
) -> pd.DataFrame:
    """Return rolling hit rates of the network and the baselines over `window` scored bars.

    Returns
    -------
    DataFrame
        One row per scored bar from the ``window``-th on: ``bar``, ``datetime``, ``signals``, ``hit_rate``,
        ``low``, ``high`` (Wilson) of the network, and the hit rates of each baseline by its name; NaN without
        signals in the window.
    """
    scored, targets, _, own = ScoredBars.of(predictions)
    window = max(min(window, len(targets)), 1)

    def rolling(signals: NDArray[np.intp]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        totals = running_sums(np.stack([is_hit(signals, targets), signals > 0], axis=1))
        hits, n = (totals[window:] - totals[:-window]).astype(int).T
        return hits, n

    hits, n = rolling(own)
    low, high = wilson_bounds(hits, n)
    table = predictions.loc[scored, ["bar", "datetime"]].iloc[window - 1 :].reset_index(drop=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = table.assign(signals=n, hit_rate=hits / n, low=low, high=high)
        for name, probabilities in baselines.items():
            hits, n = rolling(signals_of(probabilities)[scored])
            table[name] = hits / n
    return table


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def percent(part: float | None) -> float | None:
    return None if part is None else 100 * part
