"""The signal that `decide` gets, with its feed."""

from __future__ import annotations

import backtrader as bt

from bt_neuro.learning.signals import Signal


class FeedSignal(Signal):
    """A `Signal` with ``data``, the feed whose bar it predicts. Equal to the plain one."""

    data: bt.feed.DataBase

    @classmethod
    def at(cls, data: bt.feed.DataBase, signal: Signal) -> FeedSignal:
        """Return the signal of a feed."""
        of_feed = cls(*signal)
        of_feed.data = data
        return of_feed
