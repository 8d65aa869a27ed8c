"""Run-ahead: launches of many bars are under way while the event loop is at earlier bars."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.learning.planner import BarPlan, Planner, Step, steps_of
from bt_neuro.nn.network import Network, StateCopy

Array = NDArray[np.floating]
BarInputs = tuple[tuple[float, ...], float, float, float]  # features, high, low and close
Receive = Callable[[], Array]

LAUNCH_BARS = 100  # the most in a launch; launches end at each multiple
LAUNCHES = 4  # under way at a time, so that the device always has another one to begin


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
    """Consecutive bars that are sent together, with their inputs, plans and outputs."""

    def __init__(self, inputs: list[BarInputs], plans: list[BarPlan]) -> None:
        self.inputs, self.plans, self.taken = inputs, plans, 0
        self.planner_state: Any = None  # before these bars
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
    one taken.

    Parameters
    ----------
    network, planner : in their state before the first of the bars
    bars : features, high, low and close of each bar to come
    first_bar : its number
    learning : False only predicts
    """

    def __init__(
        self, network: Network, planner: Planner, bars: Iterable[BarInputs], first_bar: int, *, learning: bool
    ) -> None:
        self._network, self._planner, self._learning = network, planner, learning
        self._bars, self._bar = iter(bars), first_bar  # the next one to plan
        self._left: deque[BarInputs] = deque()  # bars before those, to be planned again
        self._sent: deque[_Launch] = deque()  # and not reached
        self._current = _Launch([], [])  # reached
        self._spare: list[StateCopy] = []  # of launches taken
        self._error: Exception | None = None  # of the next bar to plan
        self._length = 1  # of the next launch; it grows from bar to bar without `rewind`

    def take(self, bar: int, inputs: BarInputs) -> tuple[BarPlan, list[float] | None, float] | None:
        """Return plan, outputs and seconds of the next bar; None if it is not `bar`, with these inputs.

        Raises the error of its plan.
        """
        if self._current.is_taken and not self._sent:
            if self._error is not None:
                raise self._error
            if self._pull(1) != [inputs]:
                return None
            self._left.appendleft(inputs)
        if self._current.is_taken:
            self._send_ahead()
            if not self._sent:
                return self.take(bar, inputs)  # which raises the error
            if self._current.before is not None:
                self._spare.append(self._current.before)
            self._current = self._sent.popleft()
            self._current.receive()
        current = self._current
        plan = current.plans[current.taken]
        if plan.bar != bar or current.inputs[current.taken] != inputs:
            self.rewind()
            return None
        current.taken += 1
        outputs = None if plan.window is None else next(current.outputs)
        return plan, outputs, current.seconds / len(current.plans)

    @property
    def reached(self) -> StateCopy | None:
        """Copy of the network's state after the last bar taken, if there is one."""
        return self._current.after if self._current.is_taken else None

    def rewind(self) -> None:
        """Set network and planner to their state after the last bar taken; plan the bars after it anew."""
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
        self._planner.restore_state(first.planner_state)
        self._bar, self._error = first.plans[0].bar, None
        for receive in self._send_steps(self._plan(first.inputs[: first.taken])):
            receive()
        left = [inputs for launch in launches for inputs in launch.inputs[launch.taken :]]
        self._left.extendleft(reversed(left))

    def _pull(self, n: int) -> list[BarInputs]:
        again = [self._left.popleft() for _ in range(min(n, len(self._left)))]
        return again + list(islice(self._bars, n - len(again)))

    def _send_ahead(self) -> None:
        while self._error is None and len(self._sent) < (LAUNCHES if self._length == LAUNCH_BARS else 1):
            inputs = self._pull(min(self._length, -self._bar % LAUNCH_BARS + 1))
            if not inputs:
                return
            self._send(inputs)
            self._length = min(2 * self._length, LAUNCH_BARS)

    def _send(self, inputs: list[BarInputs]) -> None:
        start, planner_state = perf_counter(), self._planner.copy_state()
        plans = self._plan(inputs)
        if (error := self._error) is not None:  # the label may be half updated
            self._left.extendleft(reversed(inputs[len(plans) :]))
            self._planner.restore_state(planner_state)
            self._bar -= len(plans)
            inputs = inputs[: len(plans)]
            plans, self._error = self._plan(inputs), error
        if not plans:
            return
        launch = _Launch(inputs, plans)
        launch.planner_state = planner_state
        if self._length > 1:  # else it is taken at once
            last = self._sent[-1] if self._sent else self._current
            launch.before = last.after or self._copy_state()
        launch.receives = self._send_steps(plans)
        if self._length > 1 or plans[-1].bar % LAUNCH_BARS == 0:
            launch.after = self._copy_state()
        launch.seconds = perf_counter() - start
        self._sent.append(launch)

    def _copy_state(self) -> StateCopy:
        return self._network.copy_state(over=self._spare.pop() if self._spare else None)

    def _plan(self, inputs: list[BarInputs]) -> list[BarPlan]:
        plans = []
        for features, high, low, close in inputs:
            try:
                plans.append(self._planner.plan(self._bar, features, high, low, close))
            except Exception as error:  # noqa: BLE001 - raised when the event loop reaches the bar
                self._error = error
                break
            self._bar += 1
        return plans

    def _send_steps(self, plans: list[BarPlan]) -> list[Receive]:
        return send_steps(self._network, steps_of(plans, learning=self._learning))
