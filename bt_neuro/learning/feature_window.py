"""The numbers of the bars so far, of which the last few make a window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 1024


class FeatureWindow:
    """Rows of features, one a bar; windows are views of them and stay what they were.

    Parameters
    ----------
    bars : rows of a window
    features : numbers of a row
    dtype : of the windows; what reads them need not turn them into its own

    Examples
    --------
    >>> history = FeatureWindow(bars=2, features=2)
    >>> history.append([1.0, 2.0])
    >>> history.window is None
    True
    >>> history.append([3.0, 4.0])
    >>> history.window.tolist(), history.last.tolist()
    ([1.0, 2.0, 3.0, 4.0], [3.0, 4.0])
    """

    def __init__(self, bars: int, features: int, dtype: type[np.floating] = np.float64) -> None:
        self._bars = bars
        self._block: NDArray[np.floating] = np.empty((_BLOCK_ROWS + bars, features), dtype)
        self._rows = 0  # of the block that are filled

    def append(self, row: Sequence[float]) -> None:
        if self._rows == len(self._block):
            # A new block, not the old one again: windows are views of it.
            fresh = np.empty_like(self._block)
            keep = self._bars - 1
            fresh[:keep] = self._block[self._rows - keep :]
            self._block, self._rows = fresh, keep
        self._block[self._rows] = row
        self._rows += 1

    @property
    def window(self) -> NDArray[np.floating] | None:
        """The last rows side by side; None until there are enough."""
        first = self._rows - self._bars
        return self._block[first : self._rows].reshape(-1) if first >= 0 else None

    @property
    def last(self) -> NDArray[np.floating]:
        return self._block[self._rows - 1]

    def rows(self) -> NDArray[np.floating]:
        """Return a copy of the last rows, as many as a window has or as there are."""
        return self._block[max(self._rows - self._bars, 0) : self._rows].copy()

    def set_rows(self, rows: NDArray[np.floating]) -> None:
        """Go on from what `rows` gave."""
        self._rows = len(rows)
        self._block[: self._rows] = rows
