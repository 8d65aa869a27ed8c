"""Choice and order of rows: one instrument, rising times, one timeframe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bt_neuro.bars.clock import Bound, bound, move
from bt_neuro.bars.columns import FLAGS, several_instruments
from bt_neuro.bars.dates import encode
from bt_neuro.bars.formats import ABSENT
from bt_neuro.bars.timeframe import UNITS, Times, commonest_step, is_usual, other_timeframe, timeframe_name
from bt_neuro.bars.times import runs_backward
from bt_neuro.bars.validation import LEAP, LEVEL, Inspector, Mask, Rows, counted, take
from bt_neuro.bars.words import parse_name, plain
from bt_neuro.errors import BarsError

Move = Callable[[Times, Mask], Times]

SECOND, MINUTE = 1_000_000, 60_000_000  # microseconds
SHORT = 0.8  # of the shortest other step: no whole week or month
APART, ENOUGH = 4.0, 20  # prices of two instruments differ by as many moves of one; bars that show moves


def select_symbol(rows: Rows, symbol: str, inspector: Inspector) -> Rows:
    """Return the rows of one instrument; `symbol` is empty for a file of one."""
    table = inspector.table
    found = plain(symbol) == plain(table.roles.ticker)
    for name, cells in table.symbols.items():
        codes, texts = encode(pc.utf8_trim_whitespace(pc.cast(cells, pa.string())))
        codes = codes[rows["row"]]
        held = {i: texts[i] for i in np.unique(codes) if i < len(texts) and texts[i].lower() not in ABSENT}
        if chosen := [i for i, text in held.items() if symbol and plain(text) == plain(symbol)]:
            found = True
            if len(held) > 1:
                others = int((codes != chosen[0]).sum())
                inspector.notes.append(f"Read {symbol}; {others:,} rows of others were left out.")
            rows = take(rows, codes == chosen[0])
        elif len(held) > 1 and (parse_name(name).role == "symbol" or _are_instruments(rows, codes)):
            raise several_instruments(list(held.values()), symbol)
    if symbol and not found:
        raise BarsError(f"the file names no instrument {symbol!r}.\nLeave --symbol out.")
    return rows


def _are_instruments(rows: Rows, codes: np.ndarray) -> bool:
    """Return whether rows with different codes are of different instruments.

    They are if they share times, or if prices continue those of the same code and not those of the row before.
    """
    known = np.isfinite(rows["close"])
    rows, codes = take(rows, known), codes[known]
    if len(np.unique(codes)) > len(codes) // 2:
        return False
    pairs = pd.DataFrame({"time": rows["datetime"], "code": codes}).drop_duplicates()
    if pairs["time"].duplicated().any():
        return True
    logs = pd.Series(np.log(rows["close"]))
    moves, own = logs.diff().abs(), logs.groupby(codes).diff().abs()
    switches = pd.Series(codes).diff().fillna(0) != 0
    across, within, usual = moves[switches].median(), own[switches].median(), moves[~switches].median()
    if np.isnan(within):  # one follows the other
        return bool(across > LEVEL * usual and across > LEAP)
    return bool(across > APART * within)


def open_times(rows: Rows, inspector: Inspector, last_hour: bool) -> Rows:
    """Return the rows with the times at which bars opened, where the file has those at which they closed.

    The layout shows which, or times that all lie at the end of their bars: in the last second of a minute, in
    the last minute of a longer bar, or at 24:00 (`last_hour`). Without proof a note names the convention that is
    assumed.
    """
    table, times = inspector.table, rows["datetime"].astype("M8[us]").astype(np.int64)
    if len(times) < 2:
        return rows
    minutes = -(-times // MINUTE) * MINUTE
    last_second = bool(np.all((minutes > times) & (minutes - times <= SECOND)))
    ends = minutes if last_second or table.roles.closing else times
    ordered = ends if (np.diff(ends) > 0).all() else np.unique(ends)
    timeframe = commonest_step(ordered.astype("M8[us]"))
    step = timeframe.value // 1000
    left = -times % step
    last_minute = step >= 5 * MINUTE and bool(np.all((left > 0) & (left <= MINUTE)))
    ends = times + left if last_minute else ends
    dated = timeframe >= UNITS["D"] and not last_hour and not (times % (1440 * MINUTE)).any()
    if dated or not (table.roles.closing or last_hour or last_second or last_minute):
        if not (dated or table.format.opening or table.roles.opening):
            inspector.notes.append(
                "Times are taken for those at which bars opened; the layout shows neither."
            )
        return rows
    inspector.notes.append(
        f"{table.format.name}: times are those at which bars closed; {timeframe_name(timeframe)} was subtracted."
    )
    return rows | {"datetime": (ends - step).astype("M8[us]")}


def cut(rows: Rows, here: str, there: str, start: Bound, end: Bound) -> Rows:
    """Return the rows from `start` to `end`, which are on the clock of the result."""
    times: Times = rows["datetime"]
    inside = np.ones(len(times), dtype=bool)
    for edge, keep in ((bound(start, "--from"), np.greater_equal), (bound(end, "--to", ends=True), np.less)):
        if edge is not None:
            inside &= keep(times, move(np.array([edge]), there, here)[0])
    if len(times) and not inside.any():
        first, last = pd.Timestamp(times.min()), pd.Timestamp(times.max())
        raise BarsError(
            f"no bar lies between --from and --to.\nThe file runs from {first} to {last}; give a part of that."
        )
    return rows if inside.all() else take(rows, inside)


def put_in_order(rows: Rows, inspector: Inspector, move: Move) -> Rows:
    """Return the rows with strictly rising times on the clock of the result.

    `move` converts times to that clock, given which of them come a second time.
    """
    if runs_backward(rows["datetime"]):
        rows = take(rows, slice(None, None, -1))
        inspector.notes.append("The file runs from the newest bar to the oldest; it was reversed.")
    second = np.zeros(len(rows["row"]), dtype=np.bool_)
    if not _rises(rows):
        values = pd.DataFrame({name: column for name, column in rows.items() if name != "row"})
        same = values.duplicated().to_numpy()
        rows = inspector.drop(rows, same, "repeating another exactly")
        second = values["datetime"][~same].duplicated().to_numpy()
    rows = rows | {"datetime": move(rows["datetime"], second)}
    if _rises(rows):
        return rows
    twice = pd.Series(rows["datetime"]).duplicated(keep=False).to_numpy()
    if _are_repeated_hours(rows["datetime"][twice]):
        lines = [inspector.describe(row, ("close",)) for row in rows["row"][twice][:4]]
        raise BarsError(
            f"an hour comes twice, where clocks go back: {'; '.join(lines)}.\n"
            "Name the zone of the file's clock to keep both bars: --tz FROM,UTC, such as --tz America/New_York,UTC."
        )
    roles = [role for role in rows if role in inspector.table.columns]
    rows = inspector.refuse(rows, twice, "contradicting another of the same time", roles)
    if _rises(rows):
        return rows
    times = rows["datetime"]
    order = np.argsort(times, kind="stable")
    misplaced = _misplaced(times)
    backward = int((np.diff(times) < np.timedelta64(0, "us")).sum())
    if misplaced.sum() == backward:  # one row each, and not a part of a file
        alone = np.empty(len(times), dtype=np.bool_)
        alone[order] = _alone(times[order])
        if (misplaced & alone).any():
            return inspector.refuse(rows, misplaced, "where time goes backwards")
    if _path(rows, order) > APART * _path(rows, slice(None)):
        first = int(np.argmax(np.diff(times) < np.timedelta64(0, "us")))
        both = "; ".join(inspector.describe(row, ("close",)) for row in rows["row"][first : first + 2])
        raise BarsError(
            f"prices continue from row to row, but times do not: {both}.\nWrite dates as 2020-01-31."
        )
    inspector.notes.append(f"The rows were put in order; time went backwards {counted(backward, 'time')}.")
    return take(rows, order)


def drop_unfinished(rows: Rows, inspector: Inspector) -> Rows:
    """Return the rows, which are in order, without a last one that the file marks as not complete."""
    if "finished" not in inspector.table.columns or not len(rows["row"]):
        return rows
    cells = inspector.table.cells("finished", rows["row"])
    unfinished = np.array([FLAGS.get(cell.lower()) is False for cell in cells])
    name = inspector.table.name("finished")
    if not unfinished[:-1].any():
        return inspector.drop(rows, unfinished, f"that {name} marks as unfinished")
    marked = counted(int(unfinished.sum()), "bar")
    inspector.notes.append(f"{marked} that {name} marks as unfinished are not the last alone; kept.")
    return rows


def drop_flat_weekends(rows: Rows, inspector: Inspector) -> Rows:
    """Return the rows without flat bars of no volume, in runs that touch a weekend.

    If the volume is always 0 no bar is dropped, because it does not show whether a bar was traded.
    """
    flat = (rows["volume"] == 0) & (rows["high"] == rows["low"])
    if not flat.any() or not rows["volume"].any():
        return rows
    run = np.cumsum(np.diff(flat, prepend=False))  # one number per run of flat or of other bars
    weekend = ~np.is_busday(rows["datetime"].astype("M8[D]"))
    touched = np.bincount(run[weekend & flat], minlength=run[-1] + 1) > 0
    return inspector.drop(rows, flat & touched[run], "flat and without volume at a weekend")


def check_timeframe(rows: Rows, inspector: Inspector) -> None:
    """Raise BarsError when bars have two timeframes, or one that is not in use."""
    times = rows["datetime"]
    timeframe = commonest_step(times)
    own = timeframe_name(timeframe)
    if not is_usual(np.diff(times)):
        raise BarsError(
            f"the timeframe must be one in use, such as M1, H1 or D1, got {own}: "
            f"{inspector.describe(rows['row'][0])}; {inspector.describe(rows['row'][1])}.\n"
            "Write times as 2020-01-31 23:59."
        )
    if not is_usual(np.full(2, timeframe.to_timedelta64())):
        inspector.notes.append(f"Bars have no timeframe; {own}, the commonest step, counts as one.")
    if _ends_off_grid(times, timeframe):
        inspector.notes.append(
            f"The last bar, {pd.Timestamp(times[-1])}, does not begin where {own} bars do; it may be unfinished."
        )
    section = other_timeframe(times, timeframe)
    if section is None:
        return
    first, last, second = section
    if last > len(times) - 1 - first:  # the longer rest lies before the section, or after it
        remedy = f'--to "{pd.Timestamp(times[max(first - 1, 0)])}"'
    else:
        own_bar = times[last + 1] - times[last] == timeframe.to_timedelta64()
        remedy = f'--from "{pd.Timestamp(times[last if own_bar else last + 1])}"'
    begin, end = (
        f"line {inspector.table.lines[rows['row'][i]]} ({pd.Timestamp(times[i])})" for i in (first, last)
    )
    raise BarsError(
        f"two timeframes: the bars are {own}, but {timeframe_name(second)} from {begin} to {end}.\n"
        f"Read the {own} bars alone with {remedy}."
    )


def check_continuity(rows: Rows, inspector: Inspector) -> None:
    """Raise BarsError for a section in which opens follow the next close in place of the last one."""
    sections = (len(rows["open"]) - 1) // ENOUGH
    prices = [rows[role][: sections * ENOUGH + 1] for role in ("open", "close")]
    moves = [np.abs(a[1:] - b[:-1]).reshape(-1, ENOUGH).sum(axis=1) for a, b in (prices, prices[::-1])]
    if (wrong := moves[1] < moves[0] / APART).any():
        first = rows["row"][int(wrong.argmax()) * ENOUGH]
        raise BarsError(
            "each bar must open near the close before it, but closes are near the opens before: "
            f"{inspector.describe(first, ('open', 'close'))} and the next.\n"
            "Correct the names of open and close, or the times."
        )


def _ends_off_grid(times: Times, timeframe: pd.Timedelta) -> bool:
    """Return whether the last bar alone begins within another, as one that was written while it formed.

    Above a day steps differ, as those of months and around holidays do, but rarely by much.
    """
    if timeframe > UNITS["D"]:
        steps = np.diff(times)
        return len(steps) > 1 and bool(steps[-1] < SHORT * steps[:-1].min())
    phases = times.astype("M8[us]").astype(np.int64) % (timeframe.value // 1000)
    return bool(phases[-1] != phases[0] and (phases[:-1] == phases[0]).all())


def _misplaced(times: Times) -> Mask:
    """Return a mask of the rows without which the rows beside them are in order."""
    padded = np.concatenate(([np.datetime64("0000", "us")], times, [np.datetime64("9999", "us")]))
    before, after = padded[:-2], padded[2:]
    return (before < after) & ((times < before) | (times > after))


def _path(rows: Rows, order: NDArray[np.int64] | slice) -> float:
    """Return the sum of the moves from close to open between rows in some order."""
    return float(np.abs(np.log(rows["open"][order][1:] / rows["close"][order][:-1])).sum())


def _alone(times: Times) -> Mask:
    """Return a mask of the rising times without another at most one usual step away."""
    near = np.diff(times) <= commonest_step(times).to_timedelta64()
    return ~(np.append(near, False) | np.append(False, near))


def _are_repeated_hours(times: Times) -> bool:
    """Return whether all times come twice and may be hours before clocks go back: Sundays of spring and autumn."""
    values, counts = np.unique(times, return_counts=True)
    moments = pd.DatetimeIndex(values)
    at = (moments.day_of_week == 6) & (moments.hour < 4) & moments.month.isin((3, 4, 9, 10, 11))
    return bool(len(counts) and (counts == 2).all() and at.all())


def _rises(rows: Rows) -> bool:
    return bool((np.diff(rows["datetime"]) > np.timedelta64(0, "us")).all())
