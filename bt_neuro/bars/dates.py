r"""Calendar dates, clocks and zones in cells.

A year of minutes holds 372,000 times but 260 dates and 1,440 clocks: cells are split, and each distinct part
is parsed once. In patterns \pL is a letter, as in Arrow.
"""

from __future__ import annotations

import re
import zoneinfo
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bt_neuro.bars.timeframe import Spans, Times
from bt_neuro.bars.words import HALVES, MONTHS, ZONES, plain
from bt_neuro.errors import BarsError

# Pattern of a date with three groups, the orders in which these can be meant, and whether its width is fixed,
# so that a clock may follow at once.
DATES = (
    (r"(\d{4})[-./] ?(\d{1,2})[-./] ?(\d{1,2})\.?", ("ymd",), False),
    (r"(\d{4})[年년] ?(\d{1,2})[月월] ?(\d{1,2})[日일]", ("ymd",), True),
    (r"((?:19|2[0-6])\d\d)(\d\d)(\d\d)(?:\.0+)?", ("ymd",), True),
    (r"(1\d\d)[-./](\d\d)[-./](\d\d)", ("rmd",), False),  # r: year of the Republic of China
    (r"(\d{1,2})[-./] ?(\d{1,2})[-./] ?(\d{4})\.?", ("dmy", "mdy"), False),
    (r"(\d{1,2})[-./](\d{1,2})[-./](\d\d)", ("dmy", "mdy", "ymd"), False),
    (r"(\pL{3,10})\.?[- ](\d{1,2})(?:,? |-)(\d{4})", ("mdy",), False),
    (r"(\d{1,2})(?:\.?[- ]| de )(\pL{3,10})\.?(?:[- ,]+| de )(\d{4}|\d\d)(?: г\.)?", ("dmy",), False),
    (r"(\d\d)(\pL{3})(\d{4}|\d\d)", ("dmy",), False),
    (r"(\d{4})[- ](\pL{3,10})\.?[- ](\d{1,2})", ("ymd",), False),
)
# Dates that may be any number: 240131, and EasyLanguage's 1240131 of years since 1900.
SHORT_DATE = (r"(1?\d\d)(0[1-9]|[12]\d|3[01])(0[1-9]|[12]\d|3[01])", ("ymd", "rmd", "dmy", "mdy"), False)
SAME_ZONE_MINUTES, TWO_OFFSETS = 120, 0.9  # summer time moves by no more; share of two: 09:30-09:35 is none
MIDNIGHTS = 0.9  # share of midnights among the clocks of days, of which the last may show when it was written
LOCAL_DATES = "Bars of a day or longer keep their local date; the zone of their times is not used."

_HALF = r"[AaPp]\.? ?[Mm]\b\.?|[上下]午|午[前後]|오[전후]|[öÖ][öÖsS]|[πμ]\.?μ\.?|(?:SA|CH)\b|[صم]"  # not in America
_SIGN = "[:.h時时시點点]"
_CLOCK = (
    rf"(?:(?:{_HALF}) ?)?\d{{1,2}}{_SIGN} ?\d\d(?:[:.m分분] ?\d\d)?(?:[.,:]\d{{1,9}})?[分分秒초]?(?: ?(?:{_HALF}))?"
    rf"|\d{{1,2}}[- ]?(?:{_HALF})|\d{{3,9}}(?:\.0+)?"
)
_ZONE = r"(?: ?(?P<zone>Z|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d\d)?|\pL[\pL_]*(?:/[\pL0-9_+-]+)*)(?:\[.*\])?(?: ?\(.*\))?)?"
_TIME = re.compile(
    rf"(?:(?P<before>{_HALF}) ?)?(?P<h>\d{{1,2}})(?:{_SIGN} ?(?P<m>\d\d)(?:[:.m分분] ?(?P<s>\d\d))?"
    rf"(?:[.,:](?P<f>\d{{1,9}}))?[分分秒초]?|[- ]?(?={_HALF}))(?: ?(?P<after>{_HALF}))?"
)
_EPOCH, _ZERO, _NAT = np.datetime64(0, "us"), np.timedelta64(0, "us"), np.timedelta64("NaT", "us")

