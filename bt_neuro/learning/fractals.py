"""Confirmed fractals: tops and bottoms that stand out among `wing` bars on either side.

    top(i)     high[i] > high[j]   for all j in i-wing..i+wing, j != i     (sell)
    bottom(i)  low[i]  < low[j]    for all j in i-wing..i+wing, j != i     (buy)

Both inequalities are strict: two equal tops are no fractals. A bar can be top and bottom. The close of bar
t + wing confirms the fractal of bar t.
Source: B. Williams, Trading Chaos, 1995 (wing 2); the article's network uses wing 1.
"""

from __future__ import annotations

from typing import Any

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields
from bt_neuro.learning.labels import ConfirmedLabel, Label

__all__ = ["ConfirmedLabel", "FractalLabel", "Label"]

# (none, buy, sell), indexed by [bottom][top]
TARGETS = (
    ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    ((0.0, 1.0, 0.0), (0.0, 1.0, 1.0)),
)


class FractalLabel:
    """Confirmed fractal as a label, in O(wing) time and memory.

    Parameters
    ----------
    wing : int, default 1
        Bars on either side that a top or bottom exceeds; at least 1.

    Examples
    --------
    >>> label = FractalLabel(wing=1)
    >>> for bar, (high, low) in enumerate([(1.2, 1.1), (1.4, 1.2), (1.3, 1.0), (1.35, 1.05)]):
    ...     print(bar, label.update(bar, high, low, close=low))
    0 []
    1 []
    2 [ConfirmedLabel(bar=1, target=(0.0, 0.0, 1.0))]
    3 [ConfirmedLabel(bar=2, target=(0.0, 1.0, 0.0))]
    """

    classes = ("none", "buy", "sell")

    def __init__(self, wing: int = 1) -> None:
        if wing < 1:
            raise ValueError(f"wing must be at least 1, got {wing}")
        self.wing = wing
        self._span = 2 * wing + 1
        self._highs: list[float] = []  # the last span - 1 bars between calls
        self._lows: list[float] = []
        self._next: int | None = None  # None: the first bar may have any number

    @property
    def delay_bars(self) -> int:
        """Bars from a bar to its confirmed label: the wing."""
        return self.wing

    def update(self, bar: int, high: float, low: float, close: float) -> list[ConfirmedLabel]:
        """Take the closed bar number `bar`; return the label of bar - wing once there are enough bars.

        Raises
        ------
        ValueError
            When `bar` does not follow the bar before it.
        """
        if bar != self._next and self._next is not None:
            raise ValueError(f"bar must be {self._next}, got {bar}. Pass every closed bar once.")
        self._next = bar + 1
        highs, lows = self._highs, self._lows
        highs.append(high)
        lows.append(low)
        if len(highs) < self._span:
            return []
        wing = self.wing
        middle_high, middle_low = highs[wing], lows[wing]
        top = middle_high == max(highs) and highs.count(middle_high) == 1
        bottom = middle_low == min(lows) and lows.count(middle_low) == 1
        del highs[0], lows[0]
        return [ConfirmedLabel(bar - wing, TARGETS[int(bottom)][int(top)])]

    def state(self) -> dict[str, Any]:
        """Return wing, next bar and the prices of the last bars, as plain JSON values."""
        return {"wing": self.wing, "next": self._next, "highs": list(self._highs), "lows": list(self._lows)}

    def restore(self, state: dict[str, Any]) -> None:
        """Set the state that `state` returned.

        Raises
        ------
        CheckpointError
            When the wing differs, or a value is missing or invalid.
        """
        saved = Fields(state, "fractals")
        if (wing := saved.integer("wing", 1)) != self.wing:
            raise CheckpointError(
                f"the checkpoint's wing must be {self.wing}, got {wing}. "
                f"Run with wing {wing}, or without the checkpoint."
            )
        highs, lows = saved.numbers("highs"), saved.numbers("lows")
        if len(highs) != len(lows) or len(highs) >= self._span:
            raise saved.invalid("lows", f"one low a high, of {self._span - 1} bars at most")
        self._next = saved.integer_or_none("next")
        self._highs, self._lows = highs, lows
