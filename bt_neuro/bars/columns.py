"""Which column is what: by its name where the name is known, else by order and consistency.

High is the column no other exceeds, low the one that exceeds no other. Of the two that remain, open is
the one that follows on from the other's value a bar before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from bt_neuro.bars.formats import PRICES, WORDS, Format, plain
from bt_neuro.bars.numbers import Floats, find_style, looks_like_number, parse_numbers
from bt_neuro.bars.times import (
    follows_at_once,
    looks_like_clock,
    looks_like_date,
    looks_like_unix,
    runs_backward,
)
from bt_neuro.errors import BarsError

Sample = Sequence[Sequence[str]]  # the first rows, all of one length

CONSISTENT = 0.9  # share of rows in which high and low must be so; the rest the checks will name
DECISIVE = 0.8  # open to the close before, against close to the open before: below this it is told
CLOCK_NAMES = frozenset({"time", "clock", "hora", "zeit", "uhrzeit", "heure", "ora", "время"})


def find_columns(header: Sequence[str] | None, sample: Sample, form: Format) -> dict[str, int]:
    """Return the index of each role's column.

    Parameters
    ----------
    header : sequence of str, or None
        The names, one a column; None for a file without header.
    sample : sequence of rows
        The first rows of data as written.
    form : Format
        The row of the table of formats that describes the file.

    Raises
    ------
    BarsError
        When no column holds times, or open, high, low and close cannot be told; name them in the header.
    """
    if form.columns:
        return {role: i for i, role in enumerate(form.columns.split()) if role != "-"}
    names = [plain(name) for name in header] if header else [""] * len(sample[0])
    found = _time_columns(names, sample)
    named = {role: i for role in WORDS if (i := _named(role, names, set(found.values()))) is not None}
    if all(role in named for role in PRICES):
        return found | named
    prices = _consistent_columns(sample, found)
    if prices is None or any(prices[role] != i for role, i in named.items() if role in PRICES):
        missing = [role for role in PRICES if role not in named]
        among = f" among {', '.join(header)}" if header else ""
        raise BarsError(
            f"no column is called {' or '.join(missing)}, nor told by order and consistency{among}.\n"
            "Name the columns time, open, high, low, close."
        )
    rest = max(prices.values()) + 1
    if header is None and rest < len(names) and _mostly(looks_like_number, sample, rest):
        named.setdefault("volume", rest)
    return found | named | prices


def _time_columns(names: Sequence[str], sample: Sample) -> dict[str, int]:
    """Return the columns of dates and clocks.

    A calendar is preferred to seconds since 1970 beside it, which some vendors mix with milliseconds; and
    when a bar opened to when it closed, as names tell it or a bar that opens a second after the one before.
    """
    width = len(sample[0])
    opened_first = sorted(range(width), key=lambda i: names[i].startswith(("close", "end")))
    for test in (looks_like_date, looks_like_unix):
        for i in opened_first:
            if not _mostly(test, sample, i):
                continue
            for clock in (beside for beside in (i + 1, i - 1) if 0 <= beside < width):
                is_clock = partial(looks_like_clock, named=names[clock] in CLOCK_NAMES)
                if _mostly(is_clock, sample, clock):
                    return {"date": i, "clock": clock}
            others = (j for j in range(width) if j != i and _mostly(test, sample, j))
            opened = (j for j in others if follows_at_once(_cells(sample, j), _cells(sample, i)))
            return {"date": next(opened, i)}
    raise BarsError(
        f"no column holds times; the first row is {', '.join(sample[0])}.\nWrite times as 2020-01-31 23:59."
    )


def _named(role: str, names: Sequence[str], taken: set[int]) -> int | None:
    """Return the column with the role's first known word, or, for volume, one that begins with it."""
    words = WORDS[role].split()
    for word in words:
        for i, name in enumerate(names):
            if name == word and i not in taken:
                return i
    if role == "volume":  # Volume BTC, Volume USD
        return next((i for i, name in enumerate(names) if name.startswith("volume") and i not in taken), None)
    return None


def _consistent_columns(sample: Sample, times: Mapping[str, int]) -> dict[str, int] | None:
    """Return the first four neighbouring columns after the times that can be prices, or None."""
    newest_first = runs_backward(*(_cells(sample, i) for i in times.values()))
    for first, four in _number_windows(sample, max(times.values()) + 1):
        if newest_first:
            four = four[::-1]
        high, low = _extreme(four, np.maximum), _extreme(four, np.minimum)
        if high is None or low is None:
            continue
        one, other = (i for i in range(4) if i not in (high, low))
        follows, leads = (np.abs(four[1:, a] - four[:-1, b]).sum() for a, b in ((one, other), (other, one)))
        usual = (one, high, low, other) == (0, 1, 2, 3)
        if follows <= DECISIVE * leads or (usual and leads > DECISIVE * follows):
            opens, closes = one, other
        elif not usual and leads <= DECISIVE * follows:
            opens, closes = other, one
        else:
            continue
        return {"open": first + opens, "high": first + high, "low": first + low, "close": first + closes}
    return None


def _number_windows(sample: Sample, start: int) -> Iterator[tuple[int, Floats]]:
    for first in range(start, len(sample[0]) - 3):
        columns = [_cells(sample, i) for i in range(first, first + 4)]
        style = find_style(columns, comma_separated=False)
        four = np.stack([parse_numbers(column, style) for column in columns], axis=1)
        four = four[np.isfinite(four).all(axis=1) & (four > 0).all(axis=1)]
        if len(four) >= max(2, 0.5 * len(sample)):
            yield first, four


def _extreme(four: Floats, reduce: np.ufunc) -> int | None:
    """Return the column that is the extreme of all four in nearly every row, more often than any other."""
    extreme = reduce.reduce(four, axis=1)
    share = (four == extreme[:, None]).mean(axis=0)
    best = int(share.argmax())
    alone = (share == share[best]).sum() == 1
    return best if share[best] >= CONSISTENT and alone else None


def _cells(sample: Sample, column: int) -> pa.ChunkedArray:
    return pa.chunked_array([[row[column] for row in sample]], pa.string())


def _mostly(test: Callable[[str], bool], sample: Sample, column: int) -> bool:
    return sum(test(row[column]) for row in sample) > 0.5 * len(sample)