# Index of each cell among the distinct ones, their number for null; and these.
Coded = tuple[NDArray[np.int32], list[str]]


def _compile(pattern: str) -> re.Pattern[str]:
    for arrow, python in ((r"[\pL_]", r"[^\W\d]"), (r"[\pL0-9_+-]", r"[\w+-]"), (r"\pL", r"[^\W\d_]")):
        pattern = pattern.replace(arrow, python)
    return re.compile(pattern)


_CLOCK_CELL = _compile(rf"(?P<clock>{_CLOCK}|\d{{1,2}}(?:\.0+)?)?{_ZONE}")


class Form:
    """Patterns of the cells that hold one kind of date, with or without clock and zone."""

    def __init__(self, date: str, orders: Sequence[str], fixed: bool) -> None:
        date = r"(?:\pL{2,10}\.?,? )?" + date + r"(?: ?\(\pL+\))?"  # day of the week before or behind
        between, hour = (r"(?:[T_-]|,? *)", r"|\d\d") if fixed else (r"(?:[TD_:-]|,? +(?:à )?)", "")
        rest = f"(?:{between}(?P<clock>{_CLOCK + hour}))?{_ZONE}"
        self.orders = orders
        self.date, self.rest = _compile(date), _compile(rest)
        self.looks = _compile(f"(?P<date>{_without_groups(date)}){rest}")
        self.cell = f"^(?P<date>{_without_groups(date)})(?P<rest>{_without_groups(rest)})$"


def _without_groups(pattern: str) -> str:
    return re.sub(r"(?<!\\)\((?!\?)|\(\?P<\w+>", "(?:", pattern)


FORMS = tuple(Form(*form) for form in DATES)
SHORT_FORM = Form(*SHORT_DATE)
_ANY_DATE = _compile("|".join(_without_groups(form.cell) for form in FORMS))


@dataclass(frozen=True)
class Reading:
    """One way to read a column of times."""

    values: Times  # naive, NaT where a cell holds no time
    zone: str = "UTC"  # that the cells name; empty for the file's own clock
    days: int = 0  # number of distinct dates; 0 where cells are no dates
    order: str = ""  # of day, month and year, as in DATES
    note: str = ""
    last_hour: bool = False  # whether a clock shows 24:00, and none 0:00


@lru_cache(1 << 15)
def looks_like_date(cell: str) -> bool:
    """Return whether a cell is a calendar date, with or without a clock."""
    return bool(_ANY_DATE.fullmatch(cell))


def looks_like_clock(cell: str, named: bool) -> bool:
    """Return whether a cell is a time of day; without a colon only in a column `named` as one."""
    match = _CLOCK_CELL.fullmatch(cell)
    return bool(match and match["clock"] and (named or ":" in cell))


def encode(cells: pa.ChunkedArray) -> Coded:
    """Return the distinct cells of a column, and the index of each cell among them."""
    coded = pc.dictionary_encode(cells).combine_chunks()
    texts = coded.dictionary.to_pylist()
    return np.asarray(coded.indices.fill_null(len(texts))), texts


