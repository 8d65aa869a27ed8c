"""Columns of a bar file, with their cells as they were written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
from numpy.typing import NDArray

from bt_neuro.bars.columns import Roles, find_columns
from bt_neuro.bars.dates import looks_like_date
from bt_neuro.bars.formats import Format, find_format
from bt_neuro.bars.layout import SAMPLE_ROWS, SEPARATORS, Layout, find_layout, single_blanks
from bt_neuro.bars.numbers import is_absent, looks_like_number
from bt_neuro.bars.source import Source
from bt_neuro.bars.words import PRICES
from bt_neuro.errors import BarsError

Line = tuple[int, str]

_DECIMAL = re.compile(
    r"[-+]?\d+(?:(?P<point>[.,])(?:\d{1,2}|\d{4,})|(?P<thousands>[.,])\d{3}(?P=thousands)\d{3}) ?(?:%|[^\W\d_]{1,3})?"
)
MOST_COLUMNS, MOST_CELLS, BATCH = 1000, 1 << 27, 1 << 16


@dataclass(frozen=True)
class Table:
    """Cells of a file by role, before any is interpreted."""

    columns: Mapping[str, pa.ChunkedArray]  # by role: strings, or typed values from Parquet and Feather
    symbols: Mapping[str, pa.ChunkedArray]  # columns that may name instruments, by their names
    names: Sequence[str]  # of all columns
    roles: Roles
    lines: NDArray[np.int64]  # number of each row's line, as an editor counts
    torn: Sequence[Line]  # lines with too few or too many cells, and their text
    format: Format
    layout: str  # how the rows are written, in words
    sha256: str  # of the file
    comma_separated: bool = False  # a comma is then a doubtful decimal sign
    point: str = ""  # decimal sign of cells that are neither times nor prices
    padded: bool = False  # whether blanks stand around cells
    notes: Sequence[str] = ()

    def name(self, role: str) -> str:
        """Return the file's name of a role's column."""
        return self.names[self.roles.columns[role]]

    @property
    def unused(self) -> list[str]:
        """Names of the columns without a role."""
        used = self.roles.columns.values()
        return [name for i, name in enumerate(self.names) if i not in used and name]

    def cells(self, role: str, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """Return the cells of some rows as written."""
        columns = [self.columns[part] for part in ((role,) if role in self.columns else ("up", "down"))]
        taken = [as_strings(column.take(pa.array(rows, pa.int64()))) for column in columns]
        return [" + ".join(cells) for cells in zip(*taken, strict=True)]


def read_table(source: Source, symbol: str = "") -> Table:
    """Return the columns of times, prices, volume and spread; `symbol` is the instrument to read."""
    return _read_arrow(source, symbol) if source.arrow else _read_text(source, symbol)


def _read_text(source: Source, symbol: str) -> Table:
    data = source.data
    if b', "' in data[:10_000]:
        data = re.sub(rb'([,;\t|]) +"', rb'\1"', data)
    if re.match(rb'(?:"[^"\n]*"\r?\n){2}', data):  # whole lines in quotation marks
        data = re.sub(rb'(?m)^"([^"\n]*)"(\r?)$', rb"\1\2", data)
    layout = find_layout(data)
    if layout.separator == " ":
        data = single_blanks(data)
    if layout.width > MOST_COLUMNS:
        raise BarsError(
            f"line {layout.first_line} must have at most {MOST_COLUMNS:,} columns, got {layout.width:,}.\n"
            "Give one row per bar."
        )
    form = find_format(layout.header, layout.sample, layout.title)
    roles = find_columns(layout.header, layout.tickers, layout.sample, form, symbol)
    cells, torn = _read_cells(data, layout, sorted({*roles.columns.values(), *roles.symbols}))
    above = layout.first_line - (source.converted == "document" and layout.header is not None)
    lines = np.arange(above, above + len(cells) + len(torn))
    if torn:
        lines = np.delete(lines, [line - layout.first_line for line, _ in torn])
        torn = [(line - layout.first_line + above, text) for line, text in torn]
    torn, notes = _set_aside(torn, layout.separator, lines[-1] if len(lines) else 0)
    last = max((role for role in PRICES if roles.columns[role] == layout.width - 1), default="")
    if last and not data.endswith(b"\n") and not source.converted:
        notes.append(
            f"The last line has no line end; if the file was cut there, its {last} is short of digits."
        )
    names = layout.header or [f"column {i + 1}" for i in range(layout.width)]
    words = "" if source.converted else f"{SEPARATORS[layout.separator]}-separated "
    return Table(
        columns={role: cells[str(i)] for role, i in roles.columns.items()},
        symbols={names[i]: cells[str(i)] for i in roles.symbols},
        names=names,
        roles=roles,
        lines=lines,
        torn=torn,
        format=form,
        layout=f"{words}{source.coding}",
        sha256=source.sha256,
        comma_separated=layout.separator == ",",
        padded=layout.padded or layout.separator == " ",
        point=_other_point(layout.sample, roles),
        notes=notes,
    )


def _other_point(sample: Sequence[Sequence[str]], roles: Roles) -> str:
    """Return the decimal sign of cells that are neither times nor prices, empty without one or with two."""
    used = [i for role, i in roles.columns.items() if role in (*PRICES, "date", "clock")]
    cells = (cell for row in sample for i, cell in enumerate(row) if i not in used)
    matches = [match for cell in cells if (match := _DECIMAL.fullmatch(cell))]
    signs = {match["point"] or ".,".replace(match["thousands"], "") for match in matches}
    return signs.pop() if len(signs) == 1 else ""


def _set_aside(torn: Sequence[Line], separator: str, last: int) -> tuple[list[Line], list[str]]:
    """Return the torn lines that may be bars, and a note on the others: a date with words, or words at the end."""
    kept, others = [], []
    for line, text in torn:
        cells = [cell for cell in (cell.strip(" '\"") for cell in text.split(separator)) if cell]
        dates = [cell for cell in cells if looks_like_date(cell)]
        words = [
            cell for cell in cells if cell not in dates and (is_absent(cell) or not looks_like_number(cell))
        ]
        is_footer = line > last or not cells
        # Such as "Highest,1.25".
        named = is_footer and words[:1] == cells[:1] and not any(map(str.isdigit, "".join(cells[:1])))
        if not named and (
            len(dates) + len(words) < len(cells)
            or not (is_footer if not dates else words and len(dates) == 1)
        ):
            kept.append((line, text))
        elif cells:
            others.append((line, text))
    if not others:
        return kept, []
    more = f" and {len(others) - 1} others hold" if len(others) > 1 else " holds"
    return kept, [f"Line {others[0][0]}{more} no bar: {others[0][1][:60]!r}."]


def _read_cells(data: bytes, layout: Layout, indices: Sequence[int]) -> tuple[pa.Table, list[Line]]:
    """Return some columns as strings, and the lines whose number of cells is wrong."""
    torn: list[Line] = []

    def keep_torn(row: pyarrow.csv.InvalidRow) -> str:
        torn.append((row.number, row.text))
        return "skip"

    columns = [str(i) for i in indices]
    read = pyarrow.csv.ReadOptions(
        skip_rows=layout.first_line - 1, column_names=[str(i) for i in range(layout.width)]
    )
    parse = pyarrow.csv.ParseOptions(
        delimiter=layout.separator,
        quote_char=layout.quote or False,
        ignore_empty_lines=False,  # they count as lines
        invalid_row_handler=keep_torn,
    )
    convert = pyarrow.csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns, pa.string()),
        strings_can_be_null=False,
    )
    try:
        cells = pyarrow.csv.read_csv(pa.BufferReader(data), read, parse, convert)
        if torn:
            torn.clear()
            read.use_threads = False  # only then do torn rows know their line
            cells = pyarrow.csv.read_csv(pa.BufferReader(data), read, parse, convert)
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise BarsError(f"no table of lines and columns ({reason}).\nExport the bars again.") from None
    if layout.quote:
        _check_quotes(data, layout.quote.encode(), layout.first_line - 1 + len(cells) + len(torn))
    if layout.padded:
        cells = pa.table({name: pc.utf8_trim_whitespace(cells[name]) for name in columns})
    return cells, torn


def _check_quotes(data: bytes, quote: bytes, lines_read: int) -> None:
    """Raise BarsError for a text in which an open quotation mark has swallowed lines."""
    if lines_read != data.count(b"\n") + (not data.endswith(b"\n")):
        lines = enumerate(data.split(b"\n"), 1)
        line = next((number for number, text in lines if text.count(quote) % 2), 1)
        raise BarsError(f"line {line}: a quotation mark is not closed.\nCorrect the line, or delete it.")


def _read_arrow(source: Source, symbol: str) -> Table:
    kind = source.arrow
    try:
        cells = _bounded_table(source.data)
        cells.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BarsError(f"damaged {kind}.\nWrite the file again.") from error
    columns = [_plain_type(column) for column in cells.columns]
    if not columns or not len(cells):
        raise BarsError(f"the {kind} table is empty.\nWrite the bars again.")
    names = ["" if name.startswith("__index_level_") else name for name in cells.column_names]
    heads = [as_strings(column.slice(0, SAMPLE_ROWS)) for column in columns]
    form = Format(f"{kind} table", opening=False)
    roles = find_columns(names, (), list(zip(*heads, strict=True)), form, symbol)
    return Table(
        columns={role: columns[i] for role, i in roles.columns.items()},
        symbols={names[i]: columns[i] for i in roles.symbols},
        names=names,
        roles=roles,
        lines=np.arange(1, len(cells) + 1),
        torn=(),
        format=form,
        layout=source.coding,
        sha256=source.sha256,
    )


def _bounded_table(data: bytes) -> pa.Table:
    """Return a table of bounded size: a few bytes may stand for any number of equal rows."""
    file = pa.BufferReader(data)
    if data.startswith(b"FEA1"):
        return pyarrow.feather.read_table(file)  # not compressed
    if data.startswith(b"PAR1"):
        parquet = pyarrow.parquet.ParquetFile(file, page_checksum_verification=True)
        schema, batches = parquet.schema_arrow, parquet.iter_batches(BATCH)
    else:
        feather = pa.ipc.open_file(file)
        schema, batches = feather.schema, map(feather.get_batch, range(feather.num_record_batches))
    kept, size = [], 0
    for batch in batches:
        kept.append(batch)
        size += batch.num_rows * batch.num_columns + batch.nbytes // 16
        if size > MOST_CELLS or batch.num_columns > MOST_COLUMNS:
            raise BarsError(
                f"a table must have at most {MOST_CELLS:,} cells, got more.\nSplit it by years, leave columns out."
            )
    return pa.Table.from_batches(kept, schema)


def _plain_type(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text of any type as plain strings, and everything else as it is."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return pc.cast(column, pa.string() if is_text else kind)


def as_strings(column: pa.ChunkedArray) -> list[str]:
    """Return cells as text, empty for null and for values without text, such as lists."""
    if pa.types.is_timestamp(column.type):  # without its zone, whose table may be absent
        column = pc.cast(column, pa.timestamp("us"), safe=False)
    try:
        cells = pc.cast(column, pa.string()).to_pylist()
    except pa.ArrowNotImplementedError:
        return [""] * len(column)
    return ["" if cell is None else cell for cell in cells]
