"""Learning of a span before the test: which examples, in which order, and what is never seen."""

import numpy as np
import pytest
from small import Small, small_network
from test_learner import FEATURES, HISTORY, Recorded, bars, feed

from bt_neuro import BarsFeed, CheckpointError, FractalLabel, NonFiniteError, StrategyError, read_bars
from bt_neuro.account.account import Account
from bt_neuro.learning.epochs import EpochLog
from bt_neuro.learning.fit import REHEARSED, fit, rehearse
from bt_neuro.learning.learner import Learner
from bt_neuro.runs.cerebro import build_cerebro

SAMPLE = "data/SYNTHETIC_EURUSD_H1.csv"


def make(wing=1, **options):
    return Learner(small_network(HISTORY * 2, seed=3), FractalLabel(wing), FEATURES, HISTORY, **options)


def observe(learner, some):
    for bar, values in enumerate(some):
        learner.observe(bar, *values)


def learn(learner, epochs=1, embargo_bars=0):
    """Fit the learner's network to what it has observed; return the examples."""
    examples = learner.take_examples(embargo_bars=embargo_bars)
    fit(learner.network, examples, EpochLog(1), epochs=epochs)
    return examples


def assert_same_state(one, other):
    assert all(np.array_equal(one[name], other[name]) for name in one | other)


@pytest.mark.parametrize("wing", [1, 2, 5])
@pytest.mark.parametrize("embargo", [0, 1, 4, 9])
def test_unconfirmed_labels_are_not_learned(rng, wing, embargo):
    learner = make(wing)
    observe(learner, bars(rng, 60))
    examples = learn(learner, embargo_bars=embargo)
    first = max(HISTORY - 1, wing)
    assert [example.bar for example in examples] == list(range(first, 60 - max(wing, embargo)))
    assert all(example.known_bar == example.bar + wing <= 59 for example in examples)
    # nor later, bar by bar, once they are confirmed
    steps = learner.network.steps
    feed(learner, bars(rng, wing), first=60)
    assert learner.network.steps == steps


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 3])
def test_examples_are_learned_in_their_order_as_if_one_by_one(rng, epochs):
    some = bars(rng, 1400)  # more than one launch
    learner, alone = make(wing=2), small_network(HISTORY * 2, seed=3)
    observe(learner, some)
    examples = learn(learner, epochs)
    rows = np.array([row for row, *_ in some])
    for _ in range(epochs):
        for bar, _, _, target in examples:
            alone.learn(rows[bar - HISTORY + 1 : bar + 1].ravel(), target)
    assert_same_state(learner.network.state(), alone.state())
    assert learner.network.steps == alone.steps == epochs * len(examples)


@pytest.mark.parametrize("learning", [True, False])
@pytest.mark.parametrize("wing", [1, 3])
def test_a_rehearsal_is_a_stream_over_the_last_examples(rng, learning, wing):
    some = bars(rng, 200)
    learner = make(wing)
    observe(learner, some)
    examples = learn(learner)
    (outputs,) = rehearse(learner.network, examples, wing if learning else None)
    rehearsed = [example.bar for example in examples[-len(outputs) :]]
    assert len(rehearsed) == min(len(examples), REHEARSED)

    again = make(wing, learning=learning)
    again.network.set_state(learner.network.state(), learner.network.steps)
    streamed = {}
    first = rehearsed[0] - HISTORY + 1
    for bar in range(first - 2 * wing, first):  # the label looks back on these
        again.label.update(bar, *some[bar][1:])
    for bar in range(first, 200 - wing):
        signal, _ = again.on_bar(bar, *some[bar])
        if signal is not None:
            streamed[bar] = signal.outputs
    assert np.array_equal(outputs, [streamed[bar] for bar in rehearsed])


def test_a_rehearsal_leaves_no_trace(rng):
    some, later = bars(rng, 100), bars(rng, 30)
    learner, plain = make(), make()
    observe(learner, some)
    observe(plain, some)
    rehearse(learner.network, learn(learner), 1)
    for example in plain.take_examples():
        plain.network.learn(example.window, example.target)
    assert feed(learner, later, first=100) == feed(plain, later, first=100)


