"""From text or Parquet to the columns that matter, still as they were written."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from bt_neuro.errors import BarsError
from bt_neuro.market.columns import find_columns, repeated_names
from bt_neuro.market.formats import Format, find_format
from bt_neuro.market.numbers import looks_like_number
from bt_neuro.market.source import Source
from bt_neuro.market.times import looks_like_date, looks_like_unix

SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar"}  # tried in this order
HEAD_BYTES, HEAD_LINES, SAMPLE_ROWS = 1 << 17, 200, 1000


@dataclass(frozen=True)
class Table:
    """The cells of a file by role, before anything is believed of them.

    `columns` maps a role ("date", "open", ...) to its cells; `names` to what the file calls it. `lines`
    numbers the rows as an editor would, and `torn` holds lines with too few or too many fields.
    """

    columns: Mapping[str, pa.ChunkedArray]
    names: Mapping[str, str]
    unused: tuple[str, ...]
    repeated: tuple[str, ...]
    lines: NDArray[np.int64]
    torn: Sequence[tuple[int, str]]
    format: Format
    layout: str
    separator: str

    def cell(self, role: str, row: int) -> str:
        value = self.columns[role][row].as_py()
        return "" if value is None else str(value)


@dataclass(frozen=True)
class Layout:
    """How the rows of a text are written: found from its first lines."""

    separator: str
    quoted: bool
    header: tuple[str, ...] | None
    first_line: int  # of data, counted from 1
    width: int
    sample: list[list[str]]


def read_table(source: Source) -> Table:
    """Return the columns of a file that hold times, prices, volume and spread."""
    return _read_parquet(source) if source.is_parquet else _read_text(source)


# ---- text


def find_layout(data: bytes) -> Layout:
    """Find separator, header and first row: the separator that makes most lines rows of a table of bars."""
    lines = data[:HEAD_BYTES].decode("utf-8", "replace").split("\n")
    lines = lines[:-1] if len(data) > HEAD_BYTES and len(lines) > 1 else lines
    lines = [line.rstrip("\r") for line in lines]
    splits = {separator: [_split(line, separator) for line in lines[:HEAD_LINES]] for separator in SEPARATORS}
    separator = max(splits, key=lambda s: sum(map(_is_row, splits[s])))
    rows = splits[separator]
    if not any(map(_is_row, rows)):
        first = next((line for line in lines if line.strip()), "")
        raise BarsError(
            f"no line holds a time and four prices; it begins {first[:60]!r}.\n"
            "Expected are lines such as 2020-01-31 23:00,1.1,1.2,1.0,1.15,500."
        )
    width = Counter(len(row) for row in rows if _is_row(row)).most_common(1)[0][0]
    # A damaged first row must be refused as a row, not be taken for a title: whatever has numbers is data.
    start = next(i for i, row in enumerate(rows) if _has_data(row))
    titles = [row for row in rows[:start] if len(row) == width]
    header = max(titles, key=_header_words) if titles else None
    body = (_split(line, separator) for line in lines[start : start + SAMPLE_ROWS])
    return Layout(
        separator,
        quoted=any('"' in line for line in lines[start : start + SAMPLE_ROWS]),
        header=tuple(header) if header else None,
        first_line=start + 1,
        width=width,
        sample=[row for row in body if len(row) == width and any(row)],
    )
