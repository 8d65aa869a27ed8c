"""From text or Parquet to the columns that matter, with their cells still as they were written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from bt_neuro.bars.columns import find_columns
from bt_neuro.bars.formats import PRICES, Format, find_format
from bt_neuro.bars.layout import SAMPLE_ROWS, SEPARATORS, Layout, find_layout
from bt_neuro.bars.source import Source
from bt_neuro.errors import BarsError


@dataclass(frozen=True)
class Table:
    """The cells of a file by role, before anything is believed of them.

    Parameters
    ----------
    columns : mapping of str to ChunkedArray
        Roles ("date", "open", ...) and their cells: strings, or typed values from Parquet.
    names : mapping of str to str
        Roles and what the file calls their columns.
    unused : tuple of str
        Names of the other columns.
    lines : ndarray of int
        Number of each row's line, as an editor counts.
    torn : sequence of (int, str)
        Lines with too few or too many cells, and their text.
    width : int
        Cells that a line must have.
    format : Format
        What is known of files of this kind.
    layout : str
        How the rows are written, in words.
    comma_separated : bool
        Whether a comma parts the columns, and so is a doubtful decimal sign.
    note : str
        What is doubtful about the text as a whole.
    """

    columns: Mapping[str, pa.ChunkedArray]
    names: Mapping[str, str]
    unused: tuple[str, ...]
    lines: NDArray[np.int64]
    torn: Sequence[tuple[int, str]]
    width: int
    format: Format
    layout: str
    comma_separated: bool
    note: str = ""

    def cells(self, role: str, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """Return the cells of some rows as written."""
        return as_strings(self.columns[role].take(pa.array(rows, pa.int64())))


def read_table(source: Source) -> Table:
    """Return the columns that hold times, prices, volume and spread."""
    return _read_parquet(source) if source.is_parquet else _read_text(source)


def _read_text(source: Source) -> Table:
    layout = find_layout(source.data)
    form = find_format(layout.header, layout.sample[0])
    indices = find_columns(layout.header, layout.sample, form)
    cells, torn = _read_cells(source.data, layout, sorted(set(indices.values())))
    first = layout.first_line
    lines = np.delete(np.arange(first, first + len(cells) + len(torn)), [line - first for line, _ in torn])
    blank = layout.separator + ' "'
    names = [name.strip() for name in layout.header or (f"column {i + 1}" for i in range(layout.width))]
    return Table(
        columns={role: cells[str(i)] for role, i in indices.items()},
        names={role: names[i] for role, i in indices.items()},
        unused=tuple(name for i, name in enumerate(names) if i not in indices.values() and name),
        lines=lines,
        torn=[(line, text) for line, text in torn if text.strip(blank)],
        width=layout.width,
        format=form,
        layout=f"{SEPARATORS[layout.separator]}-separated {source.coding}",
        comma_separated=layout.separator == ",",
        note=_cut_short(source.data, [role for role in PRICES if indices[role] == layout.width - 1]),
    )


def _cut_short(data: bytes, last_price: Sequence[str]) -> str:
    """Return what to tell of a text that may end within the digits of a price, as a broken download does."""
    if data.endswith(b"\n") or not last_price:
        return ""
    return (
        f"The last line has no line end; if the file was cut there, its {last_price[0]} is short of digits."
    )


def _read_cells(
    data: bytes, layout: Layout, indices: Sequence[int]
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Return the wanted columns as strings, and the lines whose number of cells is wrong."""
    torn: list[tuple[int, str]] = []

    def keep_torn(row: pyarrow.csv.InvalidRow) -> str:
        torn.append((row.number, row.text))
        return "skip"

    wanted = [str(i) for i in indices]
    try:
        cells = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            # one thread: only then do torn rows know their line
            pyarrow.csv.ReadOptions(
                use_threads=False,
                skip_rows=layout.first_line - 1,
                column_names=[str(i) for i in range(layout.width)],
            ),
            pyarrow.csv.ParseOptions(
                delimiter=layout.separator,
                quote_char='"' if layout.quoted else False,
                ignore_empty_lines=False,  # they count as lines
                invalid_row_handler=keep_torn,
            ),
            pyarrow.csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise BarsError(f"no table of lines and columns ({reason}).\nExport the bars again.") from None
    if layout.quoted:
        _check_quotes(data, layout.first_line - 1 + len(cells) + len(torn))
    for i in layout.padded.intersection(indices):
        cells = cells.set_column(wanted.index(str(i)), str(i), pc.utf8_trim_whitespace(cells[str(i)]))
    return cells, torn


def _check_quotes(data: bytes, lines_read: int) -> None:
    """Refuse a text in which an open quotation mark has swallowed lines."""
    lines = data.split(b"\n")
    if lines_read == len(lines) - (lines[-1] == b""):
        return
    open_mark = next((i for i, line in enumerate(lines, 1) if line.count(b'"') % 2), 1)
    raise BarsError(f"line {open_mark}: a quotation mark is not closed.\nCorrect the line, or delete it.")


def _read_parquet(source: Source) -> Table:
    try:
        cells = pyarrow.parquet.read_table(pa.BufferReader(source.data), page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BarsError("damaged Parquet.\nWrite the file again.") from error
    columns = [_plain_type(column) for column in cells.columns]
    if not columns or not len(cells):
        raise BarsError("the Parquet table is empty.\nWrite the bars again.")
    names = tuple("" if name.startswith("__index_level_") else name for name in cells.column_names)
    heads = [as_strings(column.slice(0, SAMPLE_ROWS)) for column in columns]
    sample = [list(row) for row in zip(*heads, strict=True)]
    form = Format("Parquet table")
    indices = find_columns(names, sample, form)
    return Table(
        columns={role: columns[i] for role, i in indices.items()},
        names={role: names[i] for role, i in indices.items()},
        unused=tuple(name for i, name in enumerate(names) if i not in indices.values() and name),
        lines=np.arange(1, len(cells) + 1),
        torn=(),
        width=len(columns),
        format=form,
        layout=source.coding,
        comma_separated=False,
    )


def _plain_type(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text of any type as plain strings, and everything else as it is."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pc.cast(column, pa.string() if is_text else kind)


def as_strings(column: pa.ChunkedArray) -> list[str]:
    """Return cells as text, empty for null and for values that have none, such as lists."""
    if pa.types.is_timestamp(column.type):  # without its zone, whose table may be absent
        column = pc.cast(column, pa.timestamp("us"), safe=False)
    try:
        cells = pc.cast(column, pa.string()).to_pylist()
    except pa.ArrowNotImplementedError:
        return [""] * len(column)
    return ["" if cell is None else cell for cell in cells]
