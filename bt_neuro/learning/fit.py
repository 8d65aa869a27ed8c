"""Many windows learned in one go, in launches of many bars, before the network predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    """A window whose label is known."""

    bar: int
    known_bar: int
    window: Array
    target: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Training:
    """What a network learned in one go.

    Attributes
    ----------
    bars, known_bars : (examples,) the bars learned, and those at whose close their labels were known
    targets : (examples, 3)
    outputs : (last 2,000 examples at most, 3) in-sample: what the network, having learned them all, answers
        when they come once more; (networks, ..., 3) of several
    """

    bars: NDArray[np.integer]
    known_bars: NDArray[np.integer]
    targets: Array
    outputs: Array


def study(
    network: Network,
    examples: Sequence[Example],
    log: EpochLog,
    *,
    eras: int,
    until_settled: bool = False,
    on_launch: Callable[[int], None] = lambda learned: None,
    on_era: Callable[[], None] = lambda: None,
) -> None:
    """Learn examples in their order until `log` knows of `eras` eras; the running statistics move along.

    Parameters
    ----------
    network : to be taught
    examples : one or more, rising in time
    log : of the eras before, if any, which are not learned again; each era is added when it ends
    eras : how many there shall have been
    until_settled : end sooner, with the era in which every network has settled
    on_launch : called after each launch with the number of examples that this era has learned; what it raises
        ends the learning there
    on_era : called after each era, which `log` then knows

    Raises
    ------
    NonFiniteError
        When the outputs are no numbers.
    """
    while not log.is_done(eras, until_settled):
        for first in range(0, len(examples), _EXAMPLES_A_COPY):
            some = examples[first : first + _EXAMPLES_A_COPY]
            windows, targets = _stacked(some)
            outputs = network.learn(windows, targets)
            _require_numbers(outputs, f"learned up to bar {some[-1].bar} in era {len(log.ended) + 1}")
            log.figures.add(outputs.reshape(-1, *targets.shape), targets)
            on_launch(first + len(some))
        log.end(_learning_rates(network))
        on_era()


def train(
    network: Network, examples: Sequence[Example], *, eras: int, learns_along: bool, delay_bars: int
) -> Training:
    """Learn examples in their order, `eras` times; the running statistics move with the windows.

    Parameters
    ----------
    network : to be taught
    examples : one or more, rising in time
    learns_along, delay_bars : how it will run on new bars, and so is rehearsed

    Raises
    ------
    NonFiniteError
        When the outputs are no numbers afterwards.
    """
    study(network, examples, EpochLog(len(network.seeds)), eras=eras)
    rehearsed = examples[-REHEARSED:]
    outputs = _rehearse(network, rehearsed, delay_bars if learns_along else None)
    _require_numbers(outputs, f"trained up to bar {examples[-1].bar}")
    return Training(
        np.array([example.bar for example in examples]),
        np.array([example.known_bar for example in examples]),
        np.array([example.target for example in examples]),
        outputs,
    )


def _rehearse(network: Network, examples: Sequence[Example], delay: int | None) -> Array:
    """Return the answers to examples as if they were new bars, and leave the network as it was.

    With a delay each is learned so many bars later, as in a stream: a network that learns along answers
    better than one that does not, and out of sample it is asked that way.
    """
    windows, targets = _stacked(examples)
    state, steps = network.state(), network.steps
    try:
        if delay is None:
            return network.predict(windows, update_statistics=True)
        first = network.predict(windows[:delay], update_statistics=True)
        rest = network.learn_then_predict(windows[:-delay], targets[:-delay], windows[delay:])
        return np.concatenate([first, rest], axis=-2)
    finally:
        network.set_state(state, steps)


def _learning_rates(network: Network) -> list[float]:
    """Return the learning rate of each network's last step."""
    rates = [rate_at(one.learning_rate, network.steps) for one in network.optimizers]
    return rates if len(rates) > 1 else rates * len(network.seeds)


def _require_numbers(outputs: Array, after: str) -> None:
    if not np.isfinite(outputs).all():
        raise NonFiniteError(f"{after}, the outputs are no numbers: lower the learning rate")


def _stacked(examples: Sequence[Example]) -> tuple[Array, Array]:
    return np.stack([example.window for example in examples]), np.array(
        [example.target for example in examples]
    )
