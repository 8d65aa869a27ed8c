"""The bars of a stream on disk: every one is there before its signal is told, so that a kill loses none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import backtrader as bt
import pandas as pd

from bt_neuro.bars.line_reader import Bar, LineReader
from bt_neuro.errors import BarsError, NeuroError
from bt_neuro.io import atomic_write

if sys.platform != "win32":
    import fcntl

COLUMNS = ("datetime", "open", "high", "low", "close", "volume", "spread")


class BarsTable:
    """A CSV file of bars that grows at its end; prices are read back to the bit.

    Parameters
    ----------
    path : file; made with `begin` if there is none

    Attributes
    ----------
    bars : how many it holds

    Raises
    ------
    NeuroError
        When another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.bars = path, -1  # the header is no bar
        self._file: IO[bytes] = path.open("r+b")
        try:
            self._lock()
            whole = 0
            for line in self._file:
                if not line.endswith(b"\n"):  # cut off by a crash; its signal was never told
                    break
                self.bars += 1
                whole += len(line)
            self._file.truncate(whole)
            self._file.seek(whole)
        except BaseException:
            self._file.close()
            raise
        if self.bars < 0:
            self.close()
            raise BarsError(f"{path} is empty: this is no stream to go on with")

    def _lock(self) -> None:
        if sys.platform != "win32":
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                folder = self.path.parent
                raise NeuroError(f"another process goes on with {folder}; end it first") from error

    @staticmethod
    def begin(path: Path, frame: pd.DataFrame | None) -> None:
        """Write a table with the bars of a frame, or with none."""
        frame = pd.DataFrame(columns=COLUMNS) if frame is None else frame
        with atomic_write(path) as partial:
            frame.reindex(columns=COLUMNS, fill_value=0.0).to_csv(partial, index=False, lineterminator="\n")

    def read(self) -> Iterator[Bar]:
        """Yield the bars that are there now."""
        reader = LineReader(checks=False)
        with self.path.open(encoding="utf-8", newline="") as lines:
            for _, line in zip(range(self.bars + 1), lines, strict=False):
                if (bar := reader.read(line)) is not None:
                    yield bar

    def append(self, bar: Bar) -> None:
        """Add a bar; when this returns the system has it, whatever becomes of this process."""
        numbers = ",".join(map(repr, bar[1:]))
        self._file.write(f"{bar.time},{numbers}\n".encode())
        self._file.flush()
        self.bars += 1

    def secure(self) -> None:
        """Bring everything to the disk itself, as a checkpoint is brought there."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class SecuredBars(bt.Analyzer):
    """Have the bars on the disk before the checkpoint that was made from them."""

    params = (("table", None),)

    def state(self) -> dict[str, Any]:
        """Return the number of bars."""
        self.p.table.secure()
        return {"bars": self.p.table.bars}
