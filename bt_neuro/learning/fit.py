"""Fitting of a network to many examples, in launches of many bars, before it predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import NonFiniteError
from bt_neuro.learning.epochs import EpochLog
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import rate_at

Array = NDArray[np.floating]

REHEARSED = 2_000  # examples at most; all of them would cost more than to learn them
_EXAMPLES_A_COPY = 1024  # windows are views of one another, and copies are large


class Example(NamedTuple):
    """A feature window with a confirmed label."""

    bar: int
    known_bar: int
    window: Array
    target: tuple[float, ...]


def fit(
    network: Network,
    examples: Sequence[Example],
    log: EpochLog,
    *,
    epochs: int,
    until_settled: bool = False,
    on_launch: Callable[[int], None] = lambda learned: None,
    on_epoch: Callable[[], None] = lambda: None,
) -> None:
    """Learn examples in their order until `log` holds `epochs` epochs; the running statistics move along.

    Parameters
    ----------
    network : learns
    examples : one or more, rising in time
    log : the epochs before, if any, which are not repeated; each epoch is added when it ends
    epochs : number of epochs in the log at the end
    until_settled : end sooner, with the epoch in which every network has settled
    on_launch : called after each launch with the number of examples learned in this epoch; an exception ends
        the learning there
    on_epoch : called after each epoch was added to the log

    Raises
    ------
    NonFiniteError
        When the outputs are not finite.
    """
    while not log.is_done(epochs, until_settled):
        for first in range(0, len(examples), _EXAMPLES_A_COPY):
            part = examples[first : first + _EXAMPLES_A_COPY]
            windows, targets = _stacked(part)
            outputs = network.learn(windows, targets)
            _require_finite(outputs, f"learned up to bar {part[-1].bar} in era {len(log.ended) + 1}")
            log.figures.add(outputs.reshape(-1, *targets.shape), targets)
            on_launch(first + len(part))
        log.end(_learning_rates(network))
        on_epoch()


def rehearse(network: Network, examples: Sequence[Example], delay_bars: int | None) -> Array:
    """Return the outputs for the last 2,000 examples at most, as if they were new; restore the network.

    Parameters
    ----------
    network : has learned the examples, so the outputs are in-sample
    examples : one or more, rising in time
    delay_bars : bars after which each is learned again, as in a test part; None learns nothing

    Returns
    -------
    (examples, 3), or (networks, examples, 3) of several

    Raises
    ------
    NonFiniteError
        When the outputs are not finite.
    """
    last = examples[-REHEARSED:]
    windows, targets = _stacked(last)
    state, steps = network.state(), network.steps
    try:
        if delay_bars is None:
            outputs = network.predict(windows, update_statistics=True)
        else:
            first = network.predict(windows[:delay_bars], update_statistics=True)
            rest = network.learn_then_predict(
                windows[:-delay_bars], targets[:-delay_bars], windows[delay_bars:]
            )
            outputs = np.concatenate([first, rest], axis=-2)
    finally:
        network.set_state(state, steps)
    _require_finite(outputs, f"trained up to bar {last[-1].bar}")
    return outputs


def _learning_rates(network: Network) -> list[float]:
    """Return the learning rate of each network's last step."""
    rates = [rate_at(one.learning_rate, network.steps) for one in network.optimizers]
    return rates if len(rates) > 1 else rates * len(network.seeds)


def _require_finite(outputs: Array, after: str) -> None:
    if not np.isfinite(outputs).all():
        raise NonFiniteError(f"{after}, the outputs are not finite. Lower the learning rate.")


def _stacked(examples: Sequence[Example]) -> tuple[Array, Array]:
    return np.stack([example.window for example in examples]), np.array(
        [example.target for example in examples]
    )
