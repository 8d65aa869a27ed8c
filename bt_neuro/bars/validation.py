"""Validation of rows: a bad row is refused with its line and cells, or repaired and noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.numbers import is_absent, looks_like_number, price_digits
from bt_neuro.bars.table import Table
from bt_neuro.bars.times import SOON
from bt_neuro.bars.words import PRICES
from bt_neuro.errors import BarsError

Mask = NDArray[np.bool_]
Values = Mapping[str, Any]  # columns of bars by name, or the numbers of one bar

REPAIRS = ("drop", "widen", "all")
SHOWN = 3  # rows in a message
MOST_DROPPED = 0.02  # of all rows, unless --repair=all
REMEDY = "Correct them, or let --repair drop them."
WIDEN = "Keep them with --repair=widen, which moves high and low to hold them, or drop them with --repair."


def counted(n: int, noun: str) -> str:
    """Return a number and its noun.

    >>> counted(1, "bar"), counted(1200, "bar")
    ('1 bar', '1,200 bars')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def body(bar: Values) -> tuple[Any, Any]:
    """Return the higher and the lower of open and close."""
    return np.maximum(bar["open"], bar["close"]), np.minimum(bar["open"], bar["close"])


def excess(bar: Values) -> Any:
    """Return the distance of open or close outside high and low; negative or 0 inside."""
    upper, lower = body(bar)
    return np.maximum(upper - bar["high"], bar["low"] - lower)


def wicks(bar: Values) -> Any:
    """Return high over the body or the body over low, whichever ratio is larger."""
    upper, lower = body(bar)
    return np.maximum(bar["high"] / upper, lower / bar["low"])


def is_outside(bar: Values, digits: int | None = None) -> Any:
    """Return whether open or close lie farther outside high and low than rounding explains.

    That is one point, as one price may have been cut where the other was rounded, or the noise of 32-bit
    floats.
    """
    point = 10.0 ** -(price_digits(np.asarray(bar["close"])) if digits is None else digits)
    noise = 2e-7 * bar["high"]
    return excess(bar) > np.maximum(point, noise) + 0.01 * noise


@dataclass(frozen=True)
class Rule:
    """A condition that no bar fulfils, and the cells that show it."""

    what: str
    broken: Callable[[Values], Any]
    roles: Sequence[str]
    remedy: str = REMEDY


OUTSIDE = Rule("with open or close outside high and low", is_outside, PRICES, WIDEN)
RULES = (
    Rule(
        "with zero or negative prices",
        lambda bar: np.minimum.reduce([bar[role] for role in PRICES]) <= 0,
        PRICES,
    ),
    Rule("with the high below the low", lambda bar: bar["high"] < bar["low"], ("high", "low")),
    OUTSIDE,
    # A lost decimal point, 1.23456 as 123456, and no market.
    Rule("with a high or low five times away from open and close", lambda bar: wicks(bar) > 5, PRICES),
    Rule("with a negative volume", lambda bar: bar["volume"] < 0, ("volume",)),
    Rule("with a negative spread", lambda bar: bar["spread"] < 0, ("spread",)),
)


@dataclass
class Inspector:
    """Refuse bad rows of a table, or drop them, with notes of what was dropped."""

    table: Table
    repair: str = ""  # one of REPAIRS; empty to refuse
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _repaired: int = 0

    def drop(self, frame: pd.DataFrame, rows: Mask, what: str) -> pd.DataFrame:
        """Return the frame without `rows`, which are noted."""
        if not rows.any():
            return frame
        self._note_dropped(int(rows.sum()), "row", what, self.table.lines[frame.index[rows][0]])
        return frame[~rows]

    def refuse(
        self, frame: pd.DataFrame, rows: Mask, what: str, roles: Sequence[str], remedy: str = REMEDY
    ) -> pd.DataFrame:
        """Raise BarsError for `rows`, with the cells of `roles` in the first of them; or drop them."""
        if rows.any():
            examples = [self.describe(row, roles) for row in frame.index[rows][:SHOWN]]
            self._refuse(int(rows.sum()), "row", what, examples, remedy)
        return self.drop(frame, rows, what)

    def refuse_torn(self) -> None:
        """Raise BarsError for lines with a wrong number of cells; or drop them."""
        torn, what = self.table.torn, f"without the {len(self.table.names)} cells of the others"
        if torn:
            self._refuse(
                len(torn), "line", what, [f"line {n}: {text[:40]!r}" for n, text in torn[:SHOWN]], REMEDY
            )
            self._note_dropped(len(torn), "line", what, torn[0][0])

    def _note_dropped(self, n: int, noun: str, what: str, line: int) -> None:
        self.dropped[what] = n
        self.notes.append(f"Dropped {counted(n, noun)} {what}, the first in line {line}.")

    def _refuse(self, n: int, noun: str, what: str, examples: Sequence[str], remedy: str) -> None:
        more = f"; and {n - len(examples):,} more" if n > len(examples) else ""
        message = f"{counted(n, noun)} {what}: {'; '.join(examples)}{more}."
        if not self.repair:
            raise BarsError(f"{message}\n{remedy}")
        self._repaired += n
        total = len(self.table.lines) + len(self.table.torn)
        if self.repair != "all" and self._repaired > MOST_DROPPED * total:
            limit = f"--repair drops at most 2 % of {counted(total, 'row')}."
            raise BarsError(f"{message}\n{limit} Correct them, or let --repair=all drop them.")

    def describe(self, row: int, roles: Sequence[str]) -> str:
        """Return a row's line, its time and the cells of `roles`, all as written."""
        times = [self.table.cells(role, [row])[0] for role in ("date", "clock") if role in self.table.columns]
        cells = [f"{role} {self.table.cells(role, [row])[0][:20] or repr('')}" for role in roles]
        return f"line {self.table.lines[row]}: {', '.join([' '.join(times)[:40], *cells])}"

    def match(
        self, frame: pd.DataFrame, rows: Mask, roles: Sequence[str], test: Callable[[str], bool]
    ) -> Mask:
        """Return which of `rows` pass a test in the cells of all `roles`."""
        passed = rows.copy()
        for role in roles:
            passed[passed] = [test(cell) for cell in self.table.cells(role, frame.index[passed].to_numpy())]
        return passed


