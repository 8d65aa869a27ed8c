"""What a label must offer: classes, a delay, and answers that arrive late."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable


class ConfirmedLabel(NamedTuple):
    """A label that has just become known: the bar it belongs to and its target."""

    bar: int
    target: tuple[float, ...]  # one 0 or 1 a class, in the order of `classes`


@runtime_checkable
class Label(Protocol):
    """The truth a network learns, told bar by bar once it can be known.

    A label of bar t may look at later bars, so it is known only `delay_bars` later. It hears each
    closed bar once, in order, and answers with the labels that this bar made known; it never sees a
    bar that has not closed. The order of `classes` is the order of the network's outputs.

    Examples
    --------
    A label with a delay of one bar: buy if the next close is higher, else sell.

    >>> class Rises:
    ...     classes = ("none", "buy", "sell")
    ...     delay_bars = 1
    ...     last = None
    ...
    ...     def update(self, bar, high, low, close):
    ...         before, self.last = self.last, close
    ...         if before is None:
    ...             return []
    ...         return [ConfirmedLabel(bar - 1, (0.0, float(close > before), float(close <= before)))]
    ...
    ...     def state(self):
    ...         return {"last": self.last}
    ...
    ...     def restore(self, state):
    ...         self.last = state["last"]
    >>> isinstance(Rises(), Label)
    True
    >>> label = Rises()
    >>> label.update(0, 1.2, 1.0, 1.1), label.update(1, 1.3, 1.1, 1.2)
    ([], [ConfirmedLabel(bar=0, target=(0.0, 1.0, 0.0))])
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, one a network output."""

    @property
    def delay_bars(self) -> int:
        """How many bars after t the label of bar t is known at the latest."""

    def update(self, bar: int, high: float, low: float, close: float) -> list[ConfirmedLabel]:
        """Take the closed bar number `bar` and return the labels it made known."""

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, in plain JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
