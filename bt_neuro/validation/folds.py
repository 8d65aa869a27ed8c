"""Folds: consecutive training and test spans of a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import FoldError

WINDOWS = ("rolling", "expanding", "anchored")  # the last two are one
MINIMUM_TEST_BARS = 100  # about 30 signals; fewer allow no statement
_UNITS = {"Y": "years", "M": "months", "W": "weeks", "D": "days", "b": "bars"}


@dataclass(frozen=True)
class Length:
    """A length of time, or a number of bars.

    Examples
    --------
    >>> Length.parse("2Y") + Length.parse("6M") * 2
    Length(months=36, days=0, bars=0)
    """

    months: int = 0
    days: int = 0
    bars: int = 0

    @classmethod
    def parse(cls, text: str) -> Length:
        """Parse a text such as ``2Y``, ``24M``, ``26W``, ``90D`` or ``5000b``."""
        found = re.fullmatch(r"(\d{1,9})([YMWDb])", str(text).strip())
        if found is None or int(found[1]) == 0:
            raise FoldError(
                f"A length must be a number of years, months, weeks, days or bars, got {text!r}. "
                "Give one such as 2Y, 24M, 26W, 90D, 5000b."
            )
        count, unit = int(found[1]), _UNITS[found[2]]
        in_one = {"years": cls(months=12), "months": cls(months=1), "weeks": cls(days=7), "days": cls(days=1)}
        return in_one.get(unit, cls(bars=1)) * count

    def moment(self, start: pd.Timestamp, sign: int = 1) -> pd.Timestamp | None:
        """Return the time after `start`, or before it with `sign` -1; None beyond the range of timestamps."""
        try:
            return pd.Timestamp(start + sign * pd.DateOffset(months=self.months, days=self.days))
        except (ValueError, OverflowError):
            return None

    def __add__(self, other: Length) -> Length:
        return Length(self.months + other.months, self.days + other.days, self.bars + other.bars)

    def __mul__(self, times: int) -> Length:
        return Length(self.months * times, self.days * times, self.bars * times)


@dataclass(frozen=True)
class Fold:
    """A training span and the test span right after it, as ranges of bar numbers.

    Attributes
    ----------
    number : int
        From 1.
    train, test : range
        ``train.stop == test.start``.
    """

    number: int
    train: range
    test: range


def cut_folds(
    times: pd.Series, train: str, test: str, step: str | None = None, window: str = "rolling"
) -> list[Fold]:
    """Cut bars into folds, from the first bar to the last.

    The test span of fold k starts `train` and k times `step` after the midnight before the first bar, or
    after the first bar if the lengths are in bars.

    Parameters
    ----------
    times : Series of datetime64
        Ascending times of the bars.
    train, test, step : str
        Lengths as in `Length.parse`, all in time or all in bars. `step` is at least `test`, its default, so
        that no bar is tested twice.
    window : {"rolling", "expanding"}
        Training span: the last `train` before the test span, or all bars before it. "anchored" is another
        word for expanding.

    Returns
    -------
    list of Fold
        Test spans of fewer than 100 bars, or than the longest if that has fewer, are left out: the last one and
        those in a gap of the file.

    Raises
    ------
    FoldError
        If a length is invalid, the lengths do not fit each other, or there are too few bars for one fold.

    Examples
    --------
    >>> days = pd.Series(pd.date_range("2020-01-01", "2021-12-31"))
    >>> for fold in cut_folds(days, "12M", "5M"):
    ...     print(fold.number, fold.train, fold.test, days[fold.test.start].date())
    1 range(0, 366) range(366, 517) 2021-01-01
    2 range(152, 517) range(517, 670) 2021-06-01
    """
    if window not in WINDOWS:
        raise FoldError(f"window must be rolling or expanding, got {window!r}. Give one of them.")
    training, testing, stepping = lengths = [Length.parse(text) for text in (train, test, step or test)]
    if len({length.bars > 0 for length in lengths}) > 1:
        raise FoldError(
            f"train, test and step must be all in time or all in bars, got {train}, {test}, {step or test}. "
            "Give the same kind."
        )
    stamps = times.to_numpy("datetime64[ns]")
    spans: list[tuple[range, range]] = []
    while not spans or spans[-1][1].stop < len(stamps):
        moved = stepping * len(spans)
        first = _bar_after(stamps, moved) if window == "rolling" else 0
        middle = _bar_after(stamps, training + moved)
        if middle >= len(stamps):
            break
        end = _bar_after(stamps, training + moved + testing)
        spans.append((range(first, middle), range(middle, end)))
    if any(late[1].start < early[1].stop for early, late in pairwise(spans)):
        raise FoldError(
            f"step must be no shorter than test, got {step} and {test}. "
            "Give a longer step, so that no bar is tested twice."
        )
    least = min(MINIMUM_TEST_BARS, max((len(test) for _, test in spans), default=0))
    kept = [(train, test) for train, test in spans if len(test) >= least > 0 and len(train)]
    if not kept:
        days = f"{times.iloc[0]:%Y-%m-%d} to {times.iloc[-1]:%Y-%m-%d}" if len(times) else "no time"
        raise FoldError(
            f"{len(times):,} bars, {days}, are too few for train {train} and test {test}.\n"
            "Give shorter lengths, or a longer file."
        )
    return [Fold(number, *parts) for number, parts in enumerate(kept, start=1)]


def _bar_after(stamps: NDArray[np.datetime64], length: Length) -> int:
    """Return the first bar at a distance from the first bar, or the number of bars."""
    if length.bars or not len(stamps):
        return min(length.bars, len(stamps))
    # Always from the first bar: a month after 31 January, and another one, would be 28 March.
    moment = length.moment(pd.Timestamp(stamps[0]).normalize())
    if moment is None:
        return len(stamps)
    return int(np.searchsorted(stamps, np.datetime64(moment), side="left"))
