"""Bars that come one line at a time: CSV, with or without a header, or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from bt_neuro.bars.formats import ABSENT, PRICES, WORDS, plain
from bt_neuro.bars.numbers import price_digits
from bt_neuro.bars.times import EARLIEST, LATEST, looks_like_clock, looks_like_unix, parse_times
from bt_neuro.errors import BarsError

ORDER = ("date", *PRICES, "volume", "spread")  # of a line without a header
TIMES = ("datetime", "date", "time", "timestamp", "gmttime", "utc", "t", "")
_DIVISORS = {9: 1, 10: 1, 12: 1e3, 13: 1e3, 15: 1e6, 16: 1e6, 18: 1e9, 19: 1e9}
_ROLES = {word: role for role, words in WORDS.items() for word in words.split()}


class Bar(NamedTuple):
    """One closed bar; `time` is when it opened, naive, `spread` in points."""

    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    spread: float = 0.0

    @property
    def digits(self) -> int:
        """Of its prices, behind the point."""
        return price_digits(np.array(self[1:5]))

    def fault(self, digits: int = 0) -> str | None:
        """Return what no bar may be and this one is, by the same rules as a file's rows; None if it is sound.

        Parameters
        ----------
        digits : that other prices are known to have, behind the point

        Examples
        --------
        >>> Bar(datetime(2024, 1, 1), 1.1, 1.0, 1.2, 1.1).fault()
        'the high 1.0 is below the low 1.2'
        """
        upper, lower = max(self.open, self.close), min(self.open, self.close)
        for name, value in zip(self._fields[1:], self[1:], strict=True):
            if not math.isfinite(value):
                return f"{name} is {value}"
        if min(self[1:5]) <= 0:
            return "a price is zero or negative"
        if self.high < self.low:
            return f"the high {self.high} is below the low {self.low}"
        excess = max(upper - self.high, self.low - lower)
        if excess > 0 and excess > 1.01 * 10.0 ** -max(digits, self.digits):
            return f"open {self.open} or close {self.close} lies outside high and low"
        if self.high > 5 * upper or lower > 5 * self.low:
            return "the high or low is five times away from open and close"
        negative = [name for name in ("volume", "spread") if getattr(self, name) < 0]
        return f"the {negative[0]} is negative" if negative else None


class LineReader:
    """Read bars from lines, one at a time.

    A line is CSV (comma, semicolon or tab) in the order time, open, high, low, close, volume, spread, the
    last two optional; or in the order of a header line, whose names are understood as those of a bar file;
    or a JSON object with such names. The time may stand in two cells, a date and a clock. Times with an
    offset and those since 1970 become UTC; others keep the clock they are in.

    Parameters
    ----------
    checks : False takes bars that no market could have made, for a file that was checked before

    Examples
    --------
    >>> reader = LineReader()
    >>> reader.read("2024-01-02 03:00,1.1,1.3,1.0,1.2")[1:]
    (1.1, 1.3, 1.0, 1.2, 0.0, 0.0)
    >>> reader.read('{"time": 1704164400, "o": 1.1, "h": 1.3, "l": 1.0, "c": 1.2, "v": 10}').volume
    10.0
    >>> reader.read("<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<TICKVOL>") is None
    True
    >>> reader.read("2024.01.02;04:00;1.1;1.3;1.0;1.2;500").time.hour
    4
    """

    def __init__(self, *, checks: bool = True) -> None:
        self._checks = checks
        self._columns: dict[str, int] | None = None  # as a header said
        self._width = 0
        self._digits = 0  # the most of any bar so far

    def read(self, line: str) -> Bar | None:
        """Return the bar of a line; None for a header or an empty line.

        Raises
        ------
        BarsError
            When the line is no bar, or none that can be.
        """
        line = line.strip("\ufeff \r\n")
        if not line:
            return None
        bar = _of_object(line) if line.startswith("{") else self._of_cells(line)
        if bar is not None and self._checks:
            if fault := bar.fault(self._digits):
                raise BarsError(fault)
            self._digits = max(self._digits, bar.digits)
        return bar

    def _of_cells(self, line: str) -> Bar | None:
        separator = next((sign for sign in "\t;" if sign in line), ",")
        cells = [cell.strip(' "') for cell in line.split(separator)]
        if (columns := _header(cells)) is not None:
            self._columns, self._width = columns, len(cells)
            return None
        columns = self._columns
        if columns is None:
            names = list(ORDER)
            if len(cells) > 1 and looks_like_clock(cells[1], named=False):
                names.insert(1, "clock")
            if not len(names) - 2 <= len(cells) <= len(names):
                raise BarsError(f"{len(cells)} cells, where {', '.join(names)} should be")
            columns = {name: index for index, name in enumerate(names[: len(cells)])}
        elif len(cells) != self._width:
            raise BarsError(f"{len(cells)} cells under a header of {self._width}")
        return _bar({role: cells[index] for role, index in columns.items()})


def _header(cells: Sequence[str]) -> dict[str, int] | None:
    """Return the place of each role if these are names of columns."""
    roles: dict[str, int] = {}
    times: list[int] = []
    for index, cell in enumerate(cells):
        name = plain(cell)
        if name in TIMES:
            times.append(index)
        else:
            roles.setdefault(_ROLES.get(name, name), index)
    if not set(PRICES) <= roles.keys():
        return None
    if len(times) > 1 and plain(cells[times[0]]) == "date" and plain(cells[times[1]]) == "time":
        roles["clock"] = times[1]
    return {**roles, "date": times[0] if times else 0}


def _of_object(line: str) -> Bar:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BarsError(f"no JSON object: {error}") from error
    cells: dict[str, Any] = {}
    for key, value in values.items():
        name = plain(key)
        cells.setdefault("date" if name in TIMES else _ROLES.get(name, name), value)
    return _bar(cells)


def _bar(cells: dict[str, Any]) -> Bar:
    missing = [role for role in ("date", *PRICES) if role not in cells]
    if missing:
        raise BarsError(f"no {', '.join(missing)}".replace("date", "time"))
    time = f"{cells['date']} {cells['clock']}" if "clock" in cells else str(cells["date"])
    return Bar(moment(time), *(_number(role, cells.get(role, "")) for role in (*PRICES, "volume", "spread")))


def _number(role: str, cell: Any) -> float:
    if role not in PRICES and str(cell).lower() in ABSENT:
        return 0.0
    try:
        if isinstance(cell, bool) or "_" in str(cell):  # which Python would take for numbers
            raise ValueError
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        raise BarsError(f"{role} is {str(cell)[:40]!r}, no number") from None


def moment(text: str) -> datetime:
    """Return the time that a cell tells, naive, as `read_bars` reads it.

    Examples
    --------
    >>> str(moment("2016.12.30 23:00")), str(moment("2016-12-30T23:00:00+02:00"))
    ('2016-12-30 23:00:00', '2016-12-30 21:00:00')
    """
    try:
        if looks_like_unix(text):
            whole = text.partition(".")[0]
            time = datetime.fromtimestamp(int(whole) / _DIVISORS[len(whole)], UTC)
        else:
            time = datetime.fromisoformat(text[:10].replace(".", "-").replace("/", "-") + text[10:])
        time = time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        found = parse_times(pa.chunked_array([[text]])).values[0]  # every other way of writing one
        if np.isnat(found):
            raise BarsError(f"{text[:40]!r} is no time") from None
        time = found.astype("datetime64[us]").item()
    if not EARLIEST <= np.datetime64(time) <= LATEST:
        raise BarsError(f"{text[:40]!r} is no time of a market")
    return time
