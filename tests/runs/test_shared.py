"""One network for several instruments: it learns from all in the order of time, each scaled by itself."""

from __future__ import annotations

import math

import backtrader as bt
import numpy as np
import pytest
from command import bt_neuro
from hypothesis import given
from hypothesis import strategies as st
from modes import Plain, random_hours, run_modes
from small import LAYERS, HigherClose, Small
from test_portfolio import PARAMETERS, ROWS, write

from bt_neuro import BarsFeed, FractalLabel, NeuroStrategy, SharedNetwork
from bt_neuro.bars.closing import closing_times
from bt_neuro.bars.reader import read_bars
from bt_neuro.bars.timeframe import commonest_step
from bt_neuro.errors import NeuroError, StrategyError
from bt_neuro.learning.run_ahead import LAUNCH_BARS
from bt_neuro.learning.running_scale import SCALE_BARS, RunningScale
from bt_neuro.learning.visible_shape import FEATURES, VisibleShape
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import Adam
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.runs.portfolio import portfolio

HISTORY = PARAMETERS["history_bars"]


def closings_of(frame):
    return closing_times(frame["datetime"], commonest_step(frame["datetime"].to_numpy("datetime64[us]")), 0)


def shapes_of(frame):
    """The visible shape of each bar of an input, with its time of closing; none of the first bar."""
    shape, rows = VisibleShape(), []
    for closing, now in zip(closings_of(frame), frame.itertuples(), strict=True):
        rows.append((closing, shape.update(now.open, now.high, now.low, now.close, now.volume, now.datetime)))
    return rows[1:]


def expected(frames, other=None):
    """The same by hand: every bar of every instrument, by time of closing, then by name."""
    bars = []
    for name, frame in frames.items():
        bars += [(closing, name, bar) for bar, closing in enumerate(closings_of(frame))]
    input_rows = [] if other is None else shapes_of(other)
    shapes, scales, labels = (
        {name: make() for name in frames} for make in (VisibleShape, RunningScale, FractalLabel)
    )
    windows, scaled, outputs = ({name: {} for name in frames} for _ in range(3))
    inputs = HISTORY * len(FEATURES) * (1 if other is None else 2)
    network = Network(LAYERS, inputs, optimizer=Adam(0.01, average=1000), device="numpy")
    for closing, name, bar in sorted(bars):
        now = frames[name].iloc[bar]
        prices = [float(now[column]) for column in ("high", "low", "close")]
        row = shapes[name].update(now["open"], *prices, float(now["volume"]), now["datetime"])
        closed = [shape for time, shape in input_rows if time <= closing][-1:]
        if bar == 0 or (other is not None and not closed):  # the features of one bar are not known yet
            continue
        row = [*row, *(feature for shape in closed for feature in shape)]
        scaled[name][bar] = scales[name].scaled(row).astype(np.float32)
        for label in labels[name].update(bar, *prices):
            if label.bar in windows[name]:
                network.learn(windows[name][label.bar], label.target, update_statistics=False)
        if bar - HISTORY + 1 in scaled[name]:
            window = np.concatenate([scaled[name][bar - i] for i in reversed(range(HISTORY))])
            windows[name][bar] = window
            outputs[name][bar] = network.predict(window, update_statistics=True).tolist()
    return outputs, network


class Logged(Small):
    """Keeps the outputs of every bar."""

    def start(self):
        super().start()
        self.outputs = {}

    def decide(self, signal):
        self.outputs[signal.bar] = list(signal.outputs)


@run_modes
def test_strategies_learn_in_turns_in_the_order_of_time(mode):
    frames = {name: random_hours(90, seed=seed)[ROWS[name]] for seed, name in enumerate("AD")}
    frames["E"] = random_hours(90, seed=4)[30:70]
    shared, cerebro = SharedNetwork(), bt.Cerebro(stdstats=False, **mode)
    for name, frame in frames.items():
        frames[name] = frame.reset_index(drop=True)
        cerebro.adddata(BarsFeed(bars=frames[name]), name=name)
    for name in frames:
        cerebro.addstrategy(shared.of(Logged), data=name, **PARAMETERS)
    ran = cerebro.run()
    outputs, network = expected(frames)
    for name, strategy in zip(frames, ran, strict=True):
        # decide() is called once all feeds have begun; the network has learned before
        late = {bar: row for bar, row in outputs[name].items() if bar in strategy.outputs}
        assert strategy.outputs == late
        assert len(late) > 5
    assert_same_network(ran[0].network, network)


