"""Bars of a stream on disk: each is written before its signal is given, so that a kill loses none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import backtrader as bt
import pandas as pd

from bt_neuro.bars.line_reader import Bar, LineReader
from bt_neuro.errors import BarsError, NeuroError
from bt_neuro.io import atomic_write
from bt_neuro.runs.tables import TextTable

if sys.platform != "win32":
    import fcntl

BARS = "bars.csv"
COLUMNS = ("datetime", "open", "high", "low", "close", "volume", "spread")


class BarsLog(TextTable):
    """A CSV file of bars that grows at its end; prices are read back to the bit.

    Parameters
    ----------
    path : file, written by `create`

    Attributes
    ----------
    rows : number of bars

    Raises
    ------
    NeuroError
        If another process writes to the file, or it is empty.
    """

    def __init__(self, path: Path) -> None:
        if not path.stat().st_size:
            raise BarsError(f"{path} must have a header, but is empty. Give another folder.")
        super().__init__(path, COLUMNS)
        try:
            self._lock()
            self.rows = self._drop_partial_line() - 1  # the header is no bar
        except BaseException:
            self.close()
            raise

    @staticmethod
    def create(path: Path, frame: pd.DataFrame | None) -> None:
        """Write a file with the bars of a frame, or with none."""
        frame = pd.DataFrame(columns=COLUMNS) if frame is None else frame
        with atomic_write(path) as partial:
            frame.reindex(columns=COLUMNS, fill_value=0.0).to_csv(partial, index=False, lineterminator="\n")

    def read(self) -> Iterator[Bar]:
        """Yield the bars that the file has now."""
        reader = LineReader(checks=False)
        with self.path.open(encoding="utf-8", newline="") as lines:
            for _, line in zip(range(self.rows + 1), lines, strict=False):
                if (bar := reader.read(line)) is not None:
                    yield bar

    def add(self, bar: Bar) -> None:
        """Append a bar; on return the operating system has it."""
        self.append(bar.time, *map(repr, bar[1:]))
        self.flush()

    def sync(self) -> None:
        """Write everything to the disk, as a checkpoint is."""
        os.fsync(self._file.fileno())

    def _lock(self) -> None:
        if sys.platform != "win32":
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise NeuroError(f"another process writes to {self.path.parent}. End it first.") from error

    def _drop_partial_line(self) -> int:
        """Remove a line that a crash cut off; return the number of lines."""
        complete = lines = 0
        with self.path.open("r+b") as file:
            for line in file:
                if not line.endswith(b"\n"):  # its signal was never given
                    break
                lines += 1
                complete += len(line)
            file.truncate(complete)
        return lines


class BarsSync(bt.Analyzer):
    """Write the bars to the disk before each checkpoint made from them.

    Params:
      - ``log`` (required): the `BarsLog`
    """

    params = (("log", None),)

    def state(self) -> dict[str, Any]:
        """Return the number of bars."""
        self.p.log.sync()
        return {"bars": self.p.log.rows}
