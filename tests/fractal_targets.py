"""Fractals of all bars at once: the oracle of `FractalLabel`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def fractal_targets(high: ArrayLike, low: ArrayLike, wing: int = 1) -> NDArray[np.float32]:
    """Return the targets, (n, 3), of highs and lows, (n,); NaN in the first and last `wing` rows."""
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