def assert_same_network(one, other):
    assert one.steps == other.steps
    state = one.state()
    for name, tensor in other.state().items():
        assert np.array_equal(state[name], tensor), name


class Watching(Small):
    """Logs what it gets at each bar."""

    def start(self):
        super().start()
        self.log = []

    def decide(self, signal):
        self.log.append((signal.bar, signal.outputs, list(self.scored)))
        if signal.bar % LAUNCH_BARS == 0:
            self.log.append(repr(self.learner.running_statistics()))
        super().decide(signal)


class LateLabels(Watching):
    def label(self):
        return HigherClose()


class Reads(Watching):
    """Reads the network at some bars, and changes it at others."""

    def decide(self, signal):
        super().decide(signal)
        if signal.bar % 37 == 0:
            self.log.append((self.network.steps, self.learner.label.state()))
        if signal.bar % 80 == 40:
            name = "dense_1.bias"
            self.network.set_tensor(name, self.network.tensor(name) + 0.25)


class OnlyFirstLearns(Watching):
    def __init__(self):
        self.p.learning = self.data._name == "A"
        super().__init__()


class BeginsLater(Watching):
    """Begins later than its features."""

    def _has_features(self):
        return len(self.data) > 30


AHEAD = [
    (Watching, {}),
    *(
        pytest.param(strategy, params, marks=pytest.mark.slow)
        for strategy, params in (
            (Watching, {"features": "article", "seeds": 2, "seed": 5, "wing": 2}),
            (Watching, {"learning": False}),
            (Watching, {"precision": "double"}),
            (LateLabels, {}),
            (Reads, {}),
            (OnlyFirstLearns, {}),
            (BeginsLater, {}),
        )
    ),
]


@pytest.mark.parametrize(("strategy", "params"), AHEAD)
def test_ahead_and_bar_by_bar_are_the_same_to_the_bit(strategy, params, launches):
    ahead = run_together(BarsFeed, strategy, **params)
    if strategy in (Watching, LateLabels):
        assert max(launches) > LAUNCH_BARS // 2
        assert len(launches) < 30  # of some 800 bars: nothing is sent again
    launches.clear()
    plain = run_together(Plain, strategy, **params)
    assert set(launches) <= {0, 1}
    for one, other in zip(ahead, plain, strict=True):
        assert len(one.log) > 20
        assert one.log == other.log
    assert_same_network(ahead[0].network, plain[0].network)


def run_together(feed, strategy, **params):
    """Run strategies whose feeds begin late, end early, miss bars, have another timeframe or zone."""
    frames = {name: random_hours(260, seed=ord(name)) for name in "CAFDE"}
    frames["C"], frames["D"], frames["E"] = frames["C"][:120], frames["D"][::4], frames["E"][90:]
    frames["F"] = frames["F"].drop(frames["F"].index[100:130])
    shared, cerebro = SharedNetwork(), bt.Cerebro(stdstats=False)
    for name, frame in frames.items():
        zone = {"tz": "America/New_York"} if name == "F" else {}
        cerebro.adddata(feed(bars=frame.reset_index(drop=True), **zone), name=name)
    for name in "AFEDC":  # not in the order of feeds
        cerebro.addstrategy(shared.of(strategy), data=name, **{**PARAMETERS, "budget": 0.2, **params})
    return cerebro.run(exactbars=1)


@pytest.mark.slow
def test_a_shared_portfolio_is_the_same_in_any_order_of_files(tmp_path):
    paths = write(tmp_path)
    runs = [
        portfolio(
            some, strategy=Small, parameters=PARAMETERS, shared=True, out=tmp_path / str(number), report=False
        )
        for number, some in enumerate((paths, [*paths[4:], *paths[:4]]))
    ]
    outputs, network = expected({path.stem: read_bars(path).frame for path in paths})
    assert runs[0].metrics == runs[1].metrics
    for run in runs:
        for name in run.names:
            one = run.instrument(name)
            assert one.predictions["bar"].tolist() == list(outputs[name])
            assert one.outputs.reshape(-1, 3).tolist() == list(outputs[name].values())
        assert_same_network(Network.load(run.folder / "model.safetensors", device="numpy"), network)


