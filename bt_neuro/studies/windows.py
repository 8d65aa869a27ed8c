"""Feature windows and targets of a bar file, and the spans of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.reader import Bars
from bt_neuro.errors import FoldError
from bt_neuro.learning.fractals import FractalLabel
from bt_neuro.learning.progressive import feature_windows
from bt_neuro.plugin.features import article_features
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.playback import confirmed_targets
from bt_neuro.validation.folds import MINIMUM_TEST_BARS, Length

Array = NDArray[np.floating]

HISTORY_BARS = 20
WING = 1  # the article's: a fractal is known one bar later


@dataclass(frozen=True, eq=False)
class Windows:
    """Feature windows and targets of consecutive bars, by bar number.

    Attributes
    ----------
    features : (rows, features of a bar), from bar ``first_row`` on; those of bar t use bars up to t
    first_row : the first bar with features
    targets : (bars, 3), none, buy, sell; NaN without a confirmed label. That of bar t is confirmed at the
        close of bar t + 1
    """

    features: Array
    first_row: int
    targets: Array

    @classmethod
    def of(cls, bars: Bars) -> Windows:
        """Compute features by backtrader and labels bar by bar, as in a strategy."""
        frame = bars.frame
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(BarsFeed(bars=frame))
        cerebro.addstrategy(_Recorder)
        (ran,) = cerebro.run()
        targets = confirmed_targets(frame, FractalLabel(WING))
        return cls(np.array(ran.rows), len(frame) - len(ran.rows), targets)

    @property
    def first(self) -> int:
        """The first bar with a full window."""
        return self.first_row + HISTORY_BARS - 1

    @property
    def inputs(self) -> int:
        """Number of values in a window."""
        return HISTORY_BARS * self.features.shape[1]

    def window(self, bars: range) -> Array:
        """Return the windows that end at these bars, (bars, inputs), as a view."""
        return feature_windows(self.features, HISTORY_BARS)[bars.start - self.first : bars.stop - self.first]

    def target(self, bars: range) -> Array:
        """Return the targets of these bars, (bars, 3)."""
        return self.targets[bars.start : bars.stop]


class _Recorder(bt.Strategy):
    """Recorder of the article's features, bar by bar."""

    def __init__(self) -> None:
        self._lines_of_bar = tuple(article_features(self.data).values())
        self.rows: list[list[float]] = []

    def next(self) -> None:
        self.rows.append([line[0] for line in self._lines_of_bar])


@dataclass(frozen=True)
class Spans:
    """Ranges of bars with different uses.

    Attributes
    ----------
    choice : the first half; learning rates are chosen on it
    history : the last part of the first half; learned once before the single pass, several times before the
        test
    rest : the second half, which no choice has seen; the single pass goes through it
    test : its beginning, on which the networks of several eras are tested
    """

    choice: range
    history: range
    rest: range
    test: range

    @classmethod
    def cut(cls, times: pd.Series, first: int, history: str, test: str) -> Spans:
        """Cut bars in the middle.

        Parameters
        ----------
        times : of all bars, rising
        first : the first bar with a full window
        history, test : lengths before and after the middle, as in `Length.parse`; shorter if the file is

        Raises
        ------
        FoldError
            If a part has fewer than 100 bars.

        Examples
        --------
        >>> hours = pd.Series(pd.date_range("2024-01-01", periods=1000, freq="h"))
        >>> Spans.cut(hours, 52, history="10D", test="200b")  # doctest: +NORMALIZE_WHITESPACE
        Spans(choice=range(52, 500), history=range(260, 500), rest=range(500, 1000),
              test=range(500, 700))
        """
        bars, middle = len(times), len(times) // 2
        begin = max(_moved(times, middle, Length.parse(history), -1), first)
        end = _moved(times, middle, Length.parse(test), 1)
        spans = cls(range(first, middle), range(begin, middle), range(middle, bars), range(middle, end))
        least = min(len(spans.history), len(spans.test))
        if least < MINIMUM_TEST_BARS:
            raise FoldError(
                f"history {history} and test {test} must have {MINIMUM_TEST_BARS} bars each, got "
                f"{max(least, 0)} of a file of {bars:,}.\nGive longer ones, or a longer file."
            )
        return spans

    def as_dict(self, times: pd.Series) -> dict[str, Any]:
        """Return each part's first and last time and number of bars."""
        return {
            name: {"first": str(times[part[0]]), "last": str(times[part[-1]]), "bars": len(part)}
            for name, part in vars(self).items()
        }


def _moved(times: pd.Series, middle: int, length: Length, sign: int) -> int:
    if length.bars:
        return min(max(middle + sign * length.bars, 0), len(times))
    moment = length.moment(times[middle], sign)
    if moment is None:
        return 0 if sign < 0 else len(times)
    return int(np.searchsorted(times.to_numpy("datetime64[ns]"), np.datetime64(moment), side="left"))
