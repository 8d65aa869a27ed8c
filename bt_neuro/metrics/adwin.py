"""ADWIN: finds the points of a stream at which its mean changed."""

from __future__ import annotations

import math

CONFIDENCE = 0.002  # bound of the chance of a false change, at one look
MOST_BUCKETS = 5  # of one size
LOOK_EVERY = 32  # numbers
LEAST_PART = 5  # numbers in either part that are compared
LEAST_WINDOW = 10

Bucket = tuple[float, float]  # sum, and sum of squared differences from the mean


class Adwin:
    """Adaptive window over a stream of numbers between 0 and 1 (Bifet and Gavalda 2007).

    The window is kept in buckets of 1, 2, 4, ... numbers, at most five of a size, so that it costs memory and time
    by the logarithm of its length. Its older part is dropped while some cut between two buckets leaves parts whose
    means differ by more than chance allows. After a change the next number begins a new window.

    Equal to river's ``drift.ADWIN``, whose import takes more than a second; a test compares the two.

    Attributes
    ----------
    width : numbers in the window

    Examples
    --------
    >>> window = Adwin()
    >>> [i for i in range(200) if window.update(float(i >= 100))]
    [127]
    """

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._has_changed = False
        self._seen = self.width = 0
        self._sum = self._squares = 0.0
        self._sizes: list[list[Bucket]] = [[]]  # buckets of 2^i numbers, oldest first

    def update(self, number: float) -> bool:
        """Add a number; return whether the mean has changed."""
        if self._has_changed:
            self._clear()
        if n := self.width:
            self._squares += n * (number - self._sum / n) ** 2 / (n + 1)
        self.width += 1
        self._sum += number
        self._sizes[0].append((number, 0.0))
        self._merge()
        self._seen += 1
        if self._seen % LOOK_EVERY == 0 and self.width > LEAST_WINDOW:
            while self._parts_differ():
                self._drop_oldest()
                self._has_changed = True
        return self._has_changed

    def _merge(self) -> None:
        """Make one bucket of the two oldest of a size that has too many."""
        for size, buckets in enumerate(self._sizes):
            if len(buckets) <= MOST_BUCKETS:
                return
            if size + 1 == len(self._sizes):
                self._sizes.append([])
            (sum_1, squares_1), (sum_2, squares_2) = buckets[:2]
            del buckets[:2]
            n = 2**size
            between = n * n * (sum_1 / n - sum_2 / n) ** 2 / (2 * n)
            self._sizes[size + 1].append((sum_1 + sum_2, squares_1 + squares_2 + between))

    def _parts_differ(self) -> bool:
        """Return whether the means of some older and newer part differ beyond chance."""
        logarithm = math.log(2 * math.log(self.width) / CONFIDENCE)
        spread = 2 * max(self._squares, 0.0) / self.width * logarithm  # rounding may end below 0
        n_old, sum_old = 0, 0.0
        for size in reversed(range(len(self._sizes))):
            for total, _ in self._sizes[size]:
                n_old += 2**size
                sum_old += total
                n_new = self.width - n_old
                if n_old < LEAST_PART or n_new < LEAST_PART:
                    continue
                inverse = 1 / (n_old - LEAST_PART + 1) + 1 / (n_new - LEAST_PART + 1)
                bound = math.sqrt(spread * inverse) + 2 / 3 * logarithm * inverse
                if abs(sum_old / n_old - (self._sum - sum_old) / n_new) > bound:
                    return True
        return False

    def _drop_oldest(self) -> None:
        (total, squares), n = self._sizes[-1].pop(0), 2 ** (len(self._sizes) - 1)
        if not self._sizes[-1]:
            self._sizes.pop()
        self.width -= n
        self._sum -= total
        apart = total / n - self._sum / self.width
        self._squares -= squares + n * self.width * apart**2 / (n + self.width)
