"""The clock of a file: moved from one time zone to another, and cut."""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.times import Times
from bt_neuro.errors import BarsError, did_you_mean

Bound = str | date | None  # a datetime or a Timestamp is a date


def choose_zones(tz: str | None, said: str, usual: str) -> tuple[str, str]:
    """Return the zone the times are in and the zone they shall be in; empty for a clock nobody names.

    Parameters
    ----------
    tz : str or None
        "TO", or "FROM,TO" for a file whose times name no zone.
    said : str
        The zone that the times themselves name, or empty.
    usual : str
        The zone that files of this kind keep, or empty.

    Examples
    --------
    >>> choose_zones("America/New_York", said="UTC", usual="")
    ('UTC', 'America/New_York')
    >>> choose_zones("Europe/Athens,UTC", said="", usual="")
    ('Europe/Athens', 'UTC')
    """
    known = said or usual
    if tz is None:
        return known, known
    source, _, target = tz.rpartition(",")
    source, target = source.strip(), target.strip()
    for zone in (source or "UTC", target):
        _check_zone(zone)
    if said and source not in ("", said):
        raise BarsError(
            f"the times name their zone, {said}, so they cannot be in {source}.\nGive --tz {target} alone."
        )
    if not (source or known):
        raise BarsError(
            f"the times name no zone, so they cannot be moved to {target}.\n"
            f"Say where the clock stands: --tz FROM,{target}, such as --tz Europe/Athens,{target}."
        )
    return source or known, target


def _check_zone(zone: str) -> None:
    try:
        pd.Timestamp(0).tz_localize(zone)
    except (LookupError, ValueError):
        hint = did_you_mean(zone, zoneinfo.available_timezones()) if zone else ""
        hint = hint if "Did you mean" in hint else ""
        raise BarsError(
            f"{zone!r} is no time zone.{hint}\nGive --tz a name such as Europe/Athens or UTC."
        ) from None


def move(times: Times, source: str, target: str) -> Times:
    """Return times of the clock in `source` as times of the clock in `target`.

    Raises
    ------
    BarsError
        When a time is left out in `source` or comes twice in `target`, as clocks are put forward or back;
        choose a zone without summer time.
    """
    if source == target:
        return times
    # An hour that comes twice in the source is in the file once, or the file would have been refused.
    first = np.ones(len(times), dtype=bool)
    local = pd.DatetimeIndex(times).tz_localize(source, ambiguous=first, nonexistent="NaT")
    if local.hasnans:
        missing = pd.Timestamp(times[int(local.isna().argmax())])
        raise BarsError(
            f"there is no {missing} in {source}, where clocks are put forward.\nGive --tz another FROM."
        )
    moved = np.asarray(local.tz_convert(target).tz_localize(None).to_numpy()).astype("M8[us]")
    backward = np.diff(moved) <= np.timedelta64(0)
    if backward.any():
        twice = pd.Timestamp(moved[int(backward.argmax()) + 1])
        raise BarsError(f"{twice} comes twice in {target}, where clocks are put back.\nMove to UTC instead.")
    return moved


def bound(value: Bound, option: str, *, ends: bool = False) -> np.datetime64 | None:
    """Return where to cut: from this time on, or up to but without it. A day alone is meant as a whole.

    >>> bound("2024-01-31", "--from"), bound("2024-01-31", "--to", ends=True)
    (np.datetime64('2024-01-31T00:00:00.000000'), np.datetime64('2024-02-01T00:00:00.000000'))
    """
    if value is None:
        return None
    whole_day = ":" not in value if isinstance(value, str) else not isinstance(value, datetime)
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        time = None
    if time is None or time.tzinfo is not None:
        raise BarsError(
            f"{option} {value!r} is no time.\nWrite 2024-01-31 or '2024-01-31 15:00', without a zone."
        )
    if ends:
        time += timedelta(days=1) if whole_day else timedelta(microseconds=1)
    return np.datetime64(time, "us")


@dataclass(frozen=True)
class Span:
    """Bars of a file by their times, from `start` on, up to but without `stop`."""

    start: np.datetime64
    stop: np.datetime64
    text: str

    @classmethod
    def of(cls, value: str | Sequence[Bound], option: str) -> Span:
        """Return the span that ``FROM..TO`` or a pair of times tells, both inclusive; a day means all of it.

        Raises
        ------
        BarsError
            When it is no such text, or holds no time.

        Examples
        --------
        >>> span = Span.of("2003-05-05..2005-12-31", "--pretrain")
        >>> span.stop, span == Span.of(("2003-05-05", date(2005, 12, 31)), "pretrain")
        (np.datetime64('2006-01-01T00:00:00.000000'), True)
        """
        parts = value.split("..") if isinstance(value, str) else value
        if not isinstance(parts, Sequence) or len(parts) != 2 or not all(parts):
            raise BarsError(
                f"{option} {value!r} is no span.\nWrite FROM..TO, such as 2003-05-05..2005-12-31."
            )
        first, last = (part.strip() if isinstance(part, str) else part for part in parts)
        start, stop = bound(first, option), bound(last, option, ends=True)
        assert start is not None
        assert stop is not None
        text = f"{first}..{last}"
        if start >= stop:
            raise BarsError(f"{option} {text} ends before it begins.\nGive the earlier time first.")
        return cls(start, stop, text)

    def require_bars(self, times: NDArray[np.datetime64], option: str) -> None:
        """Raise BarsError unless bars lie in the span, and after it."""
        runs = f"The bars run from {pd.Timestamp(times[0])} to {pd.Timestamp(times[-1])}"
        if not ((times >= self.start) & (times < self.stop)).any():
            raise BarsError(f"no bar lies in {option} {self.text}.\n{runs}; give a part of that.")
        if times[-1] < self.stop:
            raise BarsError(f"{option} {self.text} leaves no bar to test.\n{runs}; end it sooner.")
