"""A part that is learned in one go: what is learned, in which order, and what is never seen."""

import numpy as np
import pytest
from small import Small, small_network
from test_learner import FEATURES, HISTORY, Recorded, bars, feed

from bt_neuro import BarsFeed, CheckpointError, FractalLabel, NonFiniteError, StrategyError, read_bars
from bt_neuro.account.account import Account
from bt_neuro.learning.fit import REHEARSED
from bt_neuro.learning.learner import Learner
from bt_neuro.runs.cerebro import build_cerebro

SAMPLE = "data/SYNTHETIC_EURUSD_H1.csv"


def make(wing=1, **options):
    return Learner(small_network(HISTORY * 2, seed=3), FractalLabel(wing), FEATURES, HISTORY, **options)


def observe(learner, some):
    for bar, values in enumerate(some):
        learner.observe(bar, *values)


def assert_same_state(one, other):
    assert all(np.array_equal(one[name], other[name]) for name in one | other)


@pytest.mark.parametrize("wing", [1, 2, 5])
@pytest.mark.parametrize("embargo", [0, 1, 4, 9])
def test_labels_that_are_not_known_are_not_learned(rng, wing, embargo):
    learner = make(wing)
    observe(learner, bars(rng, 60))
    training = learner.train(embargo_bars=embargo)
    first = max(HISTORY - 1, wing)
    assert training.bars.tolist() == list(range(first, 60 - max(wing, embargo)))
    assert (training.known_bars == training.bars + wing).all()
    assert training.known_bars.max() <= 59
    # nor later, bar by bar, when they become known
    steps = learner.network.steps
    feed(learner, bars(rng, wing), first=60)
    assert learner.network.steps == steps


@pytest.mark.parametrize("eras", [1, 3])
def test_lessons_are_learned_in_their_order_as_if_one_by_one(rng, eras):
    some = bars(rng, 1400)  # more than one launch
    learner, alone = make(wing=2), small_network(HISTORY * 2, seed=3)
    observe(learner, some)
    training = learner.train(eras)
    rows = np.array([row for row, *_ in some])
    for _ in range(eras):
        for bar, target in zip(training.bars, training.targets, strict=True):
            alone.learn(rows[bar - HISTORY + 1 : bar + 1].ravel(), target)
    assert_same_state(learner.network.state(), alone.state())
    assert learner.network.steps == alone.steps == eras * len(training.bars)


@pytest.mark.parametrize("learning", [True, False])
@pytest.mark.parametrize("wing", [1, 3])
def test_in_sample_answers_are_those_of_a_stream_after_the_training(rng, learning, wing):
    some = bars(rng, 200)
    learner = make(wing, learning=learning)
    observe(learner, some)
    training = learner.train()
    rehearsed = training.bars[-len(training.outputs) :]
    assert len(rehearsed) == min(len(training.bars), REHEARSED)

    again = make(wing, learning=learning)
    again.network.set_state(learner.network.state(), learner.network.steps)
    said = {}
    first = rehearsed[0] - HISTORY + 1
    for bar in range(first - 2 * wing, first):  # what the first label looks back on
        again.label.update(bar, *some[bar][1:])
    for bar in range(first, 200 - wing):
        signal, _ = again.on_bar(bar, *some[bar])
        if signal is not None:
            said[bar] = signal.outputs
    assert np.array_equal(training.outputs, [said[bar] for bar in rehearsed])


def test_the_rehearsal_leaves_no_trace(rng):
    some, later = bars(rng, 100), bars(rng, 30)
    learner, plain = make(), make()
    observe(learner, some)
    observe(plain, some)
    learner.train()
    for example in plain.take_examples():
        plain.network.learn(example.window, example.target)
    assert feed(learner, later, first=100) == feed(plain, later, first=100)


def test_nothing_is_predicted_before_the_training(rng):
    network = Recorded(small_network(HISTORY * 2))
    learner = Learner(network, FractalLabel(1), FEATURES, HISTORY)
    observe(learner, bars(rng, 50))
    assert network.calls == []
    assert learner.pending == []


