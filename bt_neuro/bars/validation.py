"""Validation of rows: a bad row is refused with its line and cells, or repaired and noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.numbers import is_absent, price_digits
from bt_neuro.bars.table import Table
from bt_neuro.bars.times import SOON
from bt_neuro.bars.words import PRICES, parse_name
from bt_neuro.errors import BarsError

Mask = NDArray[np.bool_]
Rows = dict[str, NDArray[Any]]  # columns of bars; "row" is the index in the table
Values = Mapping[str, Any]  # Rows, or the numbers of one bar

LEVEL, LEAP = 20.0, 0.02  # bodies, and share of the price, by which one instrument rarely moves at once
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


def take(rows: Rows, which: Mask | NDArray[np.int64] | slice) -> Rows:
    """Return some of the rows."""
    return {name: column[which] for name, column in rows.items()}


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
    """A condition that makes a row invalid, and the cells that show it."""

    what: str
    broken: Callable[[Values], Any]
    roles: Sequence[str] = PRICES
    remedy: str = REMEDY


OUTSIDE = Rule("with open or close outside high and low", is_outside, remedy=WIDEN)
RULES = (
    Rule("with zero or negative prices", lambda bar: np.minimum.reduce([bar[role] for role in PRICES]) <= 0),
    Rule("with the high below the low", lambda bar: bar["high"] < bar["low"], ("high", "low")),
    OUTSIDE,
    # A lost decimal point, 1.23456 as 123456, and no market.
    Rule("with a high or low five times away from open and close", lambda bar: wicks(bar) > 5),
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

    def drop(self, rows: Rows, bad: Mask, what: str) -> Rows:
        """Return the rows but for `bad` ones, which are noted."""
        if not bad.any():
            return rows
        self._note_dropped(int(bad.sum()), "row", what, self.table.lines[rows["row"][bad][0]])
        return take(rows, ~bad)

    def refuse(
        self, rows: Rows, bad: Mask, what: str, roles: Sequence[str] = (), remedy: str = REMEDY
    ) -> Rows:
        """Raise BarsError for `bad` rows, with the cells of `roles` in the first of them; or drop them."""
        if bad.any():
            examples = [self.describe(row, roles) for row in rows["row"][bad][:SHOWN]]
            self._refuse(int(bad.sum()), "row", what, examples, remedy)
        return self.drop(rows, bad, what)

    def refuse_torn(self) -> None:
        """Raise BarsError for lines with a wrong number of cells; or drop them."""
        torn, what = self.table.torn, f"without the {len(self.table.names)} cells of the others"
        if torn:
            examples = [f"line {n}: {text[:40]!r}" for n, text in torn[:SHOWN]]
            self._refuse(len(torn), "line", what, examples, REMEDY)
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

    def describe(self, row: int, roles: Sequence[str] = ()) -> str:
        """Return a row's line, its time and the cells of `roles`, all as written."""
        times = [self.table.cells(role, [row])[0] for role in ("date", "clock") if role in self.table.columns]
        cells = [f"{role} {self.table.cells(role, [row])[0][:20] or repr('')}" for role in roles]
        return f"line {self.table.lines[row]}: {', '.join([' '.join(times)[:40], *cells])}"

    def match(self, rows: Rows, some: Mask, roles: Sequence[str], test: Callable[[str], bool]) -> Mask:
        """Return which of `some` rows pass a test in the cells of all `roles`."""
        passed = some.copy()
        for role in roles if some.any() else ():
            passed[passed] = [test(cell) for cell in self.table.cells(role, rows["row"][passed])]
        return passed


def check_times(rows: Rows, inspector: Inspector) -> Rows:
    """Return the rows that have a time; rows with words in its place, such as repeated headers, are no bars."""
    unread, roles = np.isnat(rows["datetime"]), list(inspector.table.columns)
    if unread.any():
        blank = inspector.match(rows, unread, roles, is_absent)
        rows, unread = take(rows, ~blank), unread[~blank]
        words = inspector.match(rows, unread, [role for role in ("date", "clock") if role in roles], _is_word)
        for role in PRICES:
            moved = inspector.match(rows, words, [role], partial(_names_other_price, role))
            if moved.any():
                line = inspector.describe(rows["row"][moved][0], PRICES)
                raise BarsError(
                    f"columns must keep their order, got another header in {line}.\nSplit the file."
                )
        rows, unread = inspector.drop(rows, words, "with words for a time"), unread[~words]
        rows = inspector.refuse(rows, unread, "with an unreadable time")
    future = rows["datetime"] > np.datetime64("now") + SOON
    return inspector.refuse(rows, future, "in the future")


