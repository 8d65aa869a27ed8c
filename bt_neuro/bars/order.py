"""Order of rows in time: reversed files, chunks, duplicates, repeated hours and mixed timeframes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from bt_neuro.bars.timeframe import Times, commonest_step, is_usual, other_timeframe, timeframe_name
from bt_neuro.bars.times import runs_backward
from bt_neuro.bars.validation import Inspector, Mask, counted
from bt_neuro.errors import BarsError

Move = Callable[[Times, Mask], Times]


def put_in_order(frame: pd.DataFrame, inspector: Inspector, move: Move) -> pd.DataFrame:
    """Return the rows with strictly rising times on the clock of the result.

    `move` converts times to that clock, given which of them come a second time.
    """
    if runs_backward(frame["datetime"].to_numpy()):
        frame = frame[::-1]
        inspector.notes.append("The file runs from the newest bar to the oldest; it was reversed.")
    if not _rises(frame):
        frame = inspector.drop(frame, frame.duplicated().to_numpy(), "repeating another exactly")
    second = (
        np.zeros(len(frame), dtype=np.bool_) if _rises(frame) else frame.duplicated("datetime").to_numpy()
    )
    frame = frame.assign(datetime=move(frame["datetime"].to_numpy(), second))
    if _rises(frame):
        return frame
    twice = frame.duplicated("datetime", keep=False).to_numpy()
    if _are_repeated_hours(frame["datetime"][twice]):
        lines = [inspector.describe(row, ("close",)) for row in frame.index[twice][:4]]
        raise BarsError(
            f"an hour comes twice, where clocks go back: {'; '.join(lines)}.\n"
            "Name the zone of the file's clock to keep both bars: --tz FROM,UTC, such as --tz America/New_York,UTC."
        )
    values = [role for role in frame.columns if role in inspector.table.columns]
    frame = inspector.refuse(frame, twice, "contradicting another of the same time", values)
    if _rises(frame):
        return frame
    times = frame["datetime"].to_numpy()
    ordered = frame.sort_values("datetime")
    misplaced = _misplaced(times)
    backward = int((np.diff(times) < np.timedelta64(0, "us")).sum())
    if misplaced.sum() == backward:  # one row each, and not a part of a file
        alone = pd.Series(_alone(ordered["datetime"].to_numpy()), ordered.index)[frame.index].to_numpy()
        if (misplaced & alone).any():
            return inspector.refuse(frame, misplaced, "where time goes backwards", ())
    inspector.notes.append(f"The rows were put in order; time went backwards {counted(backward, 'time')}.")
    return ordered


def drop_flat_weekends(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows without flat bars of no volume, in runs that touch a weekend.

    A volume that is always 0 does not show whether a bar was traded: then no bar is dropped.
    """
    volume = frame["volume"].to_numpy()
    flat = (volume == 0) & (frame["high"] == frame["low"]).to_numpy()
    if not volume.any() or not flat.any():
        return frame
    run = np.cumsum(np.diff(flat, prepend=False))  # one number a run of flat or of other bars
    weekend = (frame["datetime"].dt.day_of_week >= 5).to_numpy()
    touched = np.bincount(run[weekend & flat], minlength=run[-1] + 1) > 0
    return inspector.drop(frame, flat & touched[run], "flat and without volume at a weekend")


def check_timeframe(frame: pd.DataFrame, inspector: Inspector) -> None:
    """Raise BarsError when bars have two timeframes, or one that is not in use."""
    times = frame["datetime"].to_numpy()
    timeframe = commonest_step(times)
    own = timeframe_name(timeframe)
    if not is_usual(np.diff(times)):
        raise BarsError(
            f"the timeframe must be one in use, such as M1, H1 or D1, got {own}: "
            f"{inspector.describe(frame.index[0], ())}; {inspector.describe(frame.index[1], ())}.\n"
            "Write times as 2020-01-31 23:59."
        )
    section = other_timeframe(times, timeframe)
    if section is None:
        return
    first, last, second = section
    if last > len(frame) - 1 - first:  # the longer rest lies before the section, or after it
        remedy = f'--to "{frame["datetime"].iloc[max(first - 1, 0)]}"'
    else:
        own_bar = times[last + 1] - times[last] == timeframe.to_timedelta64()
        remedy = f'--from "{frame["datetime"].iloc[last if own_bar else last + 1]}"'
    other = timeframe_name(second)
    begin, end = (
        f"line {inspector.table.lines[frame.index[i]]} ({frame['datetime'].iloc[i]})" for i in (first, last)
    )
    raise BarsError(
        f"two timeframes: the bars are {own}, but {other} from {begin} to {end}.\n"
        f"Read the {own} bars alone with {remedy}."
    )


def _misplaced(times: Times) -> Mask:
    """Return a mask of the rows without which the rows beside them are in order."""
    padded = np.concatenate(([np.datetime64("0000", "us")], times, [np.datetime64("9999", "us")]))
    before, after = padded[:-2], padded[2:]
    return (before < after) & ((times < before) | (times > after))


def _alone(times: Times) -> Mask:
    """Return a mask of the rising times without another at most one usual step away."""
    near = np.diff(times) <= commonest_step(times).to_timedelta64()
    return ~(np.append(near, False) | np.append(False, near))


def _are_repeated_hours(times: pd.Series[pd.Timestamp]) -> bool:
    """Return whether all times come twice and may be hours before clocks go back: Sundays of spring and autumn."""
    counts = times.value_counts()
    return bool(
        len(counts)
        and (counts == 2).all()
        and (times.dt.day_of_week == 6).all()
        and (times.dt.hour < 4).all()
        and times.dt.month.isin((3, 4, 9, 10, 11)).all()
    )


def _rises(frame: pd.DataFrame) -> bool:
    return bool((np.diff(frame["datetime"].to_numpy()) > np.timedelta64(0, "us")).all())
