"""Label queue: windows and predictions waiting for their labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from bt_neuro.learning.labels import ConfirmedLabel

Item = TypeVar("Item")


class Example(NamedTuple):
    """A feature window with a confirmed label."""

    bar: int
    known_bar: int
    window: NDArray[np.floating]
    target: tuple[float, ...]


class LabelQueue(Generic[Item]):
    """Items of bars without a label, such as windows or signals, from the oldest to the latest.

    Parameters
    ----------
    delay_bars : most bars from a bar to its label; older items are dropped
    """

    def __init__(self, delay_bars: int) -> None:
        self._delay_bars = delay_bars
        self._waiting: dict[int, Item] = {}

    @property
    def bars(self) -> list[int]:
        return list(self._waiting)

    @property
    def items(self) -> list[Item]:
        return list(self._waiting.values())

    def add(self, bar: int, item: Item) -> None:
        self._waiting[bar] = item

    def confirm(self, labels: Iterable[ConfirmedLabel], bar: int) -> list[tuple[ConfirmedLabel, Item]]:
        """Remove and return the items whose labels `bar` confirms."""
        confirmed = [(label, self._waiting.pop(label.bar)) for label in labels if label.bar in self._waiting]
        overdue = bar - self._delay_bars
        if self._waiting and next(iter(self._waiting)) < overdue:
            # Some labels never come; their items are not kept for ever.
            self._waiting = {b: item for b, item in self._waiting.items() if b >= overdue}
        return confirmed

    def clear(self) -> None:
        self._waiting = {}

    def copy(self) -> Self:
        copy = type(self)(self._delay_bars)
        copy._waiting = dict(self._waiting)
        return copy
