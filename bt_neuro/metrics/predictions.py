"""Answers and what became of them: labels as numbers, signals, and when each label could be learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES

Array = NDArray[np.floating]

PROBABILITIES = [f"p_{name}" for name in CLASSES]
LABELS = np.array(["none", "buy", "sell", "both"])


def targets_of(predictions: pd.DataFrame) -> Array:
    """Return the labels as (n, 3) zeros and ones: none, buy, sell; "both" has two ones, an unknown one none.

    Examples
    --------
    >>> targets_of(pd.DataFrame({"label": ["none", "both", ""]})).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
    """
    label = predictions["label"]
    holds = [label == "none", label.isin(["buy", "both"]), label.isin(["sell", "both"])]
    return np.stack([np.asarray(held, dtype=float) for held in holds], axis=1)


def labels_of(targets: Array) -> NDArray[np.str_]:
    """Return the names of labels, (n,), from their targets, (n, 3) zeros and ones."""
    _, buy, sell = targets.T.astype(bool)
    return LABELS[buy + 2 * sell]


def shares_of(targets: Array) -> Array:
    """Return the targets as probabilities: a bar that is top and bottom gives a half to each."""
    return targets / np.maximum(targets.sum(axis=1, keepdims=True), 1)


def probabilities_of(outputs: Array) -> Array:
    """Return outputs (n, 3) as probabilities, as a `Signal` has them: divided by their sum."""
    totals = outputs.sum(axis=1, keepdims=True)
    return np.where(totals > 0, outputs / np.where(totals > 0, totals, 1), np.eye(len(CLASSES))[0])


def network_signals(predictions: pd.DataFrame) -> NDArray[np.intp]:
    """Return the signals as the run gave them: 0 none, 1 buy, 2 sell."""
    # Not from the probabilities: those in the file are rounded, and two may have become equal.
    signal = predictions["signal"]
    return np.where(signal == "buy", 1, np.where(signal == "sell", 2, 0))


def is_hit(signals: NDArray[np.integer], targets: Array) -> NDArray[np.bool_]:
    """Return whether each signal (0 none, 1 buy, 2 sell) is in its label."""
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
    """The labels in the order in which they became known.

    Attributes
    ----------
    shares : (n, 3), the labels of all rows as probabilities
    order : rows with a known label, in the order of being known
    known : (n,), how many of `order` a learner has seen when it is asked about each row
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
        # The order of one bar: labels that bar t makes known are learned before t is predicted.
        known = np.searchsorted(known_bar[order], predictions["bar"].to_numpy(), side="right")
        return cls(shares, order, known)

    def counts(self) -> Array:
        """Return (n, 3): how often each class had been seen when each row was asked about."""
        sums = np.zeros((len(self.order) + 1, len(CLASSES)))
        np.cumsum(self.shares[self.order], axis=0, out=sums[1:])
        return sums[self.known]

    def last(self) -> Array:
        """Return (n, 3): the label that became known last before each row; none before the first."""
        first = np.array([[1.0, 0.0, 0.0]])
        return np.concatenate([first, self.shares[self.order]])[self.known]
