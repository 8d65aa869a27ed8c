"""Input validation for `Learner`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Never

import numpy as np

from bt_neuro.errors import LayerError, NonFiniteError, StrategyError
from bt_neuro.learning.labels import ConfirmedLabel, Label
from bt_neuro.learning.signals import CLASSES
from bt_neuro.nn.network import Network


def require_matching(network: Network, label: Label, features: int, history_bars: int) -> None:
    """Raise LayerError where the network does not fit the windows or the label."""
    inputs = history_bars * features
    if network.n_inputs != inputs:
        raise LayerError(
            f"the network must have {inputs} inputs, for {history_bars} bars of {features} features, "
            f"got {network.n_inputs}. Give it inputs={inputs}."
        )
    if tuple(label.classes) != CLASSES or network.n_outputs != len(CLASSES):
        found = f"label classes {tuple(label.classes)} and {network.n_outputs} network outputs"
        raise LayerError(
            f"label classes and network outputs must be {CLASSES}, got {found}. Correct the one that differs."
        )
    if getattr(network.layout.layers[-1], "activation", None) not in ("sigmoid", "softmax"):
        raise LayerError(
            "the last layer must end in a sigmoid or softmax, for outputs that are probabilities, got "
            f"{network.layout.layers[-1]}. Give it one of these activations."
        )
    if label.delay_bars < 1 or label.delay_bars % 1:
        raise LayerError(
            f"label.delay_bars must be an integer, 1 or more, got {label.delay_bars!r}. Correct the label."
        )


def require_in_time(labels: Iterable[ConfirmedLabel], bar: int, delay_bars: int) -> None:
    """Raise StrategyError where a label is confirmed too early or too late, or holds no class."""
    for label_bar, target in labels:
        if label_bar >= bar:
            raise StrategyError(
                f"the label of bar {label_bar} must be confirmed after it, got bar {bar}. Correct the label's update()."
            )
        if bar - label_bar > delay_bars:
            raise StrategyError(
                f"the label of bar {label_bar} must be confirmed within delay_bars {delay_bars}, got bar "
                f"{bar}. Raise delay_bars."
            )
        if not math.isfinite(sum(target)):
            raise NonFiniteError(
                f"the label of bar {label_bar} must be finite, got {target}. Correct the label's update()."
            )
        if sum(target) == 0:
            raise StrategyError(
                f"the label of bar {label_bar} must hold at least one class, got {target}. "
                "Correct the label's update()."
            )


def raise_non_finite(bar: int, names: Sequence[str], values: Sequence[float], dtype: type) -> Never:
    """Raise NonFiniteError for the value that is not finite in `dtype`."""
    named = list(zip(names, values, strict=True))
    for name, value in named:
        if not math.isfinite(value):
            raise NonFiniteError(f"bar {bar}: {name} must be finite, got {value}. Repair or drop the bar.")
    name, value = max(named, key=lambda pair: abs(pair[1]))
    limit = f"must be finite as {np.dtype(dtype)}"
    raise NonFiniteError(f"bar {bar}: {name} {limit}, got {value}. Scale it down.")
