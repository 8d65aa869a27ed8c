"""ModelCheckpoint: an analyzer that saves checkpoints during a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import backtrader as bt

from bt_neuro.errors import CheckpointError, StrategyError
from bt_neuro.learning.checkpoint import MODEL, contents
from bt_neuro.learning.epochs import Epoch
from bt_neuro.nn.storage import Tensors, write
from bt_neuro.plugin.checks import is_neural, require_counted
from bt_neuro.plugin.phase import Phase
from bt_neuro.plugin.pretraining import PRETRAINING
from bt_neuro.plugin.resume import time_of
from bt_neuro.plugin.run_observer import with_state


class ModelCheckpoint(bt.Analyzer):
    """Save a checkpoint at the end of a run, also a stopped one, every n bars and after each epoch.

    Add it last: it also saves the state of the analyzers before it, such as `HitRate`, by their names. The
    param ``resume`` of a `NeuroStrategy` takes the file.

    Params:

      - ``path`` (default: ``model.safetensors``): the file; written atomically
      - ``every_bars`` (default: ``None``): bars from one checkpoint to the next; None saves at the end only
      - ``at_bar`` (default: ``None``): number of a bar after which to save too
      - ``in_background`` (default: ``False``): write the file in a thread, while the next bars come
      - ``sync`` (default: ``None``): called before each file is written, to flush others that belong to it
      - ``about`` (default: ``None``): a dict of further plain JSON values

    Methods
    -------
      - ``get_analysis``: dict with the keys ``checkpoints``, the number written, and ``last_bar``

    Raises
    ------
    StrategyError
        When the strategy is no `NeuroStrategy`, or ``every_bars`` no integer from 1 on.

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
    (92, 116, 116)
    """

    params = (
        ("path", MODEL),
        ("every_bars", None),
        ("at_bar", None),
        ("in_background", False),
        ("sync", None),
        ("about", None),
    )

    def start(self) -> None:
        strategy, every = self.strategy, self.p.every_bars
        self._written = 0
        self._last_bar: int | None = None  # of the last checkpoint
        self._path = Path(self.p.path)
        neural = [one for one in strategy.env.runningstrats if is_neural(one)]
        self._is_idle = bool(neural) and not is_neural(strategy)
        if self._is_idle:
            return
        if not hasattr(strategy, "_phase"):
            raise StrategyError(
                f"ModelCheckpoint needs a NeuroStrategy that calls super().__init__(), got "
                f"{type(strategy).__name__}"
            )
        if every is not None and (not isinstance(every, int) or every < 1):
            raise StrategyError(f"every_bars must be an integer, 1 or more, or None, got {every!r}")
        later = list(strategy.analyzers.getitems())[list(strategy.analyzers).index(self) + 1 :]
        for analyzer in with_state(later).values():  # it has not seen the bar yet when this one saves
            name = type(analyzer).__name__
            raise StrategyError(f"ModelCheckpoint must be added after {name}, whose state it saves")
        for other in neural:
            for one in other.analyzers:
                is_same = isinstance(one, ModelCheckpoint) and one is not self
                if is_same and Path(one.p.path).resolve() == self._path.resolve():
                    names = f"{type(strategy).__name__} and {type(other).__name__}"
                    raise StrategyError(
                        f"ModelCheckpoint: {self._path} must have one writer, got {names}. Run each in its own Cerebro."
                    )
        if not self._path.parent.is_dir():
            raise CheckpointError(f"cannot write {self._path}: the folder must exist. Make it first.")
        self._writer = ThreadPoolExecutor(1) if self.p.in_background else None
        self._writing: list[Future[None]] = []

    def next(self) -> None:
        if self._is_idle:
            return
        bar, every = self.strategy.learner.last_bar, self.p.every_bars
        is_new = bar is not None and bar != self._last_bar and self._is_savable
        if is_new and (bar == self.p.at_bar or (every is not None and (bar + 1) % every == 0)):
            self._save()

    def stop(self) -> None:
        if self._is_idle:
            return
        if self._is_savable and (not self._written or self._last_bar != self.strategy.learner.last_bar):
            self._save()
        self._finish()
        if self._writer is not None:
            self._writer.shutdown()

    def notify_epoch(self, epochs: tuple[Epoch, ...]) -> None:
        """Save: an epoch that has ended need not be learned again."""
        self._save()

    @property
    def _is_savable(self) -> bool:
        # In other phases bars were saved before, or are not learned yet.
        return self.strategy.phase in (Phase.WARM_UP, Phase.LIVE)

    def _save(self) -> None:
        strategy, last_bar = self.strategy, self.strategy.learner.last_bar
        bars = {**strategy.fingerprint.state(), "last_time": time_of(strategy.fingerprint.last)}
        if last_bar is not None:
            require_counted(strategy, last_bar + 1)
        keepers = with_state(strategy.analyzers.getitems())
        states = {name: keeper.state() for name, keeper in keepers.items()}
        about = dict(self.p.about or {})
        if strategy.pretraining is not None:
            about[PRETRAINING] = strategy.pretraining.state()
        tensors, values = contents(strategy.learner, bars=bars, analyzers=states, about=about)
        if self._writer is None:
            self._write(tensors, values)
        else:
            text = json.dumps(values)  # a copy: the next bars change what lies in it
            self._submit(self._writer, lambda: self._write(tensors, json.loads(text)))
        self._written, self._last_bar = self._written + 1, last_bar

    def _write(self, tensors: Tensors, values: dict[str, Any]) -> None:
        if self.p.sync is not None:
            self.p.sync()
        write(self._path, tensors, values)

    def _submit(self, writer: ThreadPoolExecutor, call: Callable[[], None]) -> None:
        """Write a file in the thread, without waiting. Of files that are still queued only the newest is written."""
        self._finish(only_done=True)
        waiting = [one for one in self._writing if not one.cancel()]
        self._written -= len(self._writing) - len(waiting)
        self._writing = [*waiting, writer.submit(call)]

    def wait(self) -> None:
        """Wait until the thread has written its files."""
        wait(self._writing)

    def _finish(self, *, only_done: bool = False) -> None:
        """Wait until the thread has written its files, and raise its error; `only_done` does not wait."""
        ended = [one for one in self._writing if one.done() or not only_done]
        self._writing = [one for one in self._writing if one not in ended]
        for one in ended:
            one.result()

    def get_analysis(self) -> dict[str, Any]:
        last_bar = None if self._is_idle else self.strategy.learner.last_bar
        return {"checkpoints": self._written, "last_bar": last_bar}
