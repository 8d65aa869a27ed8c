"""What a learner does not take: what does not fit, labels out of time, numbers that are none."""

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
    """Raise LayerError where a network cannot be asked of windows, or not be taught by a label."""
    inputs = history_bars * features
    if network.n_inputs != inputs:
        raise LayerError(
            f"the network has {network.n_inputs} inputs, "
            f"{history_bars} bars of {features} features make {inputs}"
        )
    if tuple(label.classes) != CLASSES or network.n_outputs != len(CLASSES):
        found = f"label classes {tuple(label.classes)} and {network.n_outputs} network outputs"
        raise LayerError(f"{found}: both must be {CLASSES}")
    if getattr(network.layout.layers[-1], "activation", None) not in ("sigmoid", "softmax"):
        raise LayerError(
            f"the last layer must end in a sigmoid or softmax, to be read as probabilities; it is "
            f"{network.layout.layers[-1]}"
        )
    if label.delay_bars < 1 or label.delay_bars % 1:
        raise LayerError(f"label.delay_bars is {label.delay_bars!r}: give a whole number, 1 or more")


def require_in_time(known: Iterable[ConfirmedLabel], bar: int, delay_bars: int) -> None:
    """Raise StrategyError where a label that a bar made known came too early or late, or holds no class."""
    for label_bar, target in known:
        if not 0 < bar - label_bar <= delay_bars:
            came = f"the label of bar {label_bar} came at bar {bar}"
            if label_bar >= bar:
                raise StrategyError(f"{came}, which no prediction comes before: it must come later")
            raise StrategyError(f"{came}, later than its delay_bars {delay_bars}: raise that")
        if sum(target) == 0:
            raise StrategyError(f"the label of bar {label_bar} is {target}: it must hold at least one class")


def refuse(bar: int, names: Sequence[str], values: Sequence[float], dtype: type, left: str) -> Never:
    """Raise NonFiniteError that names the value which is no number of that kind, and tells what is left."""
    named = list(zip(names, values, strict=True))
    for name, value in named:
        if not math.isfinite(value):
            raise NonFiniteError(f"bar {bar}: {name} is {value}; {left}")
    name, value = max(named, key=lambda one: abs(one[1]))
    raise NonFiniteError(f"bar {bar}: {name} is {value}, too large for {np.dtype(dtype)}: scale it; {left}")
