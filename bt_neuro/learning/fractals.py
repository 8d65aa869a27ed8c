"""Confirmed fractals: tops and bottoms that stand out among `wing` bars on either side.

    top(i)     high[i] > high[j]   for all j in i-wing..i+wing, j != i     (sell)
    bottom(i)  low[i]  < low[j]    for all j in i-wing..i+wing, j != i     (buy)

Both inequalities are strict, so of two equal tops neither is one. A bar can be both. The fractal of
bar t is known when bar t + wing has closed, and not earlier.
Source: B. Williams, Trading Chaos, 1995 (wing 2); the article's network uses wing 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields
from bt_neuro.learning.labels import ConfirmedLabel

# (none, buy, sell), indexed by [bottom][top]
TARGETS = (
    ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    ((0.0, 1.0, 0.0), (0.0, 1.0, 1.0)),
)


class FractalLabel:
    """Tell each bar's fractal `wing` bars later, in O(wing) time and memory.

    Parameters
    ----------
    wing : int, default 1
        Bars on either side that a top or bottom must exceed; at least 1.

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
            raise ValueError(f"wing is {wing}; a fractal needs at least 1 bar on either side")
        self.wing = wing
        self._span = 2 * wing + 1
        self._highs: list[float] = []  # the last span - 1 bars between calls
        self._lows: list[float] = []
        self._next: int | None = None  # None: the first bar may have any number

    @property
    def delay_bars(self) -> int:
        """Bars between a bar's close and its label: the wing."""
        return self.wing

    def update(self, bar: int, high: float, low: float, close: float) -> list[ConfirmedLabel]:
        """Take the closed bar number `bar`; return the label of bar - wing once it is known.

        Raises
        ------
        ValueError
            When `bar` does not follow the bar before it: a bar was left out or came twice.
        """
        if bar != self._next and self._next is not None:
            raise ValueError(f"bar {bar} came where bar {self._next} was due; give every closed bar once")
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
        """Return wing, next bar and the bars still waiting, in plain JSON values."""
        return {"wing": self.wing, "next": self._next, "highs": list(self._highs), "lows": list(self._lows)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises
        ------
        CheckpointError
            When the state was saved with another wing, or is no such state.
        """
        saved = Fields(state, "fractals")
        if (wing := saved.integer("wing", 1)) != self.wing:
            raise CheckpointError(
                f"the checkpoint's fractals have wing {wing}, this run's {self.wing}; "
                f"run with wing {wing} or start without the checkpoint"
            )
        highs, lows = saved.numbers("highs"), saved.numbers("lows")
        if len(highs) != len(lows) or len(highs) >= self._span:
            raise saved.refuse("lows", f"one low a high, of {self._span - 1} bars at most,")
        self._next = saved.integer_or_none("next")
        self._highs, self._lows = highs, lows


def fractal_targets(high: ArrayLike, low: ArrayLike, wing: int = 1) -> NDArray[np.float32]:
    """Return the targets (n, 3) of all bars at once: the oracle of `FractalLabel`.

    Uses bars <= t + wing for row t, so it is for tests and reports, never for trading.

    Parameters
    ----------
    high, low : array_like
        Prices, shape (n,).
    wing : int, default 1
        Bars on either side.

    Returns
    -------
    ndarray, float32, shape (n, 3)
        Rows of (none, buy, sell); NaN in the first and last `wing` rows, which are never known.

    Examples
    --------
    >>> fractal_targets([1.2, 1.4, 1.3], [1.1, 1.2, 1.0])
    array([[nan, nan, nan],
           [ 0.,  0.,  1.],
           [nan, nan, nan]], dtype=float32)
    """
    highs, lows = np.asarray(high, dtype=np.float64), np.asarray(low, dtype=np.float64)
    n = len(highs)
    targets = np.full((n, 3), np.nan, dtype=np.float32)
    known = slice(wing, n - wing)
    if n < 2 * wing + 1:
        return targets
    shifts = [slice(wing + k, n - wing + k) for k in range(-wing, wing + 1) if k != 0]
    top = np.all([highs[known] > highs[shift] for shift in shifts], axis=0)
    bottom = np.all([lows[known] < lows[shift] for shift in shifts], axis=0)
    targets[known] = np.stack([~(top | bottom), bottom, top], axis=1)
    return targets
