"""Bars of a stream on disk: each is written before its answer is given, so that a kill loses none."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import backtrader as bt
import pandas as pd

from bt_neuro.bars.line_reader import Bar, LineReader, SymbolBar
from bt_neuro.errors import BarsError, CheckpointError
from bt_neuro.io import Fields, atomic_write, open_no_follow
from bt_neuro.runs.tables import TextTable

BARS = "bars.csv"
CHUNK = 1 << 20
SYMBOL = "symbol"
COLUMNS = ("datetime", "open", "high", "low", "close", "volume", "spread")


class BarsLog(TextTable):
    """A CSV file of bars that grows at its end; prices are read back to the bit.

    Parameters
    ----------
    path : file, written by `create`
    known : `state` at a checkpoint; only later lines are parsed
    symbols : of several instruments, whose bars have a column more

    Attributes
    ----------
    rows : number of bars

    Raises
    ------
    NeuroError
        If the file is empty, or does not begin with what is known.
    """

    def __init__(self, path: Path, known: Fields | None = None, symbols: Sequence[str] = ()) -> None:
        if not path.exists():
            raise BarsError(f"{path} is missing. Give another folder.")
        if not path.stat().st_size:
            raise BarsError(f"{path} must have a header, but is empty. Give another folder.")
        super().__init__(path, COLUMNS)
        self._symbols = symbols
        try:
            self._known = (-1, 0) if known is None else (known.integer("bars"), known.integer("size"))
            self._digest = sha256()
            self.rows = self._count(*self._known, known.text("sha256") if known is not None else "")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def create(path: Path, frame: pd.DataFrame | None, *, has_symbols: bool = False) -> None:
        """Write a file with the bars of a frame, or with none."""
        columns = [*COLUMNS, SYMBOL] if has_symbols else list(COLUMNS)
        frame = pd.DataFrame(columns=columns) if frame is None else frame
        with atomic_write(path) as partial:
            frame.reindex(columns=columns, fill_value=0.0).to_csv(partial, index=False, lineterminator="\n")

    def read(self, first: int = 0) -> Iterator[Bar]:
        """Yield the bars from number `first` on that the file has now.

        Raises
        ------
        BarsError
            If one is damaged.
        """
        reader, start, number = LineReader(checks=False, symbols=self._symbols), 0, 0
        try:
            with open_no_follow(self.path, "r", encoding="utf-8", newline="") as lines:
                reader.read(lines.readline())
                if 0 <= self._known[0] <= first:
                    start = self._known[0]
                    lines.seek(self._known[1])
                for number, line in zip(range(start, self.rows), lines, strict=False):
                    if number >= first and (bar := reader.read(line)) is not None:
                        yield bar
        except (BarsError, UnicodeDecodeError) as error:
            raise BarsError(f"{self.path} is damaged: bar {number}: {error}. Give another folder.") from error

    def add(self, bar: Bar) -> None:
        """Append a bar; on return the operating system has it."""
        named = (bar.symbol,) if isinstance(bar, SymbolBar) else ()
        line = ",".join((str(bar.time), *map(repr, bar[1:]), *named))
        self.append(line)
        self._digest.update(f"{line}\n".encode())
        self.flush()

    def state(self) -> dict[str, Any]:
        """Return number of bars and bytes, and the digest of these."""
        return {"bars": self.rows, "size": self.size, "sha256": self._digest.hexdigest()}

    def sync(self) -> None:
        """Write everything to the disk, as a checkpoint is."""
        os.fsync(self._file.fileno())

    def _count(self, rows: int, size: int, digest: str) -> int:
        """Return the number of bars; remove a line that a crash cut off."""
        with open_no_follow(self.path, "r+b") as file:
            for start in range(0, size, CHUNK):
                self._digest.update(file.read(min(CHUNK, size - start)))
            if size and self._digest.hexdigest() != digest:
                raise CheckpointError(
                    f"{self.path}: bars 0 to {rows - 1} are not those that the checkpoint learned on. "
                    "Give another folder."
                )
            for line in file:
                if not line.endswith(b"\n"):  # its answer was never given
                    break
                rows, size = rows + 1, size + len(line)
                self._digest.update(line)
            file.truncate(size)
        return rows


class BarsCount(bt.Analyzer):
    """State of the bars in a checkpoint.

    Params:

      - ``log`` (required): the `BarsLog`
    """

    params = (("log", None),)

    def state(self) -> dict[str, Any]:
        return self.p.log.state()
