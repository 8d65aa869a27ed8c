"""Atomic file writes, exact tables, and JSON fields read with their types checked."""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from bt_neuro.errors import CheckpointError, NeuroError

if sys.platform != "win32":
    import fcntl
if TYPE_CHECKING:
    import pandas as pd

LOCK_ATTEMPTS = 5
PARTIAL = ".partial"  # the end of a temporary file's name


@contextmanager
def atomic_write(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary file beside `path`; replace `path` by it if the block succeeds.

    After a crash or power failure `path` is either the old file or the new one. The temporary file is new,
    has an unpredictable name, and is removed if the block fails. A symbolic link at `path` is replaced, not
    followed. Without `sync` a power failure may lose the file.

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
        if sync:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())  # else some file systems leave an empty file after a power failure
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def open_no_follow(path: Path, mode: str, **options: Any) -> IO[Any]:
    """Open a file as `open` does, but raise OSError instead of following a symbolic link."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, mode, opener=opener, **options)  # Path.open takes no opener


def file_sha256(path: str | Path, *, follow: bool = True) -> str:
    """Return the SHA-256 of a file; without `follow`, raise OSError instead of following a symbolic link."""
    opener: Callable[..., Any] = Path.open if follow else open_no_follow
    with opener(Path(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_csv(source: Path | IO[str], **options: Any) -> pd.DataFrame:
    r"""Read a table as `pandas.read_csv` does, each number to the last bit as it was written.

    Examples
    --------
    >>> import io
    >>> read_csv(io.StringIO("error\n0.19781442037651015\n"))["error"].item()
    0.19781442037651015
    """
    import pandas as pd  # here, for the command line starts without it

    # Before 3.1 pandas reads a third of all numbers wrong in the last digit, unless it gets an option that
    # later versions deprecate.
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
        options["float_precision"] = "round_trip"
    return pd.read_csv(source, **options)


class FolderLock:
    """Exclusive lock of a folder, held until `release` or the end of the process.

    Windows has no such lock of a folder; there it does nothing.

    Raises
    ------
    NeuroError
        If another process, or another run of this one, holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._file: int | None = None
        if sys.platform == "win32":
            return
        self._file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        for attempt in range(LOCK_ATTEMPTS):  # `is_locked` holds it for an instant
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if attempt + 1 == LOCK_ATTEMPTS:
                    self.release()
                    raise NeuroError(f"another process writes to {folder}. End it first.") from error
                time.sleep(0.02)

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self.release()


def is_locked(folder: Path) -> bool:
    """Return whether a process writes to a folder."""
    try:
        FolderLock(folder).release()
    except NeuroError:
        return True
    return False


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


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return nested values by dotted name.

    Examples
    --------
    >>> flat({"options": {"seeds": 3, "test": "6M"}, "kind": "tune"})
    {'options.seeds': 3, 'options.test': '6M', 'kind': 'tune'}
    """
    if not isinstance(value, dict):
        return {name: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{name}.{key}" if name else key)
    return found


LARGEST = 2**53  # JSON readers agree on integers up to here

Kind = TypeVar("Kind")


class Fields:
    """Named JSON values with checked types.

    Parameters
    ----------
    values : content of a JSON object
    where : name of the object in error messages

    Raises
    ------
    CheckpointError
        From the constructor and every method, if a value is missing or of another type.

    Examples
    --------
    >>> learner = Fields({"last_bar": -3}, "learner")
    >>> learner.integer("last_bar")
    Traceback (most recent call last):
    bt_neuro.errors.CheckpointError: learner: last_bar must be an integer of at least 0, got -3
    """

    def __init__(self, values: Any, where: str) -> None:
        self.where = where
        if not isinstance(values, dict):
            raise CheckpointError(f"{where} must be a JSON object, got {_shown(values)}")
        self.values: dict[str, Any] = values

    def integer(self, name: str, least: int = 0, most: int = LARGEST) -> int:
        value = self.any(name)
        return self._checked(name, value, _is_integer(value, least, most), _integer(least, most))

    def integer_or_none(self, name: str) -> int | None:
        return None if self.any(name) is None else self.integer(name)

    def number(self, name: str) -> float:
        value = self.any(name)
        return float(self._checked(name, value, _is_number(value), "a finite number"))

    def any(self, name: str) -> Any:
        """Return a value of any type."""
        if name not in self.values:
            raise CheckpointError(f"{self.where}: {name} is missing")
        return self.values[name]

    def text(self, name: str) -> str:
        return self._of(name, str, "a text")

    def flag(self, name: str) -> bool:
        return self._of(name, bool, "true or false")

    def group(self, name: str) -> Fields:
        return Fields(self.any(name), f"{self.where}.{name}")

    def items(self, name: str) -> list[Any]:
        return self._of(name, list, "a list")

    def integers(self, name: str, least: int = 0, most: int = LARGEST) -> list[int]:
        items = self.items(name)
        valid = all(_is_integer(item, least, most) for item in items)
        return self._checked(name, items, valid, f"a list, each item {_integer(least, most)}")

    def numbers(self, name: str) -> list[float]:
        items = self.items(name)
        self._checked(name, items, all(map(_is_number, items)), "a list of finite numbers")
        return [float(item) for item in items]

    def texts(self, name: str) -> list[str]:
        items = self.items(name)
        return self._checked(name, items, all(isinstance(item, str) for item in items), "a list of texts")

    def invalid(self, name: str, rule: str) -> CheckpointError:
        """Return the error for a value that breaks a rule."""
        return CheckpointError(f"{self.where}: {name} must be {rule}, got {_shown(self.any(name))}")

    def _of(self, name: str, kind: type[Kind], rule: str) -> Kind:
        value = self.any(name)
        return self._checked(name, value, isinstance(value, kind), rule)

    def _checked(self, name: str, value: Kind, valid: bool, rule: str) -> Kind:
        if not valid:
            raise self.invalid(name, rule)
        return value


def _integer(least: int, most: int) -> str:
    return f"an integer of at least {least}" if most == LARGEST else f"an integer from {least} to {most}"


def _is_integer(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any) -> bool:
    real = isinstance(value, float) or _is_integer(value, -LARGEST, LARGEST)
    return real and math.isfinite(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
