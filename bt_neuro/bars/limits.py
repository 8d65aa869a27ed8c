"""Limits of plausible live bars: against the clock, the last close and the largest numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bt_neuro.bars.line_reader import Bar
from bt_neuro.errors import BarsError

LARGEST = 1e15  # of a price, volume or spread; features in single precision overflow beyond 3e38


@dataclass(frozen=True)
class Limits:
    """Limits of a live bar, beyond which it is refused before anything is stored or learned.

    Parameters
    ----------
    max_move : share of the last close by which a price may be above it; below it may be last close / (1 + share).
        0 for no limit
    max_ahead_hours : hours by which a bar's time may be later than UTC now; 0 for no limit. Clocks of brokers
        are up to 14 hours ahead.

    Raises
    ------
    BarsError
        A limit that is no number, or below 0.

    Examples
    --------
    >>> limits = Limits()
    >>> limits.fault(Bar(datetime(2024, 1, 1), 1.1, 1.2, 1.0, 1.1), 1.1)
    >>> limits.fault(Bar(datetime(2024, 1, 1), 2.1, 2.2, 2.0, 2.1), 1.1)
    'a bar must stay within 50 % of the last close 1.1, got high 2.2. Raise max_move if it is right'
    >>> limits.fault(Bar(datetime(2024, 1, 1), 1.1, 1.2, 1.0, 1.1, 1e300), None)
    'volume must be at most 1e+15, got 1e+300'
    """

    max_move: float = 0.5
    max_ahead_hours: float = 24.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise BarsError(f"{name} must be a number of at least 0, got {value!r}.")

    def fault(self, bar: object, close: float | None, now: datetime | None = None) -> str | None:
        """Return the rule that a bar breaks, None if it is plausible.

        Parameters
        ----------
        bar : the bar; an object of another type breaks a rule
        close : the last close; None before the first bar
        now : naive UTC; the clock's by default
        """
        if not isinstance(bar, Bar):
            return f"a bar must be a Bar, got {type(bar).__name__}"
        if not isinstance(bar.time, datetime) or bar.time.tzinfo is not None:
            return f"time must be a naive datetime, got {bar.time!r}"
        for name, value in zip(Bar._fields[1:], bar[1:], strict=True):
            if isinstance(value, bool) or not isinstance(value, int | float):
                return f"{name} must be a number, got {value!r}"
            if abs(value) > LARGEST:
                return f"{name} must be at most {LARGEST:g}, got {value:g}"
        return bar.fault() or self._ahead(bar, now) or self._move(bar, close)

    def _ahead(self, bar: Bar, now: datetime | None) -> str | None:
        now = now or datetime.now(UTC).replace(tzinfo=None)
        if self.max_ahead_hours and bar.time > now + timedelta(hours=self.max_ahead_hours):
            return (
                f"time must be at most {self.max_ahead_hours:g} h after now, {now:%Y-%m-%d %H:%M} UTC, "
                f"got {bar.time}. Raise max_ahead_hours if it is right"
            )
        return None

    def _move(self, bar: Bar, close: float | None) -> str | None:
        if not self.max_move or close is None or close <= 0:
            return None
        most = 1 + self.max_move
        for name, price, ratio in (("high", bar.high, bar.high / close), ("low", bar.low, bar.low / close)):
            if not 1 / most <= ratio <= most:
                return (
                    f"a bar must stay within {100 * self.max_move:g} % of the last close {close:g}, "
                    f"got {name} {price:g}. Raise max_move if it is right"
                )
        return None
