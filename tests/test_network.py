"""The public face of the engine: ways of learning that must agree to the bit, state, errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bt_neuro.errors import CheckpointError, DeviceError, LayerError, NonFiniteError
from bt_neuro.nn import device as devices
from bt_neuro.nn.layers import SGD, Adam, BatchNorm, Conv1D, Dense, Dropout, TransformerEncoder
from bt_neuro.nn.network import Network
from tests.helpers import assert_close, assert_same_bits

N, STEPS = 24, 12
LAYERS = [
    BatchNorm(10, "tanh"),
    Conv1D(8, 4, 4),
    TransformerEncoder(1, 2, 3, activation="sigmoid"),
    Dense(16),
    BatchNorm(10, "tanh"),
    Dense(3, "sigmoid"),
]
DROPOUT = [Dense(16, "tanh"), Dropout(0.3), Dense(3, "sigmoid")]


@pytest.fixture
def data(rng):
    """Windows and targets; window i + 1 follows window i, as a learner sees them."""
    return rng.normal(size=(STEPS + 1, N)), rng.uniform(size=(STEPS, 3))


@pytest.fixture(scope="session", params=["learned", "dropped"])
def layers(request):
    return LAYERS if request.param == "learned" else DROPOUT


@pytest.fixture(params=["numpy", "opencl"])
def place(request):
    """NumPy, and the device that a user gets."""
    if request.param == "numpy":
        return "numpy"
    return request.getfixturevalue("best")


@pytest.fixture(scope="session")
def best():
    try:
        return devices.choose()
    except DeviceError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def network_of(layers, place, **options):
    return Network(layers, N, **{"optimizer": Adam(1e-3), "seed": 7, "device": place, **options})


def assert_same_state(actual, expected):
    assert actual.steps == expected.steps
    for name, tensor in expected.state().items():
        assert_same_bits(actual.state()[name], tensor, name)


# -- figures that may not drift -------------------------------------------------------------------------------
GOLDEN = []


def golden_losses(place, precision):
    random = np.random.default_rng(13)
    windows, targets = random.normal(size=(10, N)), random.uniform(size=(10, 3))
    network = network_of(LAYERS, place, optimizer=Adam(1e-2), precision=precision)
    return ((network.learn(windows, targets) - targets) ** 2).mean(axis=1)


def test_ten_losses_are_as_ever():
    """One list that catches forward, backward, optimiser and state. Printed by this file run as a script."""
    assert_close(golden_losses("numpy", "double"), GOLDEN, "double, Adam", "losses")


def test_ten_losses_on_each_runtime(runtime):
    assert_close(golden_losses(runtime, "single"), GOLDEN, "single, ten steps at 0.01", "losses")


def test_golden_losses_notice_a_small_change():
    with pytest.raises(AssertionError, match="worst at"):
        assert_close(np.array(GOLDEN) * (1 + 1e-8), GOLDEN, "double, Adam")


# -- ways of learning that are one and the same ----------------------------------------------------------------
def bar_by_bar(network, windows, targets):
    """Predict the first window, then learn each and predict the next: one launch a bar, activations held."""
    first = network.predict(windows[0], update_statistics=True)
    rest = [network.learn_then_predict(*bar) for bar in zip(windows[:-1], targets, windows[1:], strict=True)]
    return np.array([first, *rest])


def recomputed(network, windows, targets):
    """The same with a prediction between that moves nothing: it makes the network forget what it holds."""
    found = [network.predict(windows[0], update_statistics=True)]
    for window, target, following in zip(windows[:-1], targets, windows[1:], strict=True):
        network.predict(window)
        found.append(network.learn_then_predict(window, target, following))
    return np.array(found)


def in_two_calls(network, windows, targets):
    found = [network.predict(windows[0], update_statistics=True)]
    for window, target, following in zip(windows[:-1], targets, windows[1:], strict=True):
        network.learn(window, target, update_statistics=False)
        found.append(network.predict(following, update_statistics=True))
    return np.array(found)


def in_one_launch(network, windows, targets):
    first = network.predict(windows[0], update_statistics=True)
    return np.array([first, *network.learn_then_predict(windows[:-1], targets, windows[1:])])


def in_uneven_launches(network, windows, targets):
    found = [network.predict(windows[:1], update_statistics=True)]
    for start, stop in ((0, 5), (5, 6), (6, STEPS)):
        part = windows[start:stop], targets[start:stop], windows[start + 1 : stop + 1]
        found.append(network.learn_then_predict(*part))
    return np.concatenate(found)


def as_a_lane(network, windows, targets):
    lanes = Network(
        network.layout.layers, N, optimizer=network.layout.optimizer, seed=(3, 7), device=network_place(network)
    )
    found = in_one_lane_launch(lanes, windows, targets)[1]
    assert_same_bits(lanes.state()["dense_0.kernel" if "dense_0.kernel" in lanes.state() else "dense_3.kernel"][1:],
                     run_alone(network, windows, targets))
    return found
