"""Closing times of bars that are stamped with their opening, as bar files are."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from bt_neuro.bars.timeframe import MONTH, UNITS

HOUR = pd.Timedelta(hours=1)


def closing_times(opens: pd.Series, length: pd.Timedelta, months: int = 0) -> pd.Series:
    """Return the closing times of bars: after their length, or at the next opening where that is sooner.

    From a day on a bar also lasts until an opening up to an hour later: where clocks are set back, a day has 25
    hours.

    Parameters
    ----------
    opens : ascending opening times; with a zone they become UTC
    length : of a bar
    months : calendar months in a bar, instead of `length`

    Examples
    --------
    >>> closing_times(pd.Series(pd.to_datetime(["2024-01-05 23:00", "2024-01-08 00:00"])), HOUR).astype(str).tolist()
    ['2024-01-06 00:00:00', '2024-01-08 01:00:00']
    """
    opens = pd.Series(opens.to_numpy("datetime64[us]"))
    if months:
        ends = (opens.dt.to_period("M") + months).dt.start_time.astype(opens.dtype)
    else:
        ends = opens + length
    following = opens.shift(-1)
    is_longer = (following > ends) & (following - ends <= HOUR) & (bool(months) or length >= UNITS["D"])
    return following.where((following < ends) | is_longer, ends)


def closing_time(opened: datetime, length: pd.Timedelta) -> datetime:
    """Return the closing time of one bar, where the next is not known."""
    if length == MONTH:
        return (
            opened.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + pd.Timedelta(days=32)
        ).replace(day=1)
    return opened + length.to_pytimedelta()
