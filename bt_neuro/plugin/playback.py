"""Strategies run without their network: to record features, or to trade on known outputs.

Learning does not depend on trades. So features, outputs and trades of a market can be computed one after the
other, and the outputs of all bars in long launches, which take half the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import StrategyError
from bt_neuro.learning.fractals import FractalLabel
from bt_neuro.learning.labels import Label
from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.learning.visible_shape import VisibleShape
from bt_neuro.nn.network import Network
from bt_neuro.plugin.defaults import SHAPE
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.make_learner import label_of
from bt_neuro.plugin.strategy import NeuroStrategy

Array = NDArray[np.floating]

# A strategy that overrides one of these may do more on a bar than features, learning, prediction and trades.
OWN = ("start", "_start", "next", "prenext", "nextstart", "_next", "_make_learner")


class NeedsNetwork(StrategyError):
    """Raised if a strategy reads its network or learner, which do not run here."""


class FeatureRows(NamedTuple):
    """Features of consecutive bars up to the last of a file, and what learns from them.

    Attributes
    ----------
    first_bar : number of the bar of the first row
    rows : (bars, features of a bar)
    targets : (bars, 3), none, buy, sell; NaN where the label is never known
    network : fresh
    history_bars, delay_bars : bars in a window, and after which a label is known
    """

    first_bar: int
    rows: Array
    targets: Array
    network: Network
    history_bars: int
    delay_bars: int


def feature_rows(
    bars: pd.DataFrame, strategy: type[NeuroStrategy], parameters: dict[str, Any]
) -> FeatureRows | None:
    """Run a strategy's features over bars; None if its network may learn from more than they and fractals.

    Parameters
    ----------
    bars : as `read_bars` returns them
    strategy, parameters : the class, all of its params
    """
    own = any(getattr(strategy, name) is not getattr(NeuroStrategy, name) for name in OWN)
    plain = parameters["learning"] is True and parameters["pretrain"] is None and parameters["resume"] is None
    if own or not plain or parameters["inputs"]:
        return None
    is_shape = parameters["features"] == SHAPE and not parameters["timeframes"]
    by_shape = _has_default_features(strategy) and is_shape
    cerebro = bt.Cerebro(stdstats=False, oldsync=True)
    # The visible shape needs no event loop, which takes five times as long: only the network is made there.
    cerebro.adddata(BarsFeed(bars=bars[: parameters["wing"] + 2] if by_shape else bars))
    cerebro.addstrategy(_recording(strategy), **parameters)
    (ran,) = cerebro.run(exactbars=1)
    recorder: _Recorder = ran.learner
    if type(recorder.label) is not FractalLabel:
        return None
    rows = np.array(
        _shape_rows(bars, recorder.label.wing) if by_shape else recorder.rows, dtype=recorder.network.dtype
    )
    return FeatureRows(
        len(bars) - len(rows),
        rows,
        confirmed_targets(bars, FractalLabel(recorder.label.wing))[len(bars) - len(rows) :],
        recorder.network,
        recorder.history_bars,
        recorder.delay_bars,
    )


def playing(
    strategy: type[NeuroStrategy], warm_up_bars: int, first_bar: int, outputs: Array
) -> type[NeuroStrategy]:
    """Return a subclass whose signals come from known outputs; it raises `NeedsNetwork` if it reads its network.

    No network is made, and default features are not computed.

    Parameters
    ----------
    strategy : the class
    warm_up_bars : bars up to the first one whose features are all known, included
    first_bar : the first bar with a signal
    outputs : (bars, members, 3)
    """
    rows = outputs.reshape(len(outputs), 3 * outputs.shape[1]).tolist()

    def features(self: NeuroStrategy) -> dict[str, Any]:
        return {"none": _WarmUp(self.data, bars=warm_up_bars)}

    def make_player(self: NeuroStrategy, checkpoint: None) -> Any:
        return _Player(label_of(self), first_bar, rows)

    more: dict[str, Any] = {"features": features} if _has_default_features(strategy) else {}
    return type(strategy.__name__, (strategy,), {"_make_learner": make_player, **more})


class _WarmUp(bt.Indicator):
    """A line of zeros from the bar on from which the features are known."""

    lines = ("none",)
    params = (("bars", 1),)

    def __init__(self) -> None:
        self.addminperiod(self.p.bars)

    def next(self) -> None:
        self.lines[0][0] = 0.0


def _has_default_features(strategy: type[NeuroStrategy]) -> bool:
    return strategy.features is NeuroStrategy.features


def _shape_rows(bars: pd.DataFrame, wing: int) -> list[tuple[float, ...]]:
    """Return the features "shape" from the first bar on that has them all."""
    shape = VisibleShape(wing)
    prices = bars[["open", "high", "low", "close", "volume"]].astype(float).itertuples(index=False, name=None)
    rows = [shape.update(*row, time) for row, time in zip(prices, bars["datetime"], strict=True)]
    return rows[wing:]


def _recording(strategy: type[NeuroStrategy]) -> type[NeuroStrategy]:
    def make(self: NeuroStrategy, checkpoint: None) -> Any:
        return _Recorder(strategy._make_learner(self, checkpoint))

    silent = {"decide": _pass, "stop": NeuroStrategy.stop}
    return type(strategy.__name__, (strategy,), {"_make_learner": make, **silent})


def _pass(self: NeuroStrategy, signal: Signal) -> None:
    """Do nothing."""


def confirmed_targets(bars: pd.DataFrame, label: Label) -> Array:
    """Return the targets of all bars, (bars, 3); NaN without a confirmed label."""
    targets = np.full((len(bars), 3), np.nan)
    prices = bars[["high", "low", "close"]].itertuples(index=False, name=None)
    for bar, (high, low, close) in enumerate(prices):
        for confirmed in label.update(bar, high, low, close):
            targets[confirmed.bar] = confirmed.target
    return targets


class _Recorder:
    """Stand-in for a `Learner` that keeps the features."""

    def __init__(self, learner: Any) -> None:
        self.network, self.label = learner.network, learner.label
        self.history_bars, self.delay_bars = learner.history_bars, learner.delay_bars
        self.rows: list[Sequence[float]] = []

    def on_bar(self, bar: int, features: Sequence[float], *prices: float) -> tuple[None, list[ScoredSignal]]:
        self.rows.append(features)
        return None, []


class _Player:
    """Stand-in for a `Learner` that returns signals from known outputs, and scores them."""

    def __init__(self, label: Label, first_bar: int, outputs: Sequence[Sequence[float]]) -> None:
        self.label, self.delay_bars = label, label.delay_bars
        self._first_bar, self._outputs = first_bar, outputs
        self._waiting: dict[int, Signal] = {}
        self.last_bar, self.network = None, _NoNetwork()

    def on_bar(
        self, bar: int, features: Sequence[float], high: float, low: float, close: float
    ) -> tuple[Signal | None, list[ScoredSignal]]:
        confirmed = self.label.update(bar, high, low, close)
        waiting = [(self._waiting.pop(one.bar, None), one.target) for one in confirmed]
        scored = [ScoredSignal(signal, target, bar) for signal, target in waiting if signal is not None]
        if bar < self._first_bar:
            return None, scored
        self._waiting[bar] = signal = Signal.of(bar, self._outputs[bar - self._first_bar])
        return signal, scored

    def __getattr__(self, name: str) -> NoReturn:
        raise NeedsNetwork(f"learner.{name} must not be read in playback.")


class _NoNetwork:
    def __getattr__(self, name: str) -> NoReturn:
        raise NeedsNetwork(f"network.{name} must not be read in playback.")
