"""Run-ahead: launches of many bars are under way while the event loop is at earlier bars."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.learning.planner import BarPlan, Planner, Step, steps_of
from bt_neuro.nn.network import Network, StateCopy

Array = NDArray[np.floating]
BarInputs = tuple[tuple[float, ...], float, float, float]  # features, high, low and close
Receive = Callable[[], Array]

LAUNCH_BARS = 100  # the most in a launch; launches end at bars that are multiples
LAUNCHES = 4  # under way at a time, so that the device always has another one to begin


class Turn(NamedTuple):
    """A bar, and the planner that takes it."""

    planner: Planner
    bar: int
    inputs: BarInputs


def send_steps(network: Network, steps: Iterable[Step]) -> list[Receive]:
    """Start the launches of some bars; return functions that wait for the outputs, one a launch."""
    none, no_target = np.empty((0, network.n_inputs)), np.empty((0, network.n_outputs))
    return [
        network.send(
            _rows([example.window for example in learned]) if learned else none,
            np.array([example.target for example in learned]) if learned else no_target,
            _rows(predicted) if predicted else none,
        )
        for learned, predicted in steps
    ]


def _rows(windows: list[Array]) -> Array:
    return np.concatenate(windows).reshape(len(windows), -1)  # np.stack looks at each window twice


def outputs_of(receives: Iterable[Receive]) -> list[list[float]]:
    """Wait, and return the outputs of each predicted bar, those of several networks one after another."""
    outputs = np.concatenate([receive() for receive in receives], axis=1)
    return outputs.transpose(1, 0, 2).reshape(outputs.shape[1], -1).tolist()


class _Launch:
    """Consecutive bars that are sent together, with their plans and outputs."""

    def __init__(self, turns: list[Turn], plans: list[BarPlan]) -> None:
        self.turns, self.plans, self.taken = turns, plans, 0
        self.planner_states: dict[Planner, Any] = {}  # before these bars
        self.before: StateCopy | None = None  # the network's
        self.after: StateCopy | None = None
        self.receives: list[Receive] = []
        self.outputs: Iterator[list[float]] = iter(())
        self.seconds = 0.0

    @property
    def is_taken(self) -> bool:
        return self.taken == len(self.plans)

    def receive(self) -> None:
        start = perf_counter()
        self.outputs = iter(outputs_of(self.receives) if self.receives else [])
        self.seconds += perf_counter() - start


class RunAhead:
    """Plans of bars to come, sent in launches; plans and outputs are taken bar by bar.

    Learning does not depend on trades, so the results are those of one bar a launch, to the bit. The state
    is copied on the device between launches; `rewind` goes back to a copy and repeats the bars up to the last
    one taken. The network calls it before anyone else uses it, as a strategy may keep the network.

    Parameters
    ----------
    network : in its state before the first of the bars, as are the planners
    turns : bars to come, in the order in which they will be taken; of several instruments, if they share a network
    learning : False only predicts
    """

    def __init__(self, network: Network, turns: Iterable[Turn], *, learning: bool) -> None:
        self._network, self._learning = network, learning
        self._turns = iter(turns)  # to plan
        self._left: deque[Turn] = deque()  # before those, to be planned again
        self._sent: deque[_Launch] = deque()  # and not reached
        self._current = _Launch([], [])  # reached
        self._spare: list[StateCopy] = []  # of launches taken
        self._error: Exception | None = None  # of the next bar to plan
        self._length = 1  # of the next launch; it grows from bar to bar without `rewind`

    def take(self, turn: Turn) -> tuple[BarPlan, list[float] | None, float] | None:
        """Return plan, outputs and seconds of the next bar; None if it is another, and from then on.

        Raises the error of its plan.
        """
        is_reached = not self._current.is_taken or self._reach(turn)
        current = self._current
        if not is_reached or current.turns[current.taken] != turn:
            self._end()
            return None
        plan = current.plans[current.taken]
        current.taken += 1
        outputs = None if plan.window is None else next(current.outputs)
        return plan, outputs, current.seconds / len(current.plans)

    def _reach(self, turn: Turn) -> bool:
        """Make the next launch the current one; return False, and send nothing, if another bar comes next."""
        if not self._sent:
            following = self._pull(1)
            self._left.extendleft(following)
            if following != [turn]:
                return False
            if self._error is not None:
                raise self._error
        self._send_ahead()
        if not self._sent:
            return self._reach(turn)  # which raises the error
        if self._current.before is not None:
            self._spare.append(self._current.before)
        launch = self._sent.popleft()
        launch.receive()  # where that fails, the bars of the launch are not taken
        self._current = launch
        return True

    @property
    def reached(self) -> StateCopy | None:
        """Copy of the network's state after the last bar taken, if there is one."""
        return self._current.after if self._current.is_taken else None

    def _end(self) -> None:
        self.rewind()
        self._left.clear()
        self._turns = iter(())

    def rewind(self) -> None:
        """Set network and planners to their state after the last bar taken; plan the bars after it anew."""
        self._network.before_use = None
        for launch in self._sent:
            launch.receive()  # its staging buffers are in use until then
        launches = [] if self._current.is_taken else [self._current]
        launches += self._sent
        self._sent.clear()
        self._spare.clear()
        self._current, self._length = _Launch([], []), 1
        if not launches:
            return
        first = launches[0]
        assert first.before is not None
        self._network.restore_state(first.before)
        for launch in reversed(launches):
            _restore(launch.planner_states)
        self._error = None
        for receive in self._send_steps(self._plan(first.turns[: first.taken])):
            receive()
        left = [turn for launch in launches for turn in launch.turns[launch.taken :]]
        self._left.extendleft(reversed(left))

    def _pull(self, n: int) -> list[Turn]:
        turns: list[Turn] = []
        while len(turns) < n:
            turn = self._left.popleft() if self._left else next(self._turns, None)
            if turn is None:
                break
            turns.append(turn)
            if turn.bar % LAUNCH_BARS == 0:
                break
        return turns

    def _send_ahead(self) -> None:
        while self._error is None and len(self._sent) < (LAUNCHES if self._length == LAUNCH_BARS else 1):
            turns = self._pull(self._length)
            if not turns:
                return
            self._send(turns)
            self._length = min(2 * self._length, LAUNCH_BARS)

    def _send(self, turns: list[Turn]) -> None:
        start = perf_counter()
        planner_states = {planner: planner.copy_state() for planner in {turn.planner for turn in turns}}
        plans = self._plan(turns)
        if (error := self._error) is not None:  # the label may be half updated
            self._left.extendleft(reversed(turns[len(plans) :]))
            _restore(planner_states)
            turns = turns[: len(plans)]
            plans, self._error = self._plan(turns), error
        if not plans:
            return
        launch = _Launch(turns, plans)
        launch.planner_states = planner_states
        self._network.before_use = None
        if self._length > 1:  # else it is taken at once
            last = self._sent[-1] if self._sent else self._current
            launch.before = last.after or self._copy_state()
        launch.receives = self._send_steps(plans)
        if self._length > 1 or plans[-1].bar % LAUNCH_BARS == 0:
            launch.after = self._copy_state()
        launch.seconds = perf_counter() - start
        self._sent.append(launch)
        self._network.before_use = self.rewind

    def _copy_state(self) -> StateCopy:
        return self._network.copy_state(over=self._spare.pop() if self._spare else None)

    def _plan(self, turns: list[Turn]) -> list[BarPlan]:
        plans = []
        for planner, bar, inputs in turns:
            try:
                plans.append(planner.plan(bar, *inputs))
            except Exception as error:  # noqa: BLE001 - raised when the event loop reaches the bar
                self._error = error
                break
        return plans

    def _send_steps(self, plans: list[BarPlan]) -> list[Receive]:
        return send_steps(self._network, steps_of(plans, learning=self._learning))


def _restore(planner_states: dict[Planner, Any]) -> None:
    for planner, state in planner_states.items():
        planner.restore_state(state)
