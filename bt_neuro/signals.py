"""What the network says of a bar, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bt_neuro.errors import NonFiniteError

CLASSES = ("none", "buy", "sell")


@dataclass(frozen=True, slots=True)
class Signal:
    """What the network says of one bar, from bars up to and including it.

    Attributes
    ----------
    bar : number of the bar
    outputs : the network's three outputs, as they are
    probabilities : the outputs divided by their sum: none, buy, sell
    name : "none", "buy" or "sell": the strictly largest output; a tie is none
    """

    bar: int
    outputs: tuple[float, float, float]
    probabilities: tuple[float, float, float]
    name: str

    @classmethod
    def of(cls, bar: int, outputs: Sequence[float]) -> Signal:
        none, buy, sell = outputs
        total = none + buy + sell
        if not math.isfinite(total):
            raise NonFiniteError(
                f"bar {bar}: the network's outputs are {list(outputs)}: lower the learning rate"
            )
        # Sigmoids that all underflow say nothing.
        p = (none / total, buy / total, sell / total) if total > 0 else (1.0, 0.0, 0.0)
        name = "buy" if buy > none and buy > sell else "sell" if sell > none and sell > buy else "none"
        return cls(bar, (none, buy, sell), p, name)

    @property
    def is_buy(self) -> bool:
        return self.name == "buy"

    @property
    def is_sell(self) -> bool:
        return self.name == "sell"

    @property
    def confidence(self) -> float:
        """Probability of the class that won."""
        return self.probabilities[CLASSES.index(self.name)]

    @property
    def article_value(self) -> float:
        """The article's figure: softmax over the outputs, +p(buy) or -p(sell) in tenths, 0 for none."""
        if self.name == "none":
            return 0.0
        weights = [math.exp(output) for output in self.outputs]
        value = weights[CLASSES.index(self.name)] / sum(weights)
        return round(value if self.is_buy else -value, 1)


@dataclass(frozen=True, slots=True)
class Scored:
    """A prediction and the label that has become known for it."""

    signal: Signal
    target: tuple[float, ...]
    known_bar: int

    @property
    def label(self) -> str:
        _, buy, sell = self.target
        return "both" if buy and sell else "buy" if buy else "sell" if sell else "none"

    @property
    def is_hit(self) -> bool | None:
        """Whether the label holds the signal; None when there was no signal."""
        return None if self.signal.name == "none" else self.target[CLASSES.index(self.signal.name)] == 1

    @property
    def squared_error(self) -> float:
        """Mean over the outputs of (target - output)^2."""
        return sum((t - o) ** 2 for t, o in zip(self.target, self.signal.outputs, strict=True)) / 3
