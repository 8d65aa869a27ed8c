"""The files in strategies/: short, runnable, blind to the future, and sound in their labels and orders."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import re
import subprocess
import sys
from functools import partial
from multiprocessing.reduction import ForkingPickler

import backtrader as bt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modes import MODES, hours, random_hours, run
from paths import ROOT
from small import LAYERS

from bt_neuro import BarsFeed, CheckpointError, HitRate, Label, Signal, StrategyError, backtest
from bt_neuro.plugin.loading import load_strategy

backtest = partial(backtest, report=False)  # the page takes as long as all the rest

FILES = {path.stem: path for path in sorted((ROOT / "strategies").glob("*.py"))}
GALLERY = {name: load_strategy(str(path)) for name, path in FILES.items()}
SMALL = {"device": "numpy", "history_bars": 4, "learning_rate": 0.01}
SMALLER = {"trend_only": {"trend_bars": 20}, "convolution": {"filters": 4}}
MODE = MODES[0]

every_strategy = pytest.mark.parametrize("name", GALLERY)


def small(name, *mixins):
    """Return a strategy of the gallery with a small network, unless the network is what it shows."""
    shown = GALLERY[name]
    network = {} if "layers" in vars(shown) else {"layers": lambda self, inputs: list(LAYERS)}
    params = tuple({**SMALL, **SMALLER.get(name, {})}.items())
    return type(shown.__name__, (*mixins, shown), {**network, "params": params})


@every_strategy
def test_a_file_is_short_and_says_how_to_run_it(name):
    text = FILES[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert f"bt-neuro backtest EURUSD_H1.csv --strategy strategies/{name}.py" in text
    assert GALLERY[name].__doc__


@every_strategy
def test_the_gallery_shows_it_with_its_command(name):
    page = (ROOT / "docs" / "how-to" / "gallery.md").read_text(encoding="utf-8")
    assert f"strategies/{name}.py" in page
    assert re.search(rf"^ *bt-neuro backtest .*--strategy strategies/{name}\.py", page, re.MULTILINE)


@every_strategy
def test_a_backtest_of_it_writes_its_folder(name, tmp_path):
    result = backtest(
        ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv",
        strategy=small(name),
        out=tmp_path / "run",
        bars_options={"end": "2024-01-19"},
    )
    assert result.manifest["status"] == "complete"
    assert result.metrics["scored_bars"] > 100
    assert result.metrics["refused_orders"] == 0


class Random:
    """Trades shuffled signals, so that there is something to see, and not the network's."""

    def start(self):
        super().start()
        self.rng = np.random.default_rng(3)

    def decide(self, signal):
        super().decide(Signal.of(signal.bar, self.rng.random(3)))


class Logged(Random):
    """Remembers the network's signals, labels and fills, each with the bar that brought it."""

    def start(self):
        super().start()
        self.log = []

    def next(self):
        super().next()
        self.log += [(one.known_bar, "label", one.signal.bar, one.target) for one in self.scored]

    def decide(self, signal):
        self.log.append((signal.bar, "signal", signal.outputs))
        super().decide(signal)

    def notify_order(self, order):
        if order.status == order.Completed:
            self.log.append((len(self) - 1, "fill", order.executed.price, order.executed.size))


class Peeks(Logged):
    """Has a leak: tomorrow's close, which backtrader gives away in its default mode."""

    def decide(self, signal):
        super().decide(signal)
        last = len(self.data) == self.data.buflen()
        self.log.append((signal.bar, "leak", None if last else self.data.close[1]))


def sees_the_future(strategy, cut=120):
    """Tell whether what came before a bar changes when the bars from it on are cut off, or absurd."""
    bars = random_hours(200)
    perturbed = bars.copy()
    perturbed.loc[cut:, ["open", "high", "low", "close"]] = [900.0, 1000.0, 1e-3, 0.5]
    past, *others = (
        [entry for entry in run(strategy, some, MODE).log if entry[0] < cut]
        for some in (bars, bars[:cut], perturbed)
    )
    assert {"signal", "label", "fill"} <= {kind for _, kind, *_ in past}
    return any(other != past for other in others)


@pytest.mark.slow
@every_strategy
def test_signals_labels_and_fills_do_not_depend_on_bars_to_come(name):
    assert not sees_the_future(small(name, Logged))


def test_a_look_at_tomorrow_is_found():
    assert sees_the_future(small("article", Peeks))


# -- the triple barrier --------------------------------------------------------------------------------------


