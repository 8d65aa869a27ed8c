"""Refusal of effects outside the process, for a strategy that runs a second time."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR
VERBS = {
    "sqlite3.connect": "open the database",
    "socket.connect": "connect to",
    "subprocess.Popen": "start",
    "os.system": "start",
}

_refused: tuple[int, str] | None = None  # thread, and the folder to which it may write


class EffectRefusedError(Exception):
    """Raised before code writes a file, connects or starts a process; the message names the effect."""


@contextmanager
def no_effects(folder: str) -> Iterator[None]:
    """Raise `EffectRefusedError` where this thread opens a file to write, a connection, a database or a process.

    It is raised before the effect, so that a file keeps its content. Files that are open already are not covered.

    Parameters
    ----------
    folder : start of the paths that may be written

    Examples
    --------
    >>> with no_effects("/tmp/allowed"):
    ...     open("signals.csv", "w")
    Traceback (most recent call last):
    bt_neuro.runs.no_effects.EffectRefusedError: write signals.csv
    """
    global _refused
    _install_hook()
    before, _refused = _refused, (threading.get_ident(), folder)
    try:
        yield
    finally:
        _refused = before


@lru_cache(maxsize=1)  # a hook cannot be removed
def _install_hook() -> None:
    sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if _refused is None or _refused[0] != threading.get_ident():
        return
    if event in VERBS:
        what = arguments[-1] if event == "socket.connect" else arguments[0]
        raise EffectRefusedError(f"{VERBS[event]} {what}")
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or not isinstance(flags, int) or not flags & WRITING:
            return
        name = os.fsdecode(path)
        is_ours = name.startswith(_refused[1]) or name == os.devnull
        if not is_ours and "__pycache__" not in Path(name).parts:
            raise EffectRefusedError(f"write {name}")