def _names_other_price(role: str, cell: str) -> bool:
    return parse_name(cell).role in set(PRICES) - {role}


def _is_word(cell: str) -> bool:
    return not (is_absent(cell) or any(map(str.isdigit, cell)))


def check_cells(rows: Rows, inspector: Inspector) -> Rows:
    """Return the rows in which every cell is a number.

    Rows that state no price are dropped and noted; a volume or spread that is absent is 0 and noted.
    """
    unread = ~np.isfinite(rows["open"] + rows["high"] + rows["low"] + rows["close"])
    absent = sum(inspector.match(rows, unread, [role], is_absent).astype(int) for role in PRICES)
    events = np.any([inspector.match(rows, unread, [role], _is_word) for role in PRICES], axis=0)
    rows = inspector.drop(rows, (absent == len(PRICES)) | ((absent > 1) & events), "without prices")
    for role in {"volume", "spread"} & inspector.table.columns.keys():
        absent = inspector.match(rows, np.isnan(rows[role]), [role], is_absent)
        if absent.any():
            rows = rows | {role: np.where(absent, 0.0, rows[role])}
            inspector.notes.append(f"{counted(int(absent.sum()), 'row')} without {role}; it counts as 0.")
    unreadable = {role: ~np.isfinite(rows[role]) for role in (*PRICES, "volume", "spread") if role in rows}
    broken = [role for role, bad in unreadable.items() if bad.any()]
    if not broken:
        return rows
    bad = np.any([unreadable[role] for role in broken], axis=0)
    return inspector.refuse(rows, bad, f"with an unreadable {' or '.join(broken)}", broken)


def check_rows(rows: Rows, inspector: Inspector) -> Rows:
    """Return the rows that obey those RULES whose columns the file has; --repair=widen mends OUTSIDE."""
    for rule in RULES:
        if not len(rows["row"]) or not rows.keys() >= set(rule.roles):
            continue
        bad = rule.broken(rows)
        if rule is OUTSIDE and inspector.repair == "widen" and bad.any():
            upper, lower = body(rows)
            rows = rows | {
                "high": np.where(bad, np.maximum(rows["high"], upper), rows["high"]),
                "low": np.where(bad, np.minimum(rows["low"], lower), rows["low"]),
            }
            widened = counted(int(bad.sum()), "bar")
            inspector.notes.append(f"Widened high or low of {widened} to hold open and close.")
        else:
            rows = inspector.refuse(rows, bad, rule.what, rule.roles, rule.remedy)
    return rows


def remarks(rows: Rows) -> list[str]:
    """Return notes on bars that are kept but may be errors: rounding, long wicks and jumps."""
    jumps = np.abs(np.log(rows["open"][1:] / rows["close"][:-1]))
    usual = np.median(np.abs(np.log(rows["close"] / rows["open"])))
    found = (
        (excess(rows) > 0, "with open or close outside high and low by rounding"),
        (wicks(rows) > 1.2, "with a high or low a fifth away from open and close"),
        (np.append(False, jumps > max(LEAP, LEVEL * usual)), "opening far from the close before"),
    )
    return [
        f"{counted(int(some.sum()), 'bar')} {what}, the first at {pd.Timestamp(rows['datetime'][some][0])}; kept."
        for some, what in found
        if some.any()
    ]


def column_notes(table: Table, rows: Rows) -> list[str]:
    """Return notes on columns that are absent, derived, guessed or not used."""
    notes = list(table.notes)
    if not {"volume", "up"} & table.columns.keys():
        named = (
            name for name in table.unused if parse_name(name).role == "volume" and not parse_name(name).rest
        )
        known = (
            "No column is known as volume"
            if (name := next(named, "")) == ""
            else f"No number stands in {name}"
        )
        notes.append(f"{known}; volume is 0 in every bar.")
    elif not rows["volume"].any():
        notes.append("Volume is 0 in every bar.")
    elif "up" in table.columns:
        notes.append(f"Volume is the sum of {table.name('up')} and {table.name('down')}.")
    unnamed = [f"{role} {table.name(role)}" for role in PRICES if parse_name(table.name(role)).role != role]
    if unnamed and not table.format.columns:
        notes.append(f"Found by order and consistency, not by name: {', '.join(unnamed)}.")
    if table.unused:
        notes.append(f"Columns not used: {', '.join(dict.fromkeys(table.unused))}.")
    repeated = [name for role in table.columns if (name := table.name(role)) in table.unused]
    return notes + [f"Column {name} comes more than once; the first is used." for name in repeated]
