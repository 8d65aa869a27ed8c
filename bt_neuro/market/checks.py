"""What a row of a bar file must be, and what is done with a row that is not: refused, or dropped and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import BarsError
from bt_neuro.market.formats import ABSENT, PRICES
from bt_neuro.market.numbers import Floats, price_digits
from bt_neuro.market.table import Table

Mask = NDArray[np.bool_]

SHOWN = 3  # offenders in a refusal
REMEDY = "Correct them, or let --repair drop them."


def counted(n: int, noun: str) -> str:
    """Return a number and its noun.

    >>> counted(1, "bar"), counted(1200, "bar")
    ('1 bar', '1,200 bars')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


@dataclass
class Inspector:
    """Refuse bad rows of one table, or drop them where the user asked for it; remember what was dropped."""

    table: Table
    repair: bool = False
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def drop(self, frame: pd.DataFrame, rows: Mask, what: str) -> pd.DataFrame:
        """Return the frame without `rows`, and tell of it."""
        if not rows.any():
            return frame
        n, first = int(rows.sum()), self.table.lines[frame.index[rows][0]]
        self.dropped[what] = n
        self.notes.append(f"Dropped {counted(n, 'row')} {what}, the first in line {first}.")
        return frame[~rows]

    def refuse(self, frame: pd.DataFrame, rows: Mask, what: str, roles: Sequence[str]) -> pd.DataFrame:
        """Raise BarsError for `rows`, with the cells of `roles` in the first of them; or drop them."""
        if not rows.any() or self.repair:
            return self.drop(frame, rows, what)
        offenders = [self.describe(row, roles) for row in frame.index[rows][:SHOWN]]
        raise BarsError(f"{_complaint(int(rows.sum()), 'row', what, offenders)}\n{REMEDY}")

    def refuse_torn(self) -> None:
        """Raise BarsError for lines with a wrong number of cells; or tell that they were dropped."""
        torn, what = self.table.torn, f"without the {self.table.width} cells of the others"
        if not torn:
            return
        if not self.repair:
            offenders = [f"line {line}: {text[:40]!r}" for line, text in torn[:SHOWN]]
            raise BarsError(f"{_complaint(len(torn), 'line', what, offenders)}\n{REMEDY}")
        self.dropped[what] = len(torn)
        self.notes.append(f"Dropped {counted(len(torn), 'line')} {what}, the first line {torn[0][0]}.")

    def describe(self, row: int, roles: Sequence[str]) -> str:
        """Return a row's line, its time and the cells of `roles`, all as written."""
        times = [role for role in ("date", "clock") if role in self.table.columns]
        time = " ".join(self.table.cell(role, row) for role in times)
        cells = [f"{role} {self.table.cell(role, row)[:20] or repr('')}" for role in roles]
        return f"line {self.table.lines[row]}: {', '.join([time[:40], *cells])}"


def _complaint(n: int, noun: str, what: str, offenders: Sequence[str]) -> str:
    more = f"; and {n - len(offenders):,} more" if n > len(offenders) else ""
    return f"{counted(n, noun)} {what}: {'; '.join(offenders)}{more}."


@dataclass(frozen=True)
class Rule:
    """One thing no bar may be, and the cells that show it."""

    what: str
    broken: Callable[[pd.DataFrame], Mask]
    roles: Sequence[str]


def _not_positive(frame: pd.DataFrame) -> Mask:
    lowest: Floats = np.min([_column(frame, role) for role in PRICES], axis=0)
    return lowest <= 0


def _high_below_low(frame: pd.DataFrame) -> Mask:
    return _column(frame, "high") < _column(frame, "low")


def _outside(frame: pd.DataFrame) -> Mask:
    return _excess(frame) > rounding(frame)


def _wick_too_long(frame: pd.DataFrame) -> Mask:
    return _wicks(frame) > 5


