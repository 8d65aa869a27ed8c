"""A trace: all that a strategy said and did in one run, bar by bar, to be compared with another run's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass
class Trace:
    """What one run said and did.

    Attributes
    ----------
    features : names of the features among the lines
    lines : features and the lines of all indicators by name, each (bars,), as index 0 showed them
    outputs, probabilities : (bars, 3), of the signals; NaN where there was none
    targets : (bars, 3), what the network learned at the bar's place; NaN where that was not known
    signals : (bars,), "none", "buy", "sell", or nothing
    orders : (bar, what was ordered or what became of an order), in order
    states : digest of the network by the number of bars it had seen
    failure : the error that ended the run, or None
    """

    features: tuple[str, ...] = ()
    lines: dict[str, Floats] = field(default_factory=dict)
    outputs: Floats = field(default_factory=lambda: np.empty((0, 3)))
    probabilities: Floats = field(default_factory=lambda: np.empty((0, 3)))
    targets: Floats = field(default_factory=lambda: np.empty((0, 3)))
    signals: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, "U4"))
    orders: list[tuple[int, str]] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    failure: str | None = None

    @property
    def bars(self) -> int:
        """Bars that the strategy lived through."""
        return len(self.signals)

    @property
    def first_signal(self) -> int | None:
        """The first bar of which the network said something."""
        said = np.flatnonzero(self.signals != "")
        return int(said[0]) if len(said) else None


class Difference(NamedTuple):
    """Where two traces part: what it was on the one, and on the other."""

    bar: int
    what: str
    one: str
    other: str


def differences(one: Trace, other: Trace, before: int) -> Iterator[Difference]:
    """Yield for each thing compared where it first differs before a bar, causes before effects."""
    before = min(before, one.bars)
    lived = min(before, other.bars)
    pairs: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        name: (line, other.lines[name]) for name, line in one.lines.items() if name in other.lines
    }
    pairs |= {"the prediction": (one.outputs, other.outputs), "the signal": (one.signals, other.signals)}
    for what, (here, there) in pairs.items():
        bar = _first_difference(here[:lived], there[:lived])
        if bar is not None:
            yield Difference(bar, what, _text(here[bar]), _text(there[bar]))
    orders = [[order for order in trace.orders if order[0] < lived] for trace in (one, other)]
    for pair in zip_longest(*orders):
        if pair[0] != pair[1]:
            bar = min(order[0] for order in pair if order)
            texts = (order[1] if order and order[0] == bar else "none" for order in pair)
            yield Difference(bar, "the order", *texts)
            break
    for seen, state in one.states.items():
        if seen <= lived and (another := other.states.get(seen, state)) != state:
            yield Difference(seen - 1, "the network's state", state[:8], another[:8])
    if lived < before:
        yield Difference(lived, "the run", "going on", f"ended by {other.failure or 'itself'}")


def _first_difference(one: NDArray[Any], other: NDArray[Any]) -> int | None:
    """Return the first row whose bits differ; NaN is equal to itself."""
    if one.tobytes() == other.tobytes():  # nearly always, and at once
        return None
    rows = zip(one, other, strict=True)
    return next(bar for bar, (here, there) in enumerate(rows) if here.tobytes() != there.tobytes())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value or "none"
    return ", ".join(f"{number:.9g}" for number in np.atleast_1d(value))