def test_bars_that_wait_to_be_learned_are_no_checkpoint(rng):
    learner = make()
    observe(learner, bars(rng, 50))
    with pytest.raises(CheckpointError, match=r"up to bar 49 are not learned yet: train\(\) first"):
        learner.state()
    learner.train()
    learner.state()


def test_a_training_part_without_a_label_is_refused(rng):
    learner = make(wing=5)
    observe(learner, bars(rng, 7))
    with pytest.raises(StrategyError, match="no bar up to bar 6 has both a full window and a label"):
        learner.train()


def test_a_training_that_diverges_says_so(rng):
    learner = make()
    observe(learner, bars(rng, 50))
    state = learner.network.state()
    learner.network.set_state({**state, "dense_2.bias": np.full_like(state["dense_2.bias"], np.nan)}, 0)
    with pytest.raises(NonFiniteError, match="the outputs are no numbers: lower the learning rate"):
        learner.train()


# -- in a strategy -------------------------------------------------------------------------------------------
class Watched(Small):
    """Remembers when it decided."""

    def start(self):
        super().start()
        self.decided = []

    def decide(self, signal):
        self.decided.append(signal.bar)
        super().decide(signal)


def run(frame_of=lambda frame: frame, bars_count=700, **parameters):
    bars_read = read_bars(SAMPLE)
    frame = frame_of(bars_read.frame.iloc[:bars_count].copy())
    cerebro = build_cerebro(BarsFeed(bars=frame), Watched, parameters, Account(), point=bars_read.point)
    (ran,) = cerebro.run(exactbars=1)
    return ran


def test_a_strategy_learns_first_and_then_predicts():
    ran = run(train_at=400)
    assert ran.decided[0] == 400
    assert ran.decided == list(range(400, 700))
    assert ran.trainings[0].bars.max() == 398
    assert (
        ran.network.steps == len(ran.trainings[0].bars) + 700 - 401
    )  # each test bar but the last is learned


@pytest.mark.parametrize("wing", [2, *(pytest.param(wing, marks=pytest.mark.slow) for wing in (1, 5))])
def test_poisoned_test_bars_leave_the_training_as_it_was(wing, monkeypatch):
    states = []
    train = Learner.train

    def remember(learner, *options):
        training = train(learner, *options)
        states.append((learner.network.state(), training))
        return training

    monkeypatch.setattr(Learner, "train", remember)

    def perturbed_from(bar):
        def perturbed(frame):
            frame.loc[bar:, ["open", "high", "low", "close"]] *= 3
            frame.loc[bar:, "volume"] = 7
            return frame

        return perturbed

    for bar in (700, 400, 390):
        run(perturbed_from(bar), train_at=400, wing=wing)
    (clean, one), (perturbed, other), (spoilt, _) = states
    assert_same_state(clean, perturbed)
    assert np.array_equal(one.outputs, other.outputs)
    assert np.array_equal(one.targets, other.targets)
    with pytest.raises(AssertionError):  # the check can fail: bars of the training part
        assert_same_state(clean, spoilt)


def test_what_is_learned_in_one_go_later_is_what_was_not_learned_before():
    ran = run(train_at=(300, 500), learning=False)
    first, second = ran.trainings
    assert first.bars.max() == 298
    assert second.bars.tolist() == list(range(300, 499))
    assert ran.network.steps == len(first.bars) + len(second.bars)
    assert ran.decided == list(range(300, 700))


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"train_at": 0}, "train_at is 0: give a bar's number"),
        ({"train_at": (500, 300)}, r"train_at is \(500, 300\)"),
        ({"train_at": "soon"}, "train_at is 'soon'"),
        ({"train_at": True}, "train_at is True"),
        ({"eras": 0}, "eras is 0: give a whole number, 1 or more"),
        ({"embargo_bars": -1}, "embargo_bars is -1"),
        ({"train_at": 20}, "no bar up to bar -1 has both"),
        ({"train_at": 100, "embargo_bars": 100}, "no bar up to bar 99 has both"),
    ],
)
def test_what_cannot_be_trained_is_named(parameters, complaint):
    with pytest.raises(StrategyError, match=complaint):
        run(bars_count=200, **parameters)
