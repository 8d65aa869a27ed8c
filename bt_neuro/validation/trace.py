"""Traces: inputs, predictions and orders of a run bar by bar, for comparison with another run."""

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
    """Record of a strategy's run.

    Attributes
    ----------
    features : names of the features among the lines
    lines : features and the lines of all indicators by name, (bars,) each, as read at index 0
    outputs, probabilities : (bars, 3), of the signals; NaN without a signal
    targets : (bars, 3), labels confirmed in the run; NaN without one
    signals : (bars,), "none", "buy", "sell", or empty
    orders : bar and text of each change of an order, in their order
    states : digest of the network by number of bars
    files : data files that were opened
    failure : error that ended the run, or None
    feed : number of the learned feed
    """

    features: tuple[str, ...] = ()
    lines: dict[str, Floats] = field(default_factory=dict)
    outputs: Floats = field(default_factory=lambda: np.empty((0, 3)))
    probabilities: Floats = field(default_factory=lambda: np.empty((0, 3)))
    targets: Floats = field(default_factory=lambda: np.empty((0, 3)))
    signals: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, "U4"))
    orders: list[tuple[int, str]] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    failure: str | None = None
    feed: int = 0

    @property
    def bars(self) -> int:
        """Number of bars of the run."""
        return len(self.signals)

    @property
    def first_signal(self) -> int | None:
        """The first predicted bar."""
        predicted = np.flatnonzero(self.signals != "")
        return int(predicted[0]) if len(predicted) else None


class Difference(NamedTuple):
    """The first bar at which a quantity differs between two traces, and its values there."""

    bar: int
    what: str
    one: str
    other: str


def differences(one: Trace, other: Trace, before: int) -> Iterator[Difference]:
    """Yield the first difference of each quantity before a bar, causes before effects."""
    before = min(before, one.bars)
    common = min(before, other.bars)
    pairs: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        name: (line, other.lines[name]) for name, line in one.lines.items() if name in other.lines
    }
    pairs |= {"the prediction": (one.outputs, other.outputs), "the signal": (one.signals, other.signals)}
    for what, (here, there) in pairs.items():
        bar = _first_difference(here[:common], there[:common])
        if bar is not None:
            yield Difference(bar, what, _text(here[bar]), _text(there[bar]))
    orders = [[order for order in trace.orders if order[0] < common] for trace in (one, other)]
    for pair in zip_longest(*orders):
        if pair[0] != pair[1]:
            bar = min(order[0] for order in pair if order)
            texts = (order[1] if order and order[0] == bar else "none" for order in pair)
            yield Difference(bar, "the order", *texts)
            break
    for seen, state in one.states.items():
        if seen <= common and (another := other.states.get(seen, state)) != state:
            yield Difference(seen - 1, "the network's state", state[:8], another[:8])
    if common < before:
        yield Difference(common, "the run", "going on", f"ended by {other.failure or 'itself'}")


def _first_difference(one: NDArray[Any], other: NDArray[Any]) -> int | None:
    """Return the first row whose bits differ; NaN equals itself."""
    if one.tobytes() == other.tobytes():  # nearly always, and at once
        return None
    rows = zip(one, other, strict=True)
    return next(bar for bar, (here, there) in enumerate(rows) if here.tobytes() != there.tobytes())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value or "none"
    return ", ".join(f"{number:.9g}" for number in np.atleast_1d(value))
