"""Visible shape: twelve features of the half of a fractal that is visible at its bar."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime

FEATURES = (
    "higher_high",
    "lower_low",
    "top_chance",
    "bottom_chance",
    "top_distance",
    "bottom_distance",
    "high_distance",
    "low_distance",
    "next_range",
    "trend_range",
    "range",
    "volume",
)
# Weight of the newest bar in averages over 24, 240, 1000, 100 and 8 bars.
LEVEL_RATE, SLOW_RATE, REFERENCE_RATE, VOLUME_RATE, RECENT_RATE = 2 / 25, 2 / 241, 2 / 1001, 2 / 101, 2 / 9
SEASON_RATE = 0.05
FURTHEST = 5.0  # expected ranges; larger values, as of gaps, are cut to it
SMALLEST_RANGE = 1e-6  # of the close: flat bars have no unit otherwise
HOURS_A_WEEK = 168


class VisibleShape:
    """Features of the visible half of a fractal, one closed bar at a time.

    Distances are in units of the range expected of the next bar: a reference level, times the factor of its
    hour of the week, times the recent level without that factor, each learned online.

    Parameters
    ----------
    wing : bars on either side of the fractal

    Notes
    -----
    At bar t every feature uses bars up to t only:

    - ``higher_high``, ``lower_low``: 1 if bar t exceeds the `wing` bars before it and can still become a top
      (or a bottom), else 0
    - ``top_chance``, ``bottom_chance``: erf(1.2 d), the chance that a random walk stays within distance d of
      the close for one bar, where d is the distance to the high (or the low); 0 without the flag
    - ``top_distance``, ``bottom_distance``: square root of d, at most sqrt(5); 0 without the flag
    - ``high_distance``, ``low_distance``: the same, whatever the flag
    - ``next_range``, ``trend_range``: logarithms of the expected range over its average of 24 bars, and of
      that average over the one of 240 bars
    - ``range``: true range over its average of 24 bars, at most 5
    - ``volume``: logarithm of the volume over its average of 100 bars

    For a wing of w bars, d is divided by sqrt(w), as the range of a random walk grows.

    Examples
    --------
    >>> shape = VisibleShape()
    >>> _ = shape.update(1.10, 1.12, 1.09, 1.11, 500, datetime(2024, 1, 1, 0))
    >>> row = shape.update(1.11, 1.14, 1.10, 1.12, 500, datetime(2024, 1, 1, 1))
    >>> dict(zip(FEATURES, row))["higher_high"], dict(zip(FEATURES, row))["lower_low"]
    (1.0, 0.0)
    """

    def __init__(self, wing: int = 1) -> None:
        self._highs: deque[float] = deque(maxlen=wing)
        self._lows: deque[float] = deque(maxlen=wing)
        self._scale = math.sqrt(wing)
        self._close: float | None = None
        self._level = self._slow = self._reference = self._volume = 0.0
        self._recent = 1.0
        self._season = [1.0] * HOURS_A_WEEK
        self._next_slot = [(slot + 1) % HOURS_A_WEEK for slot in range(HOURS_A_WEEK)]
        self._slot = -1

    def update(
        self, open_: float, high: float, low: float, close: float, volume: float, time: datetime
    ) -> tuple[float, ...]:
        """Return the features of a bar that has just closed, in the order of `FEATURES`.

        Parameters
        ----------
        open_, high, low, close, volume : of the bar
        time : its opening time
        """
        # Conditions, because max and min take three times as long.
        before = close if self._close is None else self._close
        true_range = (high if high > before else before) - (low if low < before else before)
        volume = max(volume, 0.0)
        if self._close is None:  # averages begin with the first value
            self._level = self._slow = self._reference = true_range
            self._volume = volume
        least = max(SMALLEST_RANGE * abs(close), 1e-300)
        unit = max(self._expected_range(true_range, time), least)
        level, slow = max(self._level, least), max(self._slow, least)
        self._volume += VOLUME_RATE * (volume - self._volume)

        higher = float(not self._highs or high > max(self._highs))
        lower = float(not self._lows or low < min(self._lows))
        up = (high - close if high > close else 0.0) / unit / self._scale
        down = (close - low if close > low else 0.0) / unit / self._scale
        root_up, root_down = math.sqrt(min(up, FURTHEST)), math.sqrt(min(down, FURTHEST))
        self._highs.append(high)
        self._lows.append(low)
        self._close = close
        return (
            higher,
            lower,
            higher * math.erf(1.2 * up),
            lower * math.erf(1.2 * down),
            higher * root_up,
            lower * root_down,
            root_up,
            root_down,
            math.log(unit / level),
            math.log(level / slow),
            min(true_range / level, FURTHEST),
            math.log((volume + 1) / (self._volume + 1)),
        )

    def _expected_range(self, true_range: float, time: datetime) -> float:
        """Move the averages by a bar and return the range expected of the next one."""
        slot = time.weekday() * 24 + time.hour
        self._level += LEVEL_RATE * (true_range - self._level)
        self._slow += SLOW_RATE * (true_range - self._slow)
        self._reference += REFERENCE_RATE * (true_range - self._reference)
        if self._slot >= 0:
            self._next_slot[self._slot] = slot  # a Friday's last hour leads to Monday's first
        self._slot = slot
        ratio = true_range / self._reference if self._reference > 0 else 1.0
        self._recent += RECENT_RATE * (ratio / self._season[slot] - self._recent)
        self._season[slot] = max(self._season[slot] + SEASON_RATE * (ratio - self._season[slot]), 1e-3)
        return self._reference * self._season[self._next_slot[slot]] * self._recent