def _negative_volume(frame: pd.DataFrame) -> Mask:
    return _column(frame, "volume") < 0


def _column(frame: pd.DataFrame, role: str) -> Floats:
    return np.asarray(frame[role], dtype=np.float64)


def _body(frame: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the higher and the lower of open and close."""
    opens, closes = _column(frame, "open"), _column(frame, "close")
    return np.maximum(opens, closes), np.minimum(opens, closes)


def _excess(frame: pd.DataFrame) -> Floats:
    """Return how far open or close lie outside high and low; negative or 0 where they do not."""
    upper, lower = _body(frame)
    return np.maximum(upper - _column(frame, "high"), _column(frame, "low") - lower)


def _wicks(frame: pd.DataFrame) -> Floats:
    """Return high over the body or the body over low, whichever ratio is larger."""
    upper, lower = _body(frame)
    return np.maximum(_column(frame, "high") / upper, lower / _column(frame, "low"))


def rounding(frame: pd.DataFrame) -> Floats:
    """Return the difference that rounding explains: one point, or the noise of 32-bit floats.

    A whole point, as one price may have been cut where the other was rounded.
    """
    point = 10.0 ** -price_digits(_column(frame, "close"))
    noise = 2e-7 * _column(frame, "high")
    return np.maximum(point, noise) + 0.01 * noise


RULES = (
    Rule("with zero or negative prices", _not_positive, PRICES),
    Rule("with the high below the low", _high_below_low, ("high", "low")),
    Rule("with open or close outside high and low", _outside, PRICES),
    # No market, but a lost decimal point: 1.23456 as 123456.
    Rule("with a high or low five times away from open and close", _wick_too_long, PRICES),
    Rule("with a negative volume", _negative_volume, ("volume",)),
)


def check_times(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows that have a time; lines with nothing in them are no rows."""
    bad = frame["datetime"].isna().to_numpy()
    if not bad.any():
        return frame
    table = inspector.table
    blank = bad.copy()
    blank[bad] = [not any(table.cell(role, row) for role in table.columns) for row in frame.index[bad]]
    return inspector.refuse(frame[~blank], bad[~blank], "with a time that is none", ())


def check_cells(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows in which every cell is a number; rows without any price are dropped and told."""
    numbers = [column for column in frame.columns if column != "datetime"]
    bad = ~np.isfinite(frame[numbers].to_numpy()).all(axis=1)
    if not bad.any():
        return frame
    table = inspector.table
    empty = bad.copy()
    empty[bad] = [all(table.cell(role, row).lower() in ABSENT for role in PRICES) for row in frame.index[bad]]
    frame = inspector.drop(frame, empty, "without prices")
    bad = bad[~empty]
    if not bad.any():
        return frame
    broken = [role for role in numbers if not np.isfinite(frame.loc[bad, role]).all()]
    return inspector.refuse(frame, bad, f"with a {' or '.join(broken)} that is no number", broken)


def check_rows(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows that obey RULES."""
    for rule in RULES:
        if len(frame):
            frame = inspector.refuse(frame, rule.broken(frame), rule.what, rule.roles)
    return frame


def remarks(frame: pd.DataFrame) -> list[str]:
    """Return what is kept but worth a look: rounding, long wicks and jumps, which may be slips of a digit."""
    opens, closes = _column(frame, "open"), _column(frame, "close")
    jumps = np.abs(np.log(opens / np.append(opens[:1], closes[:-1])))
    found = (
        (_excess(frame) > 0, "with open or close outside high and low by rounding"),
        (_wicks(frame) > 1.2, "with a high or low a fifth away from open and close"),
        (jumps > np.log(1.5), "that open a third below or half above the close before"),
    )
    times = frame["datetime"].to_numpy()
    return [
        f"{counted(int(rows.sum()), 'bar')} {what}, the first at {pd.Timestamp(times[rows][0])}; kept."
        for rows, what in found
        if rows.any()
    ]
