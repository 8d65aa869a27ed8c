"""Signals of a network and their outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import NonFiniteError

CLASSES = ("none", "buy", "sell")
Triple = tuple[float, float, float]


class Signal(NamedTuple):
    """Prediction of one bar, from bars up to and including it.

    Attributes
    ----------
    bar : number of the bar
    outputs : raw outputs for none, buy and sell; the mean over several networks
    probabilities : outputs divided by their sum; the mean over several networks
    name : "none", "buy" or "sell", by the strictly largest output; by probability with several networks; a
        tie is "none"
    votes : raw outputs of each network, if there are several
    """

    bar: int
    outputs: Triple
    probabilities: Triple
    name: str
    votes: tuple[Triple, ...] = ()

    @classmethod
    def of(cls, bar: int, outputs: Sequence[float]) -> Signal:
        """Return the signal of three outputs, or of several networks' outputs one after another."""
        if not math.isfinite(sum(outputs)):
            raise NonFiniteError(
                f"bar {bar}: the network's outputs must be finite, got {list(outputs)}. "
                "Lower the learning rate."
            )
        if len(outputs) == 3:
            none, buy, sell = outputs
            return cls(bar, (none, buy, sell), _shares((none, buy, sell)), _largest(none, buy, sell))
        votes = tuple(zip(outputs[::3], outputs[1::3], outputs[2::3], strict=True))
        p = _mean([_shares(vote) for vote in votes])
        return cls(bar, _mean(votes), p, _largest(*p), votes)

    @property
    def all_outputs(self) -> list[float]:
        """Outputs of all networks, as `of` takes them."""
        return [output for vote in self.votes or (self.outputs,) for output in vote]

    @property
    def is_buy(self) -> bool:
        return self.name == "buy"

    @property
    def is_sell(self) -> bool:
        return self.name == "sell"

    @property
    def confidence(self) -> float:
        """Probability of the signal's class."""
        return self.probabilities[CLASSES.index(self.name)]


def _shares(outputs: Triple) -> Triple:
    none, buy, sell = outputs
    total = none + buy + sell
    # Sigmoids that all underflow are no signal.
    return (none / total, buy / total, sell / total) if total > 0 else (1.0, 0.0, 0.0)


def _largest(none: float, buy: float, sell: float) -> str:
    return "buy" if buy > none and buy > sell else "sell" if sell > none and sell > buy else "none"


def _mean(triples: Sequence[Triple]) -> Triple:
    none, buy, sell = (sum(column) / len(triples) for column in zip(*triples, strict=True))
    return none, buy, sell


def signals_of(outputs: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the index of the strictly largest output, (...): 0 none, 1 buy, 2 sell; a tie is 0.

    Parameters
    ----------
    outputs : (..., 3)

    Examples
    --------
    >>> signals_of(np.array([[0.2, 0.5, 0.3], [0.2, 0.4, 0.4]])).tolist()
    [1, 0]
    """
    none, buy, sell = np.moveaxis(outputs, -1, 0)
    return np.where((buy > none) & (buy > sell), 1, np.where((sell > none) & (sell > buy), 2, 0))


class ScoredSignal(NamedTuple):
    """A signal with its confirmed label.

    Attributes
    ----------
    signal : the prediction
    target : of none, buy and sell, each 0 or 1
    known_bar : the bar that confirmed the label
    """

    signal: Signal
    target: tuple[float, ...]
    known_bar: int

    @property
    def label(self) -> str:
        _, buy, sell = self.target
        return "both" if buy and sell else "buy" if buy else "sell" if sell else "none"

    @property
    def is_hit(self) -> bool | None:
        """Whether the label contains the signal; None if the signal is "none"."""
        return None if self.signal.name == "none" else self.target[CLASSES.index(self.signal.name)] == 1

    @property
    def squared_error(self) -> float:
        """Mean over the outputs of (target - output)^2."""
        return sum((t - o) ** 2 for t, o in zip(self.target, self.signal.outputs, strict=True)) / 3
