"""Layout of a text, found from its first lines: separator, quotation marks, header, first row of data."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bt_neuro.bars.dates import looks_like_date
from bt_neuro.bars.numbers import is_absent, looks_like_number
from bt_neuro.bars.times import looks_like_epoch, looks_like_serial
from bt_neuro.bars.words import PRICES, parse_name
from bt_neuro.errors import BarsError

SEPARATORS = {  # of equals, the first
    "\t": "tab", ";": "semicolon", ",": "comma", "|": "bar", "~": "tilde", "^": "caret", " ": "blank",
}  # fmt: skip
HEAD_BYTES, HEAD_LINES, SAMPLE_ROWS = 1 << 17, 200, 1000
EXPECTED = "Expected are lines such as 2020-01-31 23:00,1.1,1.2,1.0,1.15,500."

Row = Sequence[str]


@dataclass(frozen=True)
class Layout:
    """Layout of the rows of a text."""

    separator: str
    quote: str  # sign around cells; empty if there is none
    header: tuple[str, ...] | None  # names of the columns
    tickers: tuple[str, ...]  # second names of the columns; empty if there are none
    title: str  # lines above the header
    first_line: int  # of the rows of data, counted from 1
    padded: (
        bool  # whether most rows have cells with blanks around them; elsewhere one stands for a lost digit
    )
    sample: list[list[str]]  # first rows, all of one width, without blanks around the cells

    @property
    def width(self) -> int:
        """Number of cells of a row."""
        return len(self.sample[0])


def find_layout(data: bytes) -> Layout:
    r"""Choose the separator that makes most of the first lines rows with a time and four prices.

    >>> layout = find_layout(b"Date;Open;High;Low;Close\n2020-01-31;1,1;1,3;1,0;1,2\n")
    >>> layout.separator, layout.header, layout.first_line
    (';', ('Date', 'Open', 'High', 'Low', 'Close'), 2)
    """
    lines = data[:HEAD_BYTES].decode("utf-8", "replace").split("\n")
    if len(data) > HEAD_BYTES and len(lines) > 1:
        lines.pop()  # cut in the middle
    lines = [line.rstrip("\r") for line in lines]
    quotes = '"' if not any("'" in line for line in lines) else "\"'"
    tables = {
        (separator, quote): [_split(line, separator, quote) for line in lines[:HEAD_LINES]]
        for separator in SEPARATORS
        for quote in quotes
    }
    (separator, quote), rows = max(tables.items(), key=lambda table: sum(map(_is_row, table[1])))
    widths = Counter(len(row) for row in rows if _is_row(row))
    if not widths:
        raise _no_bars(lines, [row for table in tables.values() for row in enumerate(table, 1)])
    width = widths.most_common(1)[0][0]
    first = next(i for i, row in enumerate(rows) if _is_row(row))
    headers = (i for i, row in enumerate(rows[:first], 1) if _is_header(row))
    titles = max(headers, default=0)  # some with dates
    start = next(i for i, row in enumerate(rows) if i >= titles and _has_data(row) and not _is_count(row))
    body = lines[start : start + SAMPLE_ROWS]
    sample = [row for line in body if len(row := _split(line, separator, quote)) == width and any(row)]
    above = [row for row in rows[:start] if not _is_count(row)]
    header, tickers, title = _find_header(above, width, not any(row[-1] for row in sample))
    return Layout(
        separator=separator,
        quote=quote if any(quote in line for line in body) else "",
        header=header,
        tickers=tickers,
        title=title,
        first_line=start + 1,
        padded=2 * sum(any(cell != cell.strip() for cell in row) for row in sample) > len(sample),
        sample=[[cell.strip() for cell in row] for row in sample],
    )


def single_blanks(data: bytes) -> bytes:
    """Return a text whose cells are separated by runs of blanks with single ones."""
    return re.sub(rb"(?m)^ | +(?=\r?$)", b"", re.sub(rb"[ \t]+", b" ", data))


def _find_header(
    titles: Sequence[Row], width: int, trailing: bool
) -> tuple[tuple[str, ...] | None, tuple[str, ...], str]:
    """Return the names, the tickers and the title among the lines before the data.

    The names are the line with most known words, the last of equals; the tickers another full line. Rows with
    a `trailing` separator may have a header without it.
    """
    full = [[*row, ""] if trailing and len(row) == width - 1 else row for row in titles]
    fitting = [
        [cell.strip() for cell in row] for row in full if len(row) == width and any(map(str.strip, row))
    ]
    title = " ".join(" ".join(row) for row in full if len(row) != width)
    if not fitting:
        return None, (), title
    header = max(reversed(fitting), key=lambda row: sum(bool(parse_name(name).role) for name in row))
    others = [row for row in fitting if row is not header and sum(map(bool, row)) > width // 2]
    return tuple(header), tuple(others[0]) if others else (), title


def _split(line: str, separator: str, quote: str) -> list[str]:
    line = " ".join(line.split()) if separator == " " else line
    return next(csv.reader([line], delimiter=separator, quotechar=quote), [])


def _looks_like_time(cell: str) -> bool:
    return looks_like_date(cell) or looks_like_epoch(cell)


def _is_row(row: Row) -> bool:
    """Return whether cells may be a bar: a time and four numbers, or five numbers from a day of Excel on."""
    if len(row) < 5:
        return False
    cells = [cell.strip() for cell in row]
    numbers = sum(map(looks_like_number, cells))
    times = [cell for cell in cells if _looks_like_time(cell)]
    if not times:
        return numbers >= 5 and any(map(looks_like_serial, cells[:3]))  # behind a ticker and a period
    return numbers - looks_like_number(times[0]) >= 4


def _is_header(row: Row) -> bool:
    """Return whether a line names the prices, and is not joined with one of data."""
    names = sum(parse_name(name).role in PRICES for name in row)
    return names >= len(PRICES) and not any(looks_like_number(cell.strip()) for cell in row if cell)


def _is_count(row: Row) -> bool:
    """Return whether a line is 0, 1, 2 and so on, as pandas names columns."""
    cells = [cell for cell in row if cell]
    return len(cells) > len(PRICES) and cells == [str(i) for i in range(len(cells))]


def _has_data(row: Row) -> bool:
    """Return whether a line is data, however damaged: taken for a title, a damaged bar would be lost."""
    cells = [cell.strip() for cell in row]
    numbers = sum(looks_like_number(cell) and not is_absent(cell) for cell in cells)
    return numbers >= 3 or (len(cells) > 1 and any(map(looks_like_date, cells)))


def _no_bars(lines: Sequence[str], rows: Sequence[tuple[int, Row]]) -> BarsError:
    """Return the error for a text without bars, about the line and cell nearest to one."""

    def nearness(row: tuple[int, Row]) -> int:
        tests = (looks_like_number, looks_like_date)
        return sum(any(test(cell.strip()) for test in tests) and not is_absent(cell) for cell in row[1])

    number, row = max(rows, key=nearness)
    cells = [cell.strip() for cell in row]
    words = [i for i, cell in enumerate(cells) if not looks_like_number(cell)]
    times = [i for i, cell in enumerate(cells) if _looks_like_time(cell)]
    if nearness((number, row)) < 2:
        first = next((line for line in lines if line.strip()), "")
        return BarsError(f"the file must hold bars, got {first[:60]!r} and no row of numbers.\n{EXPECTED}")
    if times and not (words := [i for i in words if i > times[0]]):
        return BarsError(
            f"line {number} must hold a time and four prices, got {' | '.join(cells)[:60]!r}.\n"
            "Ticks, of a time with a bid and an ask, are no bars: build bars of them first."
        )
    at, must = words[0] if words else 0, "a number" if times else "a time"
    return BarsError(f"line {number}, column {at + 1} must be {must}, got {cells[at][:40]!r}.\n{EXPECTED}")
