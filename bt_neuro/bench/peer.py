"""What a variant must do, and the check that it computes the same as the others before it is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
LEARNING_RATE = 1e-4
# Sound peers differ from ours by 0.4e-6, float64 by 0.9e-6. Faults that must show: the query gradient of one
# of five blocks with the wrong sign, 7e-6; batch normalisation's gradient without its last factor, 5e-4.
TOLERANCE = 3e-6


class Peer(Protocol):
    """The article's network, learning with Adam, one bar at a time. Predicting moves the statistics."""

    name: str
    about: str

    def predict(self, window: Array) -> Array:
        """Return the outputs; nothing is kept for learning."""

    def learn(self, window: Array, target: Array) -> Array:
        """Learn a window that was never predicted, moving the statistics; return the outputs before."""

    def bar(self, earlier: Array, target: Array, window: Array) -> Array:
        """Learn any earlier window by the statistics as they stand, then predict `window`."""

    def begin(self, window: Array) -> Array:
        """Predict so that `stream` can follow."""

    def stream(self, target: Array, window: Array) -> Array:
        """Learn the window predicted last, reusing what the prediction computed, then predict `window`."""


@dataclass(frozen=True)
class Start:
    """Where every variant starts: tensors by name, (1, ...), statistics that hold some bars already."""

    state: dict[str, Array]
    learning_rate: float = LEARNING_RATE


Factory = Callable[[Start], Peer]


@dataclass(frozen=True)
class Bars:
    """Sliding windows of 20 bars x 12 features that look like standardised ones, and one-hot targets."""

    windows: Array
    targets: Array

    @classmethod
    def make(cls, count: int, seed: int = 0) -> Bars:
        """Return `count` windows; features persist from bar to bar, from not at all to as an RSI does."""
        random = np.random.default_rng(seed)
        rows = random.normal(size=(count + 19, 12))
        keep = np.linspace(0, 0.95, 12)
        for t in range(1, len(rows)):
            rows[t] = keep * rows[t - 1] + np.sqrt(1 - keep**2) * rows[t]
        windows = np.lib.stride_tricks.sliding_window_view(rows, (20, 12)).reshape(count, 240)
        targets = np.eye(3)[random.choice(3, size=count, p=[0.6, 0.2, 0.2])]
        return cls(windows.astype(np.float32), targets.astype(np.float32))


def check_outputs(peer: Peer, bars: Bars) -> Array:
    """Run every way of the variant for a few bars; return all outputs."""
    w, t = bars.windows, bars.targets
    outputs = [peer.begin(w[0])]
    outputs += [peer.stream(t[i - 1], w[i]) for i in range(1, 16)]
    outputs += [peer.bar(w[i - 2], t[i - 2], w[i]) for i in range(16, 24)]
    outputs += [peer.learn(w[i], t[i]) for i in range(24, 32)]
    outputs += [peer.predict(w[i]) for i in range(32, 36)]
    return np.array(outputs)
