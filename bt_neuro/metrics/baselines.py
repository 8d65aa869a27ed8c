"""Baselines: simple predictors on the bars of a run, trained under the same label delay after it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES
from bt_neuro.metrics.predictions import PROBABILITIES, DelayedLabels
from bt_neuro.metrics.shape_counters import shape_counters, visible_shapes
from bt_neuro.metrics.softmax_regression import softmax_regression

Array = NDArray[np.floating]

SHAPE = "visible shape"


class Predictors(NamedTuple):
    """A network and the baselines on the same bars.

    Attributes
    ----------
    predictions : as in ``predictions.csv``, n rows
    outputs : (n, members, 3), of each network
    baselines : (n, 3) probabilities by name, see `baseline_probabilities`
    shapes : (n,), see `visible_shapes`
    """

    predictions: pd.DataFrame
    outputs: Array
    baselines: dict[str, Array]
    shapes: NDArray[np.integer]

    @classmethod
    def of(
        cls,
        predictions: pd.DataFrame,
        outputs: Array,
        bars: pd.DataFrame,
        features: Array,
        history_bars: int,
        wing: int,
        training: pd.DataFrame,
        passes: int = 1,
    ) -> Predictors:
        """Train the baselines; parameters as in `baseline_probabilities`."""
        baselines = baseline_probabilities(
            predictions, bars, features, history_bars, wing, training=training, passes=passes
        )
        shapes = visible_shapes(bars, predictions["bar"].to_numpy(), wing)
        return cls(predictions, outputs, baselines, shapes)

    def part(self, predictions: pd.DataFrame) -> Predictors:
        """Select rows of `predictions`, whose index is 0, 1, ..."""
        rows = predictions.index
        baselines = {name: p[rows] for name, p in self.baselines.items()}
        return Predictors(predictions, self.outputs[rows], baselines, self.shapes[rows])

    def table(self, first_bar: int = 0) -> pd.DataFrame:
        """Return `baseline_table`, with `first_bar` added to the bar numbers."""
        return baseline_table(self.predictions["bar"] + first_bar, self.shapes, self.baselines)


def baseline_probabilities(
    predictions: pd.DataFrame,
    bars: pd.DataFrame,
    features: Array,
    history_bars: int,
    wing: int = 1,
    *,
    training: pd.DataFrame | None = None,
    passes: int = 1,
) -> dict[str, Array]:
    """Return the probabilities of none, buy and sell of each baseline at each predicted bar.

    Parameters
    ----------
    predictions : as in ``predictions.csv``, n rows of consecutive bars
    bars : as `read_bars` returns them; row = bar number
    features : (rows, features of a bar), the learner's, up to the last predicted bar
    history_bars : bars in a window
    wing : bars on either side of a fractal, or from a bar to its label
    training : ``bar``, ``label`` and ``known_bar`` of examples before the predictions, on which the baselines
        train first, since the network did; may be empty. Without it `features` start with the first window
    passes : of the softmax regression over them, as many as epochs of the network; counters need one

    Returns
    -------
    dict of (n, 3) arrays, by name

    Notes
    -----
    The row of bar t depends on features and prices of bars up to t, and on labels known by the close of t, as
    the network's does. Only "shuffled signals" depend on the network's probabilities.
    """
    table, before = predictions, 0
    if training is not None and len(predictions):
        first_bar, last_bar = int(predictions["bar"].iloc[0]), int(predictions["bar"].iloc[-1])
        earlier = pd.DataFrame({"bar": range(last_bar - len(features) + history_bars, first_bar)})
        training = training.astype({"label": str})  # pandas infers no text without rows
        learned = earlier.merge(training, how="left", on="bar").fillna({"label": ""}).assign(signal="none")
        if before := len(learned):
            table = pd.concat([learned, predictions], ignore_index=True)
    rows = len(table) + history_bars - 1
    if len(table) and len(features) != rows:
        raise ValueError(
            f"features must have {rows} rows, for windows of {history_bars} bars, got {len(features)}"
        )
    examples = DelayedLabels.of(table)
    repeated = examples.repeated(int(examples.known[before]), passes) if before and passes > 1 else examples
    baselines = {
        "class frequencies": class_frequencies(examples),
        "majority class": majority_class(examples),
        SHAPE: shape_counters(examples, visible_shapes(bars, table["bar"].to_numpy(), wing)),
        "softmax regression": softmax_regression(repeated, features, history_bars),
    }
    return {name: p[before:] for name, p in baselines.items()} | {
        "shuffled signals": shuffled_signals(predictions)
    }


def baseline_table(
    bars: pd.Series, shapes: NDArray[np.integer], probabilities: dict[str, Array]
) -> pd.DataFrame:
    """Return the content of ``baselines.csv``, one row per predicted bar.

    Columns are ``bar``, ``shape`` (see `visible_shapes`), and for each baseline ``p_buy`` and ``p_sell``
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
    """Return the class shares of the known labels, with counts that start at one (Laplace)."""
    return (examples.counts() + 1) / (examples.known[:, None] + len(CLASSES))


def majority_class(examples: DelayedLabels) -> Array:
    """Return 1 for the most frequent class so far, "none" before the first label."""
    return np.eye(len(CLASSES))[examples.counts().argmax(axis=1)]


def shuffled_signals(predictions: pd.DataFrame) -> Array:
    """Return the network's probabilities in random order: equal coverage without skill."""
    probabilities: Array = predictions[PROBABILITIES].to_numpy()
    return np.random.default_rng(0).permutation(probabilities)
