"""Predictions that wait for their labels, with the windows that will be learned then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import CheckpointError
from bt_neuro.learning.fit import Example
from bt_neuro.learning.labels import ConfirmedLabel
from bt_neuro.learning.signals import ScoredSignal, Signal

Array = NDArray[np.floating]


class LabelQueue:
    """Predictions by their bars, from the oldest to the latest.

    Parameters
    ----------
    delay_bars : how many bars after its own a label is known at the latest; what waits longer is forgotten
    """

    def __init__(self, delay_bars: int) -> None:
        self._delay_bars = delay_bars
        self._waiting: dict[int, tuple[Array, Signal]] = {}

    @property
    def bars(self) -> list[int]:
        return list(self._waiting)

    @property
    def signals(self) -> list[Signal]:
        return [signal for _, signal in self._waiting.values()]

    def add(self, signal: Signal, window: Array) -> None:
        """Let the prediction from a window wait."""
        self._waiting[signal.bar] = window, signal

    def score(self, known: Iterable[ConfirmedLabel], bar: int) -> tuple[list[ScoredSignal], list[Example]]:
        """Take out the predictions whose labels a bar made known; return them scored, and what they teach."""
        scored, examples = [], []
        for label_bar, target in known:
            if (waiting := self._waiting.pop(label_bar, None)) is not None:
                window, signal = waiting
                scored.append(ScoredSignal(signal, target, bar))
                examples.append(Example(label_bar, bar, window, target))
        overdue = bar - self._delay_bars
        if self._waiting and next(iter(self._waiting)) < overdue:
            # A label may leave bars undecided; their windows are not kept for ever.
            self._waiting = {b: waiting for b, waiting in self._waiting.items() if b >= overdue}
        return scored, examples

    # -- checkpoint ------------------------------------------------------------------------------------------
    def arrays(self, inputs: int, outputs: int) -> dict[str, Array]:
        """Return what `restore` needs beside `bars`, of windows of so many inputs and so many outputs."""
        windows = [window for window, _ in self._waiting.values()]
        said = [signal.all_outputs for signal in self.signals]
        return {
            "learner.pending_windows": np.array(windows, float).reshape(-1, inputs),
            "learner.pending_outputs": np.array(said, float).reshape(-1, outputs),
        }

    def restore(
        self, bars: Sequence[int], arrays: dict[str, NDArray[Any]], inputs: int, outputs: int
    ) -> None:
        """Let those wait that `arrays` gave, of these bars.

        Raises
        ------
        CheckpointError
            When they are not what `arrays` gives.
        """
        windows = state_array(arrays, "pending_windows", (len(bars), inputs))
        said = state_array(arrays, "pending_outputs", (len(bars), outputs))
        if (said < 0).any() or (said > 1).any():
            raise CheckpointError("learner: pending outputs are not from 0 to 1, as probabilities are")
        self._waiting = {
            bar: (window, Signal.of(bar, out))
            for bar, window, out in zip(bars, windows, said.tolist(), strict=True)
        }


def state_array(arrays: dict[str, NDArray[Any]], name: str, shape: tuple[int | None, int]) -> Array:
    """Return an array of a learner's state if it can be one; any number of rows where `shape` has None.

    Raises
    ------
    CheckpointError
        When it is missing, of another shape or kind, or not finite.
    """
    array = arrays.get(f"learner.{name}")
    if array is None or array.dtype != np.float64 or array.ndim != len(shape) or array.shape[1] != shape[1]:
        found = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        raise CheckpointError(f"learner.{name} is {found}, where float64 of shape {shape} should be")
    if shape[0] not in (None, len(array)) or not np.isfinite(array).all():
        raise CheckpointError(f"learner.{name} should have shape {shape} and finite numbers")
    return array
