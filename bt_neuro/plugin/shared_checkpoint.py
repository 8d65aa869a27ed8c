"""SharedCheckpoint: an analyzer that saves one network of several instruments with their learners."""

from __future__ import annotations

from pathlib import Path

import backtrader as bt

from bt_neuro.learning.checkpoint import MODEL, shared_contents
from bt_neuro.nn.storage import write
from bt_neuro.plugin.recorded import RecordedLearner
from bt_neuro.plugin.resume import time_of
from bt_neuro.plugin.run_observer import with_state


class SharedCheckpoint(bt.Analyzer):
    """Save one file for all strategies of a `SharedNetwork`: at the end, and every n moments at which bars close.

    Add it to the last strategy, and last there: then all have had the moment.

    Params:

      - ``path`` (default: ``model.safetensors``): the file; written atomically
      - ``every_bars`` (default: ``None``): moments from one checkpoint to the next; None saves at the end only
      - ``about`` (default: ``None``): a dict of further plain JSON values
    """

    params = (("path", MODEL), ("every_bars", None), ("about", None))

    def start(self) -> None:
        self._moments = self._saved = 0

    def next(self) -> None:
        self._moments += 1
        if self.p.every_bars is not None and self._moments % self.p.every_bars == 0:
            self._save()

    def stop(self) -> None:
        if self._saved != self._moments:
            self._save()

    def _save(self) -> None:
        strategies = self.strategy.env.runningstrats
        learners = {one.data._name: one.learner for one in strategies}
        for name, learner in learners.items():
            if isinstance(learner, RecordedLearner):
                if not learner.is_over:  # the bars were saved before
                    return
                learners[name] = learner.learner
        parts = {
            one.data._name: (
                {**one.fingerprint.state(), "last_time": time_of(one.fingerprint.last)},
                {name: keeper.state() for name, keeper in with_state(one.analyzers.getitems()).items()},
            )
            for one in strategies
        }
        write(Path(self.p.path), *shared_contents(learners, parts, self.p.about or {}))
        self._saved = self._moments
