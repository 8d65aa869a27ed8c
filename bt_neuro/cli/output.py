"""Lines in and out of pipes. A process that does not read its input does not block signals."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

LONGEST_LINE = 1 << 16
PIECE = getattr(select, "PIPE_BUF", 512)  # bytes that a ready pipe accepts without blocking
POLL_S = 0.1
LAST_S = 1.0  # after `stop`, for what is left of a line


class Output:
    """Lines to a file descriptor.

    Parameters
    ----------
    file : the descriptor
    is_lossy : drop a line that is not taken at once, instead of waiting for the reader

    Raises
    ------
    BrokenPipeError, BlockingIOError
        By `json` and `text`: the reader is gone, or does not read after `stop`.
    """

    def __init__(self, file: int, *, is_lossy: bool = False) -> None:
        self._file, self._is_lossy, self._stopped_at = file, is_lossy, float("inf")
        # Windows can poll sockets only; there a write blocks.
        self._can_poll = sys.platform != "win32"

    def stop(self) -> None:
        """Wait for the reader no longer; safe in a signal handler."""
        self._stopped_at = time.monotonic()

    def json(self, values: dict[str, Any]) -> None:
        """Write values as one line of JSON."""
        self.text(json.dumps(values))

    def text(self, text: str) -> None:
        """Write a line."""
        rest = memoryview(text.encode("utf-8", "backslashreplace") + b"\n")
        try:
            while rest:
                if not self._is_ready(has_begun=len(rest) <= len(text)):
                    return
                rest = rest[os.write(self._file, rest[:PIECE]) :]
        except BrokenPipeError:
            if self._is_lossy:
                return
            # Python flushes once more at its end, and would report the same pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._file)
            raise

    def _is_ready(self, *, has_begun: bool) -> bool:
        """Return whether a piece can be written; wait for it unless lossy."""
        while self._can_poll:
            _, ready, _ = select.select([], [self._file], [], 0.0 if self._is_lossy else POLL_S)
            if ready:
                return True
            if self._is_lossy:
                return False
            if time.monotonic() - self._stopped_at > (LAST_S if has_begun else POLL_S):
                raise BlockingIOError("the reader has stopped")
        return True


def read_lines(file: int, warn: Callable[[str], None]) -> Iterator[str]:
    """Yield the lines of a pipe as they come.

    Not by iterating over ``sys.stdin``: a thread blocked in there holds a lock, and Python treats that lock
    as a fatal error at its end.
    """
    rest = b""
    while chunk := os.read(file, LONGEST_LINE):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        if len(rest) > LONGEST_LINE:
            yield "a line without end"
            rest = b""
    if rest.strip():
        warn(f"the last line has no end and may be cut off; skipped: {rest[:60].decode('utf-8', 'replace')}")
