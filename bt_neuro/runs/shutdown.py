"""Ctrl-C and SIGTERM: the first one ends a run after the bar it is in, a second one acts as ever."""

from __future__ import annotations

import signal as signals
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STOPPING = (signals.SIGINT, signals.SIGTERM)


@contextmanager
def graceful_shutdown(stop: Callable[[], None]) -> Iterator[Callable[[], str | None]]:
    """Have `stop` called at the first signal; give a function that tells which one it was, if any."""
    came: list[str] = []

    def on_signal(number: int, _: Any) -> None:
        came.append(signals.Signals(number).name)
        stop()
        put_back()

    def put_back() -> None:
        for number, handler in before.items():
            signals.signal(number, handler)

    before: dict[signals.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        before = {number: signals.signal(number, on_signal) for number in STOPPING}
    try:
        yield lambda: came[0] if came else None
    finally:
        put_back()
