"""Numbers written as they are: a ``.npy`` file that grows bar by bar, in flat memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.io import atomic_write
from bt_neuro.plugin.run_observer import BarRecord

_BLOCK_ROWS = 1024


class _NumberRecord:
    """Float32 rows of a ``.npy`` file, which is there once there is a row.

    Parameters
    ----------
    open_file : called for the first row; returns the file, to be written and to be read
    rows : that it holds already
    """

    def __init__(self, open_file: Callable[[], IO[bytes]], rows: int = 0) -> None:
        self._open_file = open_file
        self._block: NDArray[np.float32] | None = None
        self._rows, self._filled = rows, 0

    def on_bar(self, record: BarRecord) -> None:
        row = self._row(record)
        if row is None:
            return
        if self._block is None:
            self._file = self._open_file()
            self._block = np.empty((_BLOCK_ROWS, *np.shape(row)), np.float32)
            self._write_header()
        self._block[self._filled] = row
        self._filled += 1
        if self._filled == len(self._block):
            self._write()

    def stop(self) -> None:
        if self._block is not None:
            self._write()
            self._write_header()

    def state(self) -> dict[str, Any]:
        """Return how many rows the file holds, none of them on their way to it."""
        self.stop()
        if self._block is not None:
            self._file.flush()
        return {"rows": self._rows}

    def _row(self, record: BarRecord) -> Any:
        """Return the numbers of this bar, or None."""
        raise NotImplementedError

    def _write(self) -> None:
        assert self._block is not None
        self._file.write(self._block[: self._filled].tobytes())
        self._rows, self._filled = self._rows + self._filled, 0

    def _write_header(self) -> None:
        assert self._block is not None
        self._file.seek(0)
        write_header(self._file, (self._rows, *self._block.shape[1:]))
        self._file.seek(0, io.SEEK_END)


class FeatureRecord(_NumberRecord):
    """The numbers of each bar that the learner took: (bars, features)."""

    def _row(self, record: BarRecord) -> NDArray[np.floating] | None:
        return record.features


class VoteRecord(_NumberRecord):
    """The outputs of each of several networks, a row a predicted bar: (bars, networks, 3)."""

    def _row(self, record: BarRecord) -> Any:
        return record.signal and (record.signal.votes or None)


class StatisticsRecord(_NumberRecord):
    """Running mean and deviation of each feature, now and then: (rows, 1 + 2 x features), the bar first."""

    def _row(self, record: BarRecord) -> NDArray[np.floating] | None:
        return None if record.statistics is None else np.concatenate([[record.bar], *record.statistics])


def write_header(file: Any, shape: tuple[int, ...]) -> None:
    """Write the head of a ``.npy`` file; NumPy pads it so that it keeps its length when rows are added."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def write_numbers(path: Path, numbers: NDArray[np.floating]) -> None:
    """Write a ``.npy`` file whole or not at all; records can go on with it."""
    with atomic_write(path) as partial:
        partial.write_bytes(npy_bytes(numbers))


def npy_bytes(numbers: NDArray[np.floating]) -> bytes:
    """Return what a ``.npy`` file of these numbers holds."""
    file = io.BytesIO()
    write_header(file, numbers.shape)
    file.write(numbers.astype(np.float32).tobytes())
    return file.getvalue()