def test_observed_bars_are_not_predicted(rng):
    network = Recorded(small_network(HISTORY * 2))
    learner = Learner(network, FractalLabel(1), FEATURES, HISTORY)
    observe(learner, bars(rng, 50))
    assert network.calls == []
    assert learner.pending == []


def test_observed_bars_cannot_be_saved(rng):
    learner = make()
    observe(learner, bars(rng, 50))
    with pytest.raises(CheckpointError, match="up to bar 49 must be learned first"):
        learner.state()
    learn(learner)
    learner.state()


def test_a_span_without_a_label_is_refused(rng):
    learner = make(wing=5)
    observe(learner, bars(rng, 7))
    with pytest.raises(
        StrategyError, match="a bar from 0 to 6 must have a full window and a confirmed label"
    ):
        learner.take_examples()


def test_a_network_that_diverges_is_refused(rng):
    learner = make()
    observe(learner, bars(rng, 50))
    state = learner.network.state()
    learner.network.set_state({**state, "dense_2.bias": np.full_like(state["dense_2.bias"], np.nan)}, 0)
    with pytest.raises(NonFiniteError, match=r"in epoch 1, .* must be finite, got .*Lower the learning rate"):
        learn(learner)


# -- in a strategy -------------------------------------------------------------------------------------------
class Watched(Small):
    """Records the bars it decided and the network as it was fitted."""

    def start(self):
        super().start()
        self.decided = []

    def decide(self, signal):
        self.decided.append(signal.bar)
        super().decide(signal)

    def notify_epoch(self, epochs):
        self.fitted = self.network.state()


def run(frame_of=lambda frame: frame, bars_count=700, test=400, **parameters):
    """Pretrain on the bars before `test`."""
    bars_read = read_bars(SAMPLE)
    frame = frame_of(bars_read.frame.iloc[:bars_count].copy())
    parameters["pretrain"] = str(frame["datetime"].iloc[0]), str(frame["datetime"].iloc[test - 1])
    cerebro = build_cerebro(BarsFeed(bars=frame), Watched, parameters, Account(), point=bars_read.point)
    (ran,) = cerebro.run(exactbars=1)
    return ran


def test_a_strategy_learns_first_and_then_predicts():
    ran = run()
    assert ran.decided == list(range(400, 700))
    bars_learned = [example.bar for example in ran.pretraining.examples]
    assert max(bars_learned) == 398
    assert ran.network.steps == len(bars_learned) + 700 - 401  # each test bar but the last is learned


@pytest.mark.parametrize("wing", [2, *(pytest.param(wing, marks=pytest.mark.slow) for wing in (1, 5))])
def test_perturbed_test_bars_leave_the_fit_as_it_was(wing):
    def perturbed_from(bar):
        def perturbed(frame):
            frame.loc[bar:, ["open", "high", "low", "close"]] *= 3
            frame.loc[bar:, "volume"] = 7
            return frame

        return perturbed

    clean, perturbed, spoilt = (run(perturbed_from(bar), wing=wing) for bar in (700, 400, 390))
    assert_same_state(clean.fitted, perturbed.fitted)
    targets = [[example.target for example in ran.pretraining.examples] for ran in (clean, perturbed)]
    assert targets[0] == targets[1]
    with pytest.raises(AssertionError):  # the check can fail: bars of the training part
        assert_same_state(clean.fitted, spoilt.fitted)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"test": 100, "eras": 0}, "eras must be an integer, 1 or more, got 0"),
        ({"test": 100, "embargo_bars": -1}, "embargo_bars must be an integer, 0 or more"),
        ({"test": 20}, "must hold a bar with all features"),
        ({"test": 100, "embargo_bars": 100}, "a bar from 33 to 99 must have a full window"),
    ],
)
def test_a_span_that_cannot_be_learned_is_named(parameters, complaint):
    with pytest.raises(StrategyError, match=complaint):
        run(bars_count=200, **parameters)
