"""Answers of a stream: one a line, kept in the folder so that none is lost or given in two versions."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bt_neuro.errors import CheckpointError, NeuroError
from bt_neuro.io import open_no_follow

ANSWERS, EARLIER, SENT = "answers.jsonl", "answers-earlier.jsonl", "answers-told.txt"
MOST_ROWS = 10_000  # of a file; the answers before them lie in the second one, older ones nowhere
WIDTH = 20
# Key of an answer's number: of the bar where there is one instrument, else of the row in ``bars.csv``.
BAR, ROW = "bar", "row"


class AnswerLog:
    """The last answers of a stream, some 10,000 to 20,000, and the number of the last bar whose answer was sent.

    Parameters
    ----------
    folder : of the stream
    last_bar : number of the last bar stored; a later answer was never sent, and is removed
    key : of an answer's number, with which it begins

    Attributes
    ----------
    last_bar : number of the last bar that has an answer, -1 for none
    sent_bar : number of the last bar whose answer was sent, -1 for none
    lost_bars : bars whose answers were sent, and which are no longer stored, as after a power failure
    """

    def __init__(self, folder: Path, last_bar: int, key: str = BAR) -> None:
        self.key = key
        self._path, self._earlier = folder / ANSWERS, folder / EARLIER
        self._lock = threading.Lock()  # checkpoints are written, and this file flushed, in another thread
        self._open(last_bar)
        self._sent = open_no_follow(folder / SENT, "r+b" if (folder / SENT).exists() else "w+b", buffering=0)
        sent = _number(self._sent.read(WIDTH))
        self.sent_bar, self.lost_bars = min(sent, last_bar), max(0, sent - last_bar)

    def _open(self, last_bar: int) -> None:
        self._file = open_no_follow(self._path, "a+b")
        self._file.seek(0)
        self._rows, complete, last, orphan = 0, 0, b"", f'{{"{self.key}": {last_bar + 1},'.encode()
        for line in self._file:
            if not line.endswith(b"\n") or line.startswith(orphan):  # cut off by a kill, and never sent
                break
            self._rows, complete, last = self._rows + 1, complete + len(line), line
        self._file.truncate(complete)
        if not last and self._earlier.exists():
            for line in open_no_follow(self._earlier, "rb"):
                last = line
        self.last_bar = int(self._row(self._path, last)[self.key]) if last else -1

    def add(self, values: dict[str, Any]) -> None:
        """Append an answer; on return the operating system has it."""
        if self._rows >= MOST_ROWS:
            with self._lock:
                self._file.close()
                self._path.replace(self._earlier)
                self._file, self._rows = open_no_follow(self._path, "a+b"), 0
        self._file.write(json.dumps(values).encode() + b"\n")
        self._file.flush()
        self._rows, self.last_bar = self._rows + 1, values[self.key]

    def since(self, bar: int) -> Iterator[dict[str, Any]]:
        """Yield the answers from a bar on.

        Raises
        ------
        NeuroError
            If they are no longer kept.
        """
        for number, values in enumerate(self.kept()):
            first = values[self.key]
            if not number and bar < first and self._has_rotated:
                raise NeuroError(
                    f"answers are kept from {self.key} {first} on, got {bar}. Give a later --tell-from."
                )
            if first >= bar:
                yield values

    def kept(self) -> Iterator[dict[str, Any]]:
        """Yield all answers that are kept."""
        for path in (self._earlier, self._path):
            if path.exists():
                with open_no_follow(path, "rb") as file:
                    for line in file:
                        yield self._row(path, line)

    @property
    def _has_rotated(self) -> bool:
        return self._earlier.exists()

    def _row(self, path: Path, line: bytes) -> dict[str, Any]:
        try:
            values = json.loads(line)
            if isinstance(values[self.key], int):
                return values
        except (ValueError, LookupError, TypeError):
            pass
        raise NeuroError(
            f"{path} is damaged: {line[:60]!r} is no answer. Move it away to continue without it."
        )

    def record_sent(self, bar: int) -> None:
        """Record that the answer of a bar was sent."""
        self._sent.seek(0)
        self._sent.write(f"{bar:<{WIDTH}}".encode())
        self.sent_bar = bar

    def sync(self) -> None:
        """Write everything to the disk."""
        with self._lock:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        self._sent.close()


class AnswersAgain:
    """Comparison of the answers of bars that run again with those that were kept.

    Bars, strategy, device or version may have changed since. Orders that were sent would then be others than those
    that the account now has.

    Parameters
    ----------
    log : the answers
    folder : of the stream, for messages
    """

    def __init__(self, log: AnswerLog, folder: Path) -> None:
        self._key, self._folder, self._kept = log.key, folder, log.kept()
        self._next = next(self._kept, None)

    def compare(self, answer: dict[str, Any]) -> None:
        """Compare an answer, if it was kept.

        Raises
        ------
        CheckpointError
            If they differ.
        """
        number = answer[self._key]
        while self._next is not None and self._next[self._key] < number:
            self._next = next(self._kept, None)
        if self._next is None or self._next[self._key] != number:
            return
        now = json.loads(json.dumps(answer))
        for name, value in self._next.items():
            if name != "id" and now.get(name) != value:
                raise CheckpointError(
                    f"cannot resume {self._folder}: {name} of {self._key} {number} was {value}, got {now.get(name)}. "
                    "Give strategy, device and version of bt-neuro of then, or begin a new folder with --history."
                )
        self._next = next(self._kept, None)


def _number(text: bytes) -> int:
    return int(text) if text.strip().isdigit() else -1
