"""Python's audit events, passed to a listener within a ``with`` block."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

Listener = Callable[[str, tuple[Any, ...]], None]

_listeners: list[Listener] = []


@contextmanager
def audited(listener: Listener) -> Iterator[None]:
    """Call `listener` with the name and arguments of each event of any thread; its errors prevent the event.

    Examples
    --------
    >>> seen = []
    >>> with audited(lambda event, arguments: seen.append(arguments) if event == "bar.closed" else None):
    ...     sys.audit("bar.closed", 7)
    >>> sys.audit("bar.closed", 8)
    >>> seen
    [(7,)]
    """
    _install_hook()
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@lru_cache(maxsize=1)  # a hook cannot be removed
def _install_hook() -> None:
    sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    for listener in tuple(_listeners):  # another thread may end its block meanwhile
        listener(event, arguments)
