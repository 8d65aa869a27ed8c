"""Beside other strategies: analyzers are idle, files have one writer, usual slips get a hint."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import backtrader as bt
import numpy as np
import pytest
from modes import random_hours
from small import Small

from bt_neuro import (
    Dense,
    FractalLabel,
    HitRate,
    HitRateLine,
    ModelCheckpoint,
    RunningStatistics,
    Signals,
    StepTime,
    read_bars,
)
from bt_neuro.errors import BarsError, StrategyError
from bt_neuro.plugin.feed import BarsFeed

BARS = random_hours(60)


class Plain(bt.Strategy):
    pass


class NoSuper(Plain):
    def __init__(self) -> None:
        self.mine = 1


class NotFirst(NoSuper, Small):
    pass


class ReturnsClass(Small):
    def label(self) -> Any:
        return FractalLabel


class SilentNext(Small):
    def next(self) -> None:
        self.called = getattr(self, "called", 0) + 1
        assert self.called == 1, "the fault is named at the first bar"


class SilentInit(Small):
    def __init__(self) -> None:
        self.mine = 1


class Dull(Small):
    def layers(self, inputs: int) -> list[Any]:
        return [Dense(3, "sigmoid")]


class Pickled(Small):
    """Of a name that no other test uses: backtrader finds a strategy's lines by the name of its class alone."""


def run(*strategies: Any, analyzers: Any = (), observers: Any = ()) -> list[Any]:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=BARS))
    for strategy in strategies:
        cerebro.addstrategy(strategy)
    for analyzer, params in analyzers:
        cerebro.addanalyzer(analyzer, **params)
    for observer, params in observers:
        cerebro.addobserver(observer, **params)
    return cerebro.run()


def test_analyzers_and_observers_are_idle_beside_other_strategies(tmp_path: Any) -> None:
    path = tmp_path / "model.safetensors"
    analyzers = [(HitRate, {}), (StepTime, {}), (ModelCheckpoint, {"path": path})]
    observers = [(RunningStatistics, {"feature": "hour"}), (Signals, {}), (HitRateLine, {})]
    plain, small = run(Plain, Small, analyzers=analyzers, observers=observers)
    assert plain.analyzers.hitrate.get_analysis()["scored_bars"] == 0
    assert plain.analyzers.steptime.get_analysis()["bars"] == 0
    assert plain.analyzers.modelcheckpoint.get_analysis() == {"checkpoints": 0, "last_bar": None}
    assert all(np.isnan(line[0]) for observer in plain.observers for line in observer.lines)
    assert small.analyzers.hitrate.get_analysis()["scored_bars"] == 23
    assert small.analyzers.steptime.get_analysis()["bars"] == 27
    assert path.exists()


def test_observers_show_signals_and_hit_rate() -> None:
    (small,) = run(
        Small,
        observers=[(Signals, {}), (HitRateLine, {"window": 5})],
        analyzers=[(HitRate, {"window": 5})],
    )
    signals, hits = small.observers
    by_name = {
        "buy": np.isfinite(signals.lines.buy.array[: len(BARS)]),
        "sell": np.isfinite(signals.lines.sell.array[: len(BARS)]),
    }
    counted = small.analyzers.hitrate.get_analysis()
    last = small.signal.name in by_name  # not scored yet
    assert by_name["buy"].sum() + by_name["sell"].sum() in (counted["signals"], counted["signals"] + last)
    assert not (by_name["buy"] & by_name["sell"]).any()
    assert hits.lines.hit_rate[0] == pytest.approx(counted["window_hit_rate_pct"])


@pytest.mark.parametrize(
    ("strategy", "feature", "message"),
    [
        (Small, "huor", "feature must be one of the strategy's, got 'huor'. Did you mean hour"),
        (Dull, "hour", "the first layer must be a RunningBatchNorm for RunningStatistics, got Dense"),
    ],
)
def test_running_statistics_need_a_feature_and_a_normalisation(
    strategy: Any, feature: str, message: str
) -> None:
    with pytest.raises(StrategyError, match=message):
        run(strategy, observers=[(RunningStatistics, {"feature": feature})])


def test_a_checkpoint_has_one_writer(tmp_path: Any) -> None:
    with pytest.raises(StrategyError, match="must have one writer, got Small and Small"):
        run(Small, Small, analyzers=[(ModelCheckpoint, {"path": tmp_path / "model.safetensors"})])


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            NotFirst,
            r"NoSuper.__init__ must call super\(\).__init__\(\). Or name NoSuper last among the bases",
        ),
        (SilentInit, r"SilentInit.__init__ must call super\(\).__init__\(\).$"),
        (ReturnsClass, r"got the class FractalLabel. Add \(\)"),
        (SilentNext, r"next\(\) of SilentNext must call super\(\)"),
    ],
)
def test_usual_slips_get_a_hint(strategy: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        run(strategy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bars: read_bars("data/SYNTHETIC_EURUSD_H1.csv"), r"got Bars. Give its .frame"),
        (lambda bars: bars.rename(columns=str.capitalize), r"rename\(columns=str.lower\)"),
        (lambda bars: bars.set_index("datetime"), r'rename_axis\("datetime"\).reset_index\(\)'),
        (lambda bars: bars.drop(columns="volume"), r"assign\(volume=0\)"),
    ],
)
def test_frames_get_a_hint(change: Any, message: str) -> None:
    with pytest.raises(BarsError, match=message):
        BarsFeed(bars=change(BARS))


def test_a_network_pickles() -> None:
    (strategy,) = run(Pickled)
    copied = pickle.loads(pickle.dumps(strategy.network))
    assert copied.steps == strategy.network.steps > 10


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="backtrader pickles itertools.product there")
def test_results_pickle() -> None:
    cerebro = bt.Cerebro(stdstats=False, maxcpus=1, optreturn=False)
    cerebro.adddata(BarsFeed(bars=BARS))
    cerebro.optstrategy(Pickled, wing=[1, 2])
    assert [one.p.wing for (one,) in pickle.loads(pickle.dumps(cerebro.run()))] == [1, 2]
