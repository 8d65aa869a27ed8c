"""NeuroStrategy inside backtrader: what a subclass may change, what it is told when it errs."""

import itertools

import backtrader as bt
import numpy as np
import pytest
from modes import Plain, hours, random_hours, run, run_modes
from small import LAYERS, HigherClose, Logged, Small

from bt_neuro import (
    BarsFeed,
    ConfirmedLabel,
    Dense,
    FractalLabel,
    HitRate,
    NeuroStrategy,
    NonFiniteError,
    StepTime,
    StrategyError,
)

MODE = {}


class Everything(Small):
    """Overrides all there is to override."""

    params = (("threshold", 0.34), ("wing", 2))

    def features(self):
        return {"range": self.data.high - self.data.low, "slope": bt.ind.ROC(self.data.close, period=5)}

    def layers(self, inputs):
        assert inputs == 2 * self.p.history_bars
        return [Dense(5, "leaky_relu"), Dense(3, "sigmoid")]

    def label(self):
        return HigherClose()

    def decide(self, signal):
        if signal.is_buy and signal.confidence > self.p.threshold:
            self.order_target_size(target=10)
        elif signal.is_sell:
            self.close()


def test_a_subclass_can_change_everything():
    strategy = run(Everything, random_hours(120), MODE)
    assert strategy.network.n_inputs == 8
    assert strategy.learner.feature_names == ("range", "slope")
    assert isinstance(strategy.learner.label, HigherClose)
    assert strategy.signal.bar == 119
    assert strategy.network.steps == 120 - 5 - 3 - 3  # ROC, window, delay


@pytest.mark.parametrize(
    ("params", "parameters", "history_bars", "first", "average"),
    [({}, 95_931, 3, "higher_high", 1_000), ({"features": "article"}, 178_755, 20, "close_open", None)],
)
def test_features_choose_the_network(params, parameters, history_bars, first, average):
    strategy = run(NeuroStrategy, random_hours(56), MODE, device="numpy", **params)
    assert strategy.network.n_parameters == parameters
    assert strategy.learner.feature_names[0] == first
    assert (len(strategy.learner.feature_names), strategy.p.history_bars) == (12, history_bars)
    assert strategy.network.optimizers[0].average == average
    assert isinstance(strategy.learner.label, FractalLabel)
    assert strategy.signal.bar == 55


def test_unknown_features_are_refused():
    with pytest.raises(StrategyError, match="features must be shape or article, got 'rsi'"):
        run(NeuroStrategy, random_hours(56), MODE, features="rsi")


def test_a_zero_signal_leaves_the_cash_alone():
    class Silent(Small):
        def decide(self, signal):
            pass

    strategy = run(Silent, random_hours(80), MODE)
    assert strategy.broker.getvalue() == strategy.broker.getcash() == 10_000


@pytest.mark.parametrize(
    ("strategy", "params", "complaint"),
    [
        (
            Small,
            {"treshold": 1},
            r"Small has no parameter 'treshold'\. Known: budget, data, device, embargo_bars, eras, features",
        ),
        (Everything, {"treshold": 1}, r"no parameter 'treshold'\. Did you mean threshold\?"),
        (
            type("NoFeature", (Small,), {"features": lambda self: {}}),
            {},
            r"features\(\) must return a dict of lines",
        ),
        (
            type("Loose", (Small,), {"layers": lambda self, inputs: [Dense(3)]}),
            {},
            "Loose: the last layer must end in a sigmoid",
        ),
        (
            type("Wide", (Small,), {"layers": lambda self, inputs: [*LAYERS, Dense(4, "sigmoid")]}),
            {},
            "Wide: label classes .* must be .* and 4 network outputs",
        ),
    ],
)
def test_a_wrong_strategy_is_told_what_is_wrong(strategy, params, complaint):
    with pytest.raises(StrategyError, match=complaint):
        run(strategy, random_hours(60), MODE, **params)


class Late(FractalLabel):
    """Known a bar later than it says."""

    delay_bars = 1

    def __init__(self):
        super().__init__(wing=3)


