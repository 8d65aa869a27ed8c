"""Running digest of bars, equal only where all bars so far are bit-identical."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Any

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields

MOST_MARKS = 64
BLOCK_ROWS = 64
_ROW = struct.Struct("<6d")


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
    locate a difference. When the list is full every second digest is dropped, so its size is bounded. Bars
    are chained in blocks of 64, digest = SHA-256(chain + block), so that a digest can be continued from its
    state: the state of hashlib's SHA-256 cannot be saved.

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
        self._chain, self._block, self._row = b"", bytearray(), b""
        self._spacing, self._marks = 256, list[str]()
        self._expected = {} if saved is None else _expected(Fields(saved, "bars"))

    def add(self, time: float, *values: float) -> None:
        """Add a bar: its time in days, open, high, low, close and volume.

        Raises
        ------
        CheckpointError
            If the bars so far differ from those of `saved`. Give the bars that the checkpoint was trained on.
        """
        self._row = _ROW.pack(time, *values)
        self._block += self._row
        self.bars += 1
        if self.bars % BLOCK_ROWS == 0:
            self._chain = sha256(self._chain + self._block).digest()
            self._block.clear()
        self.last = time
        if self.first is None:
            self.first = time
        if self.bars in self._expected:
            if self._digest() != self._expected[self.bars]:
                differ = f"bars {self.agreed} to {self.bars - 1}"
                raise CheckpointError(f"{differ} are not those that the checkpoint learned on")
            self.agreed = self.bars
        if self.bars % self._spacing == 0:
            self._marks.append(self._digest())
            if len(self._marks) == MOST_MARKS:
                del self._marks[::2]
                self._spacing *= 2

    def state(self) -> dict[str, Any]:
        """Return the fingerprint as plain JSON values, for a checkpoint."""
        return {
            "bars": self.bars,
            "first": self.first,
            "last": self.last,
            "digest": self._digest(),
            "spacing": self._spacing,
            "marks": list(self._marks),
            "chain": self._chain.hex(),
            "block": self._block.hex(),
            "row": self._row.hex(),
        }

    @classmethod
    def resumed(cls, saved: Fields) -> Fingerprint:
        """Return the fingerprint that `state` saved, to which bars can be added.

        Raises
        ------
        CheckpointError
            If a value is missing or invalid.

        Examples
        --------
        >>> whole, begun = Fingerprint(), Fingerprint()
        >>> for bar in range(99):
        ...     whole.add(bar, 1.1, 1.3, 1.0, 1.2, 500)
        ...     begun.add(bar, 1.1, 1.3, 1.0, 1.2, 500)
        >>> resumed = Fingerprint.resumed(Fields(begun.state(), "bars"))
        >>> whole.add(99, 1.2, 1.3, 1.0, 1.2, 500), resumed.add(99, 1.2, 1.3, 1.0, 1.2, 500)
        (None, None)
        >>> whole.state() == resumed.state()
        True
        """
        found = cls()
        found.bars = found.agreed = saved.integer("bars")
        if found.bars:
            found.first, found.last = saved.number("first"), saved.number("last")
        found._spacing, found._marks = saved.integer("spacing", 1), saved.texts("marks")
        try:
            found._chain = bytes.fromhex(saved.text("chain"))
            found._block = bytearray.fromhex(saved.text("block"))
            found._row = bytes.fromhex(saved.values.get("row", ""))
        except (TypeError, ValueError):
            raise saved.invalid("chain", "hexadecimal digits") from None
        if len(found._block) != found.bars % BLOCK_ROWS * _ROW.size:
            raise saved.invalid("block", f"the rows of {found.bars % BLOCK_ROWS} bars")
        if found._digest() != saved.text("digest"):
            raise saved.invalid("digest", "the digest of chain and block")
        return found

    def _digest(self) -> str:
        return sha256(self._chain + self._block).hexdigest()


def last_values(saved: Fields) -> tuple[float, ...] | None:
    """Return open, high, low, close and volume of the last bar in a state; None in one of an older version."""
    try:
        return _ROW.unpack(bytes.fromhex(saved.values.get("row", "")))[1:]
    except (TypeError, ValueError, struct.error):
        return None


def _expected(saved: Fields) -> dict[int, str]:
    """Return the saved digests by their number of bars."""
    spacing = saved.integer("spacing", 1)
    marks = enumerate(saved.texts("marks"), start=1)
    return {spacing * number: mark for number, mark in marks} | {saved.integer("bars"): saved.text("digest")}