def triple_barriers(high, low, close, bars, width):
    """Return each bar's (class, bar at which it is known) from all bars at once: the oracle of the label."""
    ranges = np.array([*itertools.accumulate(high - low, lambda mean, new: 0.98 * mean + 0.02 * new)])
    upper, lower = close + width * ranges, close - width * ranges
    found = {}
    for bar in range(len(close)):
        ahead = slice(bar + 1, bar + 1 + bars)
        up, down = first(high[ahead] >= upper[bar]), first(low[ahead] <= lower[bar])
        known = bar + min(up, down, bars)
        if known < len(close):
            found[bar] = "none" if up == down else "buy" if up < down else "sell", known
    return found


def first(touched):
    """Return how many bars on the first touch is; infinity if there is none."""
    return 1 + int(touched.argmax()) if touched.any() else np.inf


def tell(label, bars, begin=0):
    """Feed (high, low, close) to a label; return each bar's (class, bar at which it was told)."""
    told = {}
    for bar, prices in enumerate(bars, begin):
        for known in label.update(bar, *prices):
            assert sorted(known.target) == [0.0, 0.0, 1.0], "exactly one class"
            assert known.bar not in told, "told twice"
            told[known.bar] = label.classes[known.target.index(1.0)], bar
    return told


def barrier_label(bars=5, width=2.0):
    return sys.modules[GALLERY["triple_barrier"].__module__].TripleBarrierLabel(bars, width)


# Whole numbers meet barriers exactly, and often both within one bar.
bar = st.tuples(st.integers(-4, 4), st.integers(1, 5), st.integers(0, 5))
walks = st.lists(bar, min_size=1, max_size=60)
widths = st.sampled_from([0.5, 1.0, 2.0, 4.0])


def prices(walk):
    """Return (high, low, close) rows of a walk of (step, wick above, wick below)."""
    step, above, below = np.array(walk, float).T
    close = 100 + np.cumsum(step)
    return np.stack([close + above, close - below, close], axis=1)


@given(walks, st.integers(1, 8), widths)
def test_barriers_are_those_of_the_oracle_and_told_when_touched(walk, bars, width):
    table = prices(walk)
    assert tell(barrier_label(bars, width), table.tolist()) == triple_barriers(*table.T, bars, width)


@given(walks, st.integers(1, 8), widths, st.integers(0, 60))
def test_barriers_go_on_from_their_state(walk, bars, width, cut):
    table = prices(walk).tolist()
    label, again = barrier_label(bars, width), barrier_label(bars, width)
    before = tell(label, table[:cut])
    again.restore(json.loads(json.dumps(label.state())))
    after = tell(again, table[cut:], begin=len(table[:cut]))
    assert {**before, **after} == tell(barrier_label(bars, width), table)


def test_barriers_of_other_params_are_refused():
    assert isinstance(barrier_label(), Label)
    with pytest.raises(CheckpointError, match=r"bars and width are \[5, 3.0\]"):
        barrier_label(width=2.0).restore(barrier_label(width=3.0).state())


def test_a_label_that_peeks_is_found_by_the_oracle():
    table = prices([(1, 1, 1)] * 30)
    peeking = np.roll(table, -1, axis=0)  # tomorrow's bar today
    assert tell(barrier_label(), peeking.tolist()) != triple_barriers(*table.T, 5, 2.0)


# -- orders --------------------------------------------------------------------------------------------------


class Booked(Random):
    """Keeps the position and the open orders of each bar, before it decides."""

    def start(self):
        super().start()
        self.book, self.stops, self.trades, self.statuses = [], {}, [], set()

    def next(self):
        alive = self.broker.get_orders_open()
        self.book.append((self.position.size, [order.created.size for order in alive]))
        for order in alive:
            if order.exectype == bt.Order.StopTrail:
                self.stops.setdefault((order.ref, order.isbuy()), []).append(order.created.price)
        super().next()

    def notify_order(self, order):
        self.statuses.add((order.exectype or bt.Order.Market, order.status))

    def notify_trade(self, trade):
        if trade.isclosed:
            self.trades.append(trade)


EXITS = {"atr_stop": {bt.Order.StopTrail}, "triple_barrier": {bt.Order.Stop, bt.Order.Limit}}
traders = pytest.mark.parametrize("name", EXITS)


def stray_orders(ran, exits):
    """Return each (position, orders) where the orders are not that position's exits, no more and no less."""
    return [
        (position, orders) for position, orders in ran.book if orders != [-position] * exits * bool(position)
    ]


