"""Roles of columns: by name where the names are known, else by order, consistency and continuity.

Prices are one group of neighbouring columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bt_neuro.bars.consistency import Sample, cells_of, consistent_prices
from bt_neuro.bars.dates import looks_like_clock, looks_like_date, zone_in_name
from bt_neuro.bars.formats import Format
from bt_neuro.bars.numbers import is_absent, looks_like_number, looks_like_volume, parse_prices
from bt_neuro.bars.times import best_times, looks_like_epoch, looks_like_serial
from bt_neuro.bars.words import MONEY, PRICES, SIDES, WORDS, Name, parse_name, plain, spread_unit
from bt_neuro.errors import BarsError

CLOCKS = frozenset(WORDS["clock"])
# Names of a column that states whether a bar is complete, and its cells. No words of words.csv: beside others they
# may name prices.
FINISHED = frozenset(("complete", "iscomplete", "completed", "closed", "isclosed", "final", "isfinal", "finished",
                      "isfinished", "confirm", "confirmed"))  # fmt: skip
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}  # in lower case


@dataclass(frozen=True)
class Roles:
    """Columns of a file by role."""

    columns: dict[str, int]  # index of each role; "up" and "down" are parts of the volume, "finished" a flag
    symbols: tuple[int, ...] = ()  # indices of columns that may name instruments
    closing: bool = False  # whether the times are those at which bars closed
    opening: bool = False  # whether they are named as those at which bars opened
    zone: str = ""  # in the name of the times
    ticker: str = ""  # in the names of the prices


def find_columns(
    header: Sequence[str] | None, tickers: Sequence[str], sample: Sample, form: Format, symbol: str = ""
) -> Roles:
    """Return the role of each column.

    `tickers` are second names of the columns, or empty; `symbol` is the instrument to read.
    """
    width = len(sample[0])
    if form.columns:
        fixed = {role: i for i, role in enumerate(form.columns.split())}
        texts = [i for i in range(len(fixed), width) if _mostly(_is_text, sample, i)]
        return Roles(fixed, tuple(texts), closing=form.closing)
    titles = header or [""] * width
    names = [parse_name(title) for title in titles]
    if tickers:
        pairs = zip(names, tickers, strict=True)
        names = [
            replace(name, rest=f"{name.rest} {ticker}".strip()) if name.role else name
            for name, ticker in pairs
        ]
    times, closing = _time_columns(titles, sample)
    tests = [looks_like_volume if name.role == "volume" else looks_like_number for name in names]
    numeric = [i for i in range(width) if i not in times.values() and _mostly(tests[i], sample, i)]
    numeric = [i for i in numeric if not (names[i].rest and all(is_absent(row[i]) for row in sample))]
    prices = named_prices(names, numeric, symbol)
    if not prices:
        possible = [i for i in numeric if names[i].role in ("", *PRICES) and not names[i].is_other]
        prices = consistent_prices(sample, times, possible)
        exact = {names[i].role: i for i in reversed(numeric) if not names[i].rest}
        if not prices or any(exact.get(role, i) != i for role, i in prices.items()):
            raise _no_prices(header, names, exact, sample[0])
    rest = [i for i in numeric if i not in prices.values()]
    roles = times | prices | _volumes(names, rest, prices)
    if not header:
        at = max(prices.values()) + 1
        at += at in rest and _is_inside(sample, at, prices)  # an average price, as Kraken's
        at += {at, at + 1} <= set(rest) and _is_running_total(sample, at)  # of the day, as IQFeed's
        roles |= {"volume": at} if at in rest else {}
    if spread := [i for i in rest if spread_unit(titles[i]) is not None]:
        roles["spread"] = spread[0]
    free = [i for i in range(width) if i not in roles.values()]
    flags = (i for i in free if plain(titles[i]) in FINISHED and _mostly(is_flag, sample, i))
    if (finished := next(flags, None)) is not None:
        roles["finished"] = finished
        free.remove(finished)
    symbols = [
        i
        for i in free
        if names[i].role == "symbol" or _mostly(_is_text, sample, i) or plain(titles[i]).endswith("id")
    ]
    title = titles[times["date"]].lower()
    return Roles(
        columns=roles,
        symbols=tuple(symbols),
        closing=closing or form.closing,
        opening=bool(re.search(r"open|start|begin|from", title)),
        zone=zone_in_name(titles[times["date"]]),
        ticker=names[prices["open"]].rest,
    )


def _time_columns(titles: Sequence[str], sample: Sample) -> tuple[dict[str, int], bool]:
    """Return the columns of dates and clocks, and whether they hold closing times.

    A calendar is preferred to a number since an epoch beside it, which some vendors mix with milliseconds; and
    the opening of a bar to its closing, known by name or by the next opening that follows within a second.
    """
    names = [plain(title) for title in titles]
    closes = [name.startswith(("close", "end", "timeclose")) or name.endswith("end") for name in names]
    every = sorted(range(len(names)), key=closes.__getitem__)
    named = [i for i in every if parse_name(titles[i]).role in ("date", "clock")]
    serial = named or [i for i in every[:1] if not names[i]]  # a bare number of days is named, or comes first
    tests = (looks_like_date, looks_like_epoch, looks_like_serial)
    tries = [*((test, named) for test in tests), *((test, every) for test in tests[:2]), (tests[2], serial)]
    for test, columns in tries:
        found = [i for i in columns if _mostly(test, sample, i)]
        if not found:
            continue
        first = found[0]
        apart = [i for i in named if names[i].startswith("time")]
        for clock in (i for i in (first + 1, first - 1, *apart) if i != first and 0 <= i < len(names)):
            if _is_clock(names[clock] if any(names) else None, sample, first, clock):
                return {"date": first, "clock": clock}, closes[first]
        first = max(found, key=lambda i: len({row[i] for row in sample}))  # not a day beside a moment
        others = (i for i in every if i != first and _mostly(test, sample, i))
        opened = next((i for i in others if _follows_at_once(sample, i, first)), first)
        return {"date": opened}, closes[opened]
    raise BarsError(
        f"a column must hold times, got {', '.join(sample[0])[:80]} in the first row.\n"
        "Write times as 2020-01-31 23:59."
    )


def _is_clock(name: str | None, sample: Sample, date: int, clock: int) -> bool:
    """Return whether a column beside the dates holds times of day; None is that of a file without header.

    There bare digits may be prices: as clocks they must split the dates into different times.
    """
    if not _mostly(lambda cell: looks_like_clock(cell, named=name is None or name in CLOCKS), sample, clock):
        return False
    if name is not None or _mostly(lambda cell: ":" in cell, sample, clock):
        return True
    times, days = (
        best_times(cells_of(sample, date), cells_of(sample, clock)),
        best_times(cells_of(sample, date)),
    )
    zeros = all(not row[clock].strip("0") for row in sample)
    return not np.isnat(times).any() and (zeros or len(np.unique(times)) > len(np.unique(days)))


def named_prices(names: Sequence[Name], numeric: Sequence[int], symbol: str = "") -> dict[str, int]:
    """Return the columns with the names of prices, empty without all four.

    Equal rests, such as a ticker, make a group, which comes after the names without a rest.
    """
    groups: dict[str, list[int]] = {}
    for i in numeric:
        if names[i].role in PRICES:
            groups.setdefault(plain(names[i].rest), []).append(i)
    complete = {rest: found for rest, columns in groups.items() if rest and (found := _group(names, columns))}
    if "" in groups:  # names with a footnote behind them may complete those without
        footnotes = [
            i for rest, some in groups.items() if rest not in complete for i in some if names[i].is_footnote
        ]
        if found := _group(names, sorted(footnotes)):
            complete = {rest: complete.get(rest, found) for rest in groups if rest in complete or not rest}
    if complete and "" not in complete and len({names[i].role for i in groups.get("", ())}) == 3:
        raise _not_alike([names[i].role for i in groups[""]], next(iter(complete)))
    if symbol and (chosen := complete.get(plain(symbol))):
        return chosen
    instruments = [rest for rest in complete if not names[complete[rest]["open"]].is_study] or list(complete)
    sides = [side for side in SIDES if side in instruments]
    if sides and (len(sides) == len(instruments) or instruments[0] == ""):
        if before := [side for side in SIDES[: SIDES.index(sides[0])] if len(groups.get(side, ())) == 3]:
            raise _not_alike([names[i].role for i in groups[before[0]]], sides[0])
        return complete[sides[0]]
    if len(instruments) > 1 or (symbol and instruments):
        raise several_instruments([names[complete[rest]["open"]].rest for rest in instruments], symbol)
    return complete[instruments[0]] if instruments else {}


def _not_alike(three: Sequence[str], other: str) -> BarsError:
    return BarsError(
        f"open, high, low and close must be named alike, got {', '.join(three)} beside the four of {other}.\n"
        "Correct the names of the columns."
    )


def several_instruments(names: Sequence[str], symbol: str = "") -> BarsError:
    """Return the error for a file of several instruments, of which `symbol` is none."""
    names = [name or "one without a name" for name in names]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    if symbol:
        return BarsError(f"--symbol must be one of {shown}, got {symbol!r}.\nName one of them.")
    return BarsError(
        f"a file must hold one instrument, got {shown}.\nRead one with --symbol {names[0]!r}, or split the file."
    )


def _group(names: Sequence[Name], columns: Sequence[int]) -> dict[str, int] | None:
    """Return the first four neighbours among columns with names of prices, or the only four."""
    ranks = {i: (bool(names[i].rest), names[i].rank) for i in columns}
    first = {names[i].role: i for i in reversed(columns)}
    if len(first) < len(PRICES):
        return None
    for start, _ in enumerate(columns):
        found: dict[str, int] = {}
        for i in columns[start:]:
            role = names[i].role
            if (found and i - 1 not in columns) or (role != "close" and role in found):
                break
            if role not in found or ranks[i] < ranks[found[role]]:
                found[role] = i
            if len(found) == len(PRICES) and not (i + 1 in columns and names[i + 1].role == "close"):
                break
        if len(found) == len(PRICES) and all(found[role] == first[role] for role in PRICES[:3]):
            return found
    best = {role: min((ranks[i], i) for i in columns if names[i].role == role) for role in PRICES}
    if any(sum((names[i].role, ranks[i]) == (role, best[role][0]) for i in columns) > 1 for role in PRICES):
        raise BarsError(
            "open, high, low and close must be neighbours where names are repeated, got "
            f"{', '.join(f'{names[i].role} in column {i + 1}' for i in columns)}.\nRename the columns of studies."
        )
    return {role: i for role, (_, i) in best.items()}


def _volumes(names: Sequence[Name], columns: Sequence[int], prices: dict[str, int]) -> dict[str, int]:
    """Return the column of volume, or those of its two parts."""
    ticker = plain(names[prices["open"]].rest)
    volumes = [i for i in columns if names[i].role == "volume"]
    exact = [i for i in volumes if plain(names[i].rest) in ("", ticker)]
    if chosen := exact or [i for i in volumes if not names[i].is_study]:
        return {"volume": min(chosen, key=lambda i: (plain(names[i].rest) in MONEY, names[i].rank))}
    parts = {
        role: i for i in reversed(columns) if (role := names[i].role) in ("up", "down") and not names[i].rest
    }
    return parts if len(parts) == 2 else {}


def _no_prices(
    header: Sequence[str] | None, names: Sequence[Name], exact: dict[str, int], first: Sequence[str]
) -> BarsError:
    titles = [plain(title) for title in header or ()]
    if any("bid" in title for title in titles) and any("ask" in title for title in titles):
        return BarsError(
            f"ticks, not bars: the columns are {', '.join(header or ())}.\nBuild bars of them first."
        )
    for title, name, cell in zip(header or (), names, first, strict=False):
        if name.role in PRICES and name.role not in exact and not (name.rest or looks_like_number(cell)):
            return BarsError(f"{title} must hold numbers, got {cell!r}.\nWrite prices as 1.2345.")
    missing = " or ".join(role for role in PRICES if role not in exact)
    shown = ", ".join(header or first)[:200]
    return BarsError(
        f"no column is called {missing or 'a price'}, nor do order and consistency show it, got {shown}.\n"
        "Name the columns time, open, high, low, close."
    )


def _is_inside(sample: Sample, column: int, prices: dict[str, int]) -> bool:
    """Return whether a column lies between low and high in most rows, as prices do and volumes do not."""
    cells = [cells_of(sample, i) for i in (column, prices["low"], prices["high"])]
    value, low, high = parse_prices(cells)[0]
    return bool(np.mean((low <= value) & (value <= high)) > 0.5)


def _is_running_total(sample: Sample, column: int) -> bool:
    """Return whether the steps of a column are the cells of the next one, in either order of time."""
    total, part = parse_prices([cells_of(sample, i) for i in (column, column + 1)])[0]
    steps = np.diff(total)
    return max(np.mean(steps == part[1:]), np.mean(-steps == part[:-1])) > 0.5


def _follows_at_once(sample: Sample, opened: int, closed: int) -> bool:
    """Return whether most bars open within a second after the bar before closes."""
    opens, closes = best_times(cells_of(sample, opened)), best_times(cells_of(sample, closed))
    order = np.argsort(closes, kind="stable")
    waits = opens[order][1:] - closes[order][:-1]
    at_once = (waits > np.timedelta64(0, "us")) & (waits <= np.timedelta64(1, "s"))
    return bool(2 * at_once.sum() > len(waits))


def _is_text(cell: str) -> bool:
    return any(map(str.isalpha, cell)) and not (looks_like_number(cell) or looks_like_date(cell))


def is_flag(cell: str) -> bool:
    """Return whether a cell states yes or no."""
    return cell.lower() in FLAGS


def _mostly(test: Callable[[str], bool], sample: Sample, column: int) -> bool:
    return sum(test(row[column]) for row in sample) > 0.5 * len(sample)
