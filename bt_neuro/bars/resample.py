"""Bars of a coarser timeframe, built from finer ones."""

from __future__ import annotations

import pandas as pd

from bt_neuro.bars.timeframe import MONTH, UNITS, timeframe_name
from bt_neuro.errors import BarsError

# Orders execute at a bar's open, so the spread of its first minute is the one they pay.
HOW = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "spread": "first"}


def resample_bars(frame: pd.DataFrame, finer: pd.Timedelta, coarser: pd.Timedelta) -> pd.DataFrame:
    """Return one bar for each period of `coarser` in which there are bars.

    Periods begin where the clock says so: hours at :00, days at 0:00, weeks on Monday, months on the
    first. A bar is stamped with the beginning of its period.

    Raises
    ------
    BarsError
        When `coarser` is not a multiple of `finer`; choose one that is.

    Examples
    --------
    >>> minutes = pd.DataFrame({
    ...     "datetime": pd.date_range("2024-01-01 00:58", periods=3, freq="min"),
    ...     "open": [1.0, 1.1, 1.2], "high": [1.1, 1.3, 1.4], "low": [0.9, 1.0, 1.1],
    ...     "close": [1.1, 1.2, 1.3], "volume": [5.0, 6.0, 7.0],
    ... })
    >>> resample_bars(minutes, pd.Timedelta(minutes=1), pd.Timedelta(hours=1)).drop(columns="datetime")
       open  high  low  close  volume
    0   1.0   1.3  0.9    1.2    11.0
    1   1.2   1.4  1.1    1.3     7.0
    """
    # Days, weeks and months hold whole bars of any session; only below a day must the parts fit.
    fits = coarser >= finer and (coarser >= UNITS["D"] or coarser % finer == pd.Timedelta(0))
    if not fits:
        raise BarsError(
            f"{timeframe_name(coarser)} bars cannot be built from {timeframe_name(finer)} bars.\n"
            f"Give --resample a multiple of {timeframe_name(finer)}."
        )
    periods = _periods(frame["datetime"], coarser)
    how = {column: HOW[column] for column in frame.columns if column in HOW}
    return frame.groupby(periods).agg(how).reset_index()


def _periods(times: pd.Series[pd.Timestamp], timeframe: pd.Timedelta) -> pd.Series[pd.Timestamp]:
    """Return the beginning of the period that each time lies in."""
    calendar = {MONTH: "M", UNITS["W"]: "W"}.get(timeframe)
    begins = times.dt.to_period(calendar).dt.start_time if calendar else times.dt.floor(timeframe)
    return begins.astype(times.dtype)
