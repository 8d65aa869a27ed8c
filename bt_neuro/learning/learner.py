"""The order of one bar, and nothing but it decides when the network learns and predicts.

    1. bar t has closed: its features enter the learner's own history
    2. labels that t has made known: the stored prediction is scored (test), then learned from (train)
    3. the network predicts t from the window that ends at t, which moves its running statistics

This is delayed progressive validation (river). Whatever feeds backtrader runs this one function. Labels come
from prices alone: who computes features himself can have 2 begin first, and the network learns meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields
from bt_neuro.learning._validation import refuse, require_in_time, require_matching
from bt_neuro.learning.feature_window import FeatureWindow
from bt_neuro.learning.fit import Example
from bt_neuro.learning.label_queue import LabelQueue, state_array
from bt_neuro.learning.labels import ConfirmedLabel, Label
from bt_neuro.learning.observed import Observed
from bt_neuro.learning.signals import CLASSES, ScoredSignal, Signal
from bt_neuro.nn.network import Network


class _Begun(NamedTuple):
    """A bar whose prices were taken, and not yet its features."""

    prices: tuple[int, float, float, float]  # its number, high, low and close
    scored: list[ScoredSignal]
    left: list[Example]  # to be learned with the prediction
    seconds: float  # in the network


class Learner:
    """Feed closed bars to a network, one at a time.

    Parameters
    ----------
    network : with ``history_bars * len(feature_names)`` inputs and three outputs of a sigmoid or softmax;
        if it has several lanes, each learns for itself and the signal is the vote of all
    label : says what is to be learned, and when it is known
    feature_names : of the numbers of one bar, for messages and checkpoints
    history_bars : bars in a window (20)
    learning : False only predicts and scores; the running statistics still move

    Attributes
    ----------
    delay_bars : how many bars after its own a label is known at the latest
    window : the last window predicted, or None
    while_busy : called at most once a bar, in the time the network takes: work on earlier bars that can wait
    network_s : seconds spent on launches and on waiting for the network so far; `last_step_s` in the last bar
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
        self._observed = Observed()
        self._history = FeatureWindow(history_bars, len(feature_names), network.dtype)
        self._last_bar: int | None = None
        self._begun: _Begun | None = None

    def begin_bar(self, bar: int, high: float, low: float, close: float) -> None:
        """Score, and begin to learn, what a closed bar's prices have made known; `on_bar` ends the bar.

        Who computes the features meanwhile has them at no cost, and the same results to the bit. A bar that
        `on_bar` would refuse for its number or prices does not begin; one that it then refuses for its
        features can still come, and has taught what its prices taught.
        """
        follows = self._last_bar is not None and bar == self._last_bar + 1
        if follows and self._begun is None and math.isfinite(high + low + close):
            self._begin((bar, high, low, close))

    def on_bar(
        self, bar: int, features: Sequence[float], high: float, low: float, close: float
    ) -> tuple[Signal | None, list[ScoredSignal]]:
        """Take a closed bar; return its signal (None until a window is full) and the predictions it scored.

        Raises
        ------
        NonFiniteError
            When a feature, high, low or close is not finite; nothing has changed then, but for what
            `begin_bar` has done. Or when the network's outputs are not, after the step: lower the learning
            rate.
        ValueError
            When bars do not follow one another, or this one began with other prices.
        """
        self._check(bar, features, high, low, close)
        prices = bar, high, low, close
        begun = self._begun or self._begin(prices)
        if begun.prices != prices:
            raise ValueError(f"bar, high, low and close are {prices}, and were {begun.prices} when it began")
        self._begun, scored = None, begun.scored
        self._history.append(features)
        self._last_bar = bar
        self.window = self._history.window
        start = perf_counter()
        outputs = self._predict(begun.left)
        self.last_step_s = begun.seconds + perf_counter() - start
        self.network_s += self.last_step_s
        if outputs is None or self.window is None:
            return None, scored
        signal = Signal.of(bar, outputs.ravel().tolist())
        self._pending.add(signal, self.window)
        return signal, scored

    def observe(self, bar: int, features: Sequence[float], high: float, low: float, close: float) -> None:
        """Take a closed bar that becomes an example of `take_examples`: no prediction, no score.

        Raises as `on_bar` does.
        """
        if self._begun is not None:
            raise ValueError(f"bar {self._begun.prices[0]} has begun: end it with on_bar")
        self._check(bar, features, high, low, close)
        self._history.append(features)
        self._last_bar = bar
        self._observed.label(self._known(bar, high, low, close), bar)
        if (window := self._history.window) is not None:
            self._observed.add(bar, window)

    def take_examples(self, first_bar: int = 0, embargo_bars: int = 0) -> list[Example]:
        """Return what was observed from `first_bar` on and can be learned, rising in time; forget it here.

        A label that is not known by the last bar taken is in none of them, and never will be.

        Raises
        ------
        StrategyError
            When there is nothing to learn.
        """
        last = -1 if self._last_bar is None else self._last_bar
        return self._observed.take(first_bar, last, embargo_bars)

    def _known(self, bar: int, high: float, low: float, close: float) -> list[ConfirmedLabel]:
        known = self.label.update(bar, high, low, close)
        require_in_time(known, bar, self.delay_bars)
        return known

    def _begin(self, prices: tuple[int, float, float, float]) -> _Begun:
        scored, examples = self._pending.score(self._known(*prices), prices[0])
        start = perf_counter()
        if not self.learning:
            examples = []
        # Of several networks each reads its weights once where it learns and predicts in one launch.
        first = len(examples) if len(self.network.seeds) == 1 else len(examples) - 1
        for _, _, window, target in examples[:first]:
            self.network.start_learning(window, target)
        self._begun = _Begun(prices, scored, examples[first:], perf_counter() - start)
        return self._begun

    def _predict(self, left: list[Example]) -> NDArray[np.floating] | None:
        if self.window is None:
            return None
        if not left:
            return self.network.predict(self.window, update_statistics=True, meanwhile=self.catch_up)
        self.catch_up()
        return self.network.learn_then_predict(left[0].window, left[0].target, self.window)

    def catch_up(self) -> None:
        """Do the work that waits, as it is done while the network is busy."""
        for work in self.while_busy:
            work()

    def _check(self, bar: int, features: Sequence[float], high: float, low: float, close: float) -> None:
        if self._last_bar is not None and bar != self._last_bar + 1:
            raise ValueError(f"bar {bar} follows bar {self._last_bar}: bars must come one by one")
        finite = math.isfinite(sum(features) + high + low + close)
        if finite and min(features) >= -self._largest and max(features) <= self._largest:
            return
        left = "the bar was not taken: mend it, or drop it"
        if self._begun is not None:
            left = "the bar was not taken, but for its prices: mend the feature"
        names, values = (*self.feature_names, "high", "low", "close"), (*features, high, low, close)
        refuse(bar, names, values, self.network.dtype, left)

    @property
    def _outputs(self) -> int:
        return len(CLASSES) * len(self.network.seeds)

    @property
    def last_bar(self) -> int | None:
        """Number of the last bar taken."""
        return self._last_bar

    @property
    def features(self) -> NDArray[np.floating]:
        """The numbers of the last bar."""
        return self._history.last

    def running_statistics(self) -> tuple[NDArray[np.floating], NDArray[np.floating]] | None:
        """Return mean and deviation of each feature of the newest bar, as the first layer holds them.

        None where the first layer does not normalise by running statistics.
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
        """Predictions whose labels are not known yet."""
        return self._pending.signals

    # -- checkpoint ------------------------------------------------------------------------------------------
    def state(self) -> tuple[dict[str, NDArray[np.floating]], dict[str, Any]]:
        """Return arrays and plain values that, with the network's own, let `restore` go on to the bit."""
        if self._begun is not None:
            raise CheckpointError(f"bar {self._begun.prices[0]} has begun and not ended: save after it")
        if self._observed:
            raise CheckpointError(
                f"the bars up to bar {self._last_bar} must be learned first. Call take_examples."
            )
        arrays = {
            "learner.history": self._history.rows().astype(float),
            **self._pending.arrays(self.network.n_inputs, self._outputs),
        }
        values = {
            "features": list(self.feature_names),
            "history_bars": self.history_bars,
            "last_bar": self._last_bar,
            "pending_bars": self._pending.bars,
            "label": self.label.state(),
        }
        return arrays, values

    def restore(self, arrays: dict[str, NDArray[Any]], values: Fields) -> None:
        """Go on from what `state` gave.

        Raises
        ------
        CheckpointError
            When it is of other features, or is no such state.
        """
        for name, mine in (("features", list(self.feature_names)), ("history_bars", self.history_bars)):
            if (saved := values.any(name)) != mine:
                raise CheckpointError(f"the checkpoint's {name} are {saved}, this strategy's {mine}")
        last_bar, bars = values.integer_or_none("last_bar"), values.integers("pending_bars")
        least, most = (0, 0) if last_bar is None else (1, min(self.history_bars, last_bar + 1))
        if bars != sorted(set(bars)) or (bars and (last_bar is None or bars[-1] > last_bar)):
            raise values.refuse("pending_bars", f"rising numbers up to last_bar, {last_bar},")
        history = state_array(arrays, "history", (None, len(self.feature_names)))
        pending = LabelQueue(self.delay_bars)
        pending.restore(bars, arrays, self.network.n_inputs, self._outputs)
        if not least <= len(history) <= most:
            raise CheckpointError(f"learner: {len(history)} bars of history at last_bar {last_bar}")
        try:
            self.label.restore(values.any("label"))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # A label may be the user's own, and its state is what the file says.
            told = f"{type(error).__name__}: {error}"
            raise CheckpointError(
                f"learner.label is no state of {type(self.label).__name__}: {told}"
            ) from error
        self._history.set_rows(history)
        self._last_bar, self._pending, self._begun = last_bar, pending, None
