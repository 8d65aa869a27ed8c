"""Files that are written whole or not at all, and folders that go again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to; where the block ends well, that file takes the place of `path` in one step.

    Its bytes reach the disk before its name does. After a power cut the file is then the old one or the new
    one; without that some file systems leave an empty one under the new name.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "figures.txt")
    >>> with replacing(path) as partial:
    ...     _ = partial.write_text("1 2 3")
    >>> path.read_text(), [file.name for file in path.parent.iterdir()]
    ('1 2 3', ['figures.txt'])
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove a folder and all in it; of a link, or of where one stands, only what is in it."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    with suppress(OSError):
        folder.rmdir()