def read_dates(
    cells: pa.ChunkedArray, clocks: pa.ChunkedArray | None, form: Form, source: str
) -> list[Reading]:
    """Return the readings of cells of one form, one for each order of day, month and year.

    `source` is the zone of the clock where the cells name an unknown one.
    """
    pattern = form.rest if clocks is None else _CLOCK_CELL
    if clocks is None:
        (days, dates), (rests, texts) = _split(cells, form)
    else:
        days, dates = encode(cells)
        found = map(form.looks.fullmatch, dates)  # a letter behind a date is no zone, but a damaged digit
        dates = [match["date"] if match and not match["zone"] else "" for match in found]
        rests, texts = encode(pc.utf8_trim_whitespace(pc.cast(clocks, pa.string())))
    matches = [pattern.fullmatch(text) for text in texts]
    zones = [match and (match["zone"] or "") for match in matches]
    counts = np.bincount(rests, minlength=len(zones) + 1)[:-1]
    offsets, zone = _offsets(zones, counts, source)
    since = _clocks([match and (match["clock"] or "") for match in matches])
    midnights, about = counts[since == _ZERO].sum(), ""
    if (
        len(dates) > 1
        and (offsets != _ZERO)[~np.isnat(offsets)].any()
        and midnights >= MIDNIGHTS * len(rests)
    ):
        offsets, zone, about = np.where(np.isnat(offsets), _NAT, _ZERO), "", LOCAL_DATES
    spans = np.append(since - offsets, _NAT)[rests]
    last_hour = bool((since == np.timedelta64(1, "D")).any() and not (since == np.timedelta64(0, "us")).any())
    readings = []
    for order in form.orders:
        days_since, note = _days(dates, form.date, order)
        times: Times = np.append(days_since + _EPOCH, np.datetime64("NaT", "us"))[days] + spans
        readings.append(Reading(times, zone, len(dates), order, f"{about} {note}".strip(), last_hour))
    return readings


def _split(cells: pa.ChunkedArray, form: Form) -> tuple[Coded, Coded]:
    """Return the dates and the rests of cells, null where a cell has another form.

    Nearly all dates of a file have one length, and to cut there is ten times as fast as the pattern.
    """
    sample = [form.looks.fullmatch(cell or "") for cell in cells.slice(0, 100).to_pylist()]
    ends = [match.end("date") for match in sample if match]
    length = max(set(ends), key=ends.count) if ends else 0
    heads, rests = pc.utf8_slice_codeunits(cells, 0, length), pc.utf8_slice_codeunits(cells, length)
    coded = encode(heads), encode(rests)
    good = np.logical_and(
        *(
            np.array([*(bool(pattern.fullmatch(text)) for text in texts), False])[codes]
            for pattern, (codes, texts) in zip((form.date, form.rest), coded, strict=True)
        )
    )
    if good.all():
        return coded
    wrong = pa.array(~good)
    parts = pc.extract_regex(cells.combine_chunks().filter(wrong), f"^{form.cell}$")
    heads, rests = (
        pc.replace_with_mask(column.combine_chunks(), wrong, pc.struct_field(parts, name))
        for name, column in (("date", heads), ("rest", rests))
    )
    return encode(pa.chunked_array([heads])), encode(pa.chunked_array([rests]))


def _days(cells: Sequence[str], pattern: re.Pattern[str], order: str) -> tuple[Spans, str]:
    """Return the days since 1970 of dates, NaT for an impossible one, and a note on their years."""
    days, note = np.full(len(cells), _NAT), ""
    for i, cell in enumerate(cells):
        if match := pattern.fullmatch(cell):
            parts = dict(zip(order.replace("r", "y"), match.groups(), strict=True))
            year, digits = int(parts["y"]), len(parts["y"])
            if "r" in order and digits < 3:
                continue
            if digits < 4:
                recent = digits == 2 and year <= date.today().year % 100
                year += 1911 if "r" in order else 2000 if recent else 1900
                if year < 1970:
                    note = f"Two-digit years were read as in {year}."
            elif year >= 2400:
                year, note = year - 543, "Years are Buddhist; 543 was subtracted."
            with suppress(ValueError):
                days[i] = np.datetime64(date(year, _month(parts["m"]), int(parts["d"])), "us") - _EPOCH
    return days, note


def _month(text: str) -> int:
    word = text.casefold()
    if text.isdigit():
        return int(text)
    return next((MONTHS[word[:n]] for n in (5, 4, 3) if word[:n] in MONTHS), 0)