@pytest.mark.parametrize(
    ("overridden", "complaint"),
    [
        (
            {"features": lambda self: ["a"]},
            r"must return a dict of lines by name, got \['a'\]",
        ),
        ({"features": lambda self: {"c": 1.0}}, r"features\(\): c must be a backtrader line, got 1\.0"),
        ({"features": lambda self: {"n": self.data.high(1)}}, "n must not read bars to come"),
        (
            {"features": lambda self: {"n": self.data.close - self.data.open(2)}},
            "n must not read bars to come",
        ),
        ({"layers": lambda self, inputs: None}, r"layers\(\) must return a list of layers, got None"),
        ({"label": lambda self: None}, r"label\(\) must return a Label"),
        (
            {"label": lambda self: Late()},
            "the label of bar 36 must be confirmed within delay_bars 1, got bar 39",
        ),
        ({"start": lambda self: None}, r"start must call super\(\)\.start\(\)"),
        (
            {"next": lambda self: None},
            r"prenext\(\) and next\(\) of Mistaken must call .* 34 bars, got 3\d",
        ),
        ({"__init__": lambda self: None}, r"__init__ must call super\(\)\.__init__\(\)"),
    ],
)
def test_a_mistake_in_a_strategy_names_the_method(overridden, complaint):
    with pytest.raises(StrategyError, match=complaint):
        run(type("Mistaken", (Small,), overridden), random_hours(60), MODE)


@pytest.mark.parametrize("name", ["signal", "scored", "learner", "network", "phase"])
@pytest.mark.parametrize("how", ["in __init__", "in the class"])
def test_a_name_of_the_base_class_cannot_be_assigned(name, how):
    def init(self):
        super(cls, self).__init__()
        setattr(self, name, 0)

    cls = type("Mistaken", (Small,), {"__init__": init} if how == "in __init__" else {name: 0})
    with pytest.raises(StrategyError, match=f"Mistaken must not assign {name}, a name of NeuroStrategy"):
        run(cls, random_hours(60), MODE)


def test_features_that_read_a_bar_before_there_is_one_are_told_what_to_return():
    mistaken = type("Mistaken", (Small,), {"features": lambda self: {"c": self.data.close[0]}})
    with pytest.raises(
        StrategyError, match=r"features\(\) must return lines, such as self\.data\.close, got a number"
    ):
        run(mistaken, random_hours(60), {"exactbars": 1})


def test_bars_of_another_feed_are_not_bars_of_the_network():
    def log(feeds):
        cerebro = bt.Cerebro(stdstats=False)
        data = BarsFeed(bars=random_hours(200))
        cerebro.adddata(data)
        if feeds == 2:
            cerebro.resampledata(data, timeframe=bt.TimeFrame.Minutes, compression=240)
        cerebro.addstrategy(Logged)
        return [entry for entry in cerebro.run()[0].log if len(entry) == 2]

    # The second feed's first bar comes later, and with it the first bar that the strategy sees.
    alone, beside = log(1), log(2)
    assert len(beside) > 100
    assert [bar for bar, _ in beside] == [bar for bar, _ in alone][-len(beside) :]


def test_a_feature_that_is_nan_is_named_with_its_bar():
    class Hole(bt.Indicator):
        lines = ("hole",)

        def next(self):
            self.lines.hole[0] = float("nan") if len(self) == 41 else 1.0

    class Divides(Small):
        def features(self):
            return {"hole": Hole(self.data)}

    with pytest.raises(NonFiniteError, match=r"2024-01-02 16:00:00, bar 40: hole must be finite, got nan"):
        run(Divides, random_hours(60), MODE)


class Watching(Small):
    """Logs what it gets at each bar."""

    def start(self):
        super().start()
        self.log, self.steps = [], []

    def decide(self, signal):
        self.log.append((signal, list(self.scored)))
        super().decide(signal)


def passing(name):
    """Return a strategy with a hook of its own that uses the network."""

    def hook(self, *args):
        self.steps.append((len(self), self.network.steps))
        return getattr(super(cls, self), name)(*args)

    cls = type(f"Has_{name}", (Watching,), {name: hook, "__module__": __name__})
    return cls


class KeepsNetwork(Watching):
    def start(self):
        super().start()
        self.kept = self.network

    def decide(self, signal):
        super().decide(signal)
        if signal.bar % 50 == 25:
            self.steps.append((len(self), self.kept.steps))


class KeepsLabel(Watching):
    def label(self):
        self.kept = FractalLabel(1)
        return self.kept

    def decide(self, signal):
        super().decide(signal)
        self.steps.append((len(self), self.kept.state()))


def run_on(feed, strategy, bars, mode, **params):
    cerebro = bt.Cerebro(stdstats=False, **mode)
    cerebro.adddata(feed(bars=bars))
    cerebro.addstrategy(strategy, **params)
    return cerebro.run()[0]


