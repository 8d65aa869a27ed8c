"""How the rows of a text are written, found from its first lines: separator, header, first row of data."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bt_neuro.bars.formats import ABSENT, WORDS, plain
from bt_neuro.bars.numbers import looks_like_number
from bt_neuro.bars.times import looks_like_date, looks_like_unix
from bt_neuro.errors import BarsError

SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar"}  # of equals, the first
HEAD_BYTES, HEAD_LINES, SAMPLE_ROWS = 1 << 17, 200, 1000

Row = Sequence[str]


@dataclass(frozen=True)
class Layout:
    """How the rows of a text are written.

    `header` is None where there is none; `first_line` is that of the first row of data, counted from 1;
    `padded` holds the columns whose every cell has blanks around it, which belong to the layout and not
    to the values; `sample` are the first rows, all of `width` cells.
    """

    separator: str
    quoted: bool
    header: tuple[str, ...] | None
    first_line: int
    width: int
    padded: frozenset[int]
    sample: list[list[str]]


def find_layout(data: bytes) -> Layout:
    r"""Choose the separator that makes most of the first lines rows with a time and four prices.

    Raises
    ------
    BarsError
        When none does.

    Examples
    --------
    >>> layout = find_layout(b"Date;Open;High;Low;Close\n2020-01-31;1,1;1,3;1,0;1,2\n")
    >>> layout.separator, layout.header, layout.first_line
    (';', ('Date', 'Open', 'High', 'Low', 'Close'), 2)
    """
    lines = data[:HEAD_BYTES].decode("utf-8", "replace").split("\n")
    if len(data) > HEAD_BYTES and len(lines) > 1:
        lines.pop()  # cut in the middle
    lines = [line.rstrip("\r") for line in lines]
    tables = {separator: [_split(line, separator) for line in lines[:HEAD_LINES]] for separator in SEPARATORS}
    separator, rows = max(tables.items(), key=lambda table: sum(map(_is_row, table[1])))
    widths = Counter(len(row) for row in rows if _is_row(row))
    if not widths:
        raise BarsError(
            f"no line holds a time and four prices; {_first_doubtful(lines)}.\n"
            "Expected are lines such as 2020-01-31 23:00,1.1,1.2,1.0,1.15,500."
        )
    width = widths.most_common(1)[0][0]
    start = next(i for i, row in enumerate(rows) if _has_data(row))
    body = lines[start : start + SAMPLE_ROWS]
    sample = [row for row in (_split(line, separator) for line in body) if len(row) == width and any(row)]
    padded = frozenset(i for i in range(width) if all(row[i] != row[i].strip() for row in sample))
    for row in sample:
        row[:] = [cell.strip() if i in padded else cell for i, cell in enumerate(row)]
    return Layout(
        separator=separator,
        quoted=any('"' in line for line in body),
        header=_find_header(rows[:start], width, trailing=not any(row[-1] for row in sample)),
        first_line=start + 1,
        width=width,
        padded=padded,
        sample=sample,
    )


def _first_doubtful(lines: Sequence[str]) -> str:
    """Return in words the first line that may be meant as a bar, or what the file begins with."""
    for number, line in enumerate(lines[:HEAD_LINES], 1):
        if sum(any(sign.isdigit() for sign in cell) for cell in re.split(r"[\t;,| ]", line)) >= 4:
            return f"line {number} is {line[:60]!r}"
    first = next((line for line in lines if line.strip()), "")
    return f"the file begins with {first[:60]!r}"


def _find_header(titles: Sequence[Row], width: int, trailing: bool) -> tuple[str, ...] | None:
    """Return the line before the data that names most columns, the last of equals.

    `trailing` says that the rows end with a separator, which the header then need not do.
    """
    fitting = [[*title, ""] if trailing and len(title) == width - 1 else title for title in titles]
    fitting = [title for title in fitting if len(title) == width and any(cell.strip() for cell in title)]
    if not fitting:
        return None
    known = {word for words in WORDS.values() for word in words.split()}
    return tuple(max(reversed(fitting), key=lambda title: sum(plain(name) in known for name in title)))


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _is_row(row: Row) -> bool:
    cells = [cell.strip() for cell in row]
    times = sum(looks_like_date(cell) or looks_like_unix(cell) for cell in cells)
    numbers = sum(looks_like_number(cell) and not looks_like_unix(cell) for cell in cells)
    return times > 0 and numbers >= 4


def _has_data(row: Row) -> bool:
    """Tell whether a line is data, however damaged: taken for a title, a damaged bar would vanish unseen."""
    cells = [cell.strip() for cell in row]
    numbers = sum(looks_like_number(cell) and cell.lower() not in ABSENT for cell in cells)
    return numbers >= 3 or any(looks_like_date(cell) for cell in cells)
