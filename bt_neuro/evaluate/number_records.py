"""Analyzers that write numbers as they are: a ``.npy`` file that grows bar by bar, in flat memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
from numpy.typing import NDArray

from bt_neuro.files import replacing

STATISTICS_BARS = 100  # from one look at the running statistics to the next: the article's window
_BLOCK_ROWS = 1024


class _NumberRecord(bt.Analyzer):
    """Float32 rows of a ``.npy`` file, which is there once there is a row.

    Params:
      - ``open`` (required): called for the first row; returns the file, to be written and to be read
      - ``rows`` (default: ``0``): that it holds already
    """

    params = (("open", None), ("rows", 0))

    def start(self) -> None:
        self._block: NDArray[np.float32] | None = None
        self._rows, self._filled = self.p.rows, 0
        self._last_bar: int | None = None

    def prenext(self) -> None:
        pass

    def next(self) -> None:
        strategy, bar = self.strategy, self.strategy.learner.last_bar
        if bar == self._last_bar or strategy.replaying:  # another feed's bar, or an old one
            return
        self._last_bar = bar
        row = self._row()
        if row is None:
            return
        if self._block is None:
            self._file = self.p.open()
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

    def _row(self) -> Any:
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

    def _row(self) -> NDArray[np.floating]:
        return self.strategy.learner.features


class VoteRecord(_NumberRecord):
    """The outputs of each of several networks, a row a predicted bar: (bars, networks, 3)."""

    def _row(self) -> Any:
        signal = self.strategy.signal
        return (signal.votes or None) if signal is not None and signal.bar == self._last_bar else None


class StatisticsRecord(_NumberRecord):
    """Running mean and deviation of each feature, now and then: (rows, 1 + 2 x features), the bar first."""

    def _row(self) -> Any:
        learner = self.strategy.learner
        if learner.window is None or learner.last_bar % STATISTICS_BARS:
            return None
        held = learner.running_statistics()
        return None if held is None else np.concatenate([[learner.last_bar], *held])


def write_header(file: Any, shape: tuple[int, ...]) -> None:
    """Write the head of a ``.npy`` file; NumPy pads it so that it keeps its length when rows are added."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def write_numbers(path: Path, numbers: NDArray[np.floating]) -> None:
    """Write a ``.npy`` file whole or not at all; records can go on with it."""
    with replacing(path) as partial:
        partial.write_bytes(npy_bytes(numbers))


def npy_bytes(numbers: NDArray[np.floating]) -> bytes:
    """Return what a ``.npy`` file of these numbers holds."""
    file = io.BytesIO()
    write_header(file, numbers.shape)
    file.write(numbers.astype(np.float32).tobytes())
    return file.getvalue()
