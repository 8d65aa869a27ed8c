"""Opened files, recorded by an audit hook."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs

EVENTS = ("open", "sqlite3.connect")
CODE = (".py", ".pyc", ".pyi", ".cl", ".so", ".pyd")

_opened: set[str] | None = None  # None: not recording


@contextmanager
def opened_files() -> Iterator[set[str]]:
    """Record the paths that Python code opens for reading; files opened from C are missed."""
    global _opened
    _install_hook()
    before, _opened = _opened, set()
    try:
        yield _opened
    finally:
        _opened = before


@lru_cache(maxsize=1)  # a hook cannot be removed
def _install_hook() -> None:
    sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is None or event not in EVENTS:
        return
    path, mode = (*arguments, "r")[:2] if event == "sqlite3.connect" else arguments[:2]
    if isinstance(path, bytes):
        path = path.decode(errors="replace")
    if isinstance(path, str) and isinstance(mode, str) and not set(mode) & set("wax") and path != ":memory:":
        _opened.add(path)


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
