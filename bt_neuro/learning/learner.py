"""Learner: the order of one bar, the only place that decides when the network learns and predicts.

    1. bar t has closed: its features enter the learner's own rows
    2. labels that t confirms: the waiting prediction is scored (test), then learned from (train)
    3. the network predicts t from the window that ends at t, which moves its running statistics

This is delayed progressive validation (river). Labels depend only on prices, so 2 may start before the
features are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import CheckpointError, StrategyError
from bt_neuro.io import Fields
from bt_neuro.learning._validation import raise_non_finite, require_in_time, require_matching
from bt_neuro.learning.feature_window import FeatureWindow
from bt_neuro.learning.label_queue import Example, LabelQueue, state_array
from bt_neuro.learning.labels import ConfirmedLabel, Label
from bt_neuro.learning.signals import CLASSES, ScoredSignal, Signal
from bt_neuro.nn.network import Network


class _Begun(NamedTuple):
    """A bar with prices and without features so far."""

    prices: tuple[int, float, float, float]  # its number, high, low and close
    scored: list[ScoredSignal]
    examples: list[Example]  # to be learned with the prediction
    seconds: float  # in the network


class Learner:
    """Learns and predicts closed bars, one at a time.

    Parameters
    ----------
    network : with ``history_bars * len(feature_names)`` inputs and three outputs of a sigmoid or softmax;
        several networks learn independently, and the signal is their vote
    label : the classes to learn
    feature_names : names of the features of one bar, for messages and checkpoints
    history_bars : bars in a feature window
    learning : False only predicts and scores; the running statistics still move

    Attributes
    ----------
    delay_bars : most bars from a bar to its confirmed label
    window : the last window predicted, or None
    last_bar : number of the last bar taken, or None
    while_busy : called at most once a bar, while the network is at work
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
    ) -> None:
        require_matching(network, label, len(feature_names), history_bars)
        self.network, self.label, self.learning = network, label, learning
        self.delay_bars = label.delay_bars
        self.feature_names, self.history_bars = tuple(feature_names), history_bars
        self.window: NDArray[np.floating] | None = None
        self.while_busy: list[Callable[[], None]] = []
        self.network_s = self.last_step_s = 0.0
        self._largest = float(np.finfo(network.dtype).max)
        self._pending = LabelQueue(label.delay_bars)
        self._examples: list[Example] = []  # observed and not taken
        self._history = FeatureWindow(history_bars, len(feature_names), network.dtype)
        self.last_bar: int | None = None
        self._begun: _Begun | None = None

    def begin_bar(self, bar: int, high: float, low: float, close: float) -> None:
        """Score and start to learn the labels that a closed bar's prices confirm; `on_bar` ends the bar.

        The results are the same to the bit. A bar with an invalid number or price does not begin.
        """
        follows = self.last_bar is not None and bar == self.last_bar + 1
        if follows and self._begun is None and math.isfinite(high + low + close):
            self._begin((bar, high, low, close))

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
            When `bar` does not follow the bar before it, or began with other prices.
        """
        self._check(bar, features, high, low, close)
        prices = bar, high, low, close
        begun = self._begun or self._begin(prices)
        if begun.prices != prices:
            raise ValueError(f"bar, high, low and close must be {begun.prices}, as begun, got {prices}")
        self._begun, scored = None, begun.scored
        self._history.append(features)
        self.last_bar = bar
        self.window = self._history.window
        start = perf_counter()
        outputs = self._predict(begun.examples)
        self.last_step_s = begun.seconds + perf_counter() - start
        self.network_s += self.last_step_s
        if outputs is None or self.window is None:
            return None, scored
        signal = Signal.of(bar, outputs.ravel().tolist())
        self._pending.add(bar, self.window, signal)
        return signal, scored

    def observe(self, bar: int, features: Sequence[float], high: float, low: float, close: float) -> None:
        """Take a closed bar as an example for `take_examples`, without prediction; raises as `on_bar`."""
        if self._begun is not None:
            raise ValueError(f"bar {self._begun.prices[0]} must be ended with on_bar")
        self._check(bar, features, high, low, close)
        self._history.append(features)
        self.last_bar = bar
        confirmed = self._pending.confirm(self._confirmed(bar, high, low, close), bar)
        self._examples += [example for example, _ in confirmed]
        if (window := self._history.window) is not None:
            self._pending.add(bar, window)

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
        self._pending.clear()
        if not examples:
            raise StrategyError(
                f"a bar from {first_bar} to {last} must have a full window and a confirmed label. "
                "Learn from a longer span."
            )
        return examples

    def _confirmed(self, bar: int, high: float, low: float, close: float) -> list[ConfirmedLabel]:
        labels = self.label.update(bar, high, low, close)
        require_in_time(labels, bar, self.delay_bars)
        return labels

    def _begin(self, prices: tuple[int, float, float, float]) -> _Begun:
        confirmed = self._pending.confirm(self._confirmed(*prices), prices[0])
        scored = [ScoredSignal(s, e.target, e.known_bar) for e, s in confirmed if s is not None]
        start = perf_counter()
        examples = [example for example, _ in confirmed] if self.learning else []
        # Several networks each read their weights once where they learn and predict in one launch.
        first = len(examples) if len(self.network.seeds) == 1 else len(examples) - 1
        for _, _, window, target in examples[:first]:
            self.network.start_learning(window, target)
        self._begun = _Begun(prices, scored, examples[first:], perf_counter() - start)
        return self._begun

    def _predict(self, examples: list[Example]) -> NDArray[np.floating] | None:
        if self.window is None:
            return None
        if not examples:
            return self.network.predict(self.window, update_statistics=True, meanwhile=self.catch_up)
        self.catch_up()
        return self.network.learn_then_predict(examples[0].window, examples[0].target, self.window)

    def catch_up(self) -> None:
        """Call `while_busy` now."""
        for work in self.while_busy:
            work()

    def _check(self, bar: int, features: Sequence[float], high: float, low: float, close: float) -> None:
        if self.last_bar is not None and bar != self.last_bar + 1:
            raise ValueError(f"bar must be {self.last_bar + 1}, got {bar}. Pass every closed bar once.")
        finite = math.isfinite(sum(features) + high + low + close)
        if finite and min(features) >= -self._largest and max(features) <= self._largest:
            return
        names, values = (*self.feature_names, "high", "low", "close"), (*features, high, low, close)
        raise_non_finite(bar, names, values, self.network.dtype)

    @property
    def _outputs(self) -> int:
        return len(CLASSES) * len(self.network.seeds)

    @property
    def features(self) -> NDArray[np.floating]:
        """Features of the last bar, (features,)."""
        return self._history.last

    def running_statistics(self) -> tuple[NDArray[np.floating], NDArray[np.floating]] | None:
        """Return running mean and deviation of each feature of the newest bar, or None.

        None where the first layer has no running statistics.
        """
        first = self.network.layout.plans[0]
        mean = first.tensors.get("moving_mean")
        if mean is None or mean.tensor.size != self.network.n_inputs:
            return None
        newest = slice(-len(self.feature_names), None)
        means, variances = (
            self.network.tensor(f"{first.name}.{name}")[0, newest]
            for name in ("moving_mean", "moving_variance")
        )
        return means, np.sqrt(variances)

    @property
    def pending(self) -> list[Signal]:
        """Predictions waiting for their labels."""
        return self._pending.signals

    # -- checkpoint ------------------------------------------------------------------------------------------
    def state(self) -> tuple[dict[str, NDArray[np.floating]], dict[str, Any]]:
        """Return the state for `restore`: arrays, and plain JSON values.

        Raises
        ------
        CheckpointError
            When a bar has begun and not ended, or observed bars were not taken as examples.
        """
        if self._begun is not None:
            raise CheckpointError(f"bar {self._begun.prices[0]} must end before its state can be saved")
        if self._examples or len(self._pending) > len(self._pending.signals):
            raise CheckpointError(
                f"the bars up to bar {self.last_bar} must be learned first. Call take_examples."
            )
        arrays = {
            "learner.history": self._history.rows().astype(float),
            **self._pending.arrays(self.network.n_inputs, self._outputs),
        }
        values = {
            "features": list(self.feature_names),
            "history_bars": self.history_bars,
            "last_bar": self.last_bar,
            "pending_bars": [signal.bar for signal in self._pending.signals],
            "label": self.label.state(),
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
        history = state_array(arrays, "history", (None, len(self.feature_names)))
        pending = LabelQueue(self.delay_bars)
        pending.restore(bars, arrays, self.network.n_inputs, self._outputs)
        if not least <= len(history) <= most:
            found = f"got {len(history)} at last_bar {last_bar}"
            raise CheckpointError(f"learner.history must hold {least} to {most} rows, {found}")
        try:
            self.label.restore(values.any("label"))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # A label may be the user's own, with any state in the file.
            kind, message = type(self.label).__name__, f"{type(error).__name__}: {error}"
            raise CheckpointError(f"learner.label must be a state of {kind}: {message}") from error
        self._history.set_rows(history)
        self.last_bar, self._pending, self._begun = last_bar, pending, None
