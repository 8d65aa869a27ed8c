"""Label queue: windows and predictions waiting for their labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import CheckpointError
from bt_neuro.learning.labels import ConfirmedLabel
from bt_neuro.learning.signals import Signal

Array = NDArray[np.floating]


class Example(NamedTuple):
    """A feature window with a confirmed label."""

    bar: int
    known_bar: int
    window: Array
    target: tuple[float, ...]


class LabelQueue:
    """Feature windows of bars without a label, from the oldest to the latest, with their predictions.

    Parameters
    ----------
    delay_bars : most bars from a bar to its label; older windows are dropped
    """

    def __init__(self, delay_bars: int) -> None:
        self._delay_bars = delay_bars
        self._waiting: dict[int, tuple[Array, Signal | None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def signals(self) -> list[Signal]:
        return [signal for _, signal in self._waiting.values() if signal is not None]

    def add(self, bar: int, window: Array, signal: Signal | None = None) -> None:
        """Add the window of a bar, and the signal if one was predicted."""
        self._waiting[bar] = window, signal

    def confirm(self, labels: Iterable[ConfirmedLabel], bar: int) -> list[tuple[Example, Signal | None]]:
        """Remove the windows whose labels `bar` confirms; return them as examples, with their signals."""
        confirmed = []
        for label_bar, target in labels:
            if (waiting := self._waiting.pop(label_bar, None)) is not None:
                window, signal = waiting
                confirmed.append((Example(label_bar, bar, window, target), signal))
        overdue = bar - self._delay_bars
        if self._waiting and next(iter(self._waiting)) < overdue:
            # Some labels never come; their windows are not kept for ever.
            self._waiting = {b: waiting for b, waiting in self._waiting.items() if b >= overdue}
        return confirmed

    def clear(self) -> None:
        self._waiting = {}

    # -- checkpoint ------------------------------------------------------------------------------------------
    def arrays(self, inputs: int, outputs: int) -> dict[str, Array]:
        """Return windows, (n, inputs), and outputs, (n, outputs), of the bars of `signals`."""
        windows = [window for window, _ in self._waiting.values()]
        all_outputs = [signal.all_outputs for signal in self.signals]
        return {
            "learner.pending_windows": np.array(windows, float).reshape(-1, inputs),
            "learner.pending_outputs": np.array(all_outputs, float).reshape(-1, outputs),
        }

    def restore(
        self, bars: Sequence[int], arrays: dict[str, NDArray[Any]], inputs: int, outputs: int
    ) -> None:
        """Set the windows and outputs that `arrays` returned, of these bars.

        Raises
        ------
        CheckpointError
            When an array is missing or invalid.
        """
        windows = state_array(arrays, "pending_windows", (len(bars), inputs))
        all_outputs = state_array(arrays, "pending_outputs", (len(bars), outputs))
        if (all_outputs < 0).any() or (all_outputs > 1).any():
            raise CheckpointError("learner.pending_outputs must lie between 0 and 1")
        self._waiting = {
            bar: (window, Signal.of(bar, of_bar))
            for bar, window, of_bar in zip(bars, windows, all_outputs.tolist(), strict=True)
        }


def state_array(arrays: dict[str, NDArray[Any]], name: str, shape: tuple[int | None, int]) -> Array:
    """Return an array of a learner's state; None in `shape` allows any number of rows.

    Raises
    ------
    CheckpointError
        When it is missing, of another shape or dtype, or not finite.
    """
    array = arrays.get(f"learner.{name}")
    if array is None or array.dtype != np.float64 or array.ndim != len(shape) or array.shape[1] != shape[1]:
        found = "no array" if array is None else f"{array.dtype} of shape {array.shape}"
        raise CheckpointError(f"learner.{name} must be float64 of shape {shape}, got {found}")
    if shape[0] not in (None, len(array)) or not np.isfinite(array).all():
        raise CheckpointError(f"learner.{name} must be finite, of shape {shape}")
    return array
