"""Baselines: simple predictors on the same bars, trained under the same label delay.

They are computed from the tables of a run, after it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES
from bt_neuro.metrics.predictions import PROBABILITIES, DelayedLabels
from bt_neuro.metrics.shape_counters import shape_counters, visible_shapes
from bt_neuro.metrics.softmax_regression import softmax_regression

Array = NDArray[np.floating]


SHAPE = "visible shape"


def baseline_probabilities(
    predictions: pd.DataFrame,
    bars: pd.DataFrame,
    features: Array,
    history_bars: int,
    wing: int = 1,
    *,
    seed: int = 0,
) -> dict[str, Array]:
    """Return the probabilities of none, buy and sell of each baseline at each predicted bar.

    Parameters
    ----------
    predictions : as in ``predictions.csv``, n rows of consecutive bars
    bars : as `read_bars` returns them; row = number of the bar
    features : (n + history_bars - 1, features of a bar), the learner's rows; row j + history_bars - 1 is that
        of the j-th predicted bar
    history_bars : bars in a window
    wing : bars on either side of a fractal, or after which the label is known
    seed : of the shuffled signals

    Returns
    -------
    dict of (n, 3) arrays, by name

    Notes
    -----
    The row of bar t depends on features and prices of bars up to t, and on labels known by the close of t, as
    the network's does. Only "shuffled signals" depend on the network's probabilities, and on the number of
    its signals.
    """
    rows = len(predictions) + history_bars - 1
    if len(predictions) and len(features) != rows:
        raise ValueError(f"{len(features)} rows of features; windows of {history_bars} bars need {rows}")
    examples = DelayedLabels.of(predictions)
    return {
        "class frequencies": class_frequencies(examples),
        "majority class": majority_class(examples),
        SHAPE: shape_counters(examples, visible_shapes(bars, predictions["bar"].to_numpy(), wing)),
        "softmax regression": softmax_regression(examples, features, history_bars),
        "shuffled signals": shuffled_signals(predictions, seed),
    }


def pretrained_baseline_probabilities(
    training: pd.DataFrame,
    predictions: pd.DataFrame,
    bars: pd.DataFrame,
    features: Array,
    history_bars: int,
    wing: int = 1,
) -> dict[str, Array]:
    """Return `baseline_probabilities` of baselines that have learned the training part too.

    A baseline must not know less than a network that was trained before its test.

    Parameters
    ----------
    training : ``bar``, ``label`` and ``known_bar`` of the examples that the network was fitted to; may be
        empty
    features : the learner's rows, up to that of the last predicted bar
    predictions, bars, history_bars, wing : as in `baseline_probabilities`
    """
    if predictions.empty:
        return baseline_probabilities(predictions, bars, features, history_bars, wing)
    first_bar, last_bar = int(predictions["bar"].iloc[0]), int(predictions["bar"].iloc[-1])
    before = pd.DataFrame({"bar": range(last_bar - len(features) + history_bars, first_bar)})
    training = training.astype({"label": str})  # also where there is none, and pandas knows no kind of label
    learned = before.merge(training, how="left", on="bar").fillna({"label": ""}).assign(signal="none")
    whole = pd.concat([learned, predictions], ignore_index=True) if len(learned) else predictions
    probabilities = baseline_probabilities(whole, bars, features, history_bars, wing)
    probabilities = {name: p[len(learned) :] for name, p in probabilities.items()}
    return probabilities | {"shuffled signals": shuffled_signals(predictions)}  # of the test alone


def baseline_table(
    bars: pd.Series, shapes: NDArray[np.integer], probabilities: dict[str, Array]
) -> pd.DataFrame:
    """Return the table ``baselines.csv``: one row a predicted bar.

    Its columns are ``bar``, ``shape`` (see `visible_shapes`), and for each baseline ``p_buy`` and ``p_sell``
    behind its name.
    """
    columns = {
        f"{name} {column}": p[:, number]
        for name, p in probabilities.items()
        for number, column in enumerate(PROBABILITIES)
        if number
    }
    return pd.DataFrame({"bar": bars.to_numpy(), "shape": shapes, **columns})


def table_probabilities(table: pd.DataFrame) -> dict[str, Array]:
    """Return the probabilities of each baseline, (n, 3) by name, from ``baselines.csv``."""
    ending = f" {PROBABILITIES[1]}"
    names = [column.removesuffix(ending) for column in table.columns if column.endswith(ending)]
    probabilities = {}
    for name in names:
        buy, sell = (table[f"{name} {column}"].to_numpy(dtype=float) for column in PROBABILITIES[1:])
        probabilities[name] = np.stack([np.maximum(1 - buy - sell, 0), buy, sell], axis=1)
    return probabilities


def class_frequencies(examples: DelayedLabels) -> Array:
    """Return the shares of the classes so far, the best constant prediction.

    Counts start at one of each class (Laplace), so that no probability is 0.
    """
    return (examples.counts() + 1) / (examples.known[:, None] + len(CLASSES))


def majority_class(examples: DelayedLabels) -> Array:
    """Return 1 for the most frequent class so far, "none" before the first label."""
    return np.eye(len(CLASSES))[examples.counts().argmax(axis=1)]


def shuffled_signals(predictions: pd.DataFrame, seed: int = 0) -> Array:
    """Return the network's probabilities in random order: the same coverage without skill."""
    probabilities: Array = predictions[PROBABILITIES].to_numpy()
    return np.random.default_rng(seed).permutation(probabilities)
