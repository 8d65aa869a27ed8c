"""Learner: predictions, training and scores, one closed bar after the other or ahead of the event loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, repeat
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import CheckpointError, StrategyError
from bt_neuro.io import Fields
from bt_neuro.learning._validation import require_matching
from bt_neuro.learning.label_queue import Example, LabelQueue
from bt_neuro.learning.labels import Label
from bt_neuro.learning.planner import Planner, steps_of
from bt_neuro.learning.run_ahead import BarInputs, RunAhead, Turn, outputs_of, send_steps
from bt_neuro.learning.running_scale import RunningScale
from bt_neuro.learning.signals import CLASSES, ScoredSignal, Signal
from bt_neuro.nn.network import Network

Array = NDArray[np.floating]


class Learner:
    """Learns and predicts closed bars in the order of `Planner`.

    Parameters
    ----------
    network : with ``history_bars * len(feature_names)`` inputs and three outputs of a sigmoid or softmax;
        several networks learn independently, and the signal is their vote
    label : the classes to learn
    feature_names : names of the features of one bar, for messages and checkpoints
    history_bars : bars in a feature window
    learning : False only predicts and scores; the running statistics still move
    scale : of the features; None leaves them as they are

    Attributes
    ----------
    delay_bars : most bars from a bar to its confirmed label
    last_bar : number of the last bar taken, or None
    features : those of the last bar, (features,), or None
    window : the last window predicted, or None
    network_s : seconds spent on launches and on waiting for the network; `last_step_s` in the last bar
    """

    def __init__(
        self,
        network: Network,
        label: Label,
        feature_names: Sequence[str],
        history_bars: int = 20,
        *,
        learning: bool = True,
        scale: RunningScale | None = None,
    ) -> None:
        require_matching(network, label, len(feature_names), history_bars)
        self.delay_bars, self.learning = label.delay_bars, learning
        self.feature_names, self.history_bars = tuple(feature_names), history_bars
        self.last_bar: int | None = None
        self.features: Array | None = None
        self.window: Array | None = None
        self.network_s = self.last_step_s = 0.0
        self._network = network
        self._planner = Planner(label, self.feature_names, history_bars, network.dtype, scale)
        self._signals: LabelQueue[Signal] = LabelQueue(label.delay_bars)
        self._examples: list[Example] = []  # observed and not taken
        self._ahead: RunAhead | None = None

    @property
    def network(self) -> Network:
        """The network after the last bar taken."""
        self._rewind()
        return self._network

    @property
    def label(self) -> Label:
        """The label after the last bar taken."""
        self._rewind()
        return self._planner.label

    def _rewind(self) -> None:
        if self._ahead is not None:
            self._ahead.rewind()

    def run_ahead(self, bar: int, bars: Iterable[BarInputs]) -> None:
        """Learn and predict ahead of `on_bar`, with the same results to the bit.

        Parameters
        ----------
        bar : number of the next bar
        bars : features, high, low and close of that bar and those after it; where `on_bar` gets others,
            running ahead ends
        """
        run_together([self], zip(repeat(self), count(bar), bars))

    def on_bar(
        self, bar: int, features: Sequence[float], high: float, low: float, close: float
    ) -> tuple[Signal | None, list[ScoredSignal]]:
        """Take a closed bar; return its signal, None until a window is full, and the signals it scored.

        Raises
        ------
        NonFiniteError
            When a feature, high, low or close is not finite; the bar was not taken. Or when the outputs are
            not finite after the step.
        ValueError
            When `bar` does not follow the bar before it.
        """
        ahead = None
        if self._ahead is not None:
            turn = Turn(self._planner, bar, (tuple(features), high, low, close))
            ahead = self._ahead.take(turn)
        outputs: list[float] | None
        if ahead is not None:
            plan, outputs, self.last_step_s = ahead
        else:
            self._ahead = None
            plan = self._planner.plan(bar, features, high, low, close)
            start = perf_counter()
            steps = steps_of([plan], learning=self.learning)
            outputs = outputs_of(send_steps(self._network, steps))[0] if steps else None
            self.last_step_s = perf_counter() - start
        self.network_s += self.last_step_s
        self.last_bar, self.features, self.window = bar, plan.features, plan.window
        scored = [
            ScoredSignal(signal, label.target, bar)
            for label, signal in self._signals.confirm(plan.labels, bar)
        ]
        if outputs is None:
            return None, scored
        signal = Signal.of(bar, outputs)
        self._signals.add(bar, signal)
        return signal, scored

    def scaled(self, features: Sequence[float]) -> Sequence[float]:
        """Return the features of the next bar, scaled for the network if there is a scale."""
        return self._planner.scaled(features)

    def observe(self, bar: int, features: Sequence[float], high: float, low: float, close: float) -> None:
        """Take a closed bar as an example for `take_examples`, without prediction; raises as `on_bar`."""
        plan = self._planner.plan(bar, features, high, low, close)
        self.last_bar, self.features = bar, plan.features
        self._examples += plan.examples

    def take_examples(self, first_bar: int = 0, embargo_bars: int = 0) -> list[Example]:
        """Return the examples observed from `first_bar` on, without the last `embargo_bars`, and drop all.

        Observed bars without a confirmed label are dropped too.

        Raises
        ------
        StrategyError
            When there are no examples.
        """
        last = -1 if self.last_bar is None else self.last_bar
        examples = [e for e in self._examples if first_bar <= e.bar <= last - embargo_bars]
        self._examples = []
        self._planner.queue.clear()
        if not examples:
            raise StrategyError(
                f"a bar from {first_bar} to {last} must have a full window and a confirmed label. "
                "Learn from a longer span."
            )
        return examples

    def running_statistics(self) -> tuple[Array, Array] | None:
        """Return running mean and deviation of each feature of the newest bar, or None.

        None where the first layer has no running statistics.
        """
        first = self._network.layout.plans[0]
        mean = first.tensors.get("moving_mean")
        if mean is None or mean.tensor.size != self._network.n_inputs:
            return None
        copy = None if self._ahead is None else self._ahead.reached
        if copy is None:
            self._rewind()
        newest = slice(-len(self.feature_names), None)
        names = [f"{first.name}.{name}" for name in ("moving_mean", "moving_variance")]
        means, variances = (tensor[0, newest] for tensor in self._network.tensors(names, copy))
        return means, np.sqrt(variances)

    @property
    def pending(self) -> list[Signal]:
        """Predictions waiting for their labels."""
        return self._signals.items

    # -- checkpoint ------------------------------------------------------------------------------------------
    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the state for `restore`: arrays, and plain JSON values.

        Raises
        ------
        CheckpointError
            When observed bars were not taken as examples.
        """
        self._rewind()
        queue, outputs = self._planner.queue, [signal.all_outputs for signal in self._signals.items]
        if self._examples or queue.bars != self._signals.bars:
            raise CheckpointError(
                f"the bars up to bar {self.last_bar} must be learned first. Call take_examples."
            )
        arrays = {
            "learner.history": self._planner.rows.rows().astype(float),
            "learner.pending_windows": np.array(queue.items, float).reshape(-1, self._network.n_inputs),
            "learner.pending_outputs": np.array(outputs, float).reshape(-1, self._n_outputs),
        }
        values = {
            "features": list(self.feature_names),
            "history_bars": self.history_bars,
            "last_bar": self.last_bar,
            "pending_bars": queue.bars,
            "label": self._planner.label.state(),
        }
        return arrays, values

    def restore(self, arrays: dict[str, NDArray[Any]], values: Fields) -> None:
        """Set the state that `state` returned.

        Raises
        ------
        CheckpointError
            When the features differ, or a value is missing or invalid.
        """
        for name, mine in (("features", list(self.feature_names)), ("history_bars", self.history_bars)):
            if (saved := values.any(name)) != mine:
                raise CheckpointError(f"{name} must be {saved}, got {mine}")
        last_bar, bars = values.integer_or_none("last_bar"), values.integers("pending_bars")
        least, most = (0, 0) if last_bar is None else (1, min(self.history_bars, last_bar + 1))
        if bars != sorted(set(bars)) or (bars and (last_bar is None or bars[-1] > last_bar)):
            raise values.invalid("pending_bars", f"rising numbers up to last_bar, {last_bar}")
        history = _array(arrays, "history", (None, len(self.feature_names)))
        windows = _array(arrays, "pending_windows", (len(bars), self._network.n_inputs))
        outputs = _array(arrays, "pending_outputs", (len(bars), self._n_outputs))
        if (outputs < 0).any() or (outputs > 1).any():
            raise CheckpointError("learner.pending_outputs must lie between 0 and 1")
        if not least <= len(history) <= most:
            found = f"got {len(history)} at last_bar {last_bar}"
            raise CheckpointError(f"learner.history must hold {least} to {most} rows, {found}")
        label = self._planner.label
        try:
            label.restore(values.any("label"))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # A label may be the user's own, with any state in the file.
            message = f"{type(error).__name__}: {error}"
            raise CheckpointError(
                f"learner.label must be a state of {type(label).__name__}: {message}"
            ) from error
        self._planner.rows.set_rows(history)
        self._planner.last_bar = self.last_bar = last_bar
        self.features = self._planner.rows.last if len(history) else None
        self._planner.queue.clear()
        self._signals.clear()
        for bar, window, of_bar in zip(bars, windows, outputs.tolist(), strict=True):
            self._planner.queue.add(bar, window)
            self._signals.add(bar, Signal.of(bar, of_bar))

    @property
    def _n_outputs(self) -> int:
        return len(CLASSES) * len(self._network.seeds)


def run_together(learners: Sequence[Learner], bars: Iterable[tuple[Learner, int, BarInputs]]) -> None:
    """Let the learners of one network run ahead together, as `Learner.run_ahead` one alone.

    Parameters
    ----------
    learners : of the same network
    bars : learner, number and inputs of each bar to come, in the order in which `on_bar` will get them
    """
    first = learners[0]
    turns = (Turn(learner._planner, bar, inputs) for learner, bar, inputs in bars)
    ahead = RunAhead(first._network, turns, learning=first.learning)
    for learner in learners:
        learner._ahead = ahead


def _array(arrays: dict[str, NDArray[Any]], name: str, shape: tuple[int | None, int]) -> Array:
    """Return an array of the state; None in `shape` allows any number of rows."""
    array = arrays.get(f"learner.{name}")
    if array is None or array.dtype != np.float64 or array.ndim != len(shape) or array.shape[1] != shape[1]:
        found = "no array" if array is None else f"{array.dtype} of shape {array.shape}"
        raise CheckpointError(f"learner.{name} must be float64 of shape {shape}, got {found}")
    if shape[0] not in (None, len(array)) or not np.isfinite(array).all():
        raise CheckpointError(f"learner.{name} must be finite, of shape {shape}")
    return array
