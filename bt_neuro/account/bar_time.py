"""Opening times of bars, also of feeds that are stamped with the close."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import backtrader as bt
import numpy as np
from numpy.typing import NDArray


def opening_line(data: bt.feed.DataBase) -> Any:
    """Return the opening times of a feed, read with ``[0]``, in days as backtrader keeps them.

    Feeds of bt_neuro hold them in the line ``opened``, `stamped` ones compute them. Of other feeds it is the line
    ``datetime``, whatever it means.
    """
    return getattr(data, "opening", None) or getattr(data.lines, "opened", data.lines.datetime)


def opening_time(data: bt.feed.DataBase) -> Any:
    """Return the opening time of a feed's current bar as a datetime."""
    return data.num2date(opening_line(data)[0])


def datetimes(days: NDArray[np.floating]) -> list[datetime]:
    """Return ``bt.num2date`` of many times at once, in a tenth of the time.

    Examples
    --------
    >>> noon = bt.date2num(datetime(2024, 1, 1, 12))
    >>> datetimes(np.array([noon])) == [bt.num2date(noon)]
    True
    """
    whole = np.floor(days)
    hours, rest = np.divmod(24.0 * (days - whole), 1)
    minutes, rest = np.divmod(60.0 * rest, 1)
    seconds, rest = np.divmod(60.0 * rest, 1)
    micros = np.floor(1e6 * rest)
    micros[micros < 10] = 0  # rounding errors, as backtrader compensates them
    micros[micros > 999_990] = 1e6
    of_day = 1e6 * (3600 * hours + 60 * minutes + seconds) + micros
    midnights = np.datetime64("0001-01-01", "us") + (whole - 1).astype("timedelta64[D]")
    moments: list[datetime] = (midnights + of_day.astype("timedelta64[us]")).tolist()
    return moments
