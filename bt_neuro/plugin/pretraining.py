"""Pretraining: a span of bars, learned in epochs before the first prediction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from time import perf_counter
from typing import Any

from bt_neuro.bars.clock import Bound, Span
from bt_neuro.errors import BarsError, CheckpointError, StrategyError
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.learning.epochs import EpochLog
from bt_neuro.learning.fit import fit
from bt_neuro.learning.label_queue import Example
from bt_neuro.plugin.bar_loop import is_stopping

PRETRAINING = "pretraining"  # in a checkpoint


class Pretraining:
    """Epochs over a span of bars, before the first prediction.

    Parameters
    ----------
    pretrain : the span of bars, ``FROM..TO`` or a pair of times
    eras : number of epochs, the most with `until_settled`
    until_settled : end with the epoch in which the figures settle
    embargo_bars : bars at the end of the span that are not learned

    Attributes
    ----------
    span : the `Span`
    eras : as given
    log : the `EpochLog`, from the start of the run on
    examples : the examples learned; empty before the end of the span, or if a run resumes after it
    is_pending : whether the span has not been learned yet
    seconds : spent on the epochs of this run
    """

    def __init__(
        self, pretrain: str | Sequence[Bound], eras: int, until_settled: bool, embargo_bars: int
    ) -> None:
        try:
            self.span = Span.of(pretrain, "pretrain")
        except BarsError as error:
            raise StrategyError(str(error)) from error
        self._given = pretrain
        self.eras, self._until_settled, self._embargo_bars = eras, until_settled, embargo_bars
        self._start, self._stop = (time.astype(datetime) for time in (self.span.start, self.span.stop))
        self._first_bar: int | None = None
        self.log = EpochLog(0)
        self.examples: list[Example] = []
        self.is_pending, self.seconds = True, 0.0

    @classmethod
    def of(cls, params: Any) -> Pretraining | None:
        """Return the pretraining of a strategy's params; None without ``pretrain``."""
        if params.pretrain is None:
            if params.until_settled:
                raise StrategyError("until_settled needs pretrain, whose epochs it ends. Give pretrain too.")
            return None
        if params.until_settled and params.eras < 2:
            raise StrategyError(
                f"eras must be 2 or more with until_settled, got {params.eras}. Give the most epochs as eras."
            )
        return cls(params.pretrain, params.eras, params.until_settled, params.embargo_bars)

    def begin(self, networks: int) -> None:
        """Start with no epochs."""
        self.log = EpochLog(networks)

    @property
    def epochs(self) -> int:
        """Number of epochs so far."""
        return len(self.log.epochs)

    @property
    def is_done(self) -> bool:
        """Whether there are no epochs left to learn."""
        return self.log.is_done(self.eras, self._until_settled)

    def is_over(self, bar: int, time: datetime) -> bool:
        """Take number and time of each bar with features; return whether the span ended before it."""
        if self._first_bar is None and self._start <= time < self._stop:
            self._first_bar = bar
        return time >= self._stop

    def learn(self, strategy: Any) -> None:
        """Learn the epochs left; call ``notify_epoch`` of analyzers and strategy after each.

        Analyzers with ``notify_examples(epoch, learned, examples)`` are called after each launch.

        Raises
        ------
        KeyboardInterrupt
            When the run was stopped; the launch under way has ended.
        """
        if self._first_bar is None:
            raise StrategyError(
                f"pretrain {self.span.text} must hold a bar with all features. Give a longer span."
            )
        listeners = (*strategy.analyzers, strategy)

        def on_launch(learned: int) -> None:
            number = self.epochs + 1
            for listener in listeners:
                if hasattr(listener, "notify_examples"):
                    listener.notify_examples(number, learned, len(self.examples))
            if is_stopping(strategy.env):
                raise KeyboardInterrupt(f"interrupted in epoch {number} of {self.eras}")

        def on_epoch() -> None:
            for listener in listeners:
                if hasattr(listener, "notify_epoch"):
                    listener.notify_epoch(self.log.epochs[-1])

        self.examples = strategy.learner.take_examples(self._first_bar, self._embargo_bars)
        start = perf_counter()
        fit(
            strategy.network,
            self.examples,
            self.log,
            epochs=self.eras,
            until_settled=self._until_settled,
            on_launch=on_launch,
            on_epoch=on_epoch,
        )
        self.is_pending, self.seconds = False, perf_counter() - start

    def require_over(self) -> None:
        """Raise StrategyError if the bars have ended inside the span."""
        if self.is_pending:
            raise StrategyError(
                f"pretrain {self._given} must leave bars to predict, got none. End it sooner."
            )

    def state(self) -> dict[str, Any]:
        """Return the state for `restore`, as plain JSON values."""
        return {"span": self.span.text, "is_over": not self.is_pending, **self.log.state()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Resume the epochs of a checkpoint; if some are left, the bars of the span must pass again.

        Raises
        ------
        CheckpointError
            When the checkpoint was not pretrained on the same span.
        """
        about = checkpoint.network.about
        if PRETRAINING not in about.values:
            raise CheckpointError(
                f"cannot resume {checkpoint.path}: it was not pretrained. Leave pretrain out."
            )
        state = about.group(PRETRAINING)
        if (span := state.text("span")) != self.span.text:
            raise CheckpointError(
                f"cannot resume {checkpoint.path}: pretrain must be {span}, got {self.span.text}"
            )
        self.log.restore(state)
        self.is_pending = not state.flag("is_over") and not self.is_done
