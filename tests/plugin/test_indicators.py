"""The network as an indicator, and features of coarser timeframes: equal in every mode, blind to bars to come."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from modes import random_hours, run_every_mode, run_modes

from bt_neuro import NeuroStrategy
from bt_neuro.bars.line_reader import Bar
from bt_neuro.bars.resample import resample_bars
from bt_neuro.errors import StrategyError
from bt_neuro.learning.visible_shape import FEATURES, VisibleShape
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.indicators import NeuroSignal
from bt_neuro.plugin.live_feed import LiveFeed
from bt_neuro.plugin.timeframe_features import CoarserShape
from bt_neuro.runs.stream import stream

BARS, OTHER = random_hours(90), random_hours(200, seed=5)[40:].reset_index(drop=True)
PARAMETERS = {"device": "numpy", "history_bars": 2}


class Shows(bt.Strategy):
    def __init__(self) -> None:
        self.signal = NeuroSignal(self.data, **PARAMETERS)
        self.said: dict[int, tuple[float, ...]] = {}

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        row = [getattr(self.signal, name)[0] for name in ("none", "buy", "sell")]
        if np.isfinite(row[0]):
            self.said[len(self.data) - 1] = tuple(row)


class Learns(NeuroStrategy):
    def start(self) -> None:
        super().start()
        self.said: dict[int, tuple[float, ...]] = {}

    def decide(self, signal: Any) -> None:
        self.said[signal.bar] = signal.probabilities


def run(
    strategy: type[bt.Strategy], *frames: pd.DataFrame, mode: dict[str, Any] | None = None, **params: Any
) -> Any:
    cerebro = bt.Cerebro(stdstats=False, **(mode or {}))
    for bars in frames:
        cerebro.adddata(BarsFeed(bars=bars))
    cerebro.addstrategy(strategy, **params)
    return cerebro.run()[0].said


@pytest.fixture(scope="module")
def expected() -> dict[int, tuple[float, ...]]:
    said = run(Learns, BARS, **PARAMETERS)
    assert len(said) > 80
    return said


@run_every_mode
def test_strategy_and_indicator_are_equal_in_every_mode(
    mode: dict[str, Any], expected: dict[int, Any]
) -> None:
    assert run(Learns, BARS, mode=mode, **PARAMETERS) == expected
    assert run(Shows, BARS, mode=mode) == expected
    assert run(Shows, BARS, OTHER, mode=mode) == expected


@pytest.mark.parametrize("strategy", [Learns, Shows])
@run_every_mode
def test_bars_that_come_live_give_the_same(
    strategy: type[bt.Strategy], mode: dict[str, Any], expected: dict[int, Any]
) -> None:
    bars: queue.Queue[Bar | None] = queue.Queue()
    for row in BARS[["datetime", "open", "high", "low", "close", "volume", "spread"]].itertuples(index=False):
        bars.put(Bar(row[0].to_pydatetime(), *map(float, row[1:])))
    bars.put(None)
    cerebro = bt.Cerebro(stdstats=False, **mode)
    cerebro.adddata(LiveFeed(queue=bars, qcheck=0.01))
    cerebro.addstrategy(strategy, **(PARAMETERS if strategy is Learns else {}))
    assert cerebro.run()[0].said == expected


def test_lines_of_a_stream_give_the_same(expected: dict[int, Any], tmp_path: Path) -> None:
    names = ["datetime", "open", "high", "low", "close", "volume", "spread"]
    lines = [
        ",".join([str(row[0]), *map(repr, row[1:])]) for row in BARS[names].itertuples(index=False, name=None)
    ]
    answers: list[dict[str, Any]] = []
    stream(iter(lines), answers.append, parameters=PARAMETERS, out=tmp_path / "stream")
    said = {one["bar"]: tuple(one["probabilities"].values()) for one in answers if one.get("probabilities")}
    assert said == expected


def test_the_indicator_sees_no_bar_ahead(expected: dict[int, Any]) -> None:
    cut = 60
    assert run(Shows, BARS[:cut]) == {bar: row for bar, row in expected.items() if bar < cut}


@run_modes
def test_timeframes_are_equal_in_every_mode(mode: dict[str, Any]) -> None:
    first = run(Learns, BARS, timeframes="H4,D1", **PARAMETERS)
    assert run(Learns, BARS, mode=mode, timeframes=("H4", "D1"), **PARAMETERS) == first
    assert first != run(Learns, BARS, **PARAMETERS)
    cut = run(Learns, BARS[:60], mode=mode, timeframes="H4,D1", **PARAMETERS)
    assert cut == {bar: row for bar, row in first.items() if bar < 60}


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("hours", [4, 24])
def test_coarser_shapes_are_those_of_resampled_bars(hours: int, gap: bool) -> None:
    length, bars = pd.Timedelta(hours=hours), random_hours(24 * 6)
    bars = bars.drop(range(30, 55)).reset_index(drop=True) if gap else bars
    coarse, shape = CoarserShape(length), VisibleShape()
    rows = [coarse.update(*row[1:6], row[0]) for row in bars[["datetime", "open", "high", "low", "close", "volume"]]
            .itertuples(index=False, name=None)]  # fmt: skip
    whole = bars.groupby(bars["datetime"].dt.floor(length)).agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    closed = [shape.update(*row[1:], row[0]) for row in whole.itertuples(name=None)]
    assert len(resample_bars(bars, pd.Timedelta(hours=1), length)) > 3
    for time, row in zip(bars["datetime"], rows, strict=True):
        known = int((whole.index + length <= time + pd.Timedelta(hours=1)).sum())
        assert row == (closed[known - 1] if known else (0.0,) * len(FEATURES)) or gap
        assert not gap or row in [(0.0,) * len(FEATURES), *closed[:known]]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"features": "shap"}, "features must be shape or article, got 'shap'"),
        ({"wingg": 1}, "NeuroSignal has no parameter 'wingg'. Did you mean wing"),
        ({"wing": 0}, "wing must be an integer, 1 or more, got 0"),
        ({"history_bars": "3"}, "history_bars must be an integer, 1 or more, got '3'"),
        ({"learning_rate": "x"}, "learning_rate must be a number"),
        ({"device": 0.5}, "device must be text"),
    ],
)
def test_wrong_parameters_of_the_indicator_are_refused(params: dict[str, Any], message: str) -> None:
    class Wrong(bt.Strategy):
        def __init__(self) -> None:
            NeuroSignal(self.data, **params)

    with pytest.raises(StrategyError, match=message):
        run(Wrong, BARS)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"timeframes": "H4,H4"}, "must differ"),
        ({"timeframes": "H4,M5"}, "must be longer than the bars, H1, got M5"),
        ({"timeframes": "H1"}, "must be longer than the bars, H1, got H1"),
        ({"timeframes": "X9"}, "is no timeframe"),
        ({"timeframes": "D1", "features": "article"}, "timeframes need features='shape'"),
    ],
)
def test_wrong_timeframes_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        run(Learns, BARS, device="numpy", **params)
