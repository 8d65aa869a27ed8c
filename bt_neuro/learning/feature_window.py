"""Feature window: the features of the last bars, flattened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 1024


class FeatureWindow:
    """Rows of features, one a bar; the last few rows, flattened, are the window.

    Windows are views of one block of memory and keep their values when rows are added.

    Parameters
    ----------
    bars : rows in a window
    features : numbers in a row
    dtype : of the rows

    Examples
    --------
    >>> rows = FeatureWindow(bars=2, features=2)
    >>> rows.append([1.0, 2.0])
    >>> rows.window is None
    True
    >>> rows.append([3.0, 4.0])
    >>> rows.window.tolist(), rows.last.tolist()
    ([1.0, 2.0, 3.0, 4.0], [3.0, 4.0])
    """

    def __init__(self, bars: int, features: int, dtype: type[np.floating] = np.float64) -> None:
        self._bars = bars
        self._block: NDArray[np.floating] = np.empty((_BLOCK_ROWS + bars, features), dtype)
        self._rows = 0  # filled rows of the block

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
        """The last rows side by side, (bars x features,); None until there are enough."""
        first = self._rows - self._bars
        return self._block[first : self._rows].reshape(-1) if first >= 0 else None

    @property
    def last(self) -> NDArray[np.floating]:
        """The last row, (features,)."""
        return self._block[self._rows - 1]

    def rows(self) -> NDArray[np.floating]:
        """Return a copy of the last rows, (at most bars, features)."""
        return self._block[max(self._rows - self._bars, 0) : self._rows].copy()

    def set_rows(self, rows: NDArray[np.floating]) -> None:
        """Set the rows that `rows` returned."""
        self._block, self._rows = np.empty_like(self._block), len(rows)
        self._block[: self._rows] = rows