@traders
def test_exits_stand_while_a_position_does_and_no_longer(name):
    ran = run(small(name, Booked), random_hours(300), MODE)
    assert len(ran.trades) > 20
    assert not stray_orders(ran, len(EXITS[name]))
    for exit_type in EXITS[name]:
        assert {(exit_type, bt.Order.Completed), (exit_type, bt.Order.Canceled)} <= ran.statuses


@traders
def test_a_refused_entry_leaves_no_exits(name):
    more_than_there_is = {"size": 3.0} | ({"risk": 0.1} if name == "atr_stop" else {})
    ran = run(small(name, Booked), random_hours(200), MODE, **more_than_there_is)
    assert (bt.Order.Market, bt.Order.Margin) in ran.statuses
    assert not stray_orders(ran, len(EXITS[name]))


class Forgets(Booked):
    def cancel(self, order):
        pass


@traders
def test_a_forgotten_exit_is_found(name):
    assert stray_orders(run(small(name, Forgets), random_hours(200), MODE), len(EXITS[name]))


def test_a_trailing_stop_only_follows():
    stops = run(small("atr_stop", Booked), random_hours(300), MODE).stops
    assert any(len(set(levels)) > 2 for levels in stops.values())
    for (_, is_buy), levels in stops.items():
        assert levels == sorted(levels, reverse=is_buy)


class Sized(Booked):
    """Remembers what each entry was decided on."""

    def start(self):
        super().start()
        self.entries = {}

    def decide(self, signal):
        super().decide(signal)
        if (order := getattr(self, "stop_order", None)) and order.ref not in self.entries:
            seen = self.broker.getvalue(), self.data.close[0], self.atr[0]
            self.entries[order.ref] = abs(order.created.size), *seen


def test_a_trade_risks_its_share_but_never_takes_more_than_there_is():
    ran = run(small("atr_stop", Sized), random_hours(300), MODE, risk=0.004)
    capped = 0
    for size, equity, price, atr in ran.entries.values():
        by_risk, by_cash = 0.004 * equity / (2.5 * atr), 0.95 * equity / price
        assert size == pytest.approx(min(by_risk, by_cash))
        capped += by_cash < by_risk
    assert 0 < capped < len(ran.entries)


def test_a_time_limit_ends_a_trade():
    lengths = [trade.barlen for trade in run(small("triple_barrier", Booked), random_hours(300), MODE).trades]
    assert max(lengths) == 12
    assert min(lengths) < 12


@pytest.mark.parametrize("param", ["risk", "stop_atr"])
def test_no_risk_is_refused(param):
    with pytest.raises(StrategyError, match=f"{param}.* 0.*give numbers above 0"):
        run(small("atr_stop"), random_hours(60), MODE, **{param: 0})


def test_nothing_moves_and_nothing_is_traded():
    ran = run(small("atr_stop", Booked), hours([1.1] * 80), MODE)
    assert ran.signal is not None
    assert not any(position or orders for position, orders in ran.book)


# -- more than one process -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_another_process_finds_a_strategy_of_a_file():
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer))"
    pickled = bytes(ForkingPickler.dumps(GALLERY["convolution"]))
    found = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True)
    assert b"bt_neuro_strategy_convolution.Convolution" in found.stdout


def test_pickling_keeps_other_classes_as_they_are():
    for strategy in (GALLERY["article"], Everywhere, bt.Strategy):
        assert ForkingPickler.loads(ForkingPickler.dumps(strategy)) is strategy


class Everywhere(bt.Strategy):
    """An ordinary strategy, which pickle finds by its module."""


@pytest.mark.slow
@pytest.mark.parametrize("way", multiprocessing.get_all_start_methods())
def test_optstrategy_runs_a_strategy_of_a_file(way, monkeypatch):
    monkeypatch.setattr(multiprocessing, "Pool", multiprocessing.get_context(way).Pool)
    cerebro = bt.Cerebro(stdstats=False, maxcpus=2)
    cerebro.adddata(BarsFeed(bars=random_hours(120)))
    cerebro.optstrategy(GALLERY["convolution"], filters=[2, 4], device=["numpy"], history_bars=[6])
    cerebro.addanalyzer(HitRate, _name="hits")
    both = [ran.analyzers.hits.get_analysis() for (ran,) in cerebro.run()]
    assert [found["scored_bars"] for found in both] == [
        120 - 1 - 5 - 1
    ] * 2  # the first bar has no range before it
    assert both[0]["mean_squared_error"] != both[1]["mean_squared_error"]
