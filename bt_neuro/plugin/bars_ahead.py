"""Bars ahead: features and prices of the bars to come, for the network alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import chain, count, islice, repeat
from typing import Any

import backtrader as bt

from bt_neuro.learning.labels import Label
from bt_neuro.learning.learner import Learner, run_together
from bt_neuro.learning.run_ahead import BarInputs
from bt_neuro.plugin.features import BarFeatures
from bt_neuro.plugin.recorded import end_playback


def run_ahead(strategy: Any) -> None:
    """Let the network of a strategy run ahead from its present bar on, if the bars to come are known.

    They are known where a `BarsFeed` runs bar by bar, the features are those of one indicator of ours, and
    the label computes from prices alone. They are computed from the feed's frame, bar by bar and in order.
    backtrader's lines never hold them, so that a strategy that reads ahead gets the same values as without.

    Parameters
    ----------
    strategy : a `NeuroStrategy` at a bar
    """
    run_ahead_together([strategy], strategy)


def run_ahead_together(strategies: Sequence[Any], first: Any) -> None:
    """Let the network of several strategies run ahead, if the bars to come of each are known; see `run_ahead`.

    It takes bars by their time of closing, then in the order of the strategies.

    Parameters
    ----------
    strategies : in the order in which they run; none has learned since the run began
    first : the one whose present bar is learned next
    """
    for strategy in strategies:
        end_playback(strategy)
    learners = [strategy.learner for strategy in strategies]
    if not all(isinstance(one, Learner) for one in learners) or len({one.learning for one in learners}) > 1:
        return
    streams = []
    for place, strategy in enumerate(strategies):
        if (bars := _bars_to_learn(strategy, is_at_bar=strategy is first)) is None:
            return
        number, inputs = bars
        closings = map(float, strategy.data.closings()[number:])
        streams.append(zip(closings, repeat(place), repeat(strategy.learner), count(number), inputs))
    run_together(learners, (bar[2:] for bar in merge(*streams)))


def _bars_to_learn(strategy: Any, *, is_at_bar: bool) -> tuple[int, Iterator[BarInputs]] | None:
    """Return the number of the next bar to learn, and the inputs from there on; None if unknown."""
    lines, learner = list(strategy._feature_lines.values()), strategy.learner
    label = learner.label
    is_kept = any(value is label for value in vars(strategy).values())  # the strategy could read its state
    if is_kept or not _is_of_prices(label):
        return None
    for indicator in strategy.getindicators():
        is_of_feed = isinstance(indicator, BarFeatures) and indicator.data is strategy.data
        if is_of_feed and list(map(id, indicator.lines)) == list(map(id, lines)):
            if (following := indicator.read_ahead()) is None:
                return None
            number, inputs = following
            if is_at_bar:
                high, low, close = (getattr(strategy.data, name)[0] for name in ("high", "low", "close"))
                return number - 1, chain([(tuple(line[0] for line in lines), high, low, close)], inputs)
            warm_up_bars = strategy._minperiods[0] - 1
            begin = warm_up_bars if learner.last_bar is None else learner.last_bar + 1
            return max(begin, number), islice(inputs, max(begin - number, 0), None)
    return None


def _is_of_prices(label: Label) -> bool:
    return not any(isinstance(value, bt.LineRoot) for value in getattr(label, "__dict__", {}).values())
