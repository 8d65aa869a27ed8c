"""Bars: one file of prices, understood, checked, and in one shape whatever wrote it."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bt_neuro.bars.clock import Bound, bound, choose_zones, move
from bt_neuro.bars.formats import PRICES, WORDS, plain
from bt_neuro.bars.numbers import find_style, parse_numbers, parse_volumes, price_digits, written_digits
from bt_neuro.bars.order import check_timeframe, drop_flat_weekends, put_in_order
from bt_neuro.bars.resample import resample_bars
from bt_neuro.bars.source import read_source
from bt_neuro.bars.table import Table, read_table
from bt_neuro.bars.timeframe import Gaps, commonest_step, find_gaps, parse_timeframe, timeframe_name
from bt_neuro.bars.times import parse_times
from bt_neuro.bars.validation import Inspector, check_cells, check_rows, check_times, counted, remarks
from bt_neuro.errors import BarsError


@dataclass(frozen=True, eq=False)
class Bars:
    """One file's bars and what was understood of it.

    Parameters
    ----------
    frame : DataFrame
        One row a bar, in rising time: `datetime` (naive, when the bar opened), `open`, `high`, `low`,
        `close`, `volume` (0 where the file has none) and, only if the file has it, `spread` in points.
    path : Path
        The file.
    format : str
        What wrote it, in a trader's words.
    timeframe : Timedelta
        The commonest step from bar to bar.
    point : float
        The smallest step of the price, 10 to the power of minus its decimals.
    sha256 : str
        Of the file's bytes.
    notes : tuple of str
        A sentence for each thing absent, dropped or derived.
    layout : str
        How the rows are written: separator, encoding, packing.
    columns : dict of str to str
        The roles found, and what the file calls their columns.
    clock : str
        The time zone of `datetime`; "file" when nobody says which it is.
    gaps : Gaps
        Where bars are missing.
    dropped : dict of str to int
        Rows dropped, by reason.
    """

    frame: pd.DataFrame
    path: Path
    format: str
    timeframe: pd.Timedelta
    point: float
    sha256: str
    notes: tuple[str, ...]
    layout: str
    columns: dict[str, str]
    clock: str
    gaps: Gaps
    dropped: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)

    def _repr_html_(self) -> str:
        from bt_neuro.bars.describe import render

        return f"<pre>{html.escape(render(self))}</pre>"

    def require(self, bars: int, purpose: str) -> None:
        """Raise BarsError when there are fewer bars than `purpose` needs.

        Examples
        --------
        >>> read_bars("data/SYNTHETIC_EURUSD_H1.csv").require(7_000, "7,000 to warm up")
        Traceback (most recent call last):
        bt_neuro.errors.BarsError: data/SYNTHETIC_EURUSD_H1.csv: 6,000 bars are too few for 7,000 to warm up.
        Give a longer file, or ask for less.
        """
        if len(self) < bars:
            few = f"{self.path}: {counted(len(self), 'bar')} are too few for {purpose}."
            raise BarsError(f"{few}\nGive a longer file, or ask for less.")


def read_bars(
    path: str | Path,
    *,
    tz: str | None = None,
    resample: str | None = None,
    start: Bound = None,
    end: Bound = None,
    keep_flat: bool = False,
    repair: bool = False,
) -> Bars:
    """Read a file of bars, whatever common tool wrote it, and check every row.

    Parameters
    ----------
    path : str or Path
        Text (comma, semicolon, tab; UTF-8 or UTF-16) or Parquet, plain or in gzip or zip.
    tz : str, optional
        The time zone to move the bars to, "TO", or "FROM,TO" where the file's times name no zone. By
        default the file's clock is kept, and times with an offset are turned into UTC.
    resample : str, optional
        A coarser timeframe to build, such as "H1".
    start, end : str or date, optional
        The first and the last time to read, on the clock of the result; a day alone is meant as a whole.
    keep_flat : bool, default False
        Keep the flat bars without volume that some feeds write at weekends.
    repair : bool, default False
        Drop bad rows, and say so, where they would be refused.

    Returns
    -------
    Bars

    Raises
    ------
    BarsError
        When the file cannot be understood, or a row cannot be true; the text names lines, values, remedy.

    Examples
    --------
    >>> bars = read_bars("data/SYNTHETIC_EURUSD_H1.csv")
    >>> bars.format, bars.timeframe, bars.point, len(bars)
    ('MetaTrader 5 export', Timedelta('0 days 01:00:00'), 1e-05, 6000)
    """
    path = Path(path)
    try:
        return _read(path, tz, resample, start, end, keep_flat, repair)
    except BarsError as error:
        raise BarsError(f"{path}: {error}") from error


def _read(
    path: Path, tz: str | None, resample: str | None, start: Bound, end: Bound, keep_flat: bool, repair: bool
) -> Bars:
    coarser = parse_timeframe(resample) if resample else None
    source = read_source(path)
    table = read_table(source)
    inspector = Inspector(table, repair)
    frame, said = _parse(table, inspector)
    point = _point(table, frame)
    here, there = choose_zones(tz, said, table.format.zone)
    frame = _cut(frame, here, there, start, end)
    frame = check_rows(check_cells(frame, inspector), inspector)
    frame = put_in_order(frame, inspector)
    if not keep_flat:
        frame = drop_flat_weekends(frame, inspector)
    if len(frame) < 2:
        raise BarsError(f"{counted(len(frame), 'bar')}; a timeframe needs two.\nGive a longer file.")
    check_timeframe(frame, inspector)

    inspector.notes += remarks(frame)
    frame = frame.reset_index(drop=True)
    if here != there:
        frame["datetime"] = move(frame["datetime"].to_numpy(), here, there)
        inspector.notes.append(f"Times were moved from {here} to {there}.")
    timeframe = commonest_step(frame["datetime"].to_numpy())
    if coarser is not None:
        built_from = f"{len(frame):,} {timeframe_name(timeframe)} bars"
        frame = resample_bars(frame, timeframe, coarser)
        timeframe = coarser
        inspector.notes.append(f"{len(frame):,} {timeframe_name(coarser)} bars were built from {built_from}.")
    return Bars(
        frame=frame,
        path=path,
        format=table.format.name,
        timeframe=timeframe,
        point=point,
        sha256=source.sha256,
        notes=(*_said_of(table, frame), *inspector.notes),
        layout=table.layout,
        columns=dict(table.names),
        clock=there or "file",
        gaps=find_gaps(frame["datetime"].to_numpy(), timeframe),
        dropped=inspector.dropped,
    )


def _parse(table: Table, inspector: Inspector) -> tuple[pd.DataFrame, str]:
    """Return the rows that have a time, NaN where a cell is no number, and the zone the times name."""
    inspector.refuse_torn()
    times = parse_times(table.columns["date"], table.columns.get("clock"))
    style = find_style([table.columns[role] for role in PRICES], table.comma_separated)
    frame = pd.DataFrame({"datetime": times.values})
    for role in PRICES:
        frame[role] = parse_numbers(table.columns[role], style)
    frame["volume"] = 0.0
    for role in ("volume", "spread"):
        if role in table.columns:
            frame[role] = parse_volumes(table.columns[role], style)
    if times.note:
        inspector.notes.append(times.note)
    if times.zone:
        inspector.notes.append(f"Times are in {times.zone}, as their offsets or Unix seconds say.")
    return check_times(frame, inspector), times.zone


def _point(table: Table, frame: pd.DataFrame) -> float:
    """Return the smallest step of the prices, the same for each part of a file.

    Where a column tells the spread in points, a price has the decimals it is written with, zeros too, as
    MetaTrader does: 1.14920 has five. Other programs pad with zeros, and there the prices themselves tell.
    """
    digits = None
    if "spread" in table.columns:
        close = table.columns["close"]
        digits = written_digits(close, find_style([close], table.comma_separated))
    if digits is None:
        digits = price_digits(frame["close"].dropna().to_numpy())
    return 10.0**-digits


def _cut(frame: pd.DataFrame, here: str, there: str, start: Bound, end: Bound) -> pd.DataFrame:
    """Return the rows from `start` to `end`, which are told on the clock of the result."""
    times = frame["datetime"].to_numpy()
    inside = np.ones(len(frame), dtype=bool)
    for edge, keep in ((bound(start, "--from"), np.greater_equal), (bound(end, "--to", ends=True), np.less)):
        if edge is not None:
            inside &= keep(times, move(np.array([edge]), there, here)[0])
    if len(frame) and not inside.any():
        first, last = pd.Timestamp(times.min()), pd.Timestamp(times.max())
        raise BarsError(
            f"no bar in the time asked for.\nThe file runs from {first} to {last}; ask for a part of it."
        )
    return frame[inside]


def _said_of(table: Table, frame: pd.DataFrame) -> list[str]:
    """Return what the reader of a run should know of the columns."""
    said = []
    if "volume" not in table.columns:
        said.append("The file has no volume; it is 0 in every bar.")
    elif not frame["volume"].any():
        said.append("Volume is 0 in every bar.")
    told = [
        f"{role} {table.names[role]}"
        for role in PRICES
        if plain(table.names[role]) not in WORDS[role].split()
    ]
    if told and not table.format.columns:
        said.append(f"Told by order and consistency, not by name: {', '.join(told)}.")
    if table.unused:
        said.append(f"Columns not used: {', '.join(dict.fromkeys(table.unused))}.")
    if table.note:
        said.append(table.note)
    repeated = [name for name in table.names.values() if name in table.unused]
    said += [f"Column {name} comes more than once; the first is used." for name in repeated]
    return said
