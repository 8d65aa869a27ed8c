"""A fingerprint of bars: one running digest, equal where all bars so far are equal to the bit."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Any

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields

MOST_MARKS = 64
_ROW = struct.Struct("<6d").pack


class Fingerprint:
    """Digest bars as they come, and compare them with those of a checkpoint.

    Parameters
    ----------
    saved : the `state` to compare with, if any

    Attributes
    ----------
    bars : how many were added
    agreed : how many bars, from the first on, are known to be those of `saved`

    Notes
    -----
    Besides the digest of all bars the state keeps up to 64 digests on the way, each `spacing` bars, so that
    bars which differ can be placed. When there are too many, every second one goes: memory is flat.

    Examples
    --------
    >>> learned = Fingerprint()
    >>> for bar in range(3):
    ...     learned.add(bar, 1.1, 1.3, 1.0, 1.2, 500)
    >>> now = Fingerprint(saved=learned.state())
    >>> now.add(0, 1.1, 1.3, 1.0, 1.2, 500), now.add(1, 1.1, 1.3, 1.0, 1.2, 501), now.agreed
    (None, None, 0)
    >>> now.add(2, 1.1, 1.3, 1.0, 1.2, 500)
    Traceback (most recent call last):
    bt_neuro.errors.CheckpointError: bars 0 to 2 are not those that the checkpoint learned on
    """

    def __init__(self, saved: Any = None) -> None:
        self.bars = self.agreed = 0
        self.first: float | None = None
        self.last: float | None = None
        self._digest = sha256()
        self._spacing, self._marks = 256, list[str]()
        self._expected = {} if saved is None else _expected(Fields(saved, "bars"))

    def add(self, time: float, *values: float) -> None:
        """Take a bar: its time in days, open, high, low, close and volume.

        Raises
        ------
        CheckpointError
            When the bars so far are not those of `saved`.
        """
        self._digest.update(_ROW(time, *values))
        self.bars += 1
        self.last = time
        if self.first is None:
            self.first = time
        if self.bars in self._expected:
            if self._digest.hexdigest() != self._expected[self.bars]:
                differ = f"bars {self.agreed} to {self.bars - 1}"
                raise CheckpointError(f"{differ} are not those that the checkpoint learned on")
            self.agreed = self.bars
        if self.bars % self._spacing == 0:
            self._marks.append(self._digest.hexdigest())
            if len(self._marks) == MOST_MARKS:
                del self._marks[::2]
                self._spacing *= 2

    def state(self) -> dict[str, Any]:
        """Return plain values that say which bars these were."""
        return {
            "bars": self.bars,
            "first": self.first,
            "last": self.last,
            "digest": self._digest.hexdigest(),
            "spacing": self._spacing,
            "marks": list(self._marks),
        }


def _expected(saved: Fields) -> dict[int, str]:
    """Return digests by the number of bars that they are of."""
    spacing = saved.integer("spacing", 1)
    marks = enumerate(saved.texts("marks"), start=1)
    return {spacing * number: mark for number, mark in marks} | {saved.integer("bars"): saved.text("digest")}
