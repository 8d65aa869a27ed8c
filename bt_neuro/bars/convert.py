"""Conversion of JSON, LEAN files and Excel sheets to CSV, with every number as it was written."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bt_neuro.bars.words import PRICES, parse_name
from bt_neuro.errors import BarsError

MOST_OBJECTS = 1 << 27  # Python's objects take ten times the memory of the text
_LEAN = re.compile(r"(\d{8})_.+_(second|minute|tick)_(trade|quote)(\.csv)?$", re.IGNORECASE)

Rows = list[list[Any]]


def is_json(data: bytes) -> bool:
    """Return whether a text is a JSON document or lines of JSON."""
    return bool(re.match(rb'\s*(\[\s*[\[{]|\{\s*"|\[\s*-?\d+\s*,)', data[:1000]))


def json_table(data: bytes) -> bytes:
    """Return the bars of a JSON document, or of lines of JSON, as CSV.

    They are a list of lists or objects, an object of lists, or an object of objects by time.
    """
    if len(data) > MOST_OBJECTS:
        raise BarsError("a JSON file must be at most 128 MiB, got more.\nConvert it to CSV or Parquet.")
    try:
        text = data.decode("utf-8", "replace")
        rows = _rows_of(_parse_json(re.sub(r"\\?/Date\((\d+).*?\)\\?/", r"\1", text)))
    except RecursionError:
        rows = []
    if not rows:
        raise BarsError("JSON without a list of bars.\nConvert it to CSV: time,open,high,low,close,volume.")
    return _csv(rows)


def lean_table(name: str, data: bytes) -> bytes | None:
    """Return intraday bars of QuantConnect's LEAN as CSV, None for any other file name.

    The file's name holds the date, its rows the milliseconds since midnight.
    """
    if not (match := _LEAN.search(name)):
        return None
    date, resolution, kind = (part.lower() for part in match.groups()[:3])
    lines = list(csv.reader(io.StringIO(data.decode("utf-8", "replace"))))
    if resolution == "tick" or not all(len(row) >= 5 and row[0].isdigit() for row in lines):
        raise BarsError("LEAN, but no bars by milliseconds since midnight.\nGive minute or second bars.")
    seconds = [int(row[0]) // 1000 for row in lines]
    clocks = [f"{date} {s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in seconds]
    header = ["lean time", *PRICES, "volume" if kind == "trade" else "lastbidsize"]
    return _csv([header, *([clock, *row[1:6]] for clock, row in zip(clocks, lines, strict=True))])


def workbook_table(raw: bytes) -> bytes:
    """Return the only filled sheet of an Excel workbook as CSV."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise BarsError("an Excel workbook needs openpyxl.\nInstall it, or save the sheet as CSV.") from None
    try:
        sheets = load_workbook(io.BytesIO(raw), read_only=True, data_only=True).worksheets
        tables = {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in sheets}
    except Exception as error:  # noqa: BLE001  whatever a damaged archive makes of a parser
        raise BarsError(f"a damaged Excel workbook ({error}).\nSave the sheet as CSV.") from None
    filled = [title for title, rows in tables.items() if len(rows) > 1 and len(rows[-1]) > len(PRICES)]
    if len(filled) != 1:
        inside = ", ".join(filled) or "none"
        raise BarsError(f"a workbook must hold one sheet of bars, got {inside}.\nSave one as CSV.")
    return _csv(tables[filled[0]])


def _parse_json(text: str) -> Any:
    read = json.JSONDecoder(parse_float=str, parse_int=str).decode
    number = 0
    try:
        try:
            return read(text)
        except ValueError as error:
            if "Extra data" not in str(error):
                raise
        rows = []
        for number, line in enumerate(text.splitlines(), 1):  # noqa: B007 - for the message of an error
            rows += [read(line)] if line.strip() else []
        return rows
    except ValueError as error:
        where = f"line {number}: " if number else ""
        raise BarsError(f"{where}broken JSON ({error}).\nWrite the file again.") from None


def _rows_of(value: Any, depth: int = 0) -> Rows:
    """Return the longest table in a JSON value: its header, if any, and its rows."""
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], dict):
            return _rows_of(value[0], depth + 1) or _rows_of_objects(value)
        return value if value and all(isinstance(row, list) for row in value) else _rows_of_objects(value)
    if not isinstance(value, dict) or depth > 5:
        return []
    rows, names = value.get("data"), value.get("columns")
    if isinstance(rows, list) and isinstance(names, list):  # of pandas: orient="split"
        index = value.get("index", [])
        head = ["", *names] if len(index) == len(rows) else names
        return [head, *([*index[i : i + 1], *row] for i, row in enumerate(rows) if isinstance(row, list))]
    columns = {name: column for name, column in _leaves(value).items() if isinstance(column, list)}
    sizes = [len(column) for name, column in columns.items() if parse_name(name).role in PRICES]
    if len(sizes) >= len(PRICES) and len(set(sizes)) == 1:
        whole = [[name, *column] for name, column in columns.items() if len(column) == sizes[0]]
        return [list(row) for row in zip(*whole, strict=True)]
    tables = {name: part for name, part in value.items() if isinstance(part, dict)}
    if sum(parse_name(name).role in PRICES for name in tables) >= len(PRICES):  # of pandas: orient="columns"
        index = dict.fromkeys(key for part in tables.values() for key in part)
        return [["", *tables], *([key, *(part.get(key) for part in tables.values())] for key in index)]
    by_time = [{"time": time, **row} for time, row in value.items() if isinstance(row, dict)]
    if by_time and sum(parse_name(key).role in PRICES for key in by_time[0]) >= len(PRICES):
        return _rows_of_objects(by_time)
    lists = {name: rows for name, part in value.items() if len(rows := _rows_of(part, depth + 1)) > 1}
    if len(lists) > 1 and len({len(rows[0]) for rows in lists.values()}) == 1:
        return _by_name(lists)
    return max(lists.values(), key=len, default=[])


def _by_name(tables: dict[str, Rows]) -> Rows:
    """Return tables of equal columns as one, whose first column has their names."""
    heads = [rows[0] for rows in tables.values()]
    if heads.count(heads[0]) < len(heads) or not any(
        isinstance(cell, str) and parse_name(cell).role for cell in heads[0]
    ):
        shown = ", ".join(tables)[:80]
        raise BarsError(f"a JSON file must hold one list of bars, got {shown}.\nSplit the file.")
    return [["symbol", *heads[0]], *([name, *row] for name, rows in tables.items() for row in rows[1:])]


def _leaves(value: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return all values of an object by their paths, those of nested objects included."""
    leaves: dict[str, Any] = {}
    for key, part in value.items():
        alone = isinstance(part, list) and len(part) == 1
        part = part[0] if alone and isinstance(part[0], dict) else part
        leaves |= _leaves(part, f"{path}{key} ") if isinstance(part, dict) else {f"{path}{key}": part}
    return leaves


def _rows_of_objects(rows: list[Any]) -> Rows:
    if not rows or not all(isinstance(row, dict) for row in rows):
        return []
    rows = [_leaves(row) for row in rows]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [keys, *([row.get(key) for key in keys] for row in rows)]


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return "" if value is None or isinstance(value, list | dict) else str(value).replace("\n", " ")
