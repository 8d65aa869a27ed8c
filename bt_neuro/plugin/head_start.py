"""A head start: the network learns what a bar's prices made known while backtrader computes its features."""

from __future__ import annotations

import backtrader as bt

from bt_neuro.learning.learner import Learner

# With one of these of its own a strategy has none. Features may be no numbers, and a bar that is refused must
# have taught nothing; the others are called before a bar is learned, and must find the network so.
BEFORE_LEARNING = ("features", "next", "notify_order", "notify_trade", "notify_cashvalue", "notify_fund")
LARGEST_BAR = 1e30  # below it the default features are numbers of any network's kind


class HeadStart:
    """Begin bars for a learner, where nobody can tell but by the clock.

    Parameters
    ----------
    strategy, base : the strategy, and the class whose own features and hooks allow it
    learner : `Learner.begin_bar` is called
    """

    def __init__(self, strategy: bt.Strategy, base: type[bt.Strategy], learner: Learner) -> None:
        mine, data = type(strategy), strategy.data
        self.allowed = all(getattr(mine, name) is getattr(base, name) for name in BEFORE_LEARNING)
        self._learner = learner
        self._lines = data.open, data.volume, data.high, data.low, data.close

    def begin(self, bar: int) -> None:
        """Take the prices of a bar that has just closed, if they are numbers."""
        numbers = [line[0] for line in self._lines]
        if sum(map(abs, numbers)) < LARGEST_BAR:
            self._learner.begin_bar(bar, *numbers[-3:])
