"""Bars ahead: features and prices of the bars to come, for the network alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import backtrader as bt

from bt_neuro.learning.labels import Label
from bt_neuro.learning.learner import Learner
from bt_neuro.learning.run_ahead import BarInputs
from bt_neuro.plugin.features import BarFeatures


def bars_ahead(strategy: Any, lines: list[Any]) -> Iterator[BarInputs] | None:
    """Return features, high, low and close of the present bar and those to come; None if unknown.

    They are known where a `BarsFeed` runs bar by bar, the features are those of one indicator of ours, and
    the label computes from prices alone. They are computed from the feed's frame, bar by bar and in order.
    backtrader's lines never hold them, so that a strategy that reads ahead gets the same values as without.

    Parameters
    ----------
    strategy : a `NeuroStrategy` at a bar
    lines : of its features
    """
    learner = strategy.learner
    if not isinstance(learner, Learner) or not _is_of_prices(learner.label):
        return None
    for indicator in strategy.getindicators():
        is_of_feed = isinstance(indicator, BarFeatures) and indicator.data is strategy.data
        if is_of_feed and list(map(id, indicator.lines)) == list(map(id, lines)):
            if (following := indicator.read_ahead()) is None:
                return None
            high, low, close = (getattr(strategy.data, name)[0] for name in ("high", "low", "close"))
            return chain([(tuple(line[0] for line in lines), high, low, close)], following)
    return None


def _is_of_prices(label: Label) -> bool:
    return not any(isinstance(value, bt.LineRoot) for value in getattr(label, "__dict__", {}).values())