HOOKS = ["decide", "next", "notify_order", "notify_trade", "notify_cashvalue", "notify_fund"]


@pytest.mark.parametrize(
    "strategy",
    [Watching, KeepsNetwork, KeepsLabel, *map(passing, HOOKS)],
    ids=lambda strategy: strategy.__name__,
)
@run_modes
def test_ahead_and_bar_by_bar_are_the_same_to_the_bit(mode, strategy):
    ahead, plain = (run_on(feed, strategy, random_hours(260), mode) for feed in (BarsFeed, Plain))
    assert len(ahead.log) > 200
    assert ahead.log == plain.log
    assert ahead.steps == plain.steps  # hooks see one and the same network
    state = plain.network.state()
    for tensor, value in ahead.network.state().items():
        assert np.array_equal(value, state[tensor]), tensor


@pytest.mark.parametrize("feed", [BarsFeed, Plain])
def test_a_bar_that_is_refused_has_taught_nothing(feed):
    bars = random_hours(180)
    bars["volume"] = bars["volume"].astype(float)
    bars.loc[140, "volume"] = 1e300  # no number of the network's
    kept, errors = [], []

    class Kept(Watching):
        params = (("features", "article"),)

        def start(self):
            super().start()
            kept.append(self)

    for some in (bars, bars[:140]):
        try:
            run_on(feed, Kept, some, {"exactbars": 1})
        except NonFiniteError as error:
            errors.append(str(error))
    rule = "volume must be finite as float32, got 1e+297. Scale it down."
    assert errors == [f"2024-01-06 20:00:00, bar 140: {rule}"]
    refused, whole = kept
    assert refused.log == whole.log
    state = whole.network.state()
    assert all(np.array_equal(value, state[name]) for name, value in refused.network.state().items())


@pytest.mark.parametrize("feed", [BarsFeed, Plain])
def test_before_orders_are_notified_nothing_of_the_bar_is_learned(feed):
    class Watches(Watching):
        def decide(self, signal):
            super().decide(signal)
            self.learned = self.network.steps

        def notify_order(self, order):
            assert self.network.steps == self.learned
            self.learner.state()  # can be saved

    assert len(run_on(feed, Watches, random_hours(150), {"exactbars": 1}).log) > 100


@pytest.mark.parametrize("feed", [BarsFeed, Plain])
def test_a_label_that_is_not_finite_is_named_with_its_time(feed):
    class Hole(FractalLabel):
        def update(self, bar, *prices):
            labels = super().update(bar, *prices)
            return [ConfirmedLabel(bar - 1, (float("nan"), 0.0, 1.0))] if bar == 60 else labels

    class Labelled(Watching):
        def label(self):
            return Hole(1)

    with pytest.raises(NonFiniteError, match="2024-01-03 12:00:00, the label of bar 59 must be finite"):
        run_on(feed, Labelled, random_hours(80), {"exactbars": 1})


@pytest.mark.parametrize("feed", [BarsFeed, Plain])
@pytest.mark.parametrize("read", ["a line", "its array"])
def test_a_strategy_that_reads_ahead_of_its_bar_fails_ahead_and_bar_by_bar(feed, read):
    class Peeks(Watching):
        def decide(self, signal):
            close = self.data.close
            return close[1] if read == "a line" else close.array[len(self)]

    with pytest.raises(IndexError):
        run_on(feed, Peeks, random_hours(80), {"exactbars": 1})


@pytest.mark.parametrize("feed", [BarsFeed, Plain])
@pytest.mark.parametrize("mode", [{}, {"exactbars": 1}], ids=str)
@pytest.mark.parametrize("part", ["line", "difference"])
def test_a_forward_line_of_an_indicator_is_refused_by_name(feed, mode, part):
    class Looks(Small):
        def features(self):
            cloud = bt.ind.Ichimoku(self.data)
            span = cloud.chikou_span
            return {"base": cloud.kijun_sen, "span": span if part == "line" else span - self.data.close}

    with pytest.raises(StrategyError, match=r"features\(\): span must not read bars to come"):
        run_on(feed, Looks, random_hours(120), mode)


