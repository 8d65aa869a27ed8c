"""Running digest of bars, equal only where all bars so far are bit-identical."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Any

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields

MOST_MARKS = 64
_ROW = struct.Struct("<6d").pack


class Fingerprint:
    """Digest of bars added one by one, compared with the digest in a checkpoint.

    Parameters
    ----------
    saved : the `state` of a checkpoint to compare with; None to compare with nothing

    Attributes
    ----------
    bars : number of bars added
    agreed : number of bars, from the first on, verified against `saved`

    Notes
    -----
    The state holds the digest of all bars and up to 64 digests of their beginnings, `spacing` bars apart, to
    locate a difference. When the list is full every second digest is dropped, so its size is bounded.

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
        """Add a bar: its time in days, open, high, low, close and volume.

        Raises
        ------
        CheckpointError
            If the bars so far differ from those of `saved`. Give the bars that the checkpoint was trained on.
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
        """Return the fingerprint as plain JSON values, for a checkpoint."""
        return {
            "bars": self.bars,
            "first": self.first,
            "last": self.last,
            "digest": self._digest.hexdigest(),
            "spacing": self._spacing,
            "marks": list(self._marks),
        }


def _expected(saved: Fields) -> dict[int, str]:
    """Return the saved digests by their number of bars."""
    spacing = saved.integer("spacing", 1)
    marks = enumerate(saved.texts("marks"), start=1)
    return {spacing * number: mark for number, mark in marks} | {saved.integer("bars"): saved.text("digest")}
