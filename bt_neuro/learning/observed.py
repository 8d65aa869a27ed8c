"""Bars that are learned in one go: windows that wait for their labels, and the examples they become."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import StrategyError
from bt_neuro.learning.fit import Example
from bt_neuro.learning.labels import ConfirmedLabel


class Observed:
    """What a learner has seen and not learned; true where there is any."""

    def __init__(self) -> None:
        self._windows: dict[int, NDArray[np.floating]] = {}  # whose labels are not known yet
        self._examples: list[Example] = []

    def __bool__(self) -> bool:
        return bool(self._windows or self._examples)

    def add(self, bar: int, window: NDArray[np.floating]) -> None:
        """Let a window wait for its label."""
        self._windows[bar] = window

    def label(self, known: Iterable[ConfirmedLabel], bar: int) -> None:
        """Make examples of the windows whose labels a bar made known."""
        for label_bar, target in known:
            if (window := self._windows.pop(label_bar, None)) is not None:
                self._examples.append(Example(label_bar, bar, window, target))

    def take(self, first_bar: int, last_bar: int, embargo_bars: int) -> list[Example]:
        """Return the examples up to `embargo_bars` before the last bar, rising in time; forget all there is.

        Raises
        ------
        StrategyError
            When there are none.
        """
        examples = [
            example for example in self._examples if first_bar <= example.bar <= last_bar - embargo_bars
        ]
        self._examples, self._windows = [], {}
        if not examples:
            since = f"from bar {first_bar} " if first_bar else ""
            raise StrategyError(
                f"no bar {since}up to bar {last_bar} has both a full window and a label: train on more"
            )
        return examples