@pytest.mark.slow
def test_a_shared_network_sees_the_closed_bars_of_an_input(tmp_path):
    paths = write(tmp_path, "ABD")
    dollar = random_hours(420, seed=99)[60::2]  # begins later than A, every two hours
    dollar.to_csv(tmp_path / "dollar.csv", index=False)
    parameters = {**PARAMETERS, "inputs": str(tmp_path / "dollar.csv")}
    run = portfolio(
        paths, strategy=Small, parameters=parameters, shared=True, out=tmp_path / "run", report=False
    )
    outputs, network = expected(
        {path.stem: read_bars(path).frame for path in paths}, read_bars(tmp_path / "dollar.csv").frame
    )
    for name in run.names:
        one = run.instrument(name)
        assert one.predictions["bar"].tolist() == list(outputs[name])
        assert one.outputs.reshape(-1, 3).tolist() == list(outputs[name].values())
    assert_same_network(Network.load(run.folder / "model.safetensors", device="numpy"), network)


def test_the_default_rate_is_half_of_that_of_one_instrument():
    for strategy in (NeuroStrategy, Small):
        shared = SharedNetwork().of(strategy)
        rates = [all_parameters(one)["learning_rate"] for one in (strategy, shared)]
        assert rates == ([3e-4, 3e-4 / 2] if strategy is NeuroStrategy else [0.01, 0.01])


@pytest.mark.parametrize(
    ("parameter", "value"), [("pretrain", "2024-01-01..2024-01-05"), ("resume", "model.safetensors")]
)
def test_what_one_network_cannot_do_for_all_is_refused(tmp_path, parameter, value):
    with pytest.raises(NeuroError, match=f"{parameter} must not be given with several files"):
        portfolio(write(tmp_path, "AB"), parameters={parameter: value}, shared=True)


def cerebro_of(shared, **params):
    cerebro = bt.Cerebro(stdstats=False)
    for seed, name in enumerate("AB"):
        cerebro.adddata(BarsFeed(bars=random_hours(80, seed=seed)), name=name)
        cerebro.addstrategy(shared.of(Small), data=name, **params)
    return cerebro


def test_a_cerebro_that_runs_again_begins_with_a_new_network():
    cerebro = cerebro_of(SharedNetwork())
    first, second = cerebro.run(), cerebro.run()
    assert first[0].network is first[1].network is not second[0].network
    for one, other in zip(first, second, strict=True):
        assert one.signal == other.signal


def test_pretraining_is_refused_in_a_cerebro_too():
    with pytest.raises(StrategyError, match="pretrain must not be given with a shared network"):
        cerebro_of(SharedNetwork(), pretrain="2024-01-01..2024-01-02").run()


def test_a_shared_network_needs_several_files(tmp_path):
    (path,) = write(tmp_path, "A")
    refused = bt_neuro("backtest", path, "--shared")
    assert refused.exit_code == 1
    assert "--shared needs several files, got one" in refused.stderr


rows = st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=2, max_size=40)


@given(rows, st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_a_running_scale_knows_no_units(values, factor, offset):
    one, other = RunningScale(), RunningScale()
    for value in values:
        plain, moved = one.scaled([value])[0], other.scaled([factor * value + offset])[0]
        assert moved == pytest.approx(plain, rel=1e-3, abs=1e-3) or one_is_rounding(one, factor, offset)
        assert abs(plain) <= math.sqrt(SCALE_BARS)


def one_is_rounding(scale, factor, offset):
    """Whether the deviation is so small that the offset's rounding hides it."""
    return factor * math.sqrt(scale._variance[0]) <= 1e-6 * (abs(offset) + 1)


def test_old_rows_fade_from_a_running_scale():
    scale = RunningScale(bars=10)
    for value in [0.0, 1.0] * 50:
        scale.scaled([value])
    for value in [100.0, 101.0] * 100:
        last = scale.scaled([value])
    assert last[0] == pytest.approx(1.0, abs=0.2)


def test_a_row_that_is_not_finite_is_left_to_the_learner():
    class Broken(NeuroStrategy):
        def features(self):
            return {"gap": bt.DivByZero(self.data.close, self.data.close - self.data.close, zero=math.inf)}

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=random_hours(30)), name="A")
    cerebro.addstrategy(SharedNetwork().of(Broken), device="numpy")
    with pytest.raises(NeuroError, match="gap must be finite, got inf"):
        cerebro.run()
