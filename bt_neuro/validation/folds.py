"""Where folds begin and end: training part, test part, and how they move through the bars."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import FoldError

MODES = ("rolling", "anchored")
MINIMUM_TEST_BARS = 100  # some 30 signals; of a shorter test part nothing can be said
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
        """Return the length that ``2Y``, ``24M``, ``26W``, ``90D`` or ``5000b`` means.

        Raises
        ------
        FoldError
            When it means none, or nothing at all.
        """
        found = re.fullmatch(r"(\d{1,9})([YMWDb])", str(text).strip())
        if found is None or int(found[1]) == 0:
            raise FoldError(
                f"{text!r} is no length: give years, months, weeks, days or bars, as 2Y, 24M, 26W, 90D, 5000b"
            )
        count, unit = int(found[1]), _UNITS[found[2]]
        in_one = {"years": cls(months=12), "months": cls(months=1), "weeks": cls(days=7), "days": cls(days=1)}
        return in_one.get(unit, cls(bars=1)) * count

    def moment(self, start: pd.Timestamp, sign: int = 1) -> pd.Timestamp | None:
        """Return the moment so far after `start`, or before it with a `sign` of -1.

        None where it is thousands of years away, further than times can be told.
        """
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
    """A part to train on and the part right after it to test on, as numbers of bars.

    Attributes
    ----------
    number : from 1
    train, test : ranges of bars; ``train.stop == test.start``
    """

    number: int
    train: range
    test: range


def cut_folds(
    times: pd.Series, train: str, test: str, step: str | None = None, mode: str = "rolling"
) -> list[Fold]:
    """Cut bars into folds, from the first bar to the last.

    Fold k tests what begins `train` and k times `step` after the midnight before the first bar (or after the
    first bar, where the lengths are in bars). It trains on what lies before: on the last `train` of it when
    rolling, on all of it when anchored.

    Parameters
    ----------
    times : of the bars, rising
    train, test, step : lengths as `Length.parse` reads them, all in time or all in bars; step is test unless
        given, and no less, for a bar is tested once
    mode : "rolling" or "anchored"

    Returns
    -------
    list of Fold
        Test parts with fewer bars than 100 are left out (or than the longest one's, if that is less): the
        last part, which the end of the file cuts short, and those in a hole of the file.

    Raises
    ------
    FoldError
        When a length is none, they do not fit each other, or there are too few bars for one fold.

    Examples
    --------
    >>> days = pd.Series(pd.date_range("2020-01-01", "2021-12-31"))
    >>> for fold in cut_folds(days, "12M", "5M"):
    ...     print(fold.number, fold.train, fold.test, days[fold.test.start].date())
    1 range(0, 366) range(366, 517) 2021-01-01
    2 range(152, 517) range(517, 670) 2021-06-01
    """
    if mode not in MODES:
        raise FoldError(f"mode is {mode!r}: give rolling or anchored")
    lengths = [Length.parse(text) for text in (train, test, step or test)]
    if len({length.bars > 0 for length in lengths}) > 1:
        raise FoldError(
            f"train {train}, test {test} and step {step or test} mix time and bars: give all in one of them"
        )
    training, testing, stepping = lengths
    stamps = times.to_numpy("datetime64[ns]")
    found: list[tuple[range, range]] = []
    while not found or found[-1][1].stop < len(stamps):
        moved = stepping * len(found)
        first = 0 if mode == "anchored" else _place(stamps, moved)
        middle = _place(stamps, training + moved)
        if middle >= len(stamps):
            break
        found.append((range(first, middle), range(middle, _place(stamps, training + moved + testing))))
    if any(late[1].start < early[1].stop for early, late in pairwise(found)):
        raise FoldError(
            f"step {step} is shorter than test {test}, so bars would be tested twice: make it longer"
        )
    least = min(MINIMUM_TEST_BARS, max((len(test) for _, test in found), default=0))
    kept = [(train, test) for train, test in found if len(test) >= least > 0 and len(train)]
    if not kept:
        days = f"{times.iloc[0]:%Y-%m-%d} to {times.iloc[-1]:%Y-%m-%d}" if len(times) else "nothing"
        raise FoldError(
            f"{len(times):,} bars, {days}, are too few for train {train} and test {test}.\n"
            "Give shorter ones, or a longer file."
        )
    return [Fold(number, *parts) for number, parts in enumerate(kept, start=1)]


def _place(stamps: NDArray[np.datetime64], after: Length) -> int:
    """Return the number of the first bar that is so far from the beginning, or how many bars there are."""
    if after.bars or not len(stamps):
        return min(after.bars, len(stamps))
    # Always from the beginning: a month after 31 January, and another one, would be 28 March.
    moment = after.moment(pd.Timestamp(stamps[0]).normalize())
    if moment is None:
        return len(stamps)
    return int(np.searchsorted(stamps, np.datetime64(moment), side="left"))
