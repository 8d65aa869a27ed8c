"""The order of one bar: test, then train, then predict, and never earlier than a label is known."""

import re

import numpy as np
import pytest
from small import small_network

from bt_neuro import (
    CheckpointError,
    ConfirmedLabel,
    Dense,
    FractalLabel,
    LayerError,
    Network,
    NonFiniteError,
    StrategyError,
)
from bt_neuro.io import Fields
from bt_neuro.learning.learner import Learner
from bt_neuro.learning.signals import Signal

FEATURES = ("a", "b")
HISTORY = 3


class Recorded:
    """A real network that remembers the windows it learned and predicted, in order."""

    def __init__(self, network):
        self.network, self.calls = network, []

    def __getattr__(self, name):
        return getattr(self.network, name)

    def send(self, windows, targets, following):
        for step in range(max(len(windows), len(following))):
            if len(windows):
                self.calls.append(("learn", tuple(windows[step]), tuple(targets[step])))
            if len(following):
                self.calls.append(("predict", tuple(following[step])))
        return self.network.send(windows, targets, following)


def bars(rng, count):
    """Return features, as numbers of the network's own kind, and prices."""
    features = rng.normal(size=(count, 2)).astype(np.float32).tolist()
    closes = np.cumsum(rng.normal(size=count))
    return list(zip(features, *((closes + by).tolist() for by in (1, -1, 0)), strict=True))


def make(wing=1, seed=3, **options):
    network = Recorded(small_network(HISTORY * len(FEATURES), seed=seed))
    return Learner(network, FractalLabel(wing), FEATURES, HISTORY, **options), network


def feed(learner, some, first=0):
    return [learner.on_bar(first + i, *bar) for i, bar in enumerate(some)]


@pytest.mark.parametrize("wing", [1, 2, 5])
def test_each_bar_learns_what_became_known_then_predicts_itself(rng, wing):
    some = bars(rng, 40)
    learner, network = make(wing)
    told = feed(learner, some)

    rows = [row for row, *_ in some]
    window = lambda bar: tuple(np.ravel(rows[bar - HISTORY + 1 : bar + 1]))  # noqa: E731
    expected = []
    for bar, (signal, scored) in enumerate(told):
        for score in scored:
            assert score.signal.bar == bar - wing == score.known_bar - wing
            expected.append(("learn", window(bar - wing), score.target))
        if signal is not None:
            expected.append(("predict", window(bar)))
    assert network.calls == expected
    assert [signal is None for signal, _ in told[:HISTORY]] == [True] * (HISTORY - 1) + [False]
    assert sum(len(scored) for _, scored in told) == 40 - max(HISTORY - 1, wing) - wing


def test_a_score_is_of_the_prediction_made_before_the_label_was_known(rng):
    learner, _ = make(wing=2)
    said = {}
    for signal, scored in feed(learner, bars(rng, 30)):
        for score in scored:
            assert score.signal is said[score.signal.bar]
        if signal is not None:
            said[signal.bar] = signal


def test_without_learning_weights_stay_and_statistics_move(rng):
    learner, network = make(learning=False)
    before = network.state()
    feed(learner, bars(rng, 20))
    after = network.state()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"running_batch_norm_0.moving_mean", "running_batch_norm_0.moving_variance"}


@pytest.mark.parametrize(
    ("where", "bad"),
    [(where, bad) for where in ("a", "b", "high", "close") for bad in (float("nan"), float("inf"))]
    + [("b", 1e39), ("a", -1e39)],  # no number of the network's
)
def test_a_feature_that_is_no_number_is_refused_and_changes_nothing(rng, bad, where):
    learner, network = make()
    some = bars(rng, 20)
    feed(learner, some)
    before, pending = network.state(), learner.pending
    values = {"a": 0.0, "b": 0.0, "high": 1.0, "low": 0.0, "close": 0.5, where: bad}
    with pytest.raises(NonFiniteError, match=rf"bar 20: {where} must be finite.*, got {re.escape(str(bad))}"):
        learner.on_bar(20, [values["a"], values["b"]], values["high"], values["low"], values["close"])
    assert all(np.array_equal(before[name], network.state()[name]) for name in before)
    assert learner.pending == pending
    learner.on_bar(20, [0.0, 0.0], 1.0, 0.0, 0.5)  # the bar can still come


def test_bars_must_come_one_by_one(rng):
    learner, _ = make()
    feed(learner, bars(rng, 5))
    with pytest.raises(ValueError, match="bar must be 5, got 7"):
        learner.on_bar(7, [0.0, 0.0], 1.0, 0.0, 0.5)


