"""Files that code opens for reading, recorded from Python's audit events."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from bt_neuro.runs.audit import audited

EVENTS = ("open", "sqlite3.connect")
CODE = (".py", ".pyc", ".pyi", ".cl", ".so", ".pyd")


@contextmanager
def opened_files() -> Iterator[set[str]]:
    """Record the paths that Python code opens for reading; files opened from C are missed."""
    opened: set[str] = set()

    def record(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS:
            return
        path, mode = (*arguments, "r")[:2] if event == "sqlite3.connect" else arguments[:2]
        if isinstance(path, bytes):
            path = path.decode(errors="replace")
        is_read = isinstance(mode, str) and not set(mode) & set("wax")
        if is_read and isinstance(path, str) and path != ":memory:":
            opened.add(path)

    with audited(record):
        yield opened


def data_files(paths: set[str]) -> tuple[str, ...]:
    """Return the paths that are not code and not in a library, cache or system folder, sorted."""
    library = (sys.prefix, sys.base_prefix, *(path for path in sys.path if "site-packages" in path))
    system = ("/proc", "/sys", "/dev", "/etc", "/usr")
    roots = [Path(folder).resolve() for folder in (*library, *system, platformdirs.user_cache_dir())]
    return tuple(
        sorted(
            path
            for path in paths
            if not path.endswith(CODE) and not any(map(Path(path).resolve().is_relative_to, roots))
        )
    )
