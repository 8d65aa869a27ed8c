"""Running ahead: the same bits as bar by bar, however it is disturbed."""

from copy import copy

import numpy as np
import pytest
from small import small_network
from test_learner import FEATURES, HISTORY, Late, bars, feed

from bt_neuro import ConfirmedLabel, FractalLabel, NonFiniteError
from bt_neuro.io import Fields
from bt_neuro.learning.learner import Learner, run_together
from bt_neuro.learning.running_scale import RunningScale

BARS = 470  # more than the launches under way at a time


class Two(Late):
    """Labels of two bars come at once, every other bar."""

    def update(self, bar, high, low, close):
        targets = (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)
        return [ConfirmedLabel(bar - 1 - i, targets[i]) for i in range(2)] if bar % 2 else []


# Of three instruments the second ends early, and the third begins after that.
PLACES = [(bar * bar + bar // 7) % 3 for bar in range(BARS)]
PLACES = [
    place if (place != 2 or bar > 320) and (place != 1 or bar < 250) else 0
    for bar, place in enumerate(PLACES)
]


class Together:
    """Learners of one network, each of which takes the bars of its place."""

    def __init__(self, learners):
        self.learners, self.taken = learners, []

    def __getattr__(self, name):
        return getattr(self.learners[PLACES[max(len(self.taken) - 1, 0)]], name)

    def on_bar(self, bar, *values):
        learner = self.learners[PLACES[bar]]
        told = learner.on_bar(number(self, bar), *values)
        self.taken.append(values[0])
        return told

    def turns(self, bars, first=0):
        return [
            (self.learners[PLACES[bar]], number(self, bar), inputs) for bar, inputs in enumerate(bars, first)
        ]

    def run_ahead(self, first, bars):
        run_together(self.learners, self.turns(bars, first))

    def state(self):
        states = [learner.state() for learner in self.learners]
        arrays = {
            f"{place} {name}": array for place, (some, _) in enumerate(states) for name, array in some.items()
        }
        return arrays, {"each": [values for _, values in states], "taken": list(self.taken)}

    def restore(self, arrays, values):
        for row in values.values["taken"]:  # the scales begin anew, as those of a run that resumes
            self.learners[PLACES[len(self.taken)]].scaled(row)
            self.taken.append(row)
        for place, learner in enumerate(self.learners):
            own = {name[2:]: array for name, array in arrays.items() if name[0] == str(place)}
            learner.restore(own, Fields(values.values["each"][place], "learner"))


def number(learner, bar):
    """The number of a bar in its own instrument."""
    return PLACES[:bar].count(PLACES[bar]) if isinstance(learner, Together) else bar


SHARED = {"shared": True}
KINDS = [
    *({}, {"seed": (3, 4)}, {"learning": False}, {"label": Late}, SHARED),
    *(
        pytest.param(kind, marks=pytest.mark.slow)
        for kind in (
            {"label": Two},
            {"wing": 2},
            {"wing": 5},
            {**SHARED, "label": Two, "seed": (3, 4)},
        )
    ),
]
kinds = pytest.mark.parametrize("kind", KINDS, ids=str)


def make(wing=1, seed=3, label=None, shared=False, **options):
    network = small_network(HISTORY * len(FEATURES), seed=seed)

    def one(**more):
        made = label() if label else FractalLabel(wing)
        return Learner(network, made, FEATURES, HISTORY, **options, **more)

    return Together([one(scale=RunningScale()) for _ in range(3)]) if shared else one()


def ahead(learner, some, first=0):
    """Announce bars to a learner."""
    learner.run_ahead(first, inputs_of(some))
    return learner


def inputs_of(some):
    return [(tuple(row), *prices) for row, *prices in some]


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


def learns(network):
    return network.learn(np.ones(network.n_inputs), [0, 1, 0])


def slows(network):
    network.learning_rate = 1e-5


KEPT = {
    "steps": lambda network: network.steps,
    "state": lambda network: network.state(),
    "tensor": lambda network: network.tensor("dense_1.kernel"),
    "predict": lambda network: network.predict(np.ones(network.n_inputs)),
    "learn": learns,
    "learning rate": slows,
    "send": lambda network: network.send(
        *(np.ones((1, n)) for n in (network.n_inputs, 3, network.n_inputs))
    )(),
    "copy_state": lambda network: network.tensor("dense_1.kernel", network.copy_state()),
    "set_state": lambda network: network.set_state(network.state(), network.steps),
    "copy": lambda network: copy(network).state(),
    "config": lambda network: network.config(),
    "profile": lambda network: network.profile() and None,
}


@pytest.mark.parametrize("kind", [{}, pytest.param(SHARED, marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("use", KEPT)
def test_a_network_kept_from_the_start_is_that_of_the_bar(rng, kind, use):
    some = bars(rng, BARS)
    fast, plain = make(**kind), make(**kind)
    kept, same = fast.network, plain.network
    ahead(fast, some)
    for bar, values in enumerate(some):
        assert fast.on_bar(bar, *values) == plain.on_bar(bar, *values)
        if bar in (0, 150, 299, 300, 301):
            assert repr(KEPT[use](kept)) == repr(KEPT[use](same))
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
        message = f"bar {number(learner, bar)}: {where} must be finite, got nan"
        with pytest.raises(NonFiniteError, match=message):
            learner.on_bar(bar, *some[bar])
    assert_same(fast, plain)


@pytest.mark.parametrize("kind", [{}, SHARED], ids=str)
@pytest.mark.parametrize("bar", [0, 1, 40, 100, 101, 333])
def test_a_label_that_fails_does_so_in_its_turn(rng, monkeypatch, kind, bar):
    some, update = bars(rng, BARS), FractalLabel.update

    def fails(label, at, high, low, close):
        known = update(label, at, high, low, close)  # it has changed by then
        return known if close != some[bar][3] else 1 / 0

    fast, plain = ahead(make(**kind), some), make(**kind)
    monkeypatch.setattr(FractalLabel, "update", fails)
    for learner in (fast, plain):
        feed(learner, some[:bar])
        with pytest.raises(ZeroDivisionError):
            learner.on_bar(bar, *some[bar])
    state = plain.network.state()
    assert all(np.array_equal(tensor, state[name]) for name, tensor in fast.network.state().items())


@kinds
@pytest.mark.parametrize("bar", [40, *(pytest.param(bar, marks=pytest.mark.slow) for bar in (0, 101, 333))])
def test_bars_that_were_not_announced_are_taken_bar_by_bar(rng, kind, bar):
    some, others = bars(rng, BARS), bars(rng, BARS)
    wrong = [np.nan, 0.0], 1.0, 1.0, 1.0
    for announced in (some, some[:bar], [*some[:bar], wrong]):
        fast, plain = ahead(make(**kind), announced), make(**kind)
        come = some[:bar] + others[bar:]
        assert feed(fast, come) == feed(plain, come)
        assert_same(fast, plain)


@pytest.mark.parametrize("is_missing", [True, False])
@pytest.mark.parametrize("bar", [2, 30, 40, 233, 330])
def test_another_bar_than_announced_ends_running_ahead_for_all_of_a_network(rng, bar, is_missing):
    some, (wrong,) = bars(rng, BARS), inputs_of(bars(rng, 1))
    fast, plain = make(**SHARED), make(**SHARED)
    turns = fast.turns(inputs_of(some))
    turns[bar : bar + 1] = [] if is_missing else [(*turns[bar][:2], wrong)]
    run_together(fast.learners, turns)
    assert feed(fast, some) == feed(plain, some)
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
