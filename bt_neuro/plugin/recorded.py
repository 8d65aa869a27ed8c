"""Playback of recorded outputs: bars up to a checkpoint pass again, and the account trades them again.

Learning does not depend on trades. So a portfolio needs no saved account: its strategies decide again on the same
signals, and each network continues at a bar of its own.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NoReturn

import backtrader as bt
import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import StrategyError
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.learning.label_queue import LabelQueue
from bt_neuro.learning.learner import Learner
from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.plugin.phase import Phase


@dataclass(frozen=True, eq=False)
class RecordedCheckpoint(Checkpoint):
    """A checkpoint with the outputs of all bars up to it.

    Attributes
    ----------
    outputs : (bars, networks, 3), those of the last bars up to `last_bar`
    """

    outputs: NDArray[np.float32]


class RecordedLearner:
    """Stand-in for a `Learner` up to the last bar of a checkpoint.

    Parameters
    ----------
    strategy : a `NeuroStrategy` with its new learner, which is restored
    checkpoint : with a `last_bar`
    """

    window = None  # its statistics are recorded already
    last_step_s = 0.0

    def __init__(self, strategy: Any, checkpoint: RecordedCheckpoint) -> None:
        self.learner: Learner = strategy._learner
        self._label = self.learner.label
        begun = deepcopy(self._label.state())
        checkpoint.restore(self.learner)
        self._label.restore(begun)  # it takes all bars again, up to the state of the checkpoint
        self._strategy, self._last = strategy, checkpoint.last_bar or 0
        self._outputs = checkpoint.outputs.reshape(len(checkpoint.outputs), -1).tolist()
        self._first = self._last + 1 - len(self._outputs)
        self._signals: LabelQueue[Signal] = LabelQueue(self.learner.delay_bars)
        self.delay_bars = self.learner.delay_bars
        self.last_bar: int | None = None
        self.features: NDArray[np.floating] | None = None

    @property
    def is_over(self) -> bool:
        return self.last_bar == self._last

    def on_bar(
        self, bar: int, features: Any, high: float, low: float, close: float
    ) -> tuple[Signal | None, list[ScoredSignal]]:
        """Take a closed bar; return its recorded signal, if it has one, and the signals it scored.

        Raises
        ------
        CheckpointError
            When the features are not those that were learned.
        """
        row = np.asarray(self.learner.scaled(features), self.learner.network.dtype)
        self._strategy._verification.compare(bar, row)
        self.last_bar, self.features = bar, row
        labels = self._signals.confirm(self._label.update(bar, high, low, close), bar)
        scored = [ScoredSignal(signal, label.target, bar) for label, signal in labels]
        if bar < self._first:
            return None, scored
        signal = Signal.of(bar, self._outputs[bar - self._first])
        self._signals.add(bar, signal)
        return signal, scored

    def __getattr__(self, name: str) -> NoReturn:
        raise StrategyError(
            f"learner.{name} must not be read up to bar {self._last}, which has been learned: a resumed portfolio "
            "trades these bars again without its networks. Run it from the first bar."
        )


def end_playback(strategy: Any) -> None:
    """Let a strategy continue with its network, if its bars have passed again."""
    if isinstance(strategy._learner, RecordedLearner) and strategy._learner.is_over:
        strategy._learner, strategy._phase = strategy._learner.learner, Phase.LIVE


def is_playing_back(cerebro: bt.Cerebro) -> bool:
    """Return whether a strategy of a run has bars of its checkpoint still to pass again."""
    learners = (getattr(one, "_learner", None) for one in getattr(cerebro, "runningstrats", ()))
    return any(isinstance(learner, RecordedLearner) and not learner.is_over for learner in learners)
