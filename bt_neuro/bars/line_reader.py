"""Reader of bars from single lines: CSV, with or without a header, or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from bt_neuro.bars.columns import named_prices
from bt_neuro.bars.dates import looks_like_clock
from bt_neuro.bars.numbers import is_absent, price_digits
from bt_neuro.bars.times import EARLIEST, LATEST, parse_times, time_of_count
from bt_neuro.bars.validation import OUTSIDE, RULES, excess, is_outside
from bt_neuro.bars.words import PRICES, WORDS, parse_name, plain
from bt_neuro.errors import BarsError

ORDER = ("date", *PRICES, "volume", "spread")  # of a line without a header


class Bar(NamedTuple):
    """One closed bar: the naive time when it opened, prices, volume, and spread in points."""

    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    spread: float = 0.0

    def digits(self, known: int = 0) -> int:
        """Return the decimals of its prices, or those `known` of earlier bars if they are more."""
        return price_digits(np.array(self[1:5]), least=known)

    def fault(self, digits: int = 0) -> str | None:
        """Return the rule for the rows of a file that this bar breaks, None if it is valid.

        Parameters
        ----------
        digits : decimals that other prices have

        Examples
        --------
        >>> Bar(datetime(2024, 1, 1), 1.1, 1.0, 1.2, 1.1).fault()
        'a bar with the high below the low: high 1.0, low 1.2'
        """
        values = self._asdict()
        for name in self._fields[1:]:
            if not math.isfinite(values[name]):
                return f"{name} is {values[name]}"
        for rule in RULES:
            if rule is OUTSIDE:
                is_broken = excess(values) > 0 and is_outside(values, self.digits(digits))
            else:
                is_broken = rule.broken(values)
            if is_broken:
                return f"a bar {rule.what}: {', '.join(f'{role} {values[role]}' for role in rule.roles)}"
        return None


class SymbolBar(Bar):
    """A `Bar` with ``symbol``, its instrument. Equal to the plain one."""

    symbol: str

    @classmethod
    def of(cls, symbol: str, bar: Bar) -> SymbolBar:
        """Return a bar of an instrument."""
        named = cls(*bar)
        named.symbol = symbol
        return named


class LineReader:
    """Read bars from lines, one at a time.

    A line is CSV (comma, semicolon or tab) in the order time, open, high, low, close, volume, spread, of which
    the last two are optional; or in the order of a header line with the names of a bar file; or a JSON object
    with such names. The time may be in two cells, a date and a clock. Times with an offset and those counted
    from an epoch become UTC; others keep their clock. Unlike in a file this holds for daily bars too,
    because one line does not show the timeframe.

    Parameters
    ----------
    checks : False skips the validation of bars, for a file that was validated before
    symbols : of the instruments, if there are several: a line must name one of them, in a column with a header or
        in a key of its object, and is then a `SymbolBar`

    Attributes
    ----------
    symbol : that the last line has named; None if it has named none of `symbols`

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

    def __init__(self, *, checks: bool = True, symbols: Sequence[str] = ()) -> None:
        self._checks, self._symbols = checks, tuple(symbols)
        self._columns: dict[str, int] | None = None  # of the last header
        self._width = 0
        self._digits: dict[str | None, int] = {}  # most decimals of any bar so far, by symbol
        self.symbol: str | None = None

    def read(self, line: str) -> Bar | None:
        """Return the bar of a line; None for a header or an empty line.

        Raises
        ------
        BarsError
            If the line holds no bar, or one that is not valid.
        """
        line, self.symbol = line.strip("\ufeff \r\n"), None
        if not line:
            return None
        if line.startswith("{"):
            return self.read_values(parse_object(line))
        return self._checked(self._of_cells(line))

    def read_values(self, values: Mapping[str, Any]) -> Bar | None:
        """Return the bar of a JSON object; raises as `read`."""
        values = self.without_symbol(values)
        roles = _roles(list(values))
        if roles is None:
            raise BarsError("an object must have a time, open, high, low and close")
        cells = list(values.values())
        return self._checked(_bar({role: cells[index] for role, index in roles.items()}))

    def without_symbol(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a JSON object without its symbol, which is kept as `symbol`; the object itself if there are none.

        Raises
        ------
        BarsError
            If it has none, or one that is none of `symbols`.
        """
        self.symbol = None
        if not self._symbols:
            return values
        names = [name for name in values if parse_name(name).role == "symbol" and not parse_name(name).rest]
        self._take_symbol(values[names[0]] if names else None)
        return {name: value for name, value in values.items() if name != names[0]}

    def _take_symbol(self, cell: Any) -> None:
        if self._symbols and cell not in self._symbols:
            got = "none" if cell is None else f"{str(cell)[:40]!r}"
            raise BarsError(f"a line must have a symbol, one of {', '.join(self._symbols)}, got {got}")
        self.symbol = cell if self._symbols else None

    def _checked(self, bar: Bar | None) -> Bar | None:
        if bar is None:
            return None
        if self._checks:
            digits = self._digits.get(self.symbol, 0)
            if fault := bar.fault(digits):
                raise BarsError(fault)
            self._digits[self.symbol] = bar.digits(digits)
        return bar if self.symbol is None else SymbolBar.of(self.symbol, bar)

    def _of_cells(self, line: str) -> Bar | None:
        separator = next((sign for sign in "\t;" if sign in line), ",")
        cells = [cell.strip(' "') for cell in line.split(separator)]
        if (header := _roles(cells)) is not None:
            self._columns, self._width = header, len(cells)
            return None
        columns = self._columns
        if columns is None:
            self._take_symbol(None)  # such a line has no cell for it
            names = list(ORDER)
            if len(cells) > 1 and looks_like_clock(cells[1], named=False):
                names.insert(1, "clock")
            if not len(names) - 2 <= len(cells) <= len(names):
                raise BarsError(f"a line must hold {', '.join(names)}, got {len(cells)} cells")
            columns = {name: index for index, name in enumerate(names[: len(cells)])}
        elif len(cells) != self._width:
            raise BarsError(f"{len(cells)} cells under a header of {self._width}")
        else:
            self._take_symbol(cells[columns["symbol"]] if "symbol" in columns else None)
        return _bar({role: cells[index] for role, index in columns.items()})


def _roles(names: Sequence[str]) -> dict[str, int] | None:
    """Return the index of each role if these are names of columns, None for cells of a bar."""
    parsed = [parse_name(text) for text in names]
    if not (roles := named_prices(parsed, range(len(parsed)))):
        return None
    known = [i for i, name in enumerate(parsed) if name.role and not name.rest]
    for i in sorted(known, key=lambda i: parsed[i].rank if parsed[i].role == "volume" else i):
        role = parsed[i].role
        if role == "date" and "date" in roles and plain(names[i]) in WORDS["clock"]:
            role = "clock"
        roles.setdefault(role, i)
    return {"date": 0, **roles}


def parse_object(line: str) -> dict[str, Any]:
    """Return the values of a line that holds a JSON object.

    Raises
    ------
    BarsError
        If it holds none.
    """
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BarsError(f"no JSON object: {error}") from error
    if not isinstance(values, dict):
        raise BarsError(f"no JSON object: got {line[:40]!r}")
    return values


def _bar(cells: Mapping[str, Any]) -> Bar:
    time = " ".join(str(cells[role]) for role in ("date", "clock") if role in cells)
    if not time.isprintable():  # half a surrogate pair, which is no text that can be stored
        raise BarsError(f"a time must be such as 2020-01-31 23:00, got {time[:40]!a}")
    return Bar(moment(time), *(_number(role, cells.get(role, "")) for role in (*PRICES, "volume", "spread")))


def _number(role: str, cell: Any) -> float:
    if role not in PRICES and is_absent(str(cell)):
        return 0.0
    try:
        if isinstance(cell, bool) or "_" in str(cell):  # which Python would take for numbers
            raise ValueError
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        raise BarsError(f"{role} must be a number, got {str(cell)[:40]!r}") from None


def moment(text: str) -> datetime:
    """Return the naive time in a cell, as `read_bars` reads it.

    >>> str(moment("2016.12.30 23:00")), str(moment("2016-12-30T23:00:00+02:00"))
    ('2016-12-30 23:00:00', '2016-12-30 21:00:00')
    """
    try:
        if (time := time_of_count(text)) is None:
            time = datetime.fromisoformat(text[:10].replace(".", "-").replace("/", "-") + text[10:])
        time = time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        found = parse_times(pa.chunked_array([[text]])).values[0]  # every other way of writing one
        if np.isnat(found):
            raise BarsError(f"a time must be such as 2020-01-31 23:00, got {text[:40]!r}") from None
        time = found.astype("datetime64[us]").item()
    if not EARLIEST <= np.datetime64(time) <= LATEST:
        raise BarsError(f"a time must be one of a market, got {text[:40]!r}")
    return time
