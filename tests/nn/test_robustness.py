"""Extreme inputs, options and devices: results are finite, or refused by name."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from bt_neuro import (
    SGD,
    Adam,
    AdamW,
    BatchNormalization,
    CheckpointError,
    Dense,
    DeviceError,
    LayerError,
    Network,
    NonFiniteError,
    RunningBatchNorm,
    article_layers,
)
from bt_neuro.nn.opencl.device import pyopencl
from bt_neuro.nn.opencl.specialize import kernel_text
from tests.family import FAMILY, Row
from tests.helpers import assert_same_bits

SMALL = [RunningBatchNorm(10, "tanh"), Dense(8, "tanh"), Dense(3, "sigmoid")]


@pytest.fixture(params=["numpy", "opencl"])
def place(request):
    return "numpy" if request.param == "numpy" else request.getfixturevalue("best")


def assert_finite_state(network):
    for name, tensor in network.state().items():
        assert np.isfinite(tensor).all(), name


def test_flat_leading_bars_leave_the_article_s_network_alive(place, rng):
    """Ten normalisations without variance multiply a gradient by 1000 each."""
    network = Network(article_layers(), 240, device=place)
    network.learn(np.zeros((3, 240)), np.eye(3))
    assert_finite_state(network)
    assert np.isfinite(network.learn(rng.normal(size=(20, 240)), np.eye(3)[[0] * 20])).all()
    assert_finite_state(network)


EXTREMES = {
    "zeros": [0.0],
    "subnormal": [1e-42, -1e-42],
    "tiny": [1e-30],
    "a constant": [1.1],
    "the largest": [1e15],
    "alternating": [1e15, -1e15, 0.0],
    "too large": [0.0, 1e19],
}


def check_extremes(row, device, rates, path):
    """Learn extreme windows, then ordinary ones: each number is finite, or an error names what is not."""
    network = Network(row.layers, row.inputs, optimizer=row.optimizer, loss=row.loss, device=device)
    ordinary = np.random.default_rng(0).normal(size=(6, row.inputs))
    targets, begin = np.eye(network.n_outputs)[np.arange(12) % network.n_outputs], network.state()
    complaints = []
    for numbers, rate in itertools.product(EXTREMES.values(), rates):
        network.set_state(begin, 0)
        network.learning_rate = rate
        windows = np.concatenate([np.resize(numbers, (6, 1)) * np.ones(row.inputs), ordinary])
        try:
            outputs = network.learn(windows, targets)
            predicted = network.predict(windows[0])
        except NonFiniteError as error:
            complaints.append(str(error))
            continue
        assert max(numbers) <= 1e15
        assert np.isfinite(outputs).all()
        assert np.isfinite(predicted).all()
        try:
            network.save(path)
        except CheckpointError as error:
            complaints.append(str(error))
            continue
        assert_finite_state(network)
        assert_same_bits(Network.load(path, device=device).predict(windows[0]), predicted)
    for complaint in complaints:
        assert re.search(r"must be finite", complaint)


ROWS = FAMILY | {"article": Row(article_layers(), 240, optimizer=Adam(2e-4))}


@pytest.mark.parametrize("name", ROWS)
def test_extremes_are_survived_or_refused(name, tmp_path):
    check_extremes(ROWS[name], "numpy", [1e-3, 1e6], tmp_path / "n.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_extremes_are_survived_or_refused_on_every_device(name, device, tmp_path):
    check_extremes(ROWS[name], device, [0.0, 1e-4, 1.0, 1e3, 1e6], tmp_path / "n.safetensors")


def test_the_article_s_network_survives_each_extreme_that_is_taken(best):
    """It is never refused: bounded gradients, at any rate."""
    for numbers in [each for name, each in EXTREMES.items() if name != "too large"]:
        network = Network(article_layers(), 240, device=best)
        assert np.isfinite(network.learn(np.resize(numbers, (6, 1)) * np.ones(240), np.eye(3)[[0] * 6])).all()
        assert_finite_state(network)


@pytest.mark.parametrize("layer", [RunningBatchNorm(10), BatchNormalization()], ids=["running", "batch"])
def test_a_square_that_overflows_leaves_statistics_and_moments_finite(layer, place):
    """Hidden numbers of 1e21, gradients of 1e30: a mean of squares that is infinite would stay it."""
    network = Network([Dense(2), layer, Dense(1)], 1, optimizer=Adam(1e-3), device=place)
    network.set_tensor("dense_0.kernel", [[1e6, -1e6]])
    network.learn([[1e15], [1e15]], [[1e15], [-1e15]], batch_size=2)
    network.learn([[1e15], [0.0]], [[0.0], [0.0]])
    assert_finite_state(network)


def test_numbers_too_large_to_square_are_refused_by_name(place):
    network = Network(SMALL, 4, device=place)
    refused = r"input 1 of step 0 must be finite .* got 1.*e\+20. Nothing was run"
    with pytest.raises(NonFiniteError, match=refused):
        network.predict([0.0, 1e20, 0.0, 0.0], update_statistics=True)
    with pytest.raises(NonFiniteError, match="target 0 of step 0 must be finite"):
        network.learn(np.zeros(4), [1e20, 0.0, 0.0])
    assert_finite_state(network)


@pytest.mark.parametrize("damage", ["dense_1.kernel", "running_batch_norm_0.moving_variance"])
def test_a_network_that_cannot_be_loaded_is_not_saved_over_a_good_one(damage, tmp_path):
    path, network = tmp_path / "n.safetensors", Network(SMALL, 4, device="numpy")
    network.save(path)
    before = path.read_bytes()
    state = network.state()
    state[damage][0].flat[0] = np.inf
    network.set_state(state, 0)
    kept = f"a file that was there is unchanged: tensor {re.escape(damage)} must be finite"
    with pytest.raises(CheckpointError, match=kept):
        network.save(path)
    assert path.read_bytes() == before


def textbook(optimizer, gradients):
    """Adam as Kingma and Ba write it, of one parameter."""
    p = m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = optimizer.beta_1 * m + (1 - optimizer.beta_1) * g
        v = optimizer.beta_2 * v + (1 - optimizer.beta_2) * g * g
        if isinstance(optimizer, AdamW):
            p -= optimizer.learning_rate * optimizer.weight_decay * p
        step = m / (1 - optimizer.beta_1**t)
        p -= optimizer.learning_rate * step / (np.sqrt(v / (1 - optimizer.beta_2**t)) + optimizer.epsilon)
    return p


@pytest.mark.parametrize(
    "optimizer",
    [
        Adam(1e-2),
        Adam(1e-2, beta_2=0.0),
        Adam(1e-2, beta_1=0.0),
        Adam(1e-2, beta_1=0.0, beta_2=0.0),
        Adam(1e-2, beta_2=0.5, epsilon=1e-3),
        Adam(1e-2, epsilon=0.0),
        AdamW(1e-2, weight_decay=0.1),
    ],
    ids=str,
)
def test_adam_is_the_textbook_s(optimizer, place):
    """A linear neuron's gradient by its bias is 2 (output - target), by a target that makes it as wanted."""
    gradients = [2.0, -1e-3, 3.0, 1e-4, 1e-4, -2.0]
    network = Network([Dense(1)], 1, optimizer=optimizer, device=place, precision="double")
    network.set_tensor("dense_0.kernel", [[0.0]])
    for gradient in gradients:
        bias = float(network.tensor("dense_0.bias").item())
        network.learn([0.0], [bias - gradient / 2])
    assert network.tensor("dense_0.bias").item() == pytest.approx(textbook(optimizer, gradients), rel=1e-9)


