"""SharedLearner: a learner whose network also learns from other instruments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bt_neuro.learning.labels import Label
from bt_neuro.learning.learner import Learner
from bt_neuro.learning.run_ahead import BarInputs
from bt_neuro.learning.running_scale import RunningScale
from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.nn.network import Network


class SharedLearner(Learner):
    """A learner of one instrument on a network that it shares with those of others.

    Windows, labels and waiting predictions are its own, and so is the scale of its features: instruments differ in
    units and in volatility. Learners of a network take their bars in turns, in the order of time.

    Parameters
    ----------
    network, label, feature_names, history_bars, options : as of `Learner`
    """

    def __init__(
        self, network: Network, label: Label, feature_names: Sequence[str], history_bars: int, **options: Any
    ) -> None:
        super().__init__(network, label, feature_names, history_bars, **options)
        self._scale = RunningScale()

    def run_ahead(self, bar: int, bars: Iterable[BarInputs]) -> None:
        """Do nothing: bars of other instruments come in between."""

    def on_bar(
        self, bar: int, features: Sequence[float], high: float, low: float, close: float
    ) -> tuple[Signal | None, list[ScoredSignal]]:
        """Take a closed bar, its features not scaled yet; returns and raises as `Learner.on_bar`."""
        return super().on_bar(bar, self.scaled(features), high, low, close)

    def scaled(self, features: Sequence[float]) -> Sequence[float]:
        """Return the features of the next bar in units of their own deviation."""
        scaled: list[float] = self._scale.scaled(features).tolist()
        return scaled
