"""Bars that are learned again and again before the first prediction: the article's eras."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from time import perf_counter
from typing import Any

from bt_neuro.bars.clock import Bound, Span
from bt_neuro.errors import BarsError, CheckpointError, StrategyError
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.learning.epochs import Epoch, EpochLog
from bt_neuro.learning.fit import Example, fit

PRETRAINING = "pretraining"  # in a checkpoint


class Pretraining:
    """What a strategy learns before it predicts, its eras so far, and how to go on with them.

    Parameters
    ----------
    pretrain : the span of bars, ``FROM..TO`` or a pair of times
    eras, until_settled : how often they are learned, at most or always
    embargo_bars : bars at the end of the span that are not

    Attributes
    ----------
    eras : how many there shall be
    log : the `EpochLog`; known once there is a network
    examples : what is learned; empty before the span is over, and where a run goes on after it
    seconds : that the eras of this run took
    """

    def __init__(
        self, pretrain: str | Sequence[Bound], eras: int, until_settled: bool, embargo_bars: int
    ) -> None:
        try:
            self.span = Span.of(pretrain, "pretrain")
        except BarsError as error:
            raise StrategyError(str(error)) from error
        self.eras, self._until_settled, self._embargo_bars = eras, until_settled, embargo_bars
        self._start, self._stop = (time.astype(datetime) for time in (self.span.start, self.span.stop))
        self._first_bar: int | None = None
        self.log = EpochLog(0)
        self.examples: list[Example] = []
        self.seconds = 0.0

    @classmethod
    def of(cls, params: Any) -> Pretraining | None:
        """Return what a strategy's params ask for; None where they name no span."""
        if params.pretrain is None:
            if params.until_settled:
                raise StrategyError("until_settled ends the eras of pretrain: give pretrain too")
            return None
        if params.until_settled and params.eras < 2:
            raise StrategyError("until_settled compares eras: give the most there may be as eras, 2 or more")
        return cls(params.pretrain, params.eras, params.until_settled, params.embargo_bars)

    @property
    def ended(self) -> list[tuple[Epoch, ...]]:
        """The eras so far, an entry an era: one `Epoch` a network."""
        return self.log.ended

    @property
    def is_done(self) -> bool:
        """Whether the last epoch has ended."""
        return self.log.is_done(self.eras, self._until_settled)

    @property
    def has_settled(self) -> bool:
        return self.log.has_settled

    def begin(self, networks: int) -> None:
        """Start with no eras."""
        self.log = EpochLog(networks)

    def is_over(self, bar: int, time: datetime) -> bool:
        """Take the time of a bar that has come; tell whether the span ended before it."""
        if self._first_bar is None and self._start <= time < self._stop:
            self._first_bar = bar
        return time >= self._stop

    def learn(self, strategy: Any) -> None:
        """Learn the eras that are missing, and tell the strategy and its analyzers of each.

        Raises
        ------
        KeyboardInterrupt
            When the run was stopped meanwhile; the launch that was going has ended.
        """
        listeners = (*strategy.analyzers, strategy)

        def on_launch(learned: int) -> None:
            number = len(self.ended) + 1
            for one in listeners:
                if hasattr(one, "notify_examples"):
                    one.notify_examples(number, learned, len(self.examples))
            if strategy.env._event_stop:
                raise KeyboardInterrupt(f"interrupted in era {number} of {self.eras}")

        def on_epoch() -> None:
            for one in listeners:
                if hasattr(one, "notify_epoch"):
                    one.notify_epoch(self.ended[-1])

        if self._first_bar is None:
            raise StrategyError(
                f"pretrain {self.span.text} must hold a bar with all features. Choose a longer span."
            )
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
        self.seconds = perf_counter() - start

    def state(self, is_over: bool) -> dict[str, Any]:
        """Return what `restore` needs, in plain JSON values."""
        return {"span": self.span.text, "is_over": is_over, **self.log.state()}

    def restore(self, saved: Checkpoint) -> bool:
        """Go on from a checkpoint; tell whether eras are missing, for which the span must be seen again.

        Raises
        ------
        CheckpointError
            When it comes from a run without these eras.
        """
        about = saved.network.about
        if PRETRAINING not in about.values:
            raise CheckpointError(
                f"cannot go on from {saved.path}: it was not pretrained; leave pretrain out"
            )
        state = about.group(PRETRAINING)
        if (span := state.text("span")) != self.span.text:
            raise CheckpointError(
                f"cannot go on from {saved.path}: its pretrain: {span}; here: {self.span.text}"
            )
        self.log.restore(state)
        return not state.flag("is_over") and not self.is_done
