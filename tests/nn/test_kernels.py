"""Every kernel against its twin in nn/reference: awkward sizes, each device, each kernel shape.

The kernels are one program, so they are reached through small networks. In double precision they must agree
with the reference to rounding: that compares every formula, index and order of passes. In single precision
only the type differs, and one network with a layer of each kind shows that rounding stays where it belongs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bt_neuro.nn.layers import Conv1D, Dense, Dropout, Layer, RunningBatchNorm, TransformerEncoder
from bt_neuro.nn.models import article_layers
from bt_neuro.nn.opencl.device import Device
from bt_neuro.nn.opencl.program import Program
from bt_neuro.nn.opencl.runner import Runner
from bt_neuro.nn.opencl.specialize import included
from bt_neuro.nn.optimizers import SGD, Adam
from bt_neuro.nn.reference.passes import Mode
from tests.helpers import GradientCheck, Sample, assert_close, assert_same_bits

SEED = 5  # of dropout


@dataclass(frozen=True)
class Case:
    """A small network, and the kernel functions it is there for."""

    kernels: str
    layers: list[Layer]
    inputs: int


MIXED = Case(
    "running_batch_norm_forward dense_forward encoder_forward dropout_forward mean_squared_error_backward",
    [
        RunningBatchNorm(20, "tanh"),
        Conv1D(6, 4, 4),
        RunningBatchNorm(20, "sigmoid"),
        TransformerEncoder(2, 3, 2, activation="sigmoid"),
        Dropout(0.2),
        Dense(24),
        RunningBatchNorm(20, "tanh"),
        Dense(17, "leaky_relu"),
        Dense(3, "sigmoid"),
    ],
    32,
)
CASES = {
    "dense": Case(
        "dense_forward dense_backward mean_squared_error_backward",
        [
            Dense(16, "tanh"),
            Dense(53, "sigmoid"),
            Dense(15, "leaky_relu"),
            Dense(32),
            Dense(13, "tanh"),
            Dense(2, "sigmoid"),
            Dense(1),
            Dense(17),
        ],
        17,
    ),
    "batch norm and dropout": Case(
        "running_batch_norm_forward running_batch_norm_backward dropout_forward dropout_backward",
        [
            RunningBatchNorm(10, "tanh"),
            Dropout(0.3),
            Dense(17),
            RunningBatchNorm(2, "leaky_relu"),
            Dense(16),
            Dropout(0.6),
            RunningBatchNorm(100, "sigmoid"),
            Dropout(0.0),
            Dense(2),
            RunningBatchNorm(5),
            RunningBatchNorm(1),
        ],
        53,
    ),
    "convolution": Case(  # overlap, remainder; gaps on positions; overlap on positions; one position
        "dense_forward dense_backward",
        [Conv1D(13, 5, 3, "tanh"), Conv1D(16, 2, 3), Conv1D(2, 4, 1, "leaky_relu"), Conv1D(3, 2, 1)],
        56,
    ),
    "convolution, tiles": Case(
        "dense_forward dense_backward", [Conv1D(8, 4, 4, "sigmoid"), Conv1D(4, 3, 3), Dense(2)], 50
    ),
    "encoder of 8 heads": Case(
        "encoder_forward encoder_backward attention_forward attention_backward residual_norm_forward "
        "residual_norm_backward",
        [Conv1D(16, 2, 2), TransformerEncoder(2, 8, 4, activation="tanh")],
        40,
    ),
    "encoder of 3, of 16 heads": Case(
        "encoder_forward encoder_backward attention_forward attention_backward residual_norm_forward "
        "residual_norm_backward",
        [
            Conv1D(5, 3, 3),
            TransformerEncoder(1, 3, 3, 7, "leaky_relu"),
            Conv1D(4, 2, 3),
            TransformerEncoder(1, 16, 1, 3),
        ],
        21,
    ),
    "encoder of 2, of 6 heads": Case(
        "encoder_forward encoder_backward attention_forward attention_backward residual_norm_forward "
        "residual_norm_backward",
        [
            Conv1D(17, 2, 1),
            TransformerEncoder(1, 2, 3, 13, "sigmoid"),
            Conv1D(2, 2, 2),
            TransformerEncoder(2, 6, 1, 1),
        ],
        21,
    ),
    "encoder of 1 head, of one position": Case(
        "encoder_forward encoder_backward attention_forward attention_backward residual_norm_forward "
        "residual_norm_backward",
        [
            Conv1D(3, 2, 2),
            TransformerEncoder(1, 1, 3, 4),
            Conv1D(5, 2, 1),
            TransformerEncoder(1, 1, 1, 2, "tanh"),
        ],
        5,
    ),
    "mixed": MIXED,
}


def runner_of(sample: Sample, device: Device, *, double: bool = True) -> Runner:
    program = Program(sample.layout, device.shape(double=double))
    return Runner(program, device, sample.state[None], (SEED,))


def require_double(device: Device) -> None:
    if not device.has_double:
        pytest.skip(f"{device} has no double precision")


@pytest.mark.parametrize("name", CASES)
def test_a_case_reaches_the_kernels_it_names(name, rng):
    sample = Sample(CASES[name].layers, CASES[name].inputs, rng)
    source = Program(sample.layout, Device.shape(_Cpu)).source
    for kernel in CASES[name].kernels.split():
        assert f"NAMED({kernel})" in source, kernel


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("is_gpu", [False, True])
def test_the_macros_of_a_kernel_file_are_in_its_header(is_gpu, name, rng):
    layout = Sample(CASES[name].layers, CASES[name].inputs, rng).layout
    source = Program(layout, Device.shape(_Gpu if is_gpu else _Cpu)).source
    specialised = re.findall(r'((?:#define \w+ .*\n)+)#line 1 "(\w+\.cl)"', source)
    assert len(specialised) > 2
    for names, file in specialised:
        header = re.match(r"(//.*\n)*", included(file).partition("\n")[2])[0]
        documented = set(re.findall(r"\w+", header.partition("Macros")[2])) | {"SHAPE"}
        for macro in re.findall(r"#define (\w+)", names):
            assert macro in documented or macro.startswith("AT_") or file == "common.cl", f"{file}: {macro}"


class _Cpu:
    """Attributes that `Device.shape` reads."""

    is_gpu, vector, has_double = False, 16, True


class _Gpu(_Cpu):
    is_gpu = True


def require_quick(device: Device, layers: list[Layer]) -> None:
    """Leave larger networks with barriers on PoCL to the slow tests; Intel builds the same source here."""
    large = any(isinstance(layer, Conv1D | TransformerEncoder) for layer in layers)
    if large and device.is_gpu and "Portable" in device.runtime:
        pytest.skip("PoCL takes a minute to build an encoder with barriers: make test-slow")


@pytest.mark.parametrize("name", CASES)
def test_kernels_in_double_equal_their_twins(name, device, rng):
    require_double(device)
    require_quick(device, CASES[name].layers)
    sample = Sample(CASES[name].layers, CASES[name].inputs, rng)
    kernel, reference = runner_of(sample, device), sample.reference()
    check_gradients(sample, kernel)
    kernel.write(sample.state[None])
    assert_close(sample.learn(kernel)[0], sample.learn(reference), "double", "outputs")
    assert_state(sample, kernel, reference, "double")
    for moves in (False, True):
        predicted = predict(sample, kernel, moves)
        assert_close(predicted[0], predict(sample, reference, moves), "double", f"predictions, {moves=}")
    assert_state(sample, kernel, reference, "double")


def check_gradients(sample: Sample, kernel: Runner) -> None:
    """One step of SGD at learning rate 1 lowers the parameters by the gradient: compare with differences."""
    check = GradientCheck(sample)
    kernel.write(check.state[None])
    sample.learn(kernel, slice(-1, None), np.array([[1.0, 0.0, 0.0, 1.0]]))
    gradient = check.state - kernel.read()[0]
    for name, placed in sample.layout.parameters():
        check.check_tensor(name, placed.view(gradient))


def predict(sample: Sample, engine, moves: bool):
    mode = Mode.PREDICT | (Mode.PREDICT_MOVES if moves else 0)
    nothing = np.empty((0, 4))
    out = engine.run(mode, sample.windows[:0], sample.targets[:0], sample.windows[::-1], nothing, 1)
    return out[1]


def assert_state(sample: Sample, kernel: Runner, reference, tolerance: str) -> None:
    state = kernel.read()[0]
    for name, placed in sample.layout.tensors():
        # Some deltas are rounding alone, such as the key bias's.
        assert_close(placed.view(state), placed.view(reference.state), tolerance, name, at_least=1e-3)


@pytest.mark.parametrize("double", [True, False], ids=["double", "single"])
def test_adam_and_a_layer_of_each_kind(device, double, rng):
    require_quick(device, MIXED.layers)
    if double:
        require_double(device)
    sample = Sample(MIXED.layers, MIXED.inputs, rng, Adam(1e-3), steps=30)
    kernel, reference = runner_of(sample, device, double=double), sample.reference()
    expected = sample.learn(reference)
    assert_close(sample.learn(kernel)[0], expected, "double, Adam" if double else "single", "outputs")


@pytest.mark.parametrize("vector", [8, 4])
@pytest.mark.parametrize("layers", [MIXED.layers, [Dense(50, "tanh"), Dense(21, "relu"), Dense(3)]], ids=len)
def test_a_device_of_narrower_vectors(layers, vector, best, rng):
    require_double(best)
    sample = Sample(layers, MIXED.inputs, rng, Adam(0.01), steps=30)
    kernel, reference = runner_of(sample, replace(best, vector=vector), double=True), sample.reference()
    expected = sample.learn(reference)
    assert_close(sample.learn(kernel)[0], expected, "double, Adam", "outputs")


def test_sgd_in_single_precision(runtime, rng):
    sample = Sample(MIXED.layers, MIXED.inputs, rng, SGD(0.02, momentum=0.8), steps=30)
    kernel, reference = runner_of(sample, runtime, double=False), sample.reference()
    expected = sample.learn(reference)
    assert_close(sample.learn(kernel)[0], expected, "single", "outputs")
    assert_state(sample, kernel, reference, "single, a parameter")


def test_the_article_s_network_stays_within_rounding_of_float64(device, rng):
    """At the default learning rate, 50 steps.

    At 1e-3 no float32 passes: rounding the state of the float64 network once a step, nothing else, moves its
    outputs by 2e-6 to 2e-5, depending on the seed.
    """
    require_quick(device, article_layers())
    sample = Sample(article_layers(), 240, rng, Adam(), steps=50, noise=0)
    kernel = runner_of(sample, device, double=False)
    assert_close(sample.learn(kernel)[0], sample.learn(sample.reference()), "single", at_least=1.0)


@pytest.mark.slow
def test_the_article_s_network_with_barriers(runtime, rng):
    sample = Sample(article_layers(), 240, rng, Adam(), steps=50, noise=0)
    kernel = runner_of(sample, replace(runtime, is_gpu=True), double=False)
    assert_close(sample.learn(kernel)[0], sample.learn(sample.reference()), "single", at_least=1.0)


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("bias != 0 ? LOAD(WIDTH, bias + column[c])", "bias != 0 ? (VEC(WIDTH))(0)", "conv1d_0"),
        ("min(o0 + c * WIDTH, N_OUT - WIDTH)", "max(min(o0 + c * WIDTH, N_OUT - WIDTH - 1), 0)", "conv1d_0"),
        ("min((c) * WIDE, STRIP - WIDE)", "max(min((c) * WIDE, STRIP - WIDE - 1), 0)", "conv1d_0"),
        ("(ONE - (y) * (y))", "(ONE - (y))", "conv1d_0"),
        ("min(i / STRIDE, POSITIONS - 1)", "min(i / STRIDE, POSITIONS - 2)", "conv1d_0.kernel, random"),
        ("load(width, p) - delta", "load(width, p) - delta * (real)1.00001", "conv1d_0.kernel, random"),
    ],
    ids=["no bias", "last columns", "last weights", "slope", "one window less", "step"],
)
def test_a_broken_kernel_is_caught(right, wrong, complaint, best, rng):
    require_double(best)
    case = CASES["convolution"]
    sample = Sample(case.layers, case.inputs, rng)
    program = Program(sample.layout, best.shape(double=True))
    assert right in program.source
    program.source = program.source.replace(right, wrong)
    kernel = Runner(program, best, sample.state[None], (SEED,))
    with pytest.raises(AssertionError, match=complaint):
        check_gradients(sample, kernel)


def test_lanes_differ_by_their_seeds_alone(device, rng):
    sample = Sample([Dense(16), Dropout(0.3), Dense(3)], 5, rng)
    program = Program(sample.layout, device.shape())
    members = Runner(program, device, np.stack([sample.state] * 3), (SEED, SEED + 1, SEED))
    out, alone = sample.learn(members), sample.learn(runner_of(sample, device, double=False))
    assert_same_bits(out[0], alone[0], "first member and a network of its own")
    assert_same_bits(out[0], out[2], "two members of one seed")
    assert np.abs(out[0] - out[1]).max() > 1e-3  # another dropout mask