def test_analyzers_count_what_the_strategy_was_told():
    class Told(Small):
        def start(self):
            super().start()
            self.all_scored = []

        def next(self):
            super().next()
            self.all_scored += self.scored

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=random_hours(500)))
    cerebro.addstrategy(Told)
    cerebro.addanalyzer(HitRate, _name="hits", window=20)
    cerebro.addanalyzer(StepTime, _name="time")
    strategy = cerebro.run()[0]
    found, scored = strategy.analyzers.hits.get_analysis(), strategy.all_scored
    signals = [s for s in scored if s.signal.name != "none"]
    hits = [s for s in signals if s.signal.name == s.label or s.label == "both"]

    assert found["scored_bars"] == len(scored) == sum(found["labels"].values())
    assert (found["signals"], found["hits"]) == (len(signals), len(hits))
    assert found["hit_rate_pct"] == 100 * (len(hits) / len(signals))
    assert found["coverage_pct"] == 100 * (len(signals) / len(scored))
    assert found["window_hit_rate_pct"] == 100 * sum(s in hits for s in signals[-20:]) / 20
    squares = [sum((t - o) ** 2 for t, o in zip(s.target, s.signal.outputs, strict=True)) / 3 for s in scored]
    assert found["mean_squared_error"] == pytest.approx(sum(squares) / len(squares))
    assert found["error"] == pytest.approx(sum(e**0.5 for e in squares) / len(squares))
    assert found["forecast_pct"] == pytest.approx(found["hit_rate_pct"])
    missed = [s.signal.name == "none" for s in scored if s.label != "none"]
    assert found["undefine_pct"] == pytest.approx(100 * sum(missed) / len(missed))
    for side in ("buy", "sell"):
        mine = [s for s in signals if s.signal.name == side]
        assert found[side]["signals"] == len(mine)
        assert found[side]["hits"] == sum(s in hits for s in mine)
        assert found[side]["fractals"] == sum(s.label in (side, "both") for s in scored)

    time = strategy.analyzers.time.get_analysis()
    assert time["bars"] == 500 - 33
    assert 0 < time["p50_s"] <= time["p99_s"] <= time["max_s"] * 1.02
    assert time["total_s"] == pytest.approx(strategy.learner.network_s)


def test_figures_asked_for_in_the_middle_of_a_run_hold_all_bars_so_far():
    class Curious(Small):
        def next(self):
            super().next()
            self.counted = getattr(self, "counted", 0) + len(self.scored)
            self.asked = self.analyzers.hits.get_analysis()["scored_bars"], self.counted

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=random_hours(200)))
    cerebro.addstrategy(Curious)
    cerebro.addanalyzer(HitRate, _name="hits")
    asked, counted = cerebro.run()[0].asked
    assert asked == counted - 1  # analyzers come after the strategy: the last bar is still to come


def test_without_signals_figures_are_none_and_not_zero():
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=random_hours(36)))  # too short for a window
    cerebro.addstrategy(Small)
    cerebro.addanalyzer(HitRate, _name="hits")
    found = cerebro.run()[0].analyzers.hits.get_analysis()
    undefined = {found[name] for name in ("hit_rate_pct", "coverage_pct", "error")}
    assert (found["scored_bars"], undefined) == (0, {None})


@pytest.mark.slow
def test_optstrategy_runs_networks_in_processes_of_their_own():
    cerebro = bt.Cerebro(stdstats=False, maxcpus=2)
    cerebro.adddata(BarsFeed(bars=random_hours(120)))
    cerebro.optstrategy(Small, wing=[1, 2], device=["numpy"])
    cerebro.addanalyzer(HitRate, _name="hits")
    both = [ran.analyzers.hits.get_analysis() for (ran,) in cerebro.run()]
    for wing, found in zip((1, 2), both, strict=True):
        alone = bt.Cerebro(stdstats=False)
        alone.adddata(BarsFeed(bars=random_hours(120)))
        alone.addstrategy(Small, wing=wing)
        alone.addanalyzer(HitRate, _name="hits")
        assert alone.run()[0].analyzers.hits.get_analysis() == found


def test_the_default_turns_round_at_the_opposite_signal():
    class Scripted(Small):
        params = (("size", 0.5),)

        def start(self):
            super().start()
            self.told = []

        def next(self):
            super().next()
            self.told.append((self.signal.name if self.signal else None, self.position.size))

    bars = hours([100.0 + i % 3 for i in range(90)])
    told = run(Scripted, bars, MODE).told
    for (name, _), (_, position) in itertools.pairwise(told):
        if name == "buy":
            assert position > 0
        elif name == "sell":
            assert position < 0
    assert {name for name, _ in told} >= {"buy", "sell"}
