"""Planner: the order of one bar, the only place that decides when the network learns and predicts.

    1. bar t has closed: its features enter the rows of which windows are made
    2. the windows whose labels t confirms become examples, to be learned
    3. the window that ends at t is to be predicted, which moves the running statistics

This is delayed progressive validation (river). A plan depends on features and prices alone, not on what the
network predicts, so that many bars can be planned ahead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import copy, deepcopy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.learning._validation import raise_non_finite, require_in_time
from bt_neuro.learning.feature_window import FeatureWindow
from bt_neuro.learning.label_queue import Example, LabelQueue
from bt_neuro.learning.labels import ConfirmedLabel, Label
from bt_neuro.learning.running_scale import RunningScale

Array = NDArray[np.floating]


class BarPlan(NamedTuple):
    """Work at the close of a bar."""

    bar: int
    features: Array
    labels: list[ConfirmedLabel]  # that the bar confirms
    examples: list[Example]  # their windows, to be learned first
    window: Array | None  # to be predicted then; None until there are enough bars


class Step(NamedTuple):
    """Windows for one launch: learned and predicted in turns, or only one of the two."""

    learned: list[Example]
    predicted: list[Array]


class Planner:
    """Plans of closed bars, one at a time and in order.

    Parameters
    ----------
    label : the classes to learn
    feature_names : names of the features of one bar, for messages
    history_bars : bars in a feature window
    dtype : of the network
    scale : of the features; None leaves them as they are

    Attributes
    ----------
    last_bar : number of the last bar planned, or None
    rows : the `FeatureWindow`
    queue : windows waiting for their labels
    """

    def __init__(
        self,
        label: Label,
        feature_names: Sequence[str],
        history_bars: int,
        dtype: type[np.floating],
        scale: RunningScale | None = None,
    ) -> None:
        self.label, self._names, self._dtype, self._scale = label, feature_names, dtype, scale
        self._largest = float(np.finfo(dtype).max)
        self.last_bar: int | None = None
        self.rows = FeatureWindow(history_bars, len(feature_names), dtype)
        self.queue: LabelQueue[Array] = LabelQueue(label.delay_bars)

    def plan(self, bar: int, features: Sequence[float], high: float, low: float, close: float) -> BarPlan:
        """Take a closed bar and return its plan.

        Raises
        ------
        NonFiniteError
            When a feature, high, low or close is not finite; the bar was not taken.
        ValueError
            When `bar` does not follow the bar before it.
        """
        if self.last_bar is not None and bar != self.last_bar + 1:
            raise ValueError(f"bar must be {self.last_bar + 1}, got {bar}. Pass every closed bar once.")
        features = self.scaled(features)
        finite = math.isfinite(sum(features) + high + low + close)
        if not (finite and min(features) >= -self._largest and max(features) <= self._largest):
            names, values = (*self._names, "high", "low", "close"), (*features, high, low, close)
            raise_non_finite(bar, names, values, self._dtype)
        labels = self.label.update(bar, high, low, close)
        require_in_time(labels, bar, self.label.delay_bars)
        examples = [
            Example(label.bar, bar, window, label.target) for label, window in self.queue.confirm(labels, bar)
        ]
        self.rows.append(features)
        self.last_bar = bar
        if (window := self.rows.window) is not None:
            self.queue.add(bar, window)
        return BarPlan(bar, self.rows.last, labels, examples, window)

    def scaled(self, features: Sequence[float]) -> Sequence[float]:
        """Return the features of the next bar, scaled for the network if there is a scale."""
        if self._scale is None:
            return features
        scaled: list[float] = self._scale.scaled(features).tolist()
        return scaled

    def copy_state(self) -> Any:
        """Return a copy of the state, for `restore_state`."""
        label = deepcopy(self.label.state())
        return label, self.rows.rows(), self.queue.copy(), self.last_bar, copy(self._scale)

    def restore_state(self, state: Any) -> None:
        """Set the state to that of a copy."""
        label, rows, queue, self.last_bar, scale = state
        self._scale = copy(scale)  # arrays in it are replaced, never changed
        self.label.restore(deepcopy(label))  # a label may keep what it is given, and change it
        self.rows.set_rows(rows)
        self.queue = queue.copy()


def steps_of(plans: Iterable[BarPlan], *, learning: bool) -> list[Step]:
    """Return the launches of consecutive bars, as few as their order allows.

    A bar with one example is a step of a launch that learns and predicts in turns; further examples come
    before it, in a launch of their own. Without `learning` examples are left out.
    """
    steps: list[Step] = []
    for plan in plans:
        if plan.window is None:
            continue
        examples = plan.examples if learning else []
        earlier, last = examples[:-1], examples[-1] if examples else None
        if earlier:
            steps.append(Step(earlier, []))
        follows = bool(steps) and len(steps[-1].predicted) > 0
        if follows and len(steps[-1].learned) == len(steps[-1].predicted) * (last is not None):
            step = steps[-1]
        else:
            steps.append(step := Step([], []))
        if last is not None:
            step.learned.append(last)
        step.predicted.append(plan.window)
    return steps