def _clocks(cells: Sequence[str | None]) -> Spans:
    """Return the times since midnight of clocks, 0 for an empty one and NaT for an impossible one.

    Digits may lack leading zeros, as after a round trip through pandas: the widest shows how many.
    """
    spans = np.full(len(cells), _NAT)
    digits = [cell.partition(".")[0] if cell else "" for cell in cells]
    width = max((len(digit) for digit in digits if digit.isdigit()), default=0)
    for i, (cell, digit) in enumerate(zip(cells, digits, strict=True)):
        if digit.isdigit() and not (cell or "").partition(".")[2].strip("0"):
            padded = digit.zfill(width + width % 2 if width < 7 else width).ljust(12, "0")
            hour, minute, second, micro = *(int(padded[at : at + 2]) for at in (0, 2, 4)), int(padded[6:])
        elif match := _TIME.fullmatch(cell or ""):
            hour, minute, second = (int(match[part] or 0) for part in "hms")
            micro = int((match["f"] or "").ljust(6, "0")[:6])
            if half := match["before"] or match["after"]:
                hour = hour % 12 + HALVES[plain(half)] if 1 <= hour <= 12 else 99
        elif cell == "":
            hour = minute = second = micro = 0
        else:
            continue
        if (hour < 24 and minute < 60 and second < 60) or (hour, minute, second, micro) == (24, 0, 0, 0):
            spans[i] = np.timedelta64(((hour * 60 + minute) * 60 + second) * 1_000_000 + micro, "us")
    return spans


def _offsets(zones: Sequence[str | None], counts: NDArray[np.int64], source: str) -> tuple[Spans, str]:
    """Return what to subtract from clocks with these zones, NaT for a zone unlike most, and the zone of all.

    It is UTC after offsets, a name of the tz database as written, or empty.
    """
    offsets = [None if zone is None else _offset(zone) for zone in zones]
    kinds = [zone or "" if minutes is None else "UTC" for zone, minutes in zip(zones, offsets, strict=True)]
    weights: Counter[str] = Counter()
    for kind, n in zip(kinds, counts.tolist(), strict=True):
        weights[kind] += n
    most = max(weights, key=weights.__getitem__, default="")
    if most not in ("", "UTC") and most.casefold() not in _zone_names():
        if not source:
            raise BarsError(
                f"the zone of the times must be an offset or a name such as Europe/Athens, got {most!r}.\n"
                "Give --tz FROM,TO, such as --tz America/New_York,UTC."
            )
        most = ""
        kinds = [kind if kind == "UTC" else "" for kind in kinds]
    spans = np.array([minutes or 0 for minutes in offsets], dtype="m8[m]").astype("m8[us]")
    usual = spans[int(np.argmax(counts))] if len(spans) else _NAT
    other = np.abs(spans - usual) > np.timedelta64(SAME_ZONE_MINUTES, "m")
    by_offset: Counter[int | None] = Counter()
    for minutes, n in zip(offsets, counts.tolist(), strict=True):
        by_offset[minutes] += n
    other |= sum(n for _, n in by_offset.most_common(2)) < TWO_OFFSETS * counts.sum()
    spans[np.array([kind != most for kind in kinds], dtype=np.bool_) | other] = _NAT
    return spans, _zone_names().get(most.casefold(), most)


def _offset(zone: str) -> int | None:
    """Return the minutes from UTC of a zone, None for a name of the tz database or no zone."""
    if match := re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?", zone):
        minutes = 60 * int(match[2]) + int(match[3] or 0)
        return -minutes if match[1] == "-" else minutes
    return ZONES.get(zone.upper())


def zone_in_name(title: str) -> str:
    """Return the zone that the name of a column of times states, empty for none.

    >>> zone_in_name("Gmt time"), zone_in_name("Time (UTC+05:30)"), zone_in_name("date_utc")
    ('UTC', 'UTC+05:30', 'UTC')
    >>> zone_in_name("Time (America/New_York)"), zone_in_name("Local time")
    ('America/New_York', '')
    """
    if match := re.search(r"(?<![^\W_])(?:utc|gmt)([+-]\d{1,2}(?::?\d\d)?)?(?![^\W_])", title.lower()):
        minutes = _offset(match[1] or "Z") or 0
        hours = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        return f"UTC{hours if minutes else ''}"
    words = re.findall(r"[a-z]+/[a-z0-9/_+-]+", title.casefold())
    return next((_zone_names()[word] for word in words if word in _zone_names()), "")


@cache
def _zone_names() -> dict[str, str]:
    return {name.casefold(): name for name in zoneinfo.available_timezones()}
