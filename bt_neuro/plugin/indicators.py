"""NeuroSignal: the network as an indicator, for any strategy, ``SignalStrategy`` and ``cerebro.plot()``."""

from __future__ import annotations

from typing import Any, ClassVar

import backtrader as bt

from bt_neuro.learning.fractals import FractalLabel
from bt_neuro.learning.learner import Learner
from bt_neuro.nn.models import article_layers, shape_layers
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import Adam
from bt_neuro.plugin.as_of import AsOf
from bt_neuro.plugin.checks import check_parameters
from bt_neuro.plugin.defaults import ARTICLE, AVERAGE_STEPS, all_parameters, require_known
from bt_neuro.plugin.features import article_features, shape_features

__all__ = ["AsOf", "NeuroSignal"]

DIRECTIONS = {"none": 0.0, "buy": 1.0, "sell": -1.0}


class NeuroSignal(bt.Indicator):
    """Predictions of the default network, which learns each bar before it predicts it.

    At bar t every line depends on bars up to t only. Lines agree with `NeuroStrategy` to the bit, in every mode of
    running.

    Params:
      - ``wing`` (default: ``1``), ``features`` (default: ``"shape"``), ``history_bars``, ``learning_rate``, ``seed``,
        ``device``, ``precision``: as of `NeuroStrategy`

    Lines:
      - ``direction``: 1 for a buy signal, -1 for a sell signal, 0 for none; the line that ``SignalStrategy`` reads
      - ``none``, ``buy``, ``sell``: probabilities

    Examples
    --------
    >>> from bt_neuro import BarsFeed, read_bars
    >>> class Mine(bt.SignalStrategy):
    ...     def __init__(self):
    ...         self.signal_add(bt.SIGNAL_LONGSHORT, NeuroSignal(self.data, device="numpy"))
    >>> cerebro = bt.Cerebro()
    >>> frame = read_bars("data/SYNTHETIC_EURUSD_H1.csv", end="2024-01-08").frame
    >>> _ = cerebro.adddata(BarsFeed(bars=frame)), cerebro.addstrategy(Mine), cerebro.run()
    """

    lines = ("direction", "none", "buy", "sell")
    params = (
        ("wing", 1),
        ("features", "shape"),
        ("history_bars", None),
        ("learning_rate", None),
        ("seed", 0),
        ("device", "auto"),
        ("precision", "single"),
    )
    plotlines: ClassVar[dict[str, Any]] = {"direction": {"_plotskip": True}}

    def __init__(self, **unknown: Any) -> None:
        p, kind = self.p, type(self)
        require_known(kind, unknown)  # backtrader passes on names that are no params
        for name, value in all_parameters(kind, p._getkwargs()).items():
            setattr(p, name, value)
        check_parameters(p, dict(kind.params._getitems()))
        by_name = article_features(self.data) if p.features == ARTICLE else shape_features(self.data, p.wing)
        self._names, self._rows = list(by_name), list(by_name.values())
        self._first = max(line._minperiod for line in self._rows)
        self._prices = [getattr(self.data.lines, name) for name in ("high", "low", "close")]
        self._learner: Learner | None = None  # made at the first bar, in the process that runs
        self._seen = 0
        self.addminperiod(self._first + p.history_bars - 1)

    def _make_learner(self) -> Learner:
        p = self.p
        is_article = p.features == ARTICLE
        network = Network(
            (article_layers if is_article else shape_layers)(len(self._names)),
            p.history_bars * len(self._names),
            optimizer=Adam(p.learning_rate, average=None if is_article else AVERAGE_STEPS),
            seed=p.seed,
            device=p.device,
            precision=p.precision,
        )
        return Learner(network, FractalLabel(p.wing), self._names, p.history_bars)

    def next(self) -> None:
        # backtrader calls again for the same bar when another feed has a new one.
        bars, self._seen = self._seen, len(self.data)
        if self._seen > bars and self._seen >= self._first:
            row, prices = [line[0] for line in self._rows], [line[0] for line in self._prices]
            for line, value in zip(self.lines, self._predict(self._seen - 1, row, prices), strict=False):
                line[0] = value

    def once(self, start: int, end: int) -> None:
        for bar in range(max(start, self._first - 1), end):
            row = [line.array[bar] for line in self._rows]
            prices = [line.array[bar] for line in self._prices]
            for line, value in zip(self.lines, self._predict(bar, row, prices), strict=False):
                line.array[bar] = value

    prenext, preonce = next, once

    def _predict(self, bar: int, row: list[float], prices: list[float]) -> tuple[Any, ...]:
        self._learner = self._learner or self._make_learner()
        signal, _ = self._learner.on_bar(bar, row, *prices)
        return () if signal is None else (DIRECTIONS[signal.name], *signal.probabilities)
