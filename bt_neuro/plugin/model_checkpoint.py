"""An analyzer that saves a strategy's network, and all it needs to go on, while the run is going."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import backtrader as bt

from bt_neuro.errors import CheckpointError, StrategyError
from bt_neuro.learning.checkpoint import MODEL, save
from bt_neuro.learning.epochs import Epoch
from bt_neuro.plugin.checks import require_counted
from bt_neuro.plugin.pretraining import PRETRAINING
from bt_neuro.plugin.resume import time_of
from bt_neuro.plugin.run_observer import with_state


class ModelCheckpoint(bt.Analyzer):
    """Save a checkpoint at the end of a run, also of one that was stopped, every so many bars and each era.

    Add it last: it also saves the state of the analyzers before it, such as `HitRate`, by their names. A
    `NeuroStrategy` goes on from the file with its param ``resume``.

    Params:
      - ``path`` (default: ``model.safetensors``): the file; written whole or not at all
      - ``every_bars`` (default: ``None``): bars from one checkpoint to the next; only at the end if None
      - ``about`` (default: ``None``): a dict of plain JSON values to be saved too

    Methods
    -------
      - ``get_analysis``: dict with the keys ``checkpoints`` (how many were written) and ``last_bar``

    Raises
    ------
    StrategyError
        When the strategy is no `NeuroStrategy`, or ``every_bars`` no whole number from 1 on.

    Examples
    --------
    >>> import tempfile
    >>> import backtrader as bt
    >>> from bt_neuro import BarsFeed, ModelCheckpoint, Dense, NeuroStrategy, read_bars
    >>> class Tiny(NeuroStrategy):
    ...     def layers(self, inputs):
    ...         return [Dense(3, "sigmoid")]
    >>> def learn(end, **params):
    ...     cerebro = bt.Cerebro()
    ...     cerebro.adddata(BarsFeed(bars=read_bars("data/SYNTHETIC_EURUSD_H1.csv", end=end).frame))
    ...     cerebro.addstrategy(Tiny, device="numpy", **params)
    ...     cerebro.addanalyzer(ModelCheckpoint, path=f"{folder}/model.safetensors")
    ...     (strategy,) = cerebro.run()
    ...     return strategy.network.steps
    >>> folder = tempfile.mkdtemp()
    >>> learn("2024-01-05"), learn("2024-01-08", resume=folder), learn("2024-01-08")
    (43, 67, 67)
    """

    params = (("path", MODEL), ("every_bars", None), ("about", None))

    def start(self) -> None:
        strategy, every = self.strategy, self.p.every_bars
        if not hasattr(strategy, "replaying"):
            raise StrategyError(
                f"ModelCheckpoint saves a NeuroStrategy; {type(strategy).__name__} is none, "
                "or its __init__ does not call super().__init__()"
            )
        if every is not None and (not isinstance(every, int) or every < 1):
            raise StrategyError(f"every_bars is {every!r}: give a whole number, 1 or more, or None")
        later = list(strategy.analyzers.getitems())[list(strategy.analyzers).index(self) + 1 :]
        for analyzer in with_state(later).values():  # it has not seen the bar yet when this one saves
            name = type(analyzer).__name__
            raise StrategyError(f"ModelCheckpoint must be added after {name}, whose state it saves too")
        self._path = Path(self.p.path)
        if not self._path.parent.is_dir():
            raise CheckpointError(f"cannot write {self._path}: the folder does not exist; make it first")
        self._written = 0
        self._last_bar: int | None = None  # of the last checkpoint

    def prenext(self) -> None:  # backtrader's own calls next
        pass

    def next(self) -> None:
        bar, every = self.strategy.learner.last_bar, self.p.every_bars
        is_new = bar is not None and bar != self._last_bar and not self._waits()
        if every is not None and is_new and (bar + 1) % every == 0:
            self._save()

    def stop(self) -> None:
        if not self._waits() and (not self._written or self._last_bar != self._bar()):
            self._save()

    def notify_epoch(self, eras: tuple[Epoch, ...]) -> None:
        """Save: an era that has ended need not be learned again."""
        self._save()

    def _waits(self) -> bool:
        """Tell whether there is nothing to save: bars that were saved before, or are not learned yet."""
        return self.strategy.replaying or self.strategy.training

    def _bar(self) -> int | None:
        bar: int | None = self.strategy.learner.last_bar
        return bar

    def _save(self) -> None:
        strategy, last_bar = self.strategy, self._bar()
        bars = {**strategy.fingerprint.state(), "last_time": time_of(strategy.fingerprint.last)}
        if last_bar is not None:
            require_counted(strategy, last_bar + 1)
        strategy.learner.catch_up()  # what a run_observer's readers have not read is in no state
        keepers = with_state(strategy.analyzers.getitems())
        states = {name: keeper.state() for name, keeper in keepers.items()}
        about = dict(self.p.about or {})
        if strategy.pretraining is not None:
            about[PRETRAINING] = strategy.pretraining.state(is_over=not strategy.training)
        save(self._path, strategy.learner, bars=bars, analyzers=states, about=about)
        self._written, self._last_bar = self._written + 1, last_bar

    def get_analysis(self) -> dict[str, Any]:
        return {"checkpoints": self._written, "last_bar": self._bar()}
