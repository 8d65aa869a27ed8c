"""Label: the class of a bar, confirmed by later bars."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable


class ConfirmedLabel(NamedTuple):
    """A label that has become known: the bar it belongs to and its target."""

    bar: int
    target: tuple[float, ...]  # one 0 or 1 a class, in the order of `classes`


@runtime_checkable
class Label(Protocol):
    """Classes that a network learns, confirmed some bars after the bar they belong to.

    `update` receives each closed bar once, in order, and returns the labels that this bar confirms. It must
    compute them from its arguments alone: a run may call it ahead of the strategy's `next`.

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
        """Names of the classes, in the order of the network's outputs."""

    @property
    def delay_bars(self) -> int:
        """Most bars from a bar to its confirmed label."""

    def update(self, bar: int, high: float, low: float, close: float) -> list[ConfirmedLabel]:
        """Take the closed bar number `bar` and return the labels that it confirms."""

    def state(self) -> dict[str, Any]:
        """Return the state for `restore`, as plain JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Set the state that `state` returned."""
