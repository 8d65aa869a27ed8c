"""What a network's arithmetic runs on: the modes of a run, and the face that every engine has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bt_neuro.nn.reference.passes import Array


class Mode:
    """Bits of a run's mode, the same in network.cl. Not an enum: its `|` costs half a microsecond."""

    LEARN = 1
    PREDICT = 2
    BOTH = LEARN | PREDICT
    LEARN_MOVES = 4  # the learning pass moves the running statistics
    PREDICT_MOVES = 8
    REUSE = 16  # the activations of the first window to learn are in place: no forward pass for it
    SLIDING = 32  # each further window to learn is the one predicted just before: no forward pass for it
    SKIPPED = 256  # from this bit on: number of a layer to leave out, counted from 1, to measure its cost


class Engine(Protocol):
    """State of one or more networks ("members"), and the arithmetic on it.

    Attributes
    ----------
    batch_size : windows that make one learning step
    can_skip : whether it can leave a layer out (`Mode.SKIPPED`)
    """

    batch_size: int
    can_skip: bool

    def run(
        self,
        mode: int,
        learn: Array,
        targets: Array,
        predict: Array,
        rates: Array,
        first_step: int,
        *,
        meanwhile: Callable[[], None] | None = None,
        wait: bool = True,
    ) -> tuple[Array, Array]:
        """Learn and predict windows in turns; return both outputs, (members, windows, n_outputs).

        Parameters
        ----------
        learn, targets, predict : (windows, n_inputs), (windows, n_outputs), (windows, n_inputs)
        rates : of the optimiser, (members, steps, 4), or (1, steps, 4) for all members alike
        first_step : number of the first learning step, from 1 on
        meanwhile : called once the device is at work; its error is raised once the device is done
        wait : False returns at once and without outputs; the next run follows in order
        """

    def read(self, first: int = 0, size: int | None = None) -> Array:
        """Return the state of all members, (members, layout.size), or so many numbers of it."""

    def write(self, state: Array) -> None:
        """Set the state of all members, (members, layout.size)."""
