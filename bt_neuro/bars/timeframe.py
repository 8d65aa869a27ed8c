"""Timeframes of bars: names, detection, gaps, and sections with another timeframe."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import BarsError

Times = NDArray[np.datetime64]
Spans = NDArray[np.timedelta64]

UNITS = {letter: pd.Timedelta(minutes=n) for letter, n in (("M", 1), ("H", 60), ("D", 1440), ("W", 10080))}
MONTH = pd.Timedelta(days=31)
DAY = np.timedelta64(1, "D")
# Candidates for a second timeframe in one file. Odd steps of thin markets are none.
STANDARD = ("M1", "M5", "M15", "M30", "H1", "H4", "D1", "W1")
SECTION_BARS, SECTION_SHARE = 20, 0.7  # least length of a section, least share of its own step


def timeframe_name(timeframe: pd.Timedelta) -> str:
    """Return the name of a timeframe in MetaTrader's notation.

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
    """Return the length of a named timeframe; MN1 is 31 days.

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
    if not match or UNITS["D"] % length:  # a part of a day must divide it
        raise BarsError(f"{name!r} is no timeframe.\nWrite M5, M15, H1, H4, D1, W1 or MN1.")
    return length


def is_usual(steps: Spans) -> bool:
    """Return whether bars with these steps have a timeframe in use; irregular steps, as of ticks, pass.

    >>> hours = np.full(9, np.timedelta64(3600, "s"))
    >>> is_usual(hours), is_usual(hours // 100)
    (True, False)
    """
    length, count = _commonest(np.abs(steps))
    if 2 * count < len(steps) or not count:
        return True
    seconds = length / np.timedelta64(1, "s")
    minutes, days = seconds / 60, seconds / 86_400
    return bool(
        (1 <= seconds < 60 and 60 % seconds == 0)
        or (minutes in range(1, 61))
        or (60 < minutes <= 1440 and 1440 % minutes == 0)
        or days in (1, 2, 3, 4, 5, 7, 14, 28, 29, 30, 31, 89, 90, 91, 92)
    )


def commonest_step(times: Times) -> pd.Timedelta:
    """Return the most frequent step between bars, the shortest of equals."""
    return pd.Timedelta(_commonest(np.diff(times))[0])


def _commonest(steps: Spans) -> tuple[np.timedelta64, int]:
    """Return the most frequent step and how often it comes; the first steps usually show it without a sort."""
    for some in (steps[:1000], steps):
        lengths, counts = np.unique(some, return_counts=True)
        step = lengths[counts.argmax()] if len(lengths) else np.timedelta64(0, "us")
        count = int((steps == step).sum())
        if 2 * count > len(steps):
            break
    return step, count


@dataclass(frozen=True)
class Gaps:
    """Missing bars. A gap of at most 84 hours over a Saturday or Sunday counts as a weekend."""

    count: int
    bars: int  # number of missing bars
    longest: pd.Timedelta  # from the bar before it to the bar after it
    longest_from: pd.Timestamp | None  # the bar before it
    weekends: int


def find_gaps(times: Times, timeframe: pd.Timedelta) -> Gaps:
    """Return the gaps between `times`, weekends counted apart.

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
    """Return a mask of the gaps that are weekends."""
    first, after = before.astype("M8[D]"), (before + length).astype("M8[D]") + DAY
    weekend_days = (after - first).astype(np.int64) - np.busday_count(first, after)
    return (weekend_days > 0) & (length <= np.timedelta64(84, "h"))


def other_timeframe(times: Times, timeframe: pd.Timedelta) -> tuple[int, int, pd.Timedelta] | None:
    """Return the first and last bar of a section of another standard timeframe, and it; None without one.

    Gaps and thin hours cause odd steps too, but rarely 14 equal ones among 20.
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
            return int(inside[0]), int(inside[-1]) + 1, other
    return None
