"""Clock of a bar file: time zones, bounds and spans of time."""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.timeframe import Times
from bt_neuro.errors import BarsError, did_you_mean

Bound = str | date | None  # a datetime or a Timestamp is a date


def choose_zones(tz: str | None, written: str, usual: str) -> tuple[str, str]:
    """Return the source and the target zone of the times; empty for a clock without a name.

    `written` is the zone in the times themselves, `usual` that of all files of the format; each may be empty.

    >>> choose_zones("America/New_York", written="UTC", usual="")
    ('UTC', 'America/New_York')
    >>> choose_zones("Europe/Athens,UTC", written="", usual="")
    ('Europe/Athens', 'UTC')
    """
    known = written or usual
    if tz is None:
        return known, known
    source, _, target = tz.rpartition(",")
    source, target = source.strip(), target.strip()
    for zone in (source or "UTC", target):
        _check_zone(zone)
    if written and source not in ("", written):
        raise BarsError(
            f"the times name their zone, {written}, so they cannot be in {source}.\nGive --tz {target} alone."
        )
    if not (source or known):
        raise BarsError(
            f"the times name no zone, so they cannot be moved to {target}.\n"
            f"Name the zone of the file's clock: --tz FROM,{target}, such as --tz Europe/Athens,{target}."
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


def move(times: Times, source: str, target: str, second: NDArray[np.bool_] | None = None) -> Times:
    """Convert times from the clock of `source` to the clock of `target`.

    `second` marks the times that come a second time, after clocks were put back. A time that does not exist in
    `source`, or is repeated in `target`, raises BarsError.
    """
    if source == target:
        return times
    first = np.ones(len(times), dtype=np.bool_) if second is None else ~second
    local = pd.DatetimeIndex(times).tz_localize(source, ambiguous=first, nonexistent="NaT")
    if local.hasnans:
        missing = pd.Timestamp(times[int(local.isna().argmax())])
        raise BarsError(
            f"there is no {missing} in {source}, where clocks are put forward.\nGive --tz another FROM."
        )
    moved = pd.DatetimeIndex(local.tz_convert(target).tz_localize(None)).as_unit("us")
    repeated = moved.duplicated() & ~local.duplicated()
    if repeated.any():
        twice = moved[int(repeated.argmax())]
        raise BarsError(f"{twice} comes twice in {target}, where clocks are put back.\nMove to UTC instead.")
    return moved.to_numpy()


def bound(value: Bound, option: str, *, ends: bool = False) -> np.datetime64 | None:
    """Return a bound of time: inclusive as a start, exclusive as an end. A day without a clock is whole.

    >>> bound("2024-01-31", "--from"), bound("2024-01-31", "--to", ends=True)
    (np.datetime64('2024-01-31T00:00:00.000000'), np.datetime64('2024-02-01T00:00:00.000000'))
    """
    if value is None:
        return None
    text = str(value)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is not None:
        raise BarsError(
            f"{option} {value!r} is no time.\nWrite 2024-01-31 or '2024-01-31 15:00', without a zone."
        )
    if ends:
        time += timedelta(days=1) if _is_day(text) else timedelta(microseconds=1)
    return np.datetime64(time, "us")


def _is_day(text: str) -> bool:
    """Return whether a time has no clock; that of a clock may have no colon, as in 20240131T1500."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Span:
    """Times from `start` up to, and without, `stop`."""

    start: np.datetime64
    stop: np.datetime64
    text: str

    @classmethod
    def of(cls, value: str | Sequence[Bound], option: str) -> Span:
        """Return the span of ``FROM..TO`` or of a pair of times, both inclusive; a day is whole.

        Raises
        ------
        BarsError
            If `value` is neither, or is empty.

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
        """Raise BarsError unless there are bars in the span and after it."""
        runs = f"The bars run from {pd.Timestamp(times[0])} to {pd.Timestamp(times[-1])}"
        if not ((times >= self.start) & (times < self.stop)).any():
            raise BarsError(f"no bar lies in {option} {self.text}.\n{runs}; give a part of that.")
        if times[-1] < self.stop:
            raise BarsError(f"{option} {self.text} leaves no bar to test.\n{runs}; end it sooner.")
