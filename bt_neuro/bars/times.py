"""Times of bars, from dates or from numbers counted from an epoch.

Where a column has several readings, such as day or month first, all of its cells decide.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bt_neuro.bars.dates import FORMS, LOCAL_DATES, MIDNIGHTS, SHORT_FORM, Reading, read_dates
from bt_neuro.bars.timeframe import Times, commonest_step, is_usual
from bt_neuro.errors import BarsError

# Pattern of the digits, nanoseconds a count, their name, day of count 0. Of equally plausible readings, the first.
EPOCHS = (
    (r"\d{9,10}(?:\.0+)?", 10**9, "seconds", "1970-01-01"),
    (r"\d{12,13}(?:\.0+)?", 10**6, "milliseconds", "1970-01-01"),
    (r"\d{15,16}(?:\.0+)?", 10**3, "microseconds", "1970-01-01"),
    # Before nanoseconds, which would be of 1989 or of the 1970s.
    (r"6[2-4]\d{16}", 100, ".NET's 100 ns", "0001-01-01"),
    (r"1[23]\d{16}", 100, "Windows's 100 ns", "1601-01-01"),
    (r"\d{18,19}(?:\.0+)?", 1, "nanoseconds", "1970-01-01"),
)
SERIAL = r"[2-5]\d{4}(?:[.,]\d+)?"  # days of Excel, from 1954 to 2064
EARLIEST, LATEST = np.datetime64("1900-01-01"), np.datetime64("2200-01-01")  # no bar lies outside
BEGINS = {"d": "day", "m": "month", "y": "year", "r": "year of the Republic of China"}
SOON = np.timedelta64(32, "D")  # a month that has begun may be stamped with its end
MOST_STEPS = 20  # that bars of a day or longer pause; quarters read as days jump by 80, months by 354

_COUNTS = [re.compile(pattern) for pattern, *_ in EPOCHS]
_COUNT, _SERIAL = re.compile("|".join(pattern for pattern, *_ in EPOCHS)), re.compile(SERIAL)
_NAT = np.datetime64("NaT", "us")


def looks_like_epoch(cell: str) -> bool:
    """Return whether a cell may be a time counted from an epoch."""
    return bool(_COUNT.fullmatch(cell))


def time_of_count(cell: str) -> datetime | None:
    """Return the time of a cell counted from an epoch, None for another cell.

    >>> str(time_of_count("1704164400"))
    '2024-01-02 03:00:00'
    """
    for pattern, (_, unit, _, epoch) in zip(_COUNTS, EPOCHS, strict=True):
        if pattern.fullmatch(cell):
            count = int(cell.partition(".")[0])
            return datetime.fromisoformat(epoch) + timedelta(microseconds=count * unit // 1000)
    return None


def looks_like_serial(cell: str) -> bool:
    """Return whether a cell may be a day of Excel or a short date, as may many prices."""
    return bool(_SERIAL.fullmatch(cell)) or bool(SHORT_FORM.looks.fullmatch(cell))


def parse_times(
    dates: pa.ChunkedArray, clocks: pa.ChunkedArray | None = None, source: str = "", day_first: bool = False
) -> Reading:
    """Return the most plausible reading of a column, or of a column of dates and one of clocks.

    Parameters
    ----------
    source : zone of the clock where the cells name an unknown one
    day_first : order of dates that may begin with the day or the month

    Raises
    ------
    BarsError
        If two readings of the whole column are equally plausible, or a zone is unknown.
    """
    readings = _readings(dates, clocks, source)
    faults: list[Any] = [_faults(reading) for reading in readings] if len(readings) > 1 else [()]
    best = readings[faults.index(min(faults))]
    equals = [reading for reading, fault in zip(readings, faults, strict=True) if fault == min(faults)]
    rivals = [r for r in equals if r.days and not np.array_equal(r.values, best.values, equal_nan=True)]
    if best.days and rivals:
        first = str(dates.drop_null()[0].as_py())
        other = next((rival.order[0] for rival in rivals if rival.order[0] in "yr"), rivals[0].order[0])
        if best.order[0] + other != "dm" or not (day_first or re.match(r"\d+\.", first)):
            raise BarsError(
                f"dates such as {first} may begin with the {BEGINS[best.order[0]]} or the {BEGINS[other]}.\n"
                "Write dates as 2020-01-31."
            )
        note = f"No day is above 12; dates such as {first} were read day first."
        best = replace(best, note=f"{best.note} {note}".strip())
    possible = (best.values >= EARLIEST) & (best.values <= LATEST)
    return replace(best, values=np.where(possible, best.values, _NAT))


def best_times(dates: pa.ChunkedArray, clocks: pa.ChunkedArray | None = None) -> Times:
    """Return the most plausible reading of a sample, whether or not another is equally plausible."""
    readings = _readings(dates, clocks, "UTC")
    return (readings[0] if len(readings) == 1 else min(readings, key=_faults)).values


def runs_backward(times: Times) -> bool:
    """Return whether most steps from row to row lead to an earlier time."""
    steps = np.diff(times)
    return bool((steps < np.timedelta64(0, "us")).sum() > (steps > np.timedelta64(0, "us")).sum())


def _faults(reading: Reading) -> tuple[int, int, bool, bool, np.timedelta64]:
    """Return the signs of a wrong reading, the gravest first.

    They are cells without a possible time, steps against the direction of most, up to the number that shuffled rows
    have, an unusual timeframe, and a jump in a wrong order of day and month: of a year between months that were
    read as days or, where a date has several bars, at midnight, whence the longest step.
    """
    times = reading.values
    latest = np.datetime64("now") + SOON
    impossible = int((np.isnat(times) | (times > latest) | (times < EARLIEST)).sum())
    steps, zero = np.diff(times[~np.isnat(times)]), np.timedelta64(0, "us")
    against = int(min((steps < zero).sum(), (steps > zero).sum(), len(steps) // 4))
    ordered = np.unique(times[~np.isnat(times)])
    steps = np.diff(ordered)
    longest, several = np.append(steps, zero).max(), len(times) > 2 * reading.days > 0
    jumps = not several and bool(longest > MOST_STEPS * commonest_step(ordered))
    return impossible, against, not is_usual(steps), jumps, longest if several else zero


def _readings(dates: pa.ChunkedArray, clocks: pa.ChunkedArray | None, source: str) -> list[Reading]:
    if clocks is None and (pa.types.is_timestamp(dates.type) or pa.types.is_date(dates.type)):
        return [_of_moments(dates)]
    if pa.types.is_floating(dates.type) and pc.all(pc.equal(pc.floor(dates), dates)).as_py():
        dates = pc.cast(dates, pa.int64())
    cells = pc.cast(dates, pa.string())
    sample = [(cell or "").strip() for cell in cells.slice(0, 1000).to_pylist()]
    forms = [sum(bool(form.looks.fullmatch(cell)) for cell in sample) for form in FORMS]
    counts = [sum(bool(count.fullmatch(cell)) for cell in sample) for count in _COUNTS]
    most = max(*forms, *counts)
    if not most:
        is_short = 2 * sum(map(bool, map(SHORT_FORM.looks.fullmatch, sample))) > len(sample)
        return read_dates(cells, clocks, SHORT_FORM, source) if is_short else [_of_serials(cells)]
    readings = []
    for seen, form in zip(forms, FORMS, strict=True):
        if seen >= 0.9 * most:
            readings += read_dates(cells, clocks, form, source)
    for seen, epoch in zip(counts, EPOCHS, strict=True):
        if seen >= 0.9 * most:
            readings.append(_of_counts(cells, *epoch))
    return readings


def _of_moments(dates: pa.ChunkedArray) -> Reading:
    """Return the times of a typed column. Those with a zone become UTC, but daily bars keep their local dates."""
    times: Times = np.asarray(pc.cast(dates, pa.timestamp("us"), safe=False).to_numpy())
    if not (zone := getattr(dates.type, "tz", None)):
        return Reading(times, "")
    if _share_of_midnights(times) < 1 and len(times) > 1:
        with suppress(LookupError, ValueError):  # a zone that is not known here
            moments = pd.DatetimeIndex(times, tz="UTC").tz_convert(zone)
            local: Times = moments.tz_localize(None).as_unit("us").to_numpy()
            if _share_of_midnights(local) >= MIDNIGHTS:
                return Reading(local, "", note=LOCAL_DATES)
    return Reading(times)


def _share_of_midnights(times: Times) -> float:
    known = times[~np.isnat(times)]
    return float(np.mean(known == known.astype("M8[D]"))) if len(known) else 1.0


def _of_counts(cells: pa.ChunkedArray, pattern: str, unit: int, name: str, epoch: str) -> Reading:
    fits = pc.match_substring_regex(cells, f"^(?:{pattern})$")
    whole = pc.replace_substring_regex(pc.if_else(fits, cells, pa.scalar(None, pa.string())), r"\.0+$", "")
    counts = pc.cast(whole, pa.int64())
    n = np.asarray(counts.fill_null(0))
    since = n * (unit // 1000) if unit >= 1000 else n // (1000 // unit)
    times: Times = np.datetime64(epoch, "us") + since.astype("m8[us]")
    times[np.asarray(counts.is_null())] = _NAT
    return Reading(times, note=f"Times were read as {name} since {epoch}, in UTC.")


def _of_serials(cells: pa.ChunkedArray) -> Reading:
    fits = pc.match_substring_regex(cells, f"^(?:{SERIAL})$")
    days = pc.replace_substring(pc.if_else(fits, cells, pa.scalar(None, pa.string())), ",", ".")
    seconds = np.asarray(pc.cast(days, pa.float64()).to_numpy(), dtype=np.float64) * 86_400
    whole = np.rint(np.nan_to_num(seconds)).astype("m8[s]").astype("m8[us]")
    times: Times = np.datetime64("1899-12-30", "us") + whole
    times[np.isnan(seconds)] = _NAT
    return Reading(times, "", note="Times were read as days since 1899-12-30, as Excel counts.")
