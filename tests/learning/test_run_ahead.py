"""Running ahead: the same bits as bar by bar, however it is disturbed."""

import numpy as np
import pytest
from small import small_network
from test_learner import FEATURES, HISTORY, Late, bars, feed

from bt_neuro import ConfirmedLabel, FractalLabel, NonFiniteError
from bt_neuro.io import Fields
from bt_neuro.learning.learner import Learner

BARS = 470  # more than the launches under way at a time


class Two(Late):
    """Labels of two bars come at once, every other bar."""

    def update(self, bar, high, low, close):
        targets = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)
        return [ConfirmedLabel(bar - 1 - i, targets[i]) for i in range(2)] if bar % 2 else []


KINDS = [{}, {"wing": 2}, {"wing": 5}, {"seed": (3, 4)}, {"learning": False}, {"label": Late}, {"label": Two}]
kinds = pytest.mark.parametrize("kind", KINDS, ids=str)


def make(wing=1, seed=3, label=None, **options):
    network = small_network(HISTORY * len(FEATURES), seed=seed)
    return Learner(network, label() if label else FractalLabel(wing), FEATURES, HISTORY, **options)


def ahead(learner, some, first=0):
    """Announce bars to a learner."""
    learner.run_ahead(first, [(tuple(row), *prices) for row, *prices in some])
    return learner


def assert_same(one, other):
    arrays, values = one.state()
    others, other_values = other.state()
    assert values == other_values
    assert all(np.array_equal(array, others[name]) for name, array in arrays.items())
    assert one.network.steps == other.network.steps
    state = other.network.state()
    for name, tensor in one.network.state().items():
        assert np.array_equal(tensor, state[name]), name


@kinds
def test_signals_scores_and_state_are_those_of_bar_by_bar(rng, kind):
    some = bars(rng, BARS)
    fast, plain = ahead(make(**kind), some), make(**kind)
    assert feed(fast, some) == feed(plain, some)
    assert_same(fast, plain)


def moves(learner):
    name = "dense_1.bias"
    learner.network.set_tensor(name, learner.network.tensor(name) + 0.25)


USES = {
    "the network is read": lambda learner: learner.network.state(),
    "the label is read": lambda learner: learner.label.state(),
    "the state is saved": lambda learner: learner.state(),
    "the network is changed": moves,
    "statistics are read": lambda learner: learner.running_statistics(),
}


@kinds
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "at",
    [(0, 150, 299, 300, 301), *(pytest.param(at, marks=pytest.mark.slow) for at in ((37, 455), range(BARS)))],
    ids=str,
)
def test_a_hook_sees_the_network_as_bar_by_bar(rng, kind, use, at):
    some = bars(rng, BARS)
    fast, plain = ahead(make(**kind), some), make(**kind)
    for bar, values in enumerate(some):
        assert fast.on_bar(bar, *values) == plain.on_bar(bar, *values)
        assert (fast.last_bar, fast.pending) == (plain.last_bar, plain.pending)
        assert np.array_equal(fast.features, plain.features)
        if bar in at:
            found, expected = USES[use](fast), USES[use](plain)
            assert repr(found) == repr(expected)
    assert_same(fast, plain)


@kinds
@pytest.mark.parametrize(("bar", "where"), [(0, "a"), (1, "close"), (40, "close"), (101, "a"), (333, "a")])
def test_a_bar_that_is_not_finite_is_refused_in_its_turn(rng, kind, bar, where):
    some = bars(rng, BARS)
    row, high, low, close = some[bar]
    some[bar] = ([np.nan, row[1]], high, low, close) if where == "a" else (row, high, low, np.nan)
    fast, plain = ahead(make(**kind), some), make(**kind)
    for learner in (fast, plain):
        feed(learner, some[:bar])
        with pytest.raises(NonFiniteError, match=f"bar {bar}: {where} must be finite, got nan"):
            learner.on_bar(bar, *some[bar])
    assert_same(fast, plain)


@pytest.mark.parametrize("bar", [0, 1, 40, 100, 101, 333])
def test_a_label_that_fails_does_so_in_its_turn(rng, monkeypatch, bar):
    update = FractalLabel.update

    def fails(label, at, *prices):
        known = update(label, at, *prices)  # it has changed by then
        return known if at != bar else 1 / 0

    some = bars(rng, BARS)
    fast, plain = ahead(make(), some), make()
    monkeypatch.setattr(FractalLabel, "update", fails)
    for learner in (fast, plain):
        feed(learner, some[:bar])
        with pytest.raises(ZeroDivisionError):
            learner.on_bar(bar, *some[bar])
    state = plain.network.state()
    assert all(np.array_equal(tensor, state[name]) for name, tensor in fast.network.state().items())


@kinds
@pytest.mark.parametrize("bar", [0, 40, 101, 333])
def test_bars_that_were_not_announced_are_taken_bar_by_bar(rng, kind, bar):
    some, others = bars(rng, BARS), bars(rng, BARS)
    for announced in (some, some[:bar]):
        fast, plain = ahead(make(**kind), announced), make(**kind)
        come = some[:bar] + others[bar:]
        assert feed(fast, come) == feed(plain, come)
        assert_same(fast, plain)


@kinds
@pytest.mark.parametrize("bar", [100, 237])
def test_a_state_saved_in_a_launch_goes_on_ahead_to_the_bit(rng, kind, bar):
    some = bars(rng, BARS)
    first, plain = ahead(make(**kind), some), make(**kind)
    feed(first, some[:bar])
    arrays, values = first.state()
    second = make(**kind)
    second.network.set_state(first.network.state(), first.network.steps)
    second.restore(arrays, Fields(values, "learner"))
    expected = feed(plain, some)[bar:]
    assert feed(ahead(second, some[bar:], bar), some[bar:], first=bar) == expected
    assert feed(first, some[bar:], first=bar) == expected
    assert_same(second, plain)