def check_times(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows that have a time; rows without any number, such as repeated headers, are no bars."""
    unread, roles = frame["datetime"].isna().to_numpy(), list(inspector.table.columns)
    blank = inspector.match(frame, unread, roles, is_absent)
    frame, unread = frame[~blank], unread[~blank]
    words = inspector.match(frame, unread, roles, lambda cell: is_absent(cell) or not looks_like_number(cell))
    frame, unread = inspector.drop(frame, words, "without any number"), unread[~words]
    frame = inspector.refuse(frame, unread, "with an unreadable time", ())
    future = frame["datetime"].to_numpy() > np.datetime64("now") + SOON
    return inspector.refuse(frame, future, "in the future", ())


def check_cells(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows in which every cell is a number.

    Rows that state no price are dropped and noted; a volume or spread that is absent is 0 and noted.
    """
    unread = ~np.isfinite(frame[list(PRICES)].sum(axis=1, skipna=False).to_numpy())
    frame = inspector.drop(frame, inspector.match(frame, unread, PRICES, is_absent), "without prices")
    for role in {"volume", "spread"} & inspector.table.columns.keys():
        absent = inspector.match(frame, frame[role].isna().to_numpy(), [role], is_absent)
        if absent.any():
            frame = frame.assign(**{role: frame[role].mask(absent, 0.0)})
            inspector.notes.append(f"{counted(int(absent.sum()), 'row')} without {role}; it counts as 0.")
    unreadable = {role: ~np.isfinite(frame[role].to_numpy()) for role in frame.columns if role != "datetime"}
    broken = [role for role, rows in unreadable.items() if rows.any()]
    rows = np.any([unreadable[role] for role in broken], axis=0) if broken else np.zeros(len(frame), np.bool_)
    return inspector.refuse(frame, rows, f"with an unreadable {' or '.join(broken)}", broken)


def check_rows(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows that obey those RULES whose columns the file has; --repair=widen mends OUTSIDE."""
    for rule in RULES:
        if not len(frame) or not set(rule.roles) <= set(frame):
            continue
        columns = {role: frame[role].to_numpy() for role in frame.columns}
        rows = rule.broken(columns)
        if rule is OUTSIDE and inspector.repair == "widen" and rows.any():
            upper, lower = body(columns)
            high, low = np.maximum(columns["high"], upper), np.minimum(columns["low"], lower)
            frame = frame.assign(
                high=np.where(rows, high, columns["high"]), low=np.where(rows, low, columns["low"])
            )
            widened = counted(int(rows.sum()), "bar")
            inspector.notes.append(f"Widened high or low of {widened} to hold open and close.")
        else:
            frame = inspector.refuse(frame, rows, rule.what, rule.roles, rule.remedy)
    return frame


def remarks(frame: pd.DataFrame) -> list[str]:
    """Return notes on bars that are kept but may be errors: rounding, long wicks and jumps."""
    columns = {role: frame[role].to_numpy() for role in frame.columns}
    opens, closes, times = columns["open"], columns["close"], columns["datetime"]
    jumps = np.abs(np.log(opens / np.append(opens[:1], closes[:-1])))
    found = (
        (excess(columns) > 0, "with open or close outside high and low by rounding"),
        (wicks(columns) > 1.2, "with a high or low a fifth away from open and close"),
        (jumps > np.log(1.5), "opening a third below or half above the close before"),
    )
    return [
        f"{counted(int(rows.sum()), 'bar')} {what}, the first at {pd.Timestamp(times[rows][0])}; kept."
        for rows, what in found
        if rows.any()
    ]
