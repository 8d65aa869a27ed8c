"""SharedNetwork: one network that learns from several instruments, in the order of time."""

from __future__ import annotations

from typing import Any

from bt_neuro.errors import StrategyError
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.learning.learner import Learner
from bt_neuro.learning.running_scale import RunningScale
from bt_neuro.nn.network import Network
from bt_neuro.plugin.bars_ahead import run_ahead_together
from bt_neuro.plugin.make_learner import label_of, make_network, resumed_seed
from bt_neuro.plugin.strategy import NeuroStrategy


class SharedNetwork:
    """One network for the strategies of several instruments.

    Each strategy scales its features by their running mean and deviation, learns the label that its bar confirms,
    and predicts; then the next one does. Where bars close together, strategies go in the order in which they were
    added. The default learning rate is half of that of one instrument.

    Examples
    --------
    >>> import backtrader as bt
    >>> from bt_neuro import BarsFeed, read_bars
    >>> cerebro, shared = bt.Cerebro(), SharedNetwork()
    >>> frame = read_bars("data/SYNTHETIC_EURUSD_H1.csv", end="2024-01-08").frame
    >>> for name in ("EURUSD", "GBPUSD"):
    ...     _ = cerebro.adddata(BarsFeed(bars=frame), name=name)
    ...     _ = cerebro.addstrategy(shared.of(NeuroStrategy), data=name, device="numpy")
    >>> first, second = cerebro.run()
    >>> first.network is second.network
    True
    """

    def __init__(self) -> None:
        self._network: Network | None = None
        self._run: Any = None
        self._started: list[NeuroStrategy] = []  # in a run in which none has learned yet

    def of(self, strategy: type[NeuroStrategy]) -> type[NeuroStrategy]:
        """Return a subclass whose strategies share this network."""

        def make_learner(self_: NeuroStrategy, checkpoint: Checkpoint | None) -> Learner:
            return self._learner(self_, checkpoint and resumed_seed(self_, checkpoint))

        methods = {"_make_learner": make_learner, "_run_ahead": lambda self_: self._run_ahead(self_)}
        more = {"_rate_share": 0.5, "__module__": strategy.__module__}
        shared: Any = type(strategy.__name__, (strategy,), {**methods, **more})
        return shared

    def _learner(self, strategy: Any, seed: Any) -> Learner:
        p = strategy.p
        for name in ("pretrain", "resume"):
            if getattr(p, name) is not None:
                raise StrategyError(f"{name} must not be given with a shared network. Leave it out.")
        if self._run is not strategy.env.runningstrats:  # a list of each run
            self._run, self._network, self._started = strategy.env.runningstrats, None, []
        self._started.append(strategy)
        self._network = self._network or make_network(strategy, seed)
        names, options = list(strategy._feature_lines), {"learning": p.learning, "scale": RunningScale()}
        return Learner(self._network, label_of(strategy), names, p.history_bars, **options)

    def _run_ahead(self, strategy: NeuroStrategy) -> None:
        """Let all run ahead when the first is about to learn."""
        strategies, self._started = self._started, []
        if strategies:
            run_ahead_together(strategies, strategy)
