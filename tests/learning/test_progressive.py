"""Progressive prediction in long launches is the learner's, bar by bar, to the bit."""

import numpy as np
import pytest
from small import small_network
from test_learner import FEATURES, HISTORY, bars

from bt_neuro import FractalLabel, NonFiniteError
from bt_neuro.learning import progressive
from bt_neuro.learning.learner import Learner
from bt_neuro.learning.progressive import feature_windows, progressive_outputs


def targets_of(some, wing):
    targets, label = np.full((len(some), 3), np.nan), FractalLabel(wing)
    for bar, (_, *prices) in enumerate(some):
        for known in label.update(bar, *prices):
            targets[known.bar] = known.target
    return targets


@pytest.mark.parametrize("seed", [3, (3, 4)], ids=["one network", "two"])
@pytest.mark.parametrize("wing", [1, 2, 7])  # seven: the first windows have no label
def test_long_launches_equal_the_learner(rng, monkeypatch, wing, seed):
    monkeypatch.setattr(progressive, "BARS_A_LAUNCH", 50)
    some = bars(rng, 160)
    network = small_network(HISTORY * 2, seed=seed)
    learner = Learner(network, FractalLabel(wing), FEATURES, HISTORY)
    signals = [signal for bar, values in enumerate(some) if (signal := learner.on_bar(bar, *values)[0])]
    features = np.array([row for row, *_ in some])
    again, launches = small_network(HISTORY * 2, seed=seed), []
    outputs = progressive_outputs(
        again,
        feature_windows(features, HISTORY),
        targets_of(some, wing)[HISTORY - 1 :],
        wing,
        on_launch=launches.append,
    )
    expected = [signal.all_outputs for signal in signals]
    assert np.array_equal(outputs.transpose(1, 0, 2).reshape(len(expected), -1), expected)
    assert sum(launches) == len(expected)
    assert all(np.array_equal(part, again.state()[name]) for name, part in network.state().items())


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_bars_are_predicted_and_not_learned(rng, n):
    network = small_network(HISTORY * 2)
    outputs = progressive_outputs(network, rng.normal(size=(n, HISTORY * 2)), np.full((n, 3), np.nan), 3)
    assert outputs.shape == (1, n, 3)
    assert network.steps == 0


def test_outputs_that_are_not_finite_are_an_error(rng):
    network = small_network(HISTORY * 2)
    state = network.state()
    network.set_state({name: values * np.nan for name, values in state.items()}, 0)
    with pytest.raises(NonFiniteError, match="Lower the learning rate"):
        progressive_outputs(network, rng.normal(size=(3, HISTORY * 2)), np.zeros((3, 3)), 1)
