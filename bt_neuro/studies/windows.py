"""All bars of a file as the article's network sees them: windows of features, and what became of each bar."""

from __future__ import annotations

from dataclasses import dataclass

import backtrader as bt
import numpy as np
from numpy.typing import NDArray

from bt_neuro.bars.reader import Bars
from bt_neuro.learning.fractals import FractalLabel
from bt_neuro.plugin.features import article_features
from bt_neuro.plugin.feed import BarsFeed

Array = NDArray[np.floating]

HISTORY_BARS = 20
WING = 1  # the article's: a fractal is known one bar later


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows and targets of consecutive bars, by the number of the bar.

    Attributes
    ----------
    features : (rows, features of a bar), those of bar ``first_row`` on; bar t's use bars <= t
    first_row : the first bar that has them
    targets : (bars, 3), none, buy, sell; NaN where the label is never known. That of bar t is known at the
        close of bar t + 1
    """

    features: Array
    first_row: int
    targets: Array

    @classmethod
    def of(cls, bars: Bars) -> Windows:
        """Return those of a file: features by backtrader, labels bar by bar, as a strategy has them."""
        frame = bars.frame
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(BarsFeed(bars=frame))
        cerebro.addstrategy(_Recorder)
        (ran,) = cerebro.run()
        targets, label = np.full((len(frame), 3), np.nan), FractalLabel(WING)
        prices = frame[["high", "low", "close"]].itertuples(index=False)
        for bar, (high, low, close) in enumerate(prices):
            for known in label.update(bar, high, low, close):
                targets[known.bar] = known.target
        return cls(np.array(ran.rows), len(frame) - len(ran.rows), targets)

    @property
    def first(self) -> int:
        """The first bar with a full window."""
        return self.first_row + HISTORY_BARS - 1

    @property
    def inputs(self) -> int:
        """Numbers in a window."""
        return HISTORY_BARS * self.features.shape[1]

    def window(self, bars: range) -> Array:
        """Return the windows that end at these bars, (bars, inputs), as a view."""
        width = self.features.shape[1]
        every = np.lib.stride_tricks.sliding_window_view(self.features.reshape(-1), self.inputs)[::width]
        return every[bars.start - self.first : bars.stop - self.first]

    def target(self, bars: range) -> Array:
        """Return the targets of these bars, (bars, 3)."""
        return self.targets[bars.start : bars.stop]


class _Recorder(bt.Strategy):
    """Writes down the article's features, bar by bar, as `NeuroStrategy` reads them."""

    def __init__(self) -> None:
        self._lines_of_bar = tuple(article_features(self.data).values())
        self.rows: list[list[float]] = []

    def next(self) -> None:
        self.rows.append([line[0] for line in self._lines_of_bar])
