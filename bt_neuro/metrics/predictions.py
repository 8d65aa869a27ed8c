"""Predictions and labels as arrays, and the order in which labels become known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES

Array = NDArray[np.floating]

PROBABILITIES = [f"p_{name}" for name in CLASSES]
LABELS = np.array(["none", "buy", "sell", "both"])


class ScoredBars(NamedTuple):
    """Predicted bars with a confirmed label.

    Attributes
    ----------
    rows : (n,), whether each predicted bar has one
    targets, probabilities : (scored, 3)
    signals : (scored,), 0 none, 1 buy, 2 sell
    """

    rows: NDArray[np.bool_]
    targets: Array
    probabilities: Array
    signals: NDArray[np.intp]

    @classmethod
    def of(cls, predictions: pd.DataFrame) -> ScoredBars:
        """Select them from a table as in ``predictions.csv``."""
        targets = targets_of(predictions)
        rows = np.asarray(targets.any(axis=1))
        probabilities = predictions[PROBABILITIES].to_numpy(dtype=float)
        return cls(rows, targets[rows], probabilities[rows], network_signals(predictions)[rows])


def targets_of(predictions: pd.DataFrame) -> Array:
    """Return labels as (n, 3) zeros and ones: none, buy, sell. "both" has two ones, an unknown label none.

    Examples
    --------
    >>> targets_of(pd.DataFrame({"label": ["none", "both", ""]})).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """
    label = predictions["label"]
    holds = [label == "none", label.isin(["buy", "both"]), label.isin(["sell", "both"])]
    return np.stack([np.asarray(held, dtype=float) for held in holds], axis=1)


def labels_of(targets: Array) -> NDArray[np.str_]:
    """Return the names of labels, (n,), from targets, (n, 3)."""
    _, buy, sell = targets.T.astype(bool)
    return LABELS[buy + 2 * sell]


def shares_of(targets: Array) -> Array:
    """Return targets as probabilities: "both" is a half of each."""
    return targets / np.maximum(targets.sum(axis=1, keepdims=True), 1)


def probabilities_of(outputs: Array) -> Array:
    """Return outputs (n, 3) divided by their sum, as in `Signal`."""
    totals = outputs.sum(axis=1, keepdims=True)
    return np.where(totals > 0, outputs / np.where(totals > 0, totals, 1), np.eye(len(CLASSES))[0])


def network_signals(predictions: pd.DataFrame) -> NDArray[np.intp]:
    """Return the signals of a table: 0 none, 1 buy, 2 sell."""
    # Not from the probabilities: they are rounded in the file, and two may have become equal.
    signal = predictions["signal"]
    return np.where(signal == "buy", 1, np.where(signal == "sell", 2, 0))


def is_hit(signals: NDArray[np.integer], targets: Array) -> NDArray[np.bool_]:
    """Return whether the label of each bar contains its signal."""
    return (signals > 0) & (targets[np.arange(len(targets)), signals] == 1)


def brier_scores(probabilities: Array, targets: Array) -> Array:
    """Return each row's squared distance from the label, summed over the classes: 0 to 2."""
    distances: Array = ((probabilities - shares_of(targets)) ** 2).sum(axis=1)
    return distances


def log_losses(probabilities: Array, targets: Array) -> Array:
    """Return each row's log loss; infinite if the probability of the label was 0."""
    shares = shares_of(targets)
    with np.errstate(divide="ignore"):
        logs = np.where(shares > 0, np.log(probabilities), 0)
    losses: Array = -(shares * logs).sum(axis=1)
    return losses


@dataclass(frozen=True)
class DelayedLabels:
    """Labels in the order in which they became known.

    Attributes
    ----------
    shares : (n, 3), labels of all rows as probabilities
    order : rows with a known label, in that order
    known : (n,), number of rows of `order` that are known when each row is predicted
    """

    shares: Array
    order: NDArray[np.intp]
    known: NDArray[np.intp]

    @classmethod
    def of(cls, predictions: pd.DataFrame) -> DelayedLabels:
        shares = shares_of(targets_of(predictions))
        known_bar = predictions["known_bar"].to_numpy(dtype=float, na_value=np.nan)
        has_label = np.flatnonzero(shares.any(axis=1))
        order = has_label[np.argsort(known_bar[has_label], kind="stable")]
        # The order of one bar: labels that bar t confirms are learned before t is predicted.
        known = np.searchsorted(known_bar[order], predictions["bar"].to_numpy(), side="right")
        return cls(shares, order, known)

    def repeated(self, first: int, passes: int) -> DelayedLabels:
        """Return the same with the first labels known `passes` times, one pass after the other.

        Rows before all of them are known must not be predicted.
        """
        order = np.concatenate([np.tile(self.order[:first], passes), self.order[first:]])
        return DelayedLabels(self.shares, order, self.known + (passes - 1) * first)

    def counts(self) -> Array:
        """Return the number of known labels of each class before each row, (n, 3)."""
        return running_sums(self.shares[self.order])[self.known]

    def last(self) -> Array:
        """Return the label that became known last before each row, (n, 3); none before the first."""
        first = np.array([[1.0, 0.0, 0.0]])
        return np.concatenate([first, self.shares[self.order]])[self.known]


def running_sums(rows: Array) -> Array:
    """Return the column sums of the first 0, 1, ..., n rows, (n + 1, k)."""
    sums = np.zeros((len(rows) + 1, *rows.shape[1:]))
    np.cumsum(rows, axis=0, out=sums[1:])
    return sums
