"""Moments of several feeds: the times at which some bar closes, and the parts of the feeds between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bt_neuro.plugin.stamps import closings_of
from bt_neuro.validation.trace_recording import FeedBars


class Part(NamedTuple):
    """A part of each feed.

    Attributes
    ----------
    feeds : bars of the part
    before : number of bars of each that close up to the cut
    starts : number of each feed's first bar in the part
    """

    feeds: tuple[FeedBars, ...]
    before: tuple[int, ...]
    starts: tuple[int, ...]


class Moments:
    """Closing times of all bars of some feeds, in their order; of one feed they are its bars.

    Parameters
    ----------
    feeds : of different starts, ends and timeframes
    """

    def __init__(self, feeds: Sequence[FeedBars]) -> None:
        self._feeds = tuple(feeds)
        self._closings = [
            closings_of(feed.frame["datetime"], *feed.timeframe).to_numpy("datetime64[us]") for feed in feeds
        ]
        self._times = np.unique(np.concatenate(self._closings))

    def __len__(self) -> int:
        return len(self._times)

    def position(self, feed: int, bar: int) -> int:
        """Return the number of the moment at which a bar closes."""
        return int(np.searchsorted(self._times, self._closings[feed][bar]))

    @property
    def all_begun(self) -> int:
        """Number of the moment from which on each feed has a bar."""
        return max(self.position(feed, 0) for feed in range(len(self._feeds)))

    def part(self, start: int, cut: int, end: int, least: int = 1) -> Part:
        """Return the bars that close at the moments from `start` to before `end`.

        Parameters
        ----------
        start, end : moments
        cut : moment after `all_begun`, between them
        least : bars of each feed before the cut, if it has as many; indicators need some
        """
        feeds, befores, starts = [], [], []
        for feed, closings in zip(self._feeds, self._closings, strict=True):
            first, before, last = (int(np.searchsorted(closings, self._times[at - 1], "right")) if at else 0
                                   for at in (start, cut, end))  # fmt: skip
            first = max(0, min(first, before - least))
            feeds.append(feed._replace(frame=feed.frame[first:last].reset_index(drop=True)))
            befores.append(before - first)
            starts.append(first)
        return Part(tuple(feeds), tuple(befores), tuple(starts))