@pytest.mark.parametrize("optimizer", [Adam(1e-2, epsilon=0.0), Adam(1e-2, beta_2=0.0, epsilon=0.0)], ids=str)
@pytest.mark.parametrize("scale", [0.0, 1e-25, 1e8])
def test_gradients_of_any_size_make_finite_steps(optimizer, scale, place):
    network = Network([Dense(2)], 2, optimizer=optimizer, device=place)
    for _ in range(5):
        network.learn([scale, 0.0], [scale, 0.0])
    assert_finite_state(network)


@pytest.mark.parametrize("optimizer", [Adam, SGD])
@pytest.mark.parametrize("rate", [0.0, 1.0, 1e3, 1e6])
def test_learning_rates_leave_finite_numbers(optimizer, rate, place, rng):
    network = Network(SMALL, 4, optimizer=optimizer(rate), device=place)
    network.learn(rng.normal(size=(50, 4)), np.eye(3)[rng.integers(0, 3, 50)])
    assert_finite_state(network)


def test_a_negative_share_of_a_class_is_refused():
    network = Network([Dense(3, "softmax")], 2, loss="categorical_crossentropy", device="numpy")
    with pytest.raises(LayerError, match=r"must be 0 or more, got -1\.0"):
        network.learn([0.0, 0.0], [0.0, -1.0, 0.0])
    Network([Dense(1, "tanh")], 2, device="numpy").learn([0.0, 0.0], [-1.0])  # a squared error takes it


def test_offsets_of_members_are_of_64_bits():
    """From network 3,575 of the article's on, a product of 32 bits lies outside the memory."""
    assert "const size_t member = get_group_id(0)" in kernel_text("network.cl")


def test_networks_too_large_for_the_memory_are_one_clear_error():
    with pytest.raises(LayerError, match=r"1000 networks need more memory: .* TiB.*\. Use fewer seeds"):
        Network([Dense(20_000)], 2**20, seed=range(1000), device="numpy")  # more than a process can address


def test_a_device_without_memory_is_one_clear_error(best, monkeypatch):
    def full(*arguments, **options):
        raise pyopencl().MemoryError("create_buffer failed: MEM_OBJECT_ALLOCATION_FAILURE")

    monkeypatch.setattr(pyopencl(), "Buffer", full)
    with pytest.raises(DeviceError, match="Use fewer seeds or a smaller network"):
        Network(SMALL, 4, device=best)


def test_a_device_that_fails_while_it_runs_is_one_clear_error(best):
    network = Network(SMALL, 4, device=best)
    network.predict(np.zeros(4))

    class Lost:
        def __call__(self, *arguments):
            raise pyopencl().RuntimeError("clEnqueueNDRangeKernel failed: DEVICE_NOT_AVAILABLE")

    for launch in network._engines.current._launches:
        launch._enqueue = Lost()
    with pytest.raises(DeviceError, match=r"cannot run the network: .*NOT_AVAILABLE.*--device numpy"):
        network.predict(np.zeros(4))


@pytest.mark.slow
def test_a_damaged_kernel_cache_is_named_and_not_used(best, tmp_path):
    code = f"from bt_neuro import Dense, Network; Network([Dense(3)], 5, device='{best.index}').predict([0.0] * 5)"

    def run():
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert run().returncode == 0
    files = [path for path in (tmp_path / "pyopencl").rglob("*") if path.is_file()]
    if not files:
        pytest.skip("this runtime keeps its own cache")
    for path in files:
        path.write_bytes(b"damaged")
    again = run()
    assert again.returncode == 0, again.stderr
    assert len(again.stderr.splitlines()) <= 4  # of two builds
    assert re.search(r"kernel cache in .*pyopencl.* is damaged", again.stderr)
