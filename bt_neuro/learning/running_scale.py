"""Running scale: the features of one instrument in units of their own deviation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SCALE_BARS = 500
CONSTANT = 1e-9  # deviation, as a share of the mean, that only rounding gives


class RunningScale:
    """Scales rows of features by the running mean and deviation of each feature.

    Up to `bars` rows all count alike, then older ones fade. At bar t only bars up to t count. A feature that has
    been constant is 0; none is beyond the square root of `bars`.

    Parameters
    ----------
    bars : rows that count

    Examples
    --------
    >>> scale = RunningScale()
    >>> [scale.scaled([x, 7.0]).tolist() for x in (1.0, 3.0)]
    [[0.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, bars: int = SCALE_BARS) -> None:
        self._bars, self._rows = bars, 0
        self._mean: NDArray[np.float64] | float = 0.0
        self._variance: NDArray[np.float64] | float = 0.0

    def scaled(self, row: Sequence[float]) -> NDArray[np.float64]:
        """Take the next row and return it scaled; a row with a number that is not finite stays unscaled."""
        values = np.array(row, np.float64)
        if not math.isfinite(values.sum()):
            return values
        self._rows += 1
        weight = 1.0 / min(self._rows, self._bars)
        away = values - self._mean
        self._mean = self._mean + weight * away
        self._variance = (1.0 - weight) * (self._variance + weight * away * away)
        deviation = np.sqrt(self._variance)
        varies = deviation > CONSTANT * np.abs(self._mean)
        return np.divide(values - self._mean, deviation, out=np.zeros_like(values), where=varies)