def test_the_history_goes_on_over_the_end_of_its_memory(rng):
    some = bars(rng, 2500)
    learner, network = make()
    feed(learner, some)
    rows = [row for row, *_ in some]
    predicted = [call[1] for call in network.calls if call[0] == "predict"]
    assert predicted == [tuple(np.ravel(rows[bar - HISTORY + 1 : bar + 1])) for bar in range(2, 2500)]


class Late:
    """A label whose answers come in any order, or never."""

    classes = ("none", "buy", "sell")
    delay_bars = 4

    def update(self, bar, high, low, close):
        answers = {
            0: [],
            1: [ConfirmedLabel(bar - 1, (0.0, 1.0, 0.0)), ConfirmedLabel(bar - 3, (1.0, 0.0, 0.0))],
            2: [],
        }
        return answers[bar % 3]

    def state(self):
        return {}

    def restore(self, state):
        pass


def test_labels_may_come_in_any_order_or_never(rng):
    network = Recorded(small_network(6))
    learner = Learner(network, Late(), FEATURES, HISTORY)
    told = feed(learner, bars(rng, 60))
    # bar 3k is known at 3k + 1, before 3k - 2 is; 3k + 2 never is
    assert {score.signal.bar % 3 for _, scored in told for score in scored} == {0, 1}
    assert len(learner.pending) <= Late.delay_bars + 1


@pytest.mark.parametrize(
    ("late", "complaint"),
    [
        (0, "must be confirmed after it"),
        (-1, "must be confirmed after it"),
        (5, "must be confirmed within delay_bars 4, got bar 0. Raise"),
    ],
)
def test_a_label_comes_after_its_bar_and_within_its_delay(rng, monkeypatch, late, complaint):
    monkeypatch.setattr(Late, "update", lambda self, bar, *_: [ConfirmedLabel(bar - late, (0.0, 1.0, 0.0))])
    learner = Learner(small_network(6), Late(), FEATURES, HISTORY)
    with pytest.raises(StrategyError, match=f"the label of bar {-late} {complaint}"):
        feed(learner, bars(rng, 1))


@pytest.mark.parametrize(
    ("make_network", "features", "complaint"),
    [
        (lambda: small_network(5), FEATURES, "must have 6 inputs, for 3 bars of 2 features, got 5"),
        (
            lambda: Network([Dense(2, "sigmoid")], 6, device="numpy"),
            FEATURES,
            "network outputs must be .* and 2 network outputs",
        ),
        (lambda: Network([Dense(3)], 6, device="numpy"), FEATURES, "must end in a sigmoid"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(make_network, features, complaint):
    with pytest.raises(LayerError, match=complaint):
        Learner(make_network(), FractalLabel(1), features, HISTORY)


@pytest.mark.parametrize(
    ("outputs", "name", "confidence"),
    [
        ((0.2, 0.6, 0.2), "buy", 0.6),
        ((0.1, 0.1, 0.3), "sell", 0.6),
        ((0.1, 0.45, 0.45), "none", 0.1),
        ((0.5, 0.5, 0.0), "none", 0.5),
        ((0.0, 0.0, 0.0), "none", 1.0),
    ],
)
def test_the_largest_output_is_the_signal(outputs, name, confidence):
    signal = Signal.of(7, outputs)
    assert (signal.name, signal.confidence) == (name, pytest.approx(confidence))
    assert sum(signal.probabilities) == pytest.approx(1)


def test_outputs_that_are_no_numbers_say_that_it_diverged():
    with pytest.raises(NonFiniteError, match=r"bar 5: .* Lower the learning rate"):
        Signal.of(5, (float("nan"), 0.1, 0.2))


def test_a_restored_learner_goes_on_to_the_bit(rng):
    some = bars(rng, 60)
    whole, _ = make(wing=2)
    expected = feed(whole, some)

    first, network = make(wing=2)
    feed(first, some[:37])
    arrays, values = first.state()
    second, other = make(wing=2)
    other.network.set_state(network.state(), network.steps)
    second.restore(arrays, Fields(values, "learner"))
    assert feed(second, some[37:], first=37) == expected[37:]


def test_a_restored_learner_must_have_the_same_features(rng):
    learner, _ = make()
    feed(learner, bars(rng, 10))
    arrays, values = learner.state()
    with pytest.raises(CheckpointError, match=r"features must be \['a', 'c'\], got \['a', 'b'\]"):
        learner.restore(arrays, Fields({**values, "features": ["a", "c"]}, "learner"))
