"""Opening times of bars, also of feeds that are stamped with the close."""

from __future__ import annotations

from typing import Any

import backtrader as bt


def opening_line(data: bt.feed.DataBase) -> Any:
    """Return the opening times of a feed, read with ``[0]``, in days as backtrader keeps them.

    Feeds of bt_neuro hold them in the line ``opened``, `stamped` ones compute them. Of other feeds it is the line
    ``datetime``, whatever it means.
    """
    return getattr(data, "opening", None) or getattr(data.lines, "opened", data.lines.datetime)


def opening_time(data: bt.feed.DataBase) -> Any:
    """Return the opening time of a feed's current bar as a datetime."""
    return data.num2date(opening_line(data)[0])
