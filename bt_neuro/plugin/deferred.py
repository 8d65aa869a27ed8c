"""Analyzers that let the network go first: work on a bar waits until the device is busy with the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import backtrader as bt

MOST_WAITING = 1024  # where a network never learns, nothing calls for the work


class Deferred(bt.Analyzer):
    """Take what a bar offers at once, and work on it in the time that the network takes.

    The device computes on a core of its own, so that work is free. `get_analysis` must `catch_up` first.
    """

    _waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] | None = None

    def later(self, work: Callable[..., None], *seen: Any) -> None:
        """Have `work` called with what was seen of this bar: values, not lines, which move on."""
        if self._waiting is None:
            self._waiting = []
            self.strategy.learner.while_busy.append(self.catch_up)
        self._waiting.append((work, seen))
        if len(self._waiting) > MOST_WAITING:
            self.catch_up()

    def catch_up(self) -> None:
        """Do all work that waits."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for work, seen in waiting:
                work(*seen)

    def stop(self) -> None:
        self.catch_up()
