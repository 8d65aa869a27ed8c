"""Reader of bar files of any tool: validated bars in one form."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bt_neuro.bars.clock import Bound, choose_zones, move
from bt_neuro.bars.dates import Reading
from bt_neuro.bars.formats import Number
from bt_neuro.bars.numbers import parse_prices, parse_volumes, without_short, written_digits
from bt_neuro.bars.order import (
    check_continuity,
    check_timeframe,
    cut,
    drop_flat_weekends,
    drop_unfinished,
    open_times,
    put_in_order,
    select_symbol,
)
from bt_neuro.bars.resample import coarser_bars
from bt_neuro.bars.source import read_source
from bt_neuro.bars.table import Table, read_table
from bt_neuro.bars.timeframe import Gaps, commonest_step, find_gaps, parse_timeframe
from bt_neuro.bars.times import parse_times
from bt_neuro.bars.units import find_point, scale_prices, spread_in_points, without_noise
from bt_neuro.bars.validation import (
    REPAIRS,
    Inspector,
    Rows,
    check_cells,
    check_rows,
    check_times,
    column_notes,
    counted,
    remarks,
)
from bt_neuro.bars.words import PRICES, is_foreign
from bt_neuro.errors import BarsError


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars of one file, and how the file was read.

    Parameters
    ----------
    frame : DataFrame
        One row per bar, in rising time: `datetime` (naive, when the bar opened), `open`, `high`, `low`,
        `close`, `volume` (0 where the file has none) and, only if the file has it, `spread` in points.
    path : Path
        The file.
    format : str
        Name of the tool that wrote it.
    timeframe : Timedelta
        The commonest step from bar to bar.
    point : float
        The smallest step of the price.
    sha256 : str
        Digest of the file's bytes.
    notes : tuple of str
        A sentence for each thing absent, dropped, converted or derived.
    layout : str
        How the rows are written: separator, encoding, packing.
    columns : dict of str to str
        Roles and the file's names of their columns.
    clock : str
        Time zone of `datetime`; "file" for a clock without a name.
    gaps : Gaps
        Where bars are missing.
    dropped : dict of str to int
        Number of rows dropped, by reason.
    spread_unit : str
        Unit of the spread in the file: "points", "pips", "price", or empty without a spread.
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
    spread_unit: str = ""

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
    repair: bool | str = False,
    symbol: str | None = None,
    point: float | None = None,
    scale: float | None = None,
) -> Bars:
    """Read a file of bars of any common tool, and validate every row.

    Parameters
    ----------
    path : str or Path
        Text, JSON, Parquet, Feather or an Excel workbook, plain or compressed.
    tz : str, optional
        Time zone to move the bars to, "TO", or "FROM,TO" where the file's times name no zone. By default
        the file's clock is kept, and times with an offset are converted to UTC; bars of a day or longer keep
        their local date.
    resample : str, optional
        A coarser timeframe to build, such as "H1".
    start, end : str or date, optional
        First and last time to read, on the clock of the result; a day without a clock is whole.
    keep_flat : bool, default False
        Keep the flat bars without volume that some feeds write at weekends.
    repair : bool or str, default False
        True or "drop" drops at most 2 % of the rows where they would be refused; "widen" also moves high and
        low to hold open and close; "all" drops any number. Each is noted.
    symbol : str, optional
        Instrument to read from a file of several.
    point : float, optional
        The smallest step of the price. By default the prices show it.
    scale : float, optional
        Factor of the prices, such as 1e-5 for 123456 in place of 1.23456.

    Returns
    -------
    Bars

    Raises
    ------
    BarsError
        If the file or a row is not valid; the message names the line, the cell and the remedy.

    Examples
    --------
    >>> bars = read_bars("data/SYNTHETIC_EURUSD_H1.csv")
    >>> bars.format, bars.timeframe, bars.point, len(bars)
    ('MetaTrader 5 export', Timedelta('0 days 01:00:00'), 1e-05, 6000)
    """
    path = Path(path)
    with _named(path):
        coarser = parse_timeframe(resample) if resample else None
        for option, value in (("point", point), ("scale", scale)):
            if value is not None and not 0 < value < float("inf"):
                raise BarsError(f"--{option} must be above 0, got {value}.\nGive a number such as 0.00001.")
        table = read_table(read_source(path), symbol or "")
        inspector = Inspector(table, _repair_of(repair))
        rows, times, style = _parse(table, inspector, tz, scale)
        rows = select_symbol(rows, symbol or "", inspector)
        written = scale_prices(rows, scale, inspector, f"{path.name} {symbol or ''}")
        rows = without_noise(written, inspector)
        point = point or find_point(rows, table, style if rows is written else None)
        here, there = choose_zones(tz, times.zone, table.format.zone or table.roles.zone)
        rows = cut(open_times(rows, inspector, times.last_hour), here, there, start, end)
        rows = check_rows(check_cells(rows, inspector), inspector)
        rows, spread_unit = spread_in_points(rows, point, inspector)
        rows = put_in_order(rows, inspector, lambda times, second: move(times, here, there, second))
        rows = drop_unfinished(rows, inspector)
        if not keep_flat:
            rows = drop_flat_weekends(rows, inspector)
        if len(rows["row"]) < 2:
            raise BarsError(
                f"{counted(len(rows['row']), 'bar')}; a timeframe needs two.\nGive a longer file."
            )
        check_timeframe(rows, inspector)
        check_continuity(rows, inspector)

        notes = [*column_notes(table, rows), *inspector.notes, *remarks(rows)]
        if here != there:
            notes.append(f"Times were moved from {here} to {there}.")
        timeframe = commonest_step(rows["datetime"])
        del rows["row"]
        frame = pd.DataFrame(rows, copy=False)
        if coarser is not None:
            frame, more = coarser_bars(frame, timeframe, coarser)
            notes, timeframe = [*notes, *more], coarser
    return Bars(
        frame=frame,
        path=path,
        format=table.format.name,
        timeframe=timeframe,
        point=point,
        sha256=table.sha256,
        notes=tuple(notes),
        layout=table.layout,
        columns={role: table.name(role) for role in table.columns},
        clock=there or "file",
        gaps=find_gaps(frame["datetime"].to_numpy(), timeframe),
        dropped=inspector.dropped,
        spread_unit=spread_unit,
    )


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the name of the file in front of errors; numbers out of all range are found by the checks of rows."""
    try:
        with np.errstate(all="ignore"):
            yield
    except BarsError as error:
        raise BarsError(f"{path}: {error}") from error


