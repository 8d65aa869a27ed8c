"""Fitting of a network to examples before it predicts, in launches of many bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import NonFiniteError
from bt_neuro.learning.epochs import EpochLog
from bt_neuro.learning.label_queue import Example
from bt_neuro.learning.progressive import progressive_outputs
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import rate_at

Array = NDArray[np.floating]

REHEARSED = 2_000  # at most; all examples would cost more than learning them
_LAUNCH_EXAMPLES = 1024  # windows are views of one another, and copies are large


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
    log : epochs so far, which are not repeated; each epoch is added when it ends
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
        for first in range(0, len(examples), _LAUNCH_EXAMPLES):
            part = examples[first : first + _LAUNCH_EXAMPLES]
            windows, targets = _stacked(part)
            with _place_named(f"in epoch {len(log.epochs) + 1}, up to bar {part[-1].bar}"):
                outputs = network.learn(windows, targets)
            log.figures.add(outputs.reshape(-1, *targets.shape), targets)
            on_launch(first + len(part))
        log.end(_learning_rates(network))
        on_epoch()


def rehearse(network: Network, examples: Sequence[Example], delay_bars: int | None) -> Array:
    """Return the outputs for at most the last 2,000 examples, and restore the network.

    Parameters
    ----------
    network : has learned the examples, so the outputs are in-sample
    examples : one or more, rising in time
    delay_bars : bars after which each is learned again, as in a test part; None learns nothing

    Returns
    -------
    (networks, examples, 3) array

    Raises
    ------
    NonFiniteError
        When the outputs are not finite.
    """
    last = examples[-REHEARSED:]
    windows, targets = _stacked(last)
    state, steps = network.state(), network.steps
    try:
        with _place_named(f"in a rehearsal up to bar {last[-1].bar}"):
            if delay_bars is None:
                outputs = network.predict(windows, update_statistics=True)
                return outputs.reshape(len(network.seeds), len(last), -1)
            return progressive_outputs(network, windows, targets, delay_bars)
    finally:
        network.set_state(state, steps)


def _learning_rates(network: Network) -> list[float]:
    """Return the learning rate of each network's last step."""
    rates = [rate_at(optimizer.learning_rate, network.steps) for optimizer in network.optimizers]
    return rates if len(rates) > 1 else rates * len(network.seeds)


@contextmanager
def _place_named(where: str) -> Iterator[None]:
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"{where}: {error}") from error


def _stacked(examples: Sequence[Example]) -> tuple[Array, Array]:
    return np.stack([example.window for example in examples]), np.array(
        [example.target for example in examples]
    )
