"""Graceful shutdown: the first Ctrl-C, SIGTERM or SIGHUP ends a run after the current bar, the second at once."""

from __future__ import annotations

import signal as signals
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# SIGHUP: the terminal was closed. Windows has none.
HANDLED = tuple(getattr(signals, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signals, name))


@contextmanager
def graceful_shutdown(stop: Callable[[], None]) -> Iterator[Callable[[], str | None]]:
    """Call `stop` at the first signal; yield a function that returns the signal's name, or None.

    Examples
    --------
    >>> with graceful_shutdown(lambda: print("stopping")) as stopped_by:
    ...     signals.raise_signal(signals.SIGTERM)
    ...     stopped_by()
    stopping
    'SIGTERM'
    """
    received: list[str] = []

    def on_signal(number: int, _: Any) -> None:
        received.append(signals.Signals(number).name)
        stop()
        restore_handlers()

    def restore_handlers() -> None:
        for number, handler in before.items():
            signals.signal(number, handler)

    before: dict[signals.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():  # other threads cannot set handlers
        # Under nohup SIGHUP is ignored, and stays so.
        handled = [number for number in HANDLED if signals.getsignal(number) is not signals.SIG_IGN]
        before = {number: signals.signal(number, on_signal) for number in handled}
    try:
        yield lambda: received[0] if received else None
    finally:
        restore_handlers()
