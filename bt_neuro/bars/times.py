"""Cells to times: each distinct date and each distinct clock is parsed once, then put together.

A year of minutes holds 372,000 times but only 260 dates and 1,440 clocks, so the column is taken apart by
one pattern, and the parts are parsed as a whole: the order of day and month is the column's, not a row's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bt_neuro.errors import BarsError

Times = NDArray[np.datetime64]
Spans = NDArray[np.timedelta64]

# A date's pattern and the ways to read it; of two ways the whole column decides.
DATES = (
    (r"\d{4}-\d{1,2}-\d{1,2}", ("%Y-%m-%d",)),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", ("%Y.%m.%d",)),
    (r"\d{4}/\d{1,2}/\d{1,2}", ("%Y/%m/%d",)),
    (r"(?:19|20)\d{6}", ("%Y%m%d",)),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", ("%d.%m.%Y", "%m.%d.%Y")),
    (r"\d{1,2}/\d{1,2}/\d{4}", ("%d/%m/%Y", "%m/%d/%Y")),
    (r"\d{1,2}-\d{1,2}-\d{4}", ("%d-%m-%Y", "%m-%d-%Y")),
    (r"\d{1,2}\.\d{1,2}\.\d{2}", ("%d.%m.%y", "%m.%d.%y")),
    (r"\d{1,2}/\d{1,2}/\d{2}", ("%d/%m/%y", "%m/%d/%y")),
    (r"[A-Za-z]{3} \d{1,2}, \d{4}", ("%b %d, %Y",)),
    (r"\d{1,2} [A-Za-z]{3} \d{4}", ("%d %b %Y",)),
    (r"\d{1,2}-[A-Za-z]{3}-\d{4}", ("%d-%b-%Y",)),
    (r"\d{1,2}-[A-Za-z]{3}-\d{2}", ("%d-%b-%y",)),
)
CLOCKS = (
    (r"\d{1,2}:\d{2}", "%H:%M"),
    (r"\d{1,2}:\d{2}:\d{2}", "%H:%M:%S"),
    (r"\d{1,2}:\d{2}:\d{2}\.\d{1,9}", "%H:%M:%S.%f"),
    (r"\d{6}", "%H%M%S"),
    (r"\d{4}", "%H%M"),
    (r"\d{1,2}-[AP]M", "%I-%p"),
    (r"\d{1,2}:\d{2} ?[AaPp][Mm]", "%I:%M%p"),
    (r"\d{1,2}:\d{2}:\d{2} ?[AaPp][Mm]", "%I:%M:%S%p"),
)
ZONE = r"Z|UTC|GMT|(?:UTC|GMT)?[+-]\d{2}(?::?\d{2})?"
# Time since 1970 by its number of digits, which is unequivocal from 1973 to 2286.
UNIX = (
    (r"^\d{9,10}(?:\.0+)?$", "s"),
    (r"^\d{12,13}(?:\.0+)?$", "ms"),
    (r"^\d{15,16}$", "us"),
    (r"^\d{18,19}$", "ns"),
)

EARLIEST, LATEST = np.datetime64("1900-01-01"), np.datetime64("2200-01-01")  # no bar lies outside

_CLOCK = "|".join(pattern for pattern, _ in reversed(CLOCKS))
_CLOCK_AND_ZONE = rf"(?:[T ]*(?P<clock>{_CLOCK})(?: ?(?P<zone>{ZONE}))?)?$"
_CALENDAR = tuple(rf"^(?P<date>{date}){_CLOCK_AND_ZONE}" for date, _ in DATES)
_CALENDARS = tuple(re.compile(pattern) for pattern in _CALENDAR)
_UNIX = tuple(re.compile(pattern) for pattern, _ in UNIX)
_COLON_CLOCK = re.compile(r"^\d{1,2}:\d{2}(:\d{2})?")
_DIGIT_CLOCK = re.compile(r"^\d{4}(\d{2})?$")


@dataclass(frozen=True)
class ParsedTimes:
    """The times of a file, NaT where a cell is no time.

    `zone` is "UTC" when the cells said so (an offset, Z, or time since 1970), else empty: the file's own
    clock. `note` says what was decided, for the reader of the run.
    """

    values: Times
    zone: str
    note: str = ""


def looks_like_date(cell: str) -> bool:
    """Tell whether a cell is a calendar date, with or without a clock."""
    return any(pattern.match(cell) for pattern in _CALENDARS)


def looks_like_unix(cell: str) -> bool:
    """Tell whether a cell may be a time since 1970."""
    return any(pattern.match(cell) for pattern in _UNIX)


def looks_like_clock(cell: str, named: bool) -> bool:
    """Tell whether a cell is a time of day; bare digits count only in a column `named` as one."""
    return bool(_COLON_CLOCK.match(cell) or (named and _DIGIT_CLOCK.match(cell)))


def parse_times(dates: pa.ChunkedArray, clocks: pa.ChunkedArray | None = None) -> ParsedTimes:
    """Return the times of a column, or of a column of dates and one of clocks.

    Raises
    ------
    BarsError
        When day and month cannot be told apart in the whole column.
    """
    readings, zone, days = _read(dates, clocks)
    chosen, note = (0, "") if len(readings) == 1 else _day_month(readings, days)
    times = readings[chosen].copy()
    times[(times < EARLIEST) | (times > LATEST)] = np.datetime64("NaT")
    return ParsedTimes(times, zone, note)


def runs_backward(dates: pa.ChunkedArray, clocks: pa.ChunkedArray | None = None) -> bool:
    """Tell whether most steps from row to row lead to an earlier time."""
    readings, _, _ = _read(dates, clocks)
    steps = np.diff(min(readings, key=_faults))
    return bool((steps < np.timedelta64(0)).sum() > (steps > np.timedelta64(0)).sum())


def follows_at_once(opened: pa.ChunkedArray, closed: pa.ChunkedArray) -> bool:
    """Tell whether in most rows the one time comes within a second after the other time a row before."""
    opens, closes = (min(_read(dates, None)[0], key=_faults) for dates in (opened, closed))
    if runs_backward(closed):
        opens, closes = opens[::-1], closes[::-1]
    waits = opens[1:] - closes[:-1]
    at_once = (waits > np.timedelta64(0)) & (waits <= np.timedelta64(1, "s"))
    return bool(2 * at_once.sum() > len(waits))


def _read(dates: pa.ChunkedArray, clocks: pa.ChunkedArray | None) -> tuple[list[Times], str, pa.Array | None]:
    """Return the ways to read the times, the zone they name, and the dates as written."""
    if pa.types.is_timestamp(dates.type) or pa.types.is_date(dates.type):
        zone = "UTC" if getattr(dates.type, "tz", None) else ""
        return [np.asarray(pc.cast(dates, pa.timestamp("us"), safe=False).to_numpy())], zone, None
    cells = pc.cast(dates, pa.string())
    if clocks is not None:
        cells = pc.binary_join_element_wise(cells, pc.cast(clocks, pa.string()), " ")
    sample = cells.slice(0, 1000).to_pylist()
    seen = [sum(bool(cell and pattern.match(cell)) for cell in sample) for pattern in (*_CALENDARS, *_UNIX)]
    form = seen.index(max(seen))
    if form < len(_CALENDARS):
        return _read_calendar(cells, _CALENDAR[form], DATES[form][1])
    return [_read_unix(cells, *UNIX[form - len(_CALENDARS)])], "UTC", None


def _read_unix(cells: pa.ChunkedArray, pattern: str, unit: str) -> Times:
    whole = pc.replace_substring_regex(cells, r"\.0+$", "")
    counts = pc.cast(pc.if_else(pc.match_substring_regex(cells, pattern), whole, None), pa.int64())
    times = np.asarray(counts.fill_null(0)).astype(f"M8[{unit}]").astype("M8[us]")
    times[np.asarray(counts.is_null())] = np.datetime64("NaT")
    return times


def _read_calendar(
    cells: pa.ChunkedArray, pattern: str, ways: Sequence[str]
) -> tuple[list[Times], str, pa.Array]:
    parts = pc.extract_regex(cells, pattern).combine_chunks()
    days, clocks, zones = (pc.struct_field(parts, name) for name in ("date", "clock", "zone"))
    offset = _parse_distinct(zones, _parse_zones)
    has_offset = np.asarray(pc.not_equal(zones, "").fill_null(False))
    in_utc = bool(has_offset.mean() > 0.5)
    offset[has_offset != in_utc] = np.timedelta64("NaT")  # a row unlike most is not to be trusted
    since_midnight = _parse_distinct(clocks, _parse_clocks) - offset
    midnights = [_parse_distinct(days, partial(_parse_dates, way=way)) for way in ways]
    readings = [(midnight + since_midnight).view("M8[us]") for midnight in midnights]
    return readings, "UTC" if in_utc else "", days


def _day_month(readings: Sequence[Times], days: pa.Array) -> tuple[int, str]:
    """Return which reading is right, 0 for day first, 1 for month first, and what to tell about it."""
    if np.array_equal(readings[0], readings[1], equal_nan=True):
        return 0, ""
    faults = [_faults(times) for times in readings]
    if faults[0] != faults[1]:
        return int(faults[1] < faults[0]), ""
    several_a_day = len(days) > 2 * pc.count_distinct(days).as_py()
    if several_a_day:  # the wrong reading jumps by months at midnight
        longest = [np.nanmax(np.abs(np.diff(times))) for times in readings]
        if longest[0] != longest[1]:
            return int(longest[1] < longest[0]), ""
    first = days.drop_null()[0].as_py()
    if "." in first:
        return 0, "No day is above 12; dates with points are read day first."
    raise BarsError(
        f"dates such as {first} may begin with the day or the month: no day is above 12.\n"
        "Write dates as 2020-01-31."
    )


def _faults(times: Times) -> tuple[int, int]:
    """Return how many cells a reading cannot read, and how many steps then run against the others."""
    steps = np.diff(times[~np.isnat(times)])
    zero = np.timedelta64(0)
    return int(np.isnat(times).sum()), int(min((steps < zero).sum(), (steps > zero).sum()))


def _parse_distinct(cells: pa.Array, parse: Callable[[list[str]], Spans]) -> Spans:
    """Return parse(cells), where each distinct cell is parsed once; NaT for null."""
    coded = pc.dictionary_encode(cells)
    values: Spans = np.append(parse(coded.dictionary.to_pylist()), np.timedelta64("NaT"))
    rows = np.asarray(coded.indices.fill_null(len(coded.dictionary)))
    return values.take(rows)


def _parse_dates(days: list[str], way: str) -> Spans:
    midnights: Times = pd.to_datetime(days, format=way, errors="coerce").to_numpy().astype("M8[us]")
    spans: Spans = midnights.view("m8[us]")
    return spans


def _parse_clocks(clocks: list[str]) -> Spans:
    spans = np.full(len(clocks), np.timedelta64("NaT", "us"))
    for pattern, way in (("", ""), *CLOCKS):
        fits = [i for i, clock in enumerate(clocks) if re.fullmatch(pattern, clock)]
        times = pd.to_datetime([clocks[i].replace(" ", "") for i in fits], format=way, errors="coerce")
        spans[fits] = (times - times.normalize()).to_numpy() if way else np.timedelta64(0)
    return spans


def _parse_zones(zones: list[str]) -> Spans:
    minutes = []
    for zone in zones:
        offset = re.search(r"([+-])(\d{2}):?(\d{2})?$", zone)
        size = 60 * int(offset[2]) + int(offset[3] or 0) if offset else 0
        minutes.append(-size if offset and offset[1] == "-" else size)
    return np.array(minutes, dtype="m8[m]").astype("m8[us]")
