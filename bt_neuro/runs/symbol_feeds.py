"""Feeds of a stream of several instruments, and the queue that gives each its lines."""

from __future__ import annotations

import queue
from datetime import datetime
from typing import Any

from bt_neuro.bars.line_reader import Bar
from bt_neuro.plugin.live_feed import LiveFeed
from bt_neuro.plugin.stamps import CLOSE
from bt_neuro.runs.line_queue import LineQueue

WAIT_S = 0.25  # for a line, before Cerebro may do other work


class SymbolFeed(LiveFeed):
    """Feed of one instrument of a stream.

    A line is one step of Cerebro: it moves the feed of its symbol, and no other. Its answer need not wait for bars
    of the same hour, which other lines bring.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stamps = CLOSE  # bars are seen when they arrive, whatever their stamps

    def next(self, datamaster: Any = None, ticks: bool = True) -> bool | None:
        if datamaster is not None:  # Cerebro calls all others again, once one has a bar
            return None
        turn: bool | None = self.p.queue.turn(self)
        return super().next(ticks=ticks) if turn else turn

    def _load(self) -> bool:
        return self._deliver(*self.p.queue.take())


class SymbolQueue(LineQueue):
    """Queue of the lines of several instruments, one for each step of Cerebro.

    Attributes
    ----------
    row : number of the bar given last among those of all instruments
    time : its opening
    """

    def attach(self, feeds: dict[str, SymbolFeed], first_live: int) -> None:
        """Serve the feeds of a new run; call it before `begin`.

        Parameters
        ----------
        feeds : by symbol, in the order in which Cerebro has them
        first_live : number of the first bar that is traded
        """
        self._feeds, self._first_live = feeds, first_live
        self._first_feed = next(iter(feeds.values()))
        self._bar: Any = None
        self._is_ended = self._is_over = False
        self.row, self.time = -1, datetime.min

    def end(self) -> None:
        """Give no further bar; safe in a signal handler."""
        self._is_ended = True

    def turn(self, feed: SymbolFeed) -> bool | None:
        """Return whether the bar of this step is for a feed: None if not, False if no bar will ever come."""
        if feed is self._first_feed:  # Cerebro calls it first in each step
            self._read()
        if self._is_over:
            return False
        return True if self._bar is not None and self._feed_of(self._bar) is feed else None

    def take(self) -> tuple[Bar, int]:
        """Return the bar of this step, and its status for backtrader."""
        is_past = self.row < self._first_live
        return self._bar, LiveFeed.DELAYED if is_past else LiveFeed.LIVE

    def _read(self) -> None:
        self._bar = None
        if self._is_ended:
            self._is_over = True
            return
        try:
            self._bar = self.get(WAIT_S)
        except queue.Empty:
            return
        if self._bar is None:
            self._is_over = True
        else:
            self.row, self.time = self.row + 1, self._bar.time

    def _feed_of(self, bar: Any) -> SymbolFeed:
        return self._feeds[bar.symbol]

    def _late(self, bar: Bar) -> str | None:
        if bar.time >= self.time:
            return None
        return (
            f"a bar must not be earlier than the last one of all instruments, {self.time}, got {bar.time}. Send the "
            "lines in the order of time, all in one timeframe"
        )
