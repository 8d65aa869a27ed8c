"""Resampling of bars to a coarser timeframe."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.closing import closing_time
from bt_neuro.bars.timeframe import DAY, MONTH, UNITS, timeframe_name
from bt_neuro.errors import BarsError

# Orders execute at the open of a bar, so its spread is that of its first minute.
AGGREGATION = {
    "open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "spread": "first",
}  # fmt: skip


def resample_bars(frame: pd.DataFrame, finer: pd.Timedelta, coarser: pd.Timedelta) -> pd.DataFrame:
    """Return one bar for each whole period of `coarser` that holds bars, stamped with the period's beginning.

    Hours begin at :00, days at 0:00, weeks on Monday, months on the first. The first period is left out if the
    bars begin later in it than in most periods of its kind, the last if they end earlier.

    Raises
    ------
    BarsError
        If `coarser` is no multiple of `finer`. Choose one that is.

    Examples
    --------
    >>> minutes = pd.DataFrame({
    ...     "datetime": pd.date_range("2024-01-01 00:58", periods=4, freq="min"),
    ...     "open": [1.0, 1.1, 1.2, 1.3], "high": [1.1, 1.3, 1.4, 1.3], "low": [0.9, 1.0, 1.1, 1.2],
    ...     "close": [1.1, 1.2, 1.3, 1.2], "volume": [5.0, 6.0, 7.0, 8.0],
    ... })
    >>> two = pd.Timedelta(minutes=2)
    >>> resample_bars(minutes, pd.Timedelta(minutes=1), two).drop(columns="datetime")
       open  high  low  close  volume
    0   1.0   1.3  0.9    1.2    11.0
    1   1.2   1.4  1.1    1.2    15.0
    """
    # Any session divides into days, weeks and months; shorter periods must hold a whole number of bars.
    fits = coarser >= finer and (coarser >= UNITS["D"] or coarser % finer == pd.Timedelta(0))
    if not fits:
        raise BarsError(
            f"{timeframe_name(coarser)} bars cannot be built from {timeframe_name(finer)} bars.\n"
            f"Give --resample a multiple of {timeframe_name(finer)}."
        )
    times = frame["datetime"]
    calendar = {MONTH: "M", UNITS["W"]: "W"}.get(coarser)
    periods = (times.dt.to_period(calendar).dt.start_time if calendar else times.dt.floor(coarser)).astype(
        times.dtype
    )
    aggregation = {column: AGGREGATION[column] for column in frame.columns if column in AGGREGATION}
    bars = frame.groupby(periods).agg(aggregation).reset_index()
    edges = times.groupby(periods).agg(["first", "last"])
    index = pd.DatetimeIndex(edges.index)
    begins = index.to_numpy()
    ends = (
        begins + coarser.to_timedelta64() if not calendar else index.to_period(calendar).end_time.to_numpy()
    )
    kinds = index.day_of_week if coarser == UNITS["D"] else index.hour if coarser < UNITS["D"] else index
    late = _is_short(begins, edges["first"].to_numpy(), kinds == kinds[0], 0)
    early = _is_short(edges["last"].to_numpy() + finer.to_timedelta64(), ends, kinds == kinds[-1], -1)
    return bars.iloc[int(late) : len(bars) - int(early)].reset_index(drop=True)


def coarser_bars(
    fine: pd.DataFrame, finer: pd.Timedelta, coarser: pd.Timedelta
) -> tuple[pd.DataFrame, list[str]]:
    """Return bars of a coarser timeframe, with notes on what they were built from."""
    frame, times = resample_bars(fine, finer, coarser), fine["datetime"]
    name, one = timeframe_name(coarser), f"{timeframe_name(finer)} bars"
    if len(frame) < 2:
        raise BarsError(f"{len(fine):,} {one} make less than two whole {name} bars.\nGive a longer file.")
    notes = [f"{len(frame):,} {name} bars were built from {len(fine):,} {one}."]
    end = closing_time(frame["datetime"].iloc[-1], coarser)
    if n := int(((times < frame["datetime"].iloc[0]) | (times >= end)).sum()):
        notes.append(f"Left out {n:,} {one} at the ends, where they make no whole {name} bar.")
    return frame, notes


def _is_short(before: NDArray[Any], after: NDArray[Any], alike: NDArray[Any], at: int) -> bool:
    """Return whether a period misses more than most others of its kind, weekends apart.

    What it misses is the time from `before` to `after`.
    """
    missing = after - before
    others = np.delete(missing[alike] if alike.sum() > 1 else missing, at)
    usual = np.median(others.astype(np.int64)) if len(others) else 0
    weekday = np.busday_count(
        before[at].astype("M8[D]"), (after[at] - np.timedelta64(1, "us")).astype("M8[D]") + DAY
    )
    return bool(missing[at].astype(np.int64) > usual and weekday > 0)
