"""Every row of the family, alone and in batches: gradients, kernels, checkpoints, determinism."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bt_neuro import BatchNormalization, Conv1D, MaxPooling1D, Network, Reshape
from bt_neuro.nn.opencl.program import Program
from bt_neuro.nn.opencl.runner import Runner
from bt_neuro.nn.opencl.specialize import KernelShape
from tests.family import FAMILY, Row
from tests.helpers import GradientCheck, Sample, assert_close, assert_same_bits

BATCH = 4  # of six windows: one batch is full, one is not
rows_of_family = pytest.mark.parametrize("name", FAMILY)


def sample_of(row: Row, rng, batch_size: int, steps: int = 6) -> Sample:
    return Sample(row.layers, row.inputs, rng, row.optimizer, steps, loss=row.loss, batch_size=batch_size)


@pytest.mark.parametrize(
    ("name", "batch_size"),
    [(name, batch_size) for name, row in FAMILY.items() for batch_size in row.exact_batches],
)
def test_gradients_agree_with_central_differences(name, batch_size, rng):
    check = GradientCheck(sample_of(FAMILY[name], rng, batch_size))
    check.check(check.gradients())


def check_kernels(row: Row, device, rng, batch_size: int, windows: float | None = None) -> None:
    """Learn the same windows by kernel and by twin in double precision, and by the kernel once more."""
    sample = sample_of(row, rng, batch_size)
    if windows is not None:
        sample.windows[...] = windows
    program = Program(sample.layout, device.shape(double=True), batch_size)
    kernel, twin = Runner(program, device, sample.state[None], (5,)), sample.reference()
    tolerance = "double" if sample.layout.optimizer.kind == "sgd" else "double, Adam"
    found = sample.learn(kernel)[0]
    assert_close(found, sample.learn(twin), tolerance, "outputs")
    state = kernel.read()[0]
    for name, placed in sample.layout.tensors():
        assert_close(placed.view(state), placed.view(twin.state), tolerance, name, at_least=1e-3)
    kernel.write(sample.state[None])
    assert_same_bits(sample.learn(kernel)[0], found, "outputs, again")
    assert_same_bits(kernel.read()[0], state, "state, again")


# Quick: every row once in either shape, in a batch on a CPU's, alone on a GPU's. Slow: all of all.
@rows_of_family
@pytest.mark.parametrize("shape", ["vectors", "items"])
def test_kernels_equal_their_twins(name, shape, best, rng):
    device, batch_size = (best, BATCH) if shape == "vectors" else (replace(best, is_gpu=True), 1)
    check_kernels(FAMILY[name], device, rng, batch_size)


@pytest.mark.slow
@rows_of_family
@pytest.mark.parametrize("batch_size", [1, BATCH])
def test_kernels_equal_their_twins_on_every_device(name, batch_size, device, rng):
    check_kernels(FAMILY[name], device, rng, batch_size)


def check_checkpoint(row: Row, device, rng, path) -> None:
    network = Network(row.layers, row.inputs, optimizer=row.optimizer, loss=row.loss, device=device)
    windows, targets = rng.normal(size=(7, row.inputs)), rng.uniform(size=(7, network.n_outputs))
    network.learn(windows, targets, batch_size=BATCH)
    network.save(path)
    loaded = Network.load(path, device=device)
    assert loaded.config() == network.config()
    assert (loaded.layout.layers, loaded.layout.loss) == (network.layout.layers, row.loss)
    expected = network.learn_then_predict(windows[:-1], targets[:-1], windows[1:])
    found = loaded.learn_then_predict(windows[:-1], targets[:-1], windows[1:])
    assert_same_bits(found, expected)


@rows_of_family
def test_a_checkpoint_goes_on_to_the_bit(name, rng, tmp_path):
    check_checkpoint(FAMILY[name], "numpy", rng, tmp_path / "n.safetensors")


@pytest.mark.slow
@rows_of_family
def test_a_checkpoint_goes_on_to_the_bit_on_opencl(name, best, rng, tmp_path):
    check_checkpoint(FAMILY[name], best, rng, tmp_path / "n.safetensors")


def test_the_first_of_equals_takes_the_gradient(best, rng):
    layers = [Reshape((6, 3)), Conv1D(4, 1), MaxPooling1D(3)]
    check_kernels(replace(FAMILY["pooling, largest"], layers=layers), best, rng, BATCH, windows=1.0)


KERNELS = {
    "batch_normalization_forward batch_normalization_backward": "batch normalization",
    "scale_forward scale_backward": "batch normalization, bare",
    "layer_normalization_forward layer_normalization_backward": "layer normalization",
    "pooling_forward pooling_backward": "pooling, largest",
    "lstm_forward lstm_backward": "lstm",
    "gelu_forward gelu_backward": "dense gelu",
    "softmax_forward softmax_backward mean_squared_error_backward": "softmax, squared error",
    "softmax_forward categorical_crossentropy_backward": "focal",
}


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_row_reaches_its_kernels(kernels, rng):
    source = Program(sample_of(FAMILY[KERNELS[kernels]], rng, BATCH).layout, KernelShape(), BATCH).source
    for kernel in kernels.split():
        assert re.search(rf"^  (if \(.*\) )?{kernel}_", source, re.MULTILINE), (
            kernel
        )  # a call of its specialised function


# -- that a fault would be seen ------------------------------------------------------------------------------
def test_a_wrong_gradient_of_a_batch_is_caught(rng, monkeypatch):
    """As if the statistics were constants."""
    forward, _ = BatchNormalization.reference
    wrong = forward, lambda layer, t, s, dout, d: dout * s["rate"]
    monkeypatch.setattr(BatchNormalization, "reference", wrong)
    check = GradientCheck(sample_of(FAMILY["batch normalization"], rng, 3))
    with pytest.raises(AssertionError, match=r"dense_0\.kernel, random"):
        check.check(check.gradients())


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("batch normalization", "BOUNDED(rate * g) : (VEC(WIDTH))(0)", "rate * g : g"),
        ("pooling, largest", "p * STRIDE + (k)", "p * SIZE + k / 2"),
        ("cross-entropy", "/ (real)batch : 0", "/ (real)BATCH_SIZE : 0"),
        ("clipped by length", "SUM(VECTOR, square), shared)", "SUM(VECTOR, square), shared) / 2"),
        ("adamw", "rates.z * (p)", "rates.z * rates.x * (p)"),
    ],
)
def test_a_broken_kernel_is_caught(name, right, wrong, best, rng, monkeypatch):
    class Broken(Program):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            assert right in self.source
            self.source = self.source.replace(right, wrong)

    monkeypatch.setitem(globals(), "Program", Broken)
    with pytest.raises(AssertionError, match="worst at"):
        check_kernels(FAMILY[name], best, rng, BATCH)
