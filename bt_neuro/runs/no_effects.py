"""Refusal of effects outside the process, for a strategy that runs a second time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bt_neuro.runs.audit import audited

WRITING = os.O_WRONLY | os.O_RDWR
VERBS = {
    "sqlite3.connect": "open the database",
    "socket.connect": "connect to",
    "subprocess.Popen": "start",
    "os.system": "start",
}


class EffectRefusedError(Exception):
    """Code was about to write a file, open a connection or start a process, which the message names."""


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
    thread = threading.get_ident()

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if threading.get_ident() == thread:
            _refuse(event, arguments, folder)

    with audited(refuse):
        yield


def _refuse(event: str, arguments: tuple[Any, ...], folder: str) -> None:
    if event in VERBS:
        what = arguments[-1] if event == "socket.connect" else arguments[0]
        raise EffectRefusedError(f"{VERBS[event]} {what}")
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, int) or not isinstance(flags, int) or not flags & WRITING:
            return
        name = os.fsdecode(path)
        is_ours = name.startswith(folder) or name == os.devnull
        if not is_ours and "__pycache__" not in Path(name).parts:
            raise EffectRefusedError(f"write {name}")
