"""What a row of a bar file must be, and what is done with a row that is not: refused, or dropped and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.formats import ABSENT, PRICES
from bt_neuro.bars.numbers import Floats, price_digits
from bt_neuro.bars.table import Table
from bt_neuro.errors import BarsError

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
        times = [self.cell(role, row) for role in ("date", "clock") if role in self.table.columns]
        cells = [f"{role} {self.cell(role, row)[:20] or repr('')}" for role in roles]
        return f"line {self.table.lines[row]}: {', '.join([' '.join(times)[:40], *cells])}"

    def cell(self, role: str, row: int) -> str:
        return self.table.cells(role, [row])[0]

    def absent(self, frame: pd.DataFrame, rows: Mask, roles: Sequence[str]) -> Mask:
        """Tell which of `rows` say of all `roles` that there is no value."""
        absent = rows.copy()
        for role in roles:
            absent[absent] = [
                cell.lower() in ABSENT for cell in self.table.cells(role, frame.index[absent].to_numpy())
            ]
        return absent


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


def _negative_spread(frame: pd.DataFrame) -> Mask:
    return _column(frame, "spread") < 0


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
    Rule("with a negative spread", _negative_spread, ("spread",)),
)


def check_times(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows that have a time; lines with nothing in them are no rows."""
    unread = frame["datetime"].isna().to_numpy()
    blank = inspector.absent(frame, unread, list(inspector.table.columns))
    return inspector.refuse(frame[~blank], unread[~blank], "with an unreadable time", ())


def check_cells(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows in which every cell is a number.

    Rows that say they have no price are dropped and told; volumes that say so are 0 and told.
    """
    unread = ~np.isfinite(frame[list(PRICES)].to_numpy()).all(axis=1)
    frame = inspector.drop(frame, inspector.absent(frame, unread, PRICES), "without prices")
    for role in ("volume", "spread"):
        if role not in inspector.table.columns:
            continue
        absent = inspector.absent(frame, frame[role].isna().to_numpy(), [role])
        if absent.any():
            frame = frame.assign(**{role: frame[role].mask(absent, 0.0)})
            inspector.notes.append(f"{counted(int(absent.sum()), 'row')} without {role}; it counts as 0.")
    numbers = [role for role in frame.columns if role != "datetime"]
    unread = ~np.isfinite(frame[numbers].to_numpy())
    broken = [role for role, column in zip(numbers, unread.T, strict=True) if column.any()]
    return inspector.refuse(frame, unread.any(axis=1), f"with an unreadable {' or '.join(broken)}", broken)


def check_rows(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows that obey those RULES whose columns the file has."""
    for rule in RULES:
        if len(frame) and set(rule.roles) <= set(frame):
            frame = inspector.refuse(frame, rule.broken(frame), rule.what, rule.roles)
    return frame


def remarks(frame: pd.DataFrame) -> list[str]:
    """Return what is kept but worth a look: rounding, long wicks and jumps, which may be slips of a digit."""
    opens, closes = _column(frame, "open"), _column(frame, "close")
    jumps = np.abs(np.log(opens / np.append(opens[:1], closes[:-1])))
    found = (
        (_excess(frame) > 0, "with open or close outside high and low by rounding"),
        (_wicks(frame) > 1.2, "with a high or low a fifth away from open and close"),
        (jumps > np.log(1.5), "opening a third below or half above the close before"),
    )
    times = frame["datetime"].to_numpy()
    return [
        f"{counted(int(rows.sum()), 'bar')} {what}, the first at {pd.Timestamp(times[rows][0])}; kept."
        for rows, what in found
        if rows.any()
    ]
