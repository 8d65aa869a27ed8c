"""Tables of a run that grow row by row in constant memory, and can be resumed."""

from __future__ import annotations

import io
import math
import os
from itertools import islice
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import CheckpointError
from bt_neuro.io import atomic_write, open_no_follow

_BLOCK_ROWS, _BLOCK_LINES = 1024, 128
ARRAY_DAMAGE = (OSError, ValueError, EOFError, TokenError)  # errors of NumPy on a damaged file


class TextTable:
    """A CSV file that grows at its end.

    Parameters
    ----------
    path : file; new, or with the rows of the run before
    header : names of the columns
    rows : number of rows that the file holds

    Attributes
    ----------
    rows : number of rows so far
    """

    def __init__(self, path: Path, header: tuple[str, ...], rows: int = 0) -> None:
        self.path, self.rows = path, rows
        self._file: IO[str] = open_no_follow(path, "a", newline="", encoding="utf-8")
        self._lines: list[str] = []  # rows to write together, which is quicker than one by one
        if not self._file.tell():
            self._file.write(",".join(header) + "\n")

    def append(self, *cells: object) -> None:
        # No cell holds a comma, and the csv module takes twice the time.
        self.write(",".join(map(str, cells)))

    def write(self, row: str) -> None:
        self._lines.append(row)
        self.rows += 1
        if len(self._lines) == _BLOCK_LINES:
            self._write_lines()

    def flush(self) -> None:
        self._write_lines()
        self._file.flush()

    def _write_lines(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._file.write("\n".join(lines) + "\n")

    @property
    def size(self) -> int:
        """Number of bytes of the file, after `flush`."""
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        try:
            self._write_lines()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class ArrayTable:
    """A ``.npy`` file of float32 rows that grows at its end; the first row creates it.

    Parameters, attributes
        As of `TextTable`.
    """

    def __init__(self, path: Path, rows: int = 0) -> None:
        self.path, self.rows = path, rows
        self._file: IO[bytes] | None = None
        self._shape: tuple[int, ...] = ()  # of a row
        self._block: list[Any] = []  # rows that are not in the file yet

    def append(self, row: Any) -> None:
        if self._file is None:
            self._shape = np.shape(row)
            self._file = open_no_follow(self.path, "r+b" if self.path.exists() else "w+b")
            self._write_header(self._file)
        self._block.append(row)
        self.rows += 1
        if len(self._block) == _BLOCK_ROWS:
            self._write_block(self._file)

    def flush(self) -> None:
        if self._file is not None:
            self._write_block(self._file)
            self._write_header(self._file)
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            try:
                self.flush()
            finally:
                self._file.close()

    def _write_block(self, file: IO[bytes]) -> None:
        file.write(np.array(self._block, np.float32).tobytes())
        self._block.clear()

    def _write_header(self, file: IO[bytes]) -> None:
        file.seek(0)
        write_header(file, (self.rows, *self._shape))
        file.seek(0, io.SEEK_END)


def write_header(file: Any, shape: tuple[int, ...]) -> None:
    """Write the header of a ``.npy`` file, padded by NumPy, so that its length stays when rows are added."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def is_numeric(table: pd.DataFrame) -> bool:
    """Return whether all columns are numbers, and none is missing."""
    return all(kind.kind in "iuf" for kind in table.dtypes) and not table.isna().to_numpy().any()


def write_numbers(path: Path, table: pd.DataFrame, float_format: str) -> None:
    """Write an `is_numeric` table as a CSV file, as `DataFrame.to_csv` does in three times the time."""
    formats = ["%d" if kind.kind in "iu" else float_format for kind in table.dtypes]
    row = (",".join(formats) + "\n").__mod__
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(table.columns) + "\n")
        for first in range(0, len(table), _BLOCK_ROWS):
            part = table.iloc[first : first + _BLOCK_ROWS]
            file.writelines(map(row, zip(*(part[name].tolist() for name in part), strict=True)))


def npy_bytes(rows: NDArray[np.floating]) -> bytes:
    """Return the content of a ``.npy`` file that an `ArrayTable` can extend."""
    file = io.BytesIO()
    write_header(file, rows.shape)
    file.write(rows.astype(np.float32).tobytes())
    return file.getvalue()


def write_array(path: Path, rows: NDArray[np.floating]) -> None:
    """Write a ``.npy`` file that an `ArrayTable` can extend; without rows, remove the file."""
    if not len(rows):  # a run that was killed early may have left one
        path.unlink(missing_ok=True)
        return
    with atomic_write(path) as partial:
        partial.write_bytes(npy_bytes(rows))


def truncate_text(path: Path, rows: int, size: int) -> None:
    """Truncate a CSV file to the `size` bytes of its first `rows` rows.

    Raises
    ------
    CheckpointError
        If the file is shorter, or no line ends there.
    """
    try:
        with open_no_follow(path, "r+b") as file:
            if size < 1 or file.seek(size - 1) != size - 1 or file.read(1) != b"\n":
                raise _too_short(path, rows)
            file.truncate(size)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def truncate_array(path: Path, rows: int) -> None:
    """Cut a ``.npy`` file of an `ArrayTable` back to its first rows; without rows, remove it.

    Raises
    ------
    CheckpointError
        If the file cannot be read or has fewer rows.
    """
    if not rows:
        path.unlink(missing_ok=True)
        return
    try:
        with open_no_follow(path, "r+b") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise _too_short(path, rows)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            start, row = file.tell(), dtype.itemsize * math.prod(shape[1:])
            end = start + rows * row
            if dtype != np.float32 or file.seek(0, io.SEEK_END) < end:
                raise _too_short(path, rows)
            file.truncate(end)
            file.seek(0)
            write_header(file, (rows, *shape[1:]))
            if file.tell() != start:
                raise _too_short(path, rows)
    except ARRAY_DAMAGE as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def copy_text(source: Path, target: Path, rows: int) -> None:
    """Copy the header and the first rows of a CSV file; `target` may be the same file.

    Raises
    ------
    CheckpointError
        If the file has fewer rows.
    """
    kept = 0
    with atomic_write(target) as new, source.open("rb") as table, new.open("wb") as copy:
        for line in islice(table, rows + 1):  # and the header
            kept += line.endswith(b"\n")
            copy.write(line)
        if kept < rows + 1:
            raise _too_short(source, rows)


def read_array(path: Path, rows: int) -> NDArray[np.float32]:
    """Return the first rows of a ``.npy`` file.

    Raises
    ------
    CheckpointError
        If the file cannot be read or has fewer rows.
    """
    if not rows:
        return np.empty(0, np.float32)
    try:
        array = np.load(path, allow_pickle=False)  # not mapped: a run in place writes to this file next
    except ARRAY_DAMAGE as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if array.dtype != np.float32 or len(array) < rows:
        raise _too_short(path, rows)
    return array[:rows]


def count_rows(path: Path) -> int:
    """Return the number of rows of a CSV file below its header, 0 if there is no file."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return max(sum(1 for _ in file) - 1, 0)


def _too_short(path: Path, rows: int) -> CheckpointError:
    return CheckpointError(
        f"{path} must have the checkpoint's {rows} rows, and has fewer. It belongs to another run."
    )
