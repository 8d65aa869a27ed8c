"""Observers: running statistics of a network, as lines beside the prices."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

import backtrader as bt

from bt_neuro.errors import StrategyError, did_you_mean
from bt_neuro.metrics.classification import RECENT_SIGNALS
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
            raise StrategyError(f"feature must be one of the strategy's, got {self.p.feature!r}.{known}")
        if (held := learner.running_statistics()) is None:
            raise StrategyError(
                f"the first layer must be a RunningBatchNorm for RunningStatistics, got "
                f"{self._owner.network.layout.layers[0]}. Add one, or leave the observer out."
            )
        index = learner.feature_names.index(self.p.feature)
        self.lines.mean[0], self.lines.deviation[0] = (float(numbers[index]) for numbers in held)


class Signals(bt.Observer):
    """Buy and sell signals, as arrows at the prices of `cerebro.plot()`.

    Lines:
      - ``buy``, ``sell``: low of a bar with a buy signal, high of one with a sell signal; else nothing

    Add it with ``cerebro.addobserver(Signals)``. Beside other strategies it is empty.
    """

    lines = ("buy", "sell")
    plotinfo: ClassVar[dict[str, Any]] = {"plot": True, "subplot": False, "plotlinelabels": True}
    plotlines: ClassVar[dict[str, Any]] = {
        "buy": {"marker": "^", "markersize": 6.0, "color": "green", "fillstyle": "full", "ls": ""},
        "sell": {"marker": "v", "markersize": 6.0, "color": "red", "fillstyle": "full", "ls": ""},
    }

    def next(self) -> None:
        strategy = self._owner
        signal = strategy.signal if is_neural(strategy) else None
        if signal is None or signal.bar != len(strategy.data) - 1:
            return
        if signal.is_buy:
            self.lines.buy[0] = strategy.data.low[0]
        elif signal.is_sell:
            self.lines.sell[0] = strategy.data.high[0]


class HitRateLine(bt.Observer):
    """Hit rate of the last signals whose labels are confirmed, in percent, as a line of `cerebro.plot()`.

    Params:

      - ``window`` (default: ``1000``): number of signals

    Lines:
      - ``hit_rate``: nothing before the first scored signal

    Examples
    --------
    >>> from bt_neuro import BarsFeed, NeuroStrategy, read_bars
    >>> cerebro = bt.Cerebro(stdstats=False)
    >>> frame = read_bars("data/SYNTHETIC_EURUSD_H1.csv", end="2024-01-12").frame
    >>> _ = cerebro.adddata(BarsFeed(bars=frame)), cerebro.addstrategy(NeuroStrategy, device="numpy")
    >>> _ = cerebro.addobserver(Signals), cerebro.addobserver(HitRateLine, window=50)
    >>> (strategy,) = cerebro.run()
    >>> 0 <= strategy.observers[1].hit_rate[0] <= 100
    True
    """

    lines = ("hit_rate",)
    params = (("window", RECENT_SIGNALS),)
    plotinfo: ClassVar[dict[str, Any]] = {"plot": True, "subplot": True}

    def __init__(self) -> None:
        self._hits: deque[bool] = deque(maxlen=self.p.window)
        self._bars = 0

    def next(self) -> None:
        strategy = self._owner
        if not is_neural(strategy):
            return
        if len(strategy.data) > self._bars:  # else another feed's bar
            self._bars = len(strategy.data)
            self._hits += [scored.is_hit for scored in strategy.scored if scored.is_hit is not None]
        if self._hits:
            self.lines.hit_rate[0] = 100.0 * sum(self._hits) / len(self._hits)
