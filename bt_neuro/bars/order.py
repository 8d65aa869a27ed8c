"""Rows in time: newest first turned round, duplicates dropped, anything else out of order refused."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pandas as pd

from bt_neuro.bars.timeframe import commonest_step, other_timeframe, timeframe_name
from bt_neuro.bars.times import Times
from bt_neuro.bars.validation import Inspector, Mask
from bt_neuro.errors import BarsError


def put_in_order(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows with strictly rising times."""
    steps = np.diff(frame["datetime"].to_numpy())
    zero = np.timedelta64(0)
    if (steps < zero).sum() > (steps > zero).sum():
        frame = frame[::-1]
        inspector.notes.append("The file runs from the newest bar to the oldest; it was turned round.")
    if _rises(frame):
        return frame
    frame = inspector.drop(frame, frame.duplicated().to_numpy(), "repeating another exactly")
    twice = frame.duplicated("datetime", keep=False).to_numpy()
    values = [role for role in frame.columns if role in inspector.table.columns]
    frame = inspector.refuse(frame, twice, "contradicting another of the same time", values)
    if _rises(frame):
        return frame
    astray = ~longest_rise(frame["datetime"].to_numpy())
    return inspector.refuse(frame, astray, "where time goes backwards", ())


def drop_flat_weekends(frame: pd.DataFrame, inspector: Inspector) -> pd.DataFrame:
    """Return the rows without runs of bars that neither move nor trade and that touch a weekend.

    Where volume is always 0 it says nothing of trade, and no bar is dropped.
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
    """Raise BarsError when a part of the bars has another timeframe; read only one part."""
    times = frame["datetime"].to_numpy()
    timeframe = commonest_step(times)
    section = other_timeframe(times, timeframe)
    if section is None:
        return
    first, last = section.first, section.last
    if last > len(frame) - 1 - first:  # the longer rest lies before the section, or after it
        remedy = f'--to "{frame["datetime"].iloc[max(first - 1, 0)]}"'
    else:
        own_bar = times[last + 1] - times[last] == timeframe.to_timedelta64()
        remedy = f'--from "{frame["datetime"].iloc[last if own_bar else last + 1]}"'
    own, other = timeframe_name(timeframe), timeframe_name(section.timeframe)
    begin, end = (
        f"line {inspector.table.lines[frame.index[i]]} ({frame['datetime'].iloc[i]})" for i in (first, last)
    )
    raise BarsError(
        f"two timeframes: the bars are {own}, but {other} from {begin} to {end}.\n"
        f"Read the {own} bars alone with {remedy}."
    )


def longest_rise(times: Times) -> Mask:
    """Tell which rows make up the longest strictly rising series: so the fewest are out of order.

    >>> longest_rise(np.array([1, 2, 99, 3, 4])).tolist()
    [True, True, False, True, True]
    """
    tails: list[int] = []  # the smallest last value of a rising series of each length
    length = np.empty(len(times), dtype=np.int64)
    for i, time in enumerate(times.astype(np.int64).tolist()):
        k = bisect_left(tails, time)
        tails[k : k + 1] = [time]
        length[i] = k
    keep = np.zeros(len(times), dtype=np.bool_)
    wanted = len(tails) - 1
    for i in range(len(times) - 1, -1, -1):
        if length[i] == wanted:
            keep[i] = True
            wanted -= 1
    return keep


def _rises(frame: pd.DataFrame) -> bool:
    return bool((np.diff(frame["datetime"].to_numpy()) > np.timedelta64(0)).all())
