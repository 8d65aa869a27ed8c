"""Many windows learned in one go, in launches of many bars, before the network predicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import NonFiniteError
from bt_neuro.nn.network import Network

Array = NDArray[np.floating]

REHEARSED = 1 / 4  # of the lessons; all of them would cost more than to learn them
_LESSONS_A_COPY = 1024  # windows are views of one another, and copies are large


class Lesson(NamedTuple):
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
    bars, known_bars : (lessons,) the bars learned, and those at whose close their labels were known
    targets : (lessons, 3)
    outputs : (last quarter of the lessons, 3) in-sample: what the network, having learned them all, answers
        when they come once more; (networks, ..., 3) of several
    """

    bars: NDArray[np.integer]
    known_bars: NDArray[np.integer]
    targets: Array
    outputs: Array


def train(
    network: Network, lessons: Sequence[Lesson], *, eras: int, learns_along: bool, delay_bars: int
) -> Training:
    """Learn lessons in their order, `eras` times; the running statistics move with the windows.

    Parameters
    ----------
    network : to be taught
    lessons : one or more, rising in time
    learns_along, delay_bars : how it will run on new bars, and so is rehearsed

    Raises
    ------
    NonFiniteError
        When the outputs are no numbers afterwards.
    """
    for _ in range(eras):
        for first in range(0, len(lessons), _LESSONS_A_COPY):
            network.learn(*_stacked(lessons[first : first + _LESSONS_A_COPY]))
    rehearsed = lessons[-math.ceil(len(lessons) * REHEARSED) :]
    outputs = _rehearse(network, rehearsed, delay_bars if learns_along else None)
    if not np.isfinite(outputs).all():
        raise NonFiniteError(
            f"trained up to bar {lessons[-1].bar}, the outputs are no numbers: lower the learning rate"
        )
    return Training(
        np.array([lesson.bar for lesson in lessons]),
        np.array([lesson.known_bar for lesson in lessons]),
        np.array([lesson.target for lesson in lessons]),
        outputs,
    )


def _rehearse(network: Network, lessons: Sequence[Lesson], delay: int | None) -> Array:
    """Return the answers to lessons as if they were new bars, and leave the network as it was.

    With a delay each is learned so many bars later, as in a stream: a network that learns along answers
    better than one that does not, and out of sample it is asked that way.
    """
    windows, targets = _stacked(lessons)
    state, steps = network.state(), network.steps
    try:
        if delay is None:
            return network.predict(windows, update_statistics=True)
        first = network.predict(windows[:delay], update_statistics=True)
        rest = network.learn_then_predict(windows[:-delay], targets[:-delay], windows[delay:])
        return np.concatenate([first, rest], axis=-2)
    finally:
        network.set_state(state, steps)


def _stacked(lessons: Sequence[Lesson]) -> tuple[Array, Array]:
    return np.stack([lesson.window for lesson in lessons]), np.array([lesson.target for lesson in lessons])
