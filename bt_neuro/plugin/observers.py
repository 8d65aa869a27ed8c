"""Observers: running statistics of a network, as lines beside the prices."""

from __future__ import annotations

import backtrader as bt

from bt_neuro.errors import StrategyError, did_you_mean
from bt_neuro.plugin.checks import is_neural


class RunningStatistics(bt.Observer):
    """Running mean and deviation of one feature, as the first normalisation layer holds them at a bar.

    The network's next layer receives each number less this mean, over this deviation.

    Params:

      - ``feature`` (required): name of the feature; the statistics are those of the newest bar in the window

    Lines:
      - ``mean``, ``deviation``: moved by bars up to the present one; nothing before the first prediction

    Raises
    ------
    StrategyError
        When the strategy has no such feature, or its network does not begin with a RunningBatchNorm.

    Examples
    --------
    >>> import backtrader as bt
    >>> from bt_neuro import BarsFeed, Dense, NeuroStrategy, RunningBatchNorm, RunningStatistics, read_bars
    >>> class Tiny(NeuroStrategy):
    ...     def layers(self, inputs):
    ...         return [RunningBatchNorm(100), Dense(3, "sigmoid")]
    >>> cerebro = bt.Cerebro(stdstats=False)
    >>> frame = read_bars("data/SYNTHETIC_EURUSD_H1.csv", end="2024-01-31").frame
    >>> _ = cerebro.adddata(BarsFeed(bars=frame)), cerebro.addstrategy(Tiny, device="numpy",
    ...     features="article")
    >>> _ = cerebro.addobserver(RunningStatistics, feature="hour")
    >>> (strategy,) = cerebro.run()
    >>> hour = strategy.observers[0]
    >>> round(hour.mean[0], 1), round(hour.deviation[0], 1)
    (11.9, 6.9)
    """

    lines = ("mean", "deviation")
    params = (("feature", None),)
    plotinfo = (("plot", True), ("subplot", True))

    def next(self) -> None:
        if not is_neural(self._owner):
            return
        learner = self._owner.learner
        if learner.window is None:
            return
        if self.p.feature not in learner.feature_names:
            known = did_you_mean(str(self.p.feature), learner.feature_names)
            raise StrategyError(f"RunningStatistics: there is no feature {self.p.feature!r}.{known}")
        if (held := learner.running_statistics()) is None:
            raise StrategyError("RunningStatistics: the network does not begin with a RunningBatchNorm")
        index = learner.feature_names.index(self.p.feature)
        self.lines.mean[0], self.lines.deviation[0] = (float(numbers[index]) for numbers in held)
