"""Eras: the running figures are those of `HitRate`, and the rule says when they have settled."""

from dataclasses import replace
from itertools import pairwise

import backtrader as bt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modes import random_hours
from small import Small

from bt_neuro import BarsFeed, CheckpointError, HitRate
from bt_neuro.io import Fields
from bt_neuro.learning.epochs import ArticleFigures, Epoch, RunningFigures, RunningMean, settled

WINDOW = 20  # fewer than the run has signals, fractals and bars


class Remembers(Small):
    """Keeps every score, as `HitRate` sees it."""

    def start(self):
        super().start()
        self.all_scored = []

    def next(self):
        super().next()
        self.all_scored += self.scored


@pytest.fixture(scope="module")
def run():
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=random_hours(500)))
    cerebro.addstrategy(Remembers)
    cerebro.addanalyzer(HitRate, article_window=WINDOW)
    (ran,) = cerebro.run()
    return ran


def scores_of(run):
    """Return the outputs, (1, n, 3), and the targets, (n, 3), of a run."""
    outputs = np.array([[scored.signal.outputs for scored in run.all_scored]])
    return outputs, np.array([scored.target for scored in run.all_scored])


@pytest.mark.parametrize("parts", [1, 2, 7, 400])
def test_figures_are_those_of_the_analyzer(run, parts):
    outputs, targets = scores_of(run)
    running = RunningFigures(1, WINDOW)
    for some in np.array_split(np.arange(len(targets)), parts):
        running.add(outputs[:, some], targets[some])
    said = run.analyzers.hitrate.get_analysis()
    assert min(said["signals"], said["scored_bars"] - said["labels"]["none"]) > WINDOW
    assert running.figures()[0]._asdict() == pytest.approx(
        {name: said[name] for name in ArticleFigures._fields}
    )


def test_networks_do_not_mix(run):
    outputs, targets = scores_of(run)
    both = np.concatenate([outputs, outputs[:, ::-1]])
    together = RunningFigures(2, WINDOW)
    together.add(both, targets)
    alone = []
    for lane in both:
        running = RunningFigures(1, WINDOW)
        running.add([lane], targets)
        alone += running.figures()
    assert together.figures() == alone
    assert alone[0] != alone[1]


def test_figures_go_on_from_their_state_to_the_bit(run):
    outputs, targets = scores_of(run)
    whole, first, second = (RunningFigures(1, WINDOW) for _ in range(3))
    for running, part in ((whole, slice(0, 40)), (first, slice(0, 40))):
        running.add(outputs[:, part], targets[part])
    second.restore(first.state())
    for running in (whole, second):
        running.add(outputs[:, 40:], targets[40:])
    assert second.figures() == whole.figures()
    assert second.state() == whole.state()


def test_a_state_of_other_networks_is_refused():
    with pytest.raises(CheckpointError, match="running figures must be of 3 networks, got 2"):
        RunningFigures(3).restore(RunningFigures(2).state())
    with pytest.raises(CheckpointError, match="samples is missing"):
        RunningFigures(1).restore([{"error": {}}])


def test_what_nothing_has_moved_is_not_a_number():
    running = RunningFigures(1)
    assert running.figures() == [ArticleFigures(None, None, None)]
    running.add([[[0.0, 1.0, 1.0]]], [[1.0, 0.0, 0.0]])  # a tie is no signal, and the bar no fractal
    assert running.figures() == [ArticleFigures(pytest.approx(1.0), None, None)]


@given(
    st.lists(st.lists(st.floats(-1e3, 1e3), max_size=30), max_size=5),
    st.integers(1, 40),
)
def test_many_samples_at_once_are_one_after_another(parts, window):
    one, many = RunningMean(window), RunningMean(window)
    for part in parts:
        many.extend(part)
        for sample in part:
            one.add(sample)
    assert many.samples == one.samples
    assert many.get() == (None if one.get() is None else pytest.approx(one.get(), abs=1e-9))
    again = RunningMean(window)
    again.restore(Fields(many.state(), "a mean"))
    assert again.state() == many.state()


ERA = Epoch(7, 1e-3, error=0.41, undefine_pct=60.0, forecast_pct=55.0)


@pytest.mark.parametrize(
    ("moved", "has"),
    [
        ({}, True),
        ({"error": 0.4199, "undefine_pct": 60.09, "forecast_pct": 54.91}, True),
        ({"error": 0.4201}, False),
        ({"error": 0.3999}, False),
        ({"undefine_pct": 60.11}, False),
        ({"forecast_pct": 54.89}, False),
        ({"forecast_pct": None}, False),
    ],
)
def test_an_era_has_settled_when_no_figure_moves(moved, has):
    later = replace(ERA, number=8, **moved)
    assert settled(ERA, later) is has
    assert settled(later, ERA) is has


def test_the_rule_finds_where_a_curve_becomes_flat():
    curve = [Epoch(n, 1e-3, 0.4 + 0.2 * 0.5**n, 60 + 30 * 0.5**n, 55 - 30 * 0.5**n) for n in range(1, 20)]
    first = next(last.number for previous, last in pairwise(curve) if settled(previous, last))
    assert first == 9  # 30 / 2^9 is the first step below 0.1