def _repair_of(repair: bool | str) -> str:
    chosen = "drop" if repair is True else repair or ""
    if chosen not in ("", *REPAIRS):
        raise BarsError(
            f"--repair must be {', '.join(REPAIRS)} or nothing, got {chosen!r}.\nGive one of them."
        )
    return chosen


def _parse(
    table: Table, inspector: Inspector, tz: str | None, scale: float | None
) -> tuple[Rows, Reading, Number]:
    """Return the rows that have a time, NaN where a cell is no number, the times and the style of the cells."""
    inspector.refuse_torn()
    columns = table.columns
    prices, style = parse_prices([columns[role] for role in PRICES], table.comma_separated, table.point)
    if table.padded:
        prices = [
            without_short(cells, columns[role], style) for role, cells in zip(PRICES, prices, strict=True)
        ]
    foreign = is_foreign(table.names)
    day_first = style.point == "," or foreign  # months come first in English alone
    source_zone = (tz or "").rpartition(",")[0].strip()
    times = parse_times(columns["date"], columns.get("clock"), source_zone, day_first)
    volumes = [parse_volumes(columns[role], style) for role in ("volume", "up", "down") if role in columns]
    rows = {"datetime": times.values, **dict(zip(PRICES, prices, strict=True))}
    rows["volume"] = np.sum(volumes, axis=0) if len(volumes) > 1 else [*volumes, np.zeros(len(prices[0]))][0]
    if "spread" in columns:
        rows["spread"] = parse_volumes(columns["spread"], style)
    rows["row"] = np.arange(len(prices[0]))
    if times.note or times.zone:
        inspector.notes.append(times.note or f"Times name their zone: {times.zone}.")
    if style.point == ",":
        inspector.notes.append(f"Prices are written with a decimal comma, as {style.example}.")
    doubtful = table.layout.startswith("semicolon") and not (table.format.columns or table.point)
    if (
        doubtful
        and all(written_digits(columns[role], style, 1) == 3 for role in PRICES)
        and np.all(prices[0] < 1000)
    ):
        if foreign and style.point == "." and not scale:
            raise BarsError(
                "prices must not be ambiguous, got 1.234: 1.234 or 1234.\n"
                "Give --scale 1 if the point is decimal, --scale 1000 if not."
            )
        inspector.notes.append("Prices such as 1.234 were read with a decimal point, not as thousands.")
    return check_times(rows, inspector), times, style
