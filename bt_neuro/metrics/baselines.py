"""What a network must beat: simple predictors on the same bars, taught under the same delay.

They are computed after the run, from its tables: the loop over bars stays the network's own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES
from bt_neuro.metrics.predictions import PROBABILITIES, DelayedLabels
from bt_neuro.metrics.softmax_regression import softmax_regression

Array = NDArray[np.floating]


def baseline_probabilities(
    predictions: pd.DataFrame, bars: pd.DataFrame, features: Array, history_bars: int, *, seed: int = 0
) -> dict[str, Array]:
    """Return what each baseline says of each predicted bar, as probabilities of none, buy and sell.

    Parameters
    ----------
    predictions : as in ``predictions.csv``, n rows of consecutive bars
    bars : as `read_bars` returns them; row = number of the bar
    features : (n + history_bars - 1, features of a bar), the rows that the learner saw; row j +
        history_bars - 1 is that of the j-th predicted bar
    history_bars : bars in a window
    seed : of the shuffled signals

    Returns
    -------
    dict of (n, 3) arrays, by name

    Notes
    -----
    An answer for bar t uses features and prices of bars up to t, and labels known by the close of t, as the
    network does. Only "shuffled signals" use the network's answers, and with them how many signals it gave in
    all.
    """
    rows = len(predictions) + history_bars - 1
    if len(predictions) and len(features) != rows:
        raise ValueError(f"{len(features)} rows of features; windows of {history_bars} bars need {rows}")
    examples = DelayedLabels.of(predictions)
    return {
        "class frequencies": class_frequencies(examples),
        "majority class": majority_class(examples),
        "two-bar rule": two_bar_rule(bars, predictions["bar"].to_numpy()),
        "softmax regression": softmax_regression(examples, features, history_bars),
        "shuffled signals": shuffled_signals(predictions, seed),
    }


def pretrained_baseline_probabilities(
    training: pd.DataFrame, predictions: pd.DataFrame, bars: pd.DataFrame, features: Array, history_bars: int
) -> dict[str, Array]:
    """Return what the baselines say of the predicted bars where they learned a training part too.

    What there is to beat must not be weaker than a network that was trained before its test.

    Parameters
    ----------
    training : ``bar``, ``label`` and ``known_bar`` of what the network learned in one go; may be empty
    features : the rows that the learner saw, up to that of the last predicted bar
    predictions, bars, history_bars : as `baseline_probabilities` takes them
    """
    if predictions.empty:
        return baseline_probabilities(predictions, bars, features, history_bars)
    first_bar, last_bar = int(predictions["bar"].iloc[0]), int(predictions["bar"].iloc[-1])
    before = pd.DataFrame({"bar": range(last_bar - len(features) + history_bars, first_bar)})
    training = training.astype({"label": str})  # also where there is none, and pandas knows no kind of label
    learned = before.merge(training, how="left", on="bar").fillna({"label": ""}).assign(signal="none")
    whole = pd.concat([learned, predictions], ignore_index=True) if len(learned) else predictions
    answers = baseline_probabilities(whole, bars, features, history_bars)
    answers = {name: answer[len(learned) :] for name, answer in answers.items()}
    return answers | {"shuffled signals": shuffled_signals(predictions)}  # of the test alone


def class_frequencies(examples: DelayedLabels) -> Array:
    """Return how often each class came so far: the best constant answer, known only from the past.

    Counting begins at one of each (Laplace), so that no class is called impossible.
    """
    return (examples.counts() + 1) / (examples.known[:, None] + len(CLASSES))


def majority_class(examples: DelayedLabels) -> Array:
    """Return 1 for the class that came most often so far; none before the first label."""
    return np.eye(len(CLASSES))[examples.counts().argmax(axis=1)]


def two_bar_rule(bars: pd.DataFrame, asked: NDArray[np.integer]) -> Array:
    """Return sell at a higher high, buy at a lower low, else none: half of a fractal shows already."""
    now, before = bars.iloc[asked], bars.iloc[np.maximum(asked - 1, 0)]
    higher = now["high"].to_numpy() > before["high"].to_numpy()
    lower = now["low"].to_numpy() < before["low"].to_numpy()
    sell, buy = higher & ~lower, lower & ~higher
    return np.stack([~(sell | buy), buy, sell], axis=1).astype(float)


def shuffled_signals(predictions: pd.DataFrame, seed: int = 0) -> Array:
    """Return the network's own answers, dealt out to the bars at random: the same coverage, no knowledge."""
    answers: Array = predictions[PROBABILITIES].to_numpy()
    return np.random.default_rng(seed).permutation(answers)
