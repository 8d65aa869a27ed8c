"""Atomic file writes, and JSON fields read with their types checked."""

from __future__ import annotations

import math
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from bt_neuro.errors import CheckpointError

PARTIAL = ".partial"  # the end of a temporary file's name


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`; replace `path` by it if the block succeeds.

    After a crash or power failure `path` is either the old file or the new one. The temporary file is new,
    has an unpredictable name, and is removed if the block fails. A symbolic link at `path` is replaced, not
    followed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "figures.txt")
    >>> with atomic_write(path) as partial:
    ...     _ = partial.write_text("1 2 3")
    >>> path.read_text(), [file.name for file in path.parent.iterdir()]
    ('1 2 3', ['figures.txt'])
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PARTIAL}")
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # else some file systems leave an empty file after a power failure
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def open_no_follow(path: Path, mode: str, **options: Any) -> IO[Any]:
    """Open a file as `open` does; a symbolic link in its place is an OSError, not followed."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, mode, opener=opener, **options)  # Path.open takes no opener


def remove_partials(folder: Path) -> None:
    """Remove the temporary files that killed processes have left in a folder."""
    for path in folder.glob(f".*{PARTIAL}"):
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path)


def remove(folder: Path) -> None:
    """Remove a folder and its content; of a symbolic link, only the content it points to."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    with suppress(OSError):
        folder.rmdir()


LARGEST = 2**53  # whole numbers up to here are exact wherever JSON is read

Kind = TypeVar("Kind")


class Fields:
    """Plain values by name, as JSON gives them.

    Parameters
    ----------
    values : what was read
    where : how messages call it

    Raises
    ------
    CheckpointError
        From the constructor and every method, when a value is missing or not what it should be.

    Examples
    --------
    >>> learner = Fields({"last_bar": -3}, "learner")
    >>> learner.integer("last_bar")
    Traceback (most recent call last):
    bt_neuro.errors.CheckpointError: learner: last_bar is -3, where a whole number from 0 on should be
    """

    def __init__(self, values: Any, where: str) -> None:
        self.where = where
        if not isinstance(values, dict):
            raise CheckpointError(f"{where} is {_shown(values)}, where named values should be")
        self.values: dict[str, Any] = values

    def integer(self, name: str, least: int = 0, most: int = LARGEST) -> int:
        return self._checked(name, self._get(name), _is_whole(self._get(name), least, most), _whole(least))

    def integer_or_none(self, name: str) -> int | None:
        return None if self._get(name) is None else self.integer(name)

    def number(self, name: str) -> float:
        value = self._get(name)
        return float(self._checked(name, value, _is_number(value), "a number"))

    def any(self, name: str) -> Any:
        """Return a value of any type."""
        return self._get(name)

    def text(self, name: str) -> str:
        return self._of(name, str, "text")

    def flag(self, name: str) -> bool:
        return self._of(name, bool, "true or false")

    def group(self, name: str) -> Fields:
        return Fields(self._get(name), f"{self.where}.{name}")

    def items(self, name: str) -> list[Any]:
        return self._of(name, list, "a list")

    def integers(self, name: str, least: int = 0, most: int = LARGEST) -> list[int]:
        items = self.items(name)
        good = all(_is_whole(item, least, most) for item in items)
        return self._checked(name, items, good, f"whole numbers from {least} on")

    def numbers(self, name: str) -> list[float]:
        items = self.items(name)
        return [
            float(n) for n in self._checked(name, items, all(map(_is_number, items)), "a list of numbers")
        ]

    def texts(self, name: str) -> list[str]:
        items = self.items(name)
        return self._checked(name, items, all(isinstance(item, str) for item in items), "a list of texts")

    def refuse(self, name: str, should: str) -> CheckpointError:
        """Return the error that says what should be in the place of a value."""
        return CheckpointError(f"{self.where}: {name} is {_shown(self._get(name))}, where {should} should be")

    def _get(self, name: str) -> Any:
        if name not in self.values:
            raise CheckpointError(f"{self.where}: {name} is missing")
        return self.values[name]

    def _of(self, name: str, kind: type[Kind], should: str) -> Kind:
        value = self._get(name)
        return self._checked(name, value, isinstance(value, kind), should)

    def _checked(self, name: str, value: Kind, good: bool, should: str) -> Kind:
        if not good:
            raise self.refuse(name, should)
        return value


def _whole(least: int) -> str:
    return f"a whole number from {least} on"


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any) -> bool:
    real = isinstance(value, float) or _is_whole(value, -LARGEST, LARGEST)
    return real and math.isfinite(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
