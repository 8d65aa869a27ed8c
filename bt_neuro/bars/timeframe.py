"""Timeframes: their names, the one a file has, the gaps in it, and two in one file."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.times import Spans, Times
from bt_neuro.errors import BarsError

UNITS = {letter: pd.Timedelta(minutes=n) for letter, n in (("M", 1), ("H", 60), ("D", 1440), ("W", 10080))}
MONTH = pd.Timedelta(days=31)
# What a second timeframe in one file can be. Short steps of thin markets are not among these.
STANDARD = ("M1", "M5", "M15", "M30", "H1", "H4", "D1", "W1")
SECTION_BARS, SECTION_SHARE = 20, 0.7  # so many bars, most of them with the other step, are a section


def timeframe_name(timeframe: pd.Timedelta) -> str:
    """Return a timeframe as MetaTrader calls it.

    >>> timeframe_name(pd.Timedelta(hours=4)), timeframe_name(pd.Timedelta(days=31))
    ('H4', 'MN1')
    """
    if pd.Timedelta(days=28) <= timeframe <= MONTH:
        return "MN1"
    for letter in "WDHM":
        if timeframe % UNITS[letter] == pd.Timedelta(0):
            return f"{letter}{timeframe // UNITS[letter]}"
    return f"{timeframe.total_seconds():g}s"


def parse_timeframe(name: str) -> pd.Timedelta:
    """Return the length of a timeframe by its name; MN1 is 31 days.

    >>> parse_timeframe("H1")
    Timedelta('0 days 01:00:00')
    """
    text = name.strip().upper()
    if text == "MN1":
        return MONTH
    if text in ("D1", "W1"):
        return UNITS[text[0]]
    match = re.fullmatch(r"([MH])([1-9]\d{0,3})", text)
    length = UNITS[match[1]] * int(match[2]) if match else UNITS["D"]
    if not match or UNITS["D"] % length:  # parts of a day must begin at midnight
        raise BarsError(f"{name!r} is no timeframe.\nWrite M5, M15, H1, H4, D1, W1 or MN1.")
    return length


def commonest_step(times: Times) -> pd.Timedelta:
    """Return the step most bars have to the next; the shorter of equals."""
    steps, counts = np.unique(np.diff(times), return_counts=True)
    return pd.Timedelta(steps[counts.argmax()])


@dataclass(frozen=True)
class Gaps:
    """Where bars are missing. A gap of up to three and a half days over a Saturday or Sunday is a weekend."""

    count: int
    bars: int  # that would fill them
    longest: pd.Timedelta  # between the two bars beside it
    longest_from: pd.Timestamp | None  # the bar before it
    weekends: int


def find_gaps(times: Times, timeframe: pd.Timedelta) -> Gaps:
    """Return what is missing between `times`, weekends apart.

    Examples
    --------
    >>> hours = np.array(["2024-01-05T22", "2024-01-05T23", "2024-01-08T00", "2024-01-08T04"], dtype="M8[us]")
    >>> gaps = find_gaps(hours, pd.Timedelta(hours=1))
    >>> gaps.count, gaps.bars, gaps.weekends
    (1, 3, 1)
    """
    steps = np.diff(times)
    wide = steps >= 1.5 * timeframe.to_timedelta64()
    before, length = times[:-1][wide], steps[wide]
    weekend = _over_weekend(before, length)
    before, length = before[~weekend], length[~weekend]
    if not len(length):
        return Gaps(0, 0, pd.Timedelta(0), None, int(weekend.sum()))
    missing = np.rint(length / timeframe.to_timedelta64()) - 1
    longest = length.argmax()
    return Gaps(
        count=len(length),
        bars=int(missing.sum()),
        longest=pd.Timedelta(length[longest]),
        longest_from=pd.Timestamp(before[longest]),
        weekends=int(weekend.sum()),
    )


def _over_weekend(before: Times, length: Spans) -> NDArray[np.bool_]:
    """Tell which gaps touch Saturday or Sunday and are short enough to be just that."""
    day_before = before.astype("M8[D]").astype(np.int64)
    day_after = (before + length).astype("M8[D]").astype(np.int64)
    to_saturday = (2 - day_before) % 7  # 1970-01-03 was a Saturday; 6 means today is Sunday
    touches = (day_before + to_saturday <= day_after) | (to_saturday == 6)
    over: NDArray[np.bool_] = touches & (length <= np.timedelta64(84, "h"))
    return over


@dataclass(frozen=True)
class Section:
    """A run of bars, first to last, with another timeframe than the file's."""

    first: int
    last: int
    timeframe: pd.Timedelta


def other_timeframe(times: Times, timeframe: pd.Timedelta) -> Section | None:
    """Return the first section of another standard timeframe, or None.

    Gaps and thin hours make odd steps too, but not nearly all of twenty in a row the same.
    """
    steps = np.diff(times)
    for name in STANDARD:
        other = parse_timeframe(name)
        if other == timeframe or len(steps) < SECTION_BARS:
            continue
        same = steps == other.to_timedelta64()
        if same.sum() < SECTION_SHARE * SECTION_BARS:
            continue
        total = np.concatenate(([0], np.cumsum(same)))
        dense = total[SECTION_BARS:] - total[:-SECTION_BARS] >= SECTION_SHARE * SECTION_BARS
        if dense.any():
            start = int(dense.argmax())
            length = int((~dense[start:]).argmax()) or len(dense) - start
            inside = np.flatnonzero(same[start : start + length - 1 + SECTION_BARS]) + start
            return Section(int(inside[0]), int(inside[-1]) + 1, other)
    return None
