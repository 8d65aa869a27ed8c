"""Kernels in the GPU's form, in which many work-items share a network, on every runtime that is found.

One chain of dense layers has each way of dealing weights out: fewer columns than items, as many, more; rows
that fill the groups between two barriers and rows that do not; a single row.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from bt_neuro import SGD, Adam, AdamW, Dense
from bt_neuro.nn.opencl.device import Device
from bt_neuro.nn.opencl.program import Program
from bt_neuro.nn.opencl.runner import Runner
from bt_neuro.nn.optimizers import Optimizer
from tests.helpers import Sample, assert_close, assert_same_bits

CHAIN = [
    Dense(200, "tanh"),
    Dense(65),
    Dense(33, "leaky_relu"),
    Dense(17, "sigmoid"),
    Dense(3, "tanh"),
    Dense(1),
    Dense(200, "tanh"),
    Dense(48),
    Dense(2, "sigmoid"),
]
INPUTS = 37


def sample_of(rng, batch_size: int, optimizer: Optimizer | None = None) -> Sample:
    return Sample(CHAIN, INPUTS, rng, optimizer or SGD(0.02, momentum=0.9), batch_size=batch_size)


def check(sample: Sample, device: Device, *, double: bool, right: str = "", wrong: str = "") -> None:
    """Learn the same windows by kernel and by twin, and by the kernel once more; or with a fault planted."""
    program = Program(sample.layout, replace(device, is_gpu=True).shape(double=double), sample.batch_size)
    assert right in program.source
    program.source = program.source.replace(right, wrong) if right else program.source
    kernel, twin = Runner(program, device, sample.state[None], (5,)), sample.reference()
    exact = "double" if sample.layout.optimizer.kind == "sgd" else "double, Adam"
    found = sample.learn(kernel)[0]
    assert_close(found, sample.learn(twin), exact if double else "single", "outputs")
    state = kernel.read()[0]
    for name, placed in sample.layout.tensors():
        tolerance = exact if double else "single, a parameter"
        assert_close(placed.view(state), placed.view(twin.state), tolerance, name, at_least=1e-3)
    kernel.write(sample.state[None])
    assert_same_bits(sample.learn(kernel)[0], found, "outputs, again")
    assert_same_bits(kernel.read()[0], state, "state, again")


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 4])
def test_dense_layers_of_all_widths_equal_their_twin(runtime, batch_size, rng):
    check(sample_of(rng, batch_size), runtime, double=runtime.has_double)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [Adam(1e-3), AdamW(1e-3, weight_decay=0.1), Adam(global_clipnorm=0.05)])
def test_every_optimizer_moves_rows_together(optimizer, best, rng):
    check(sample_of(rng, 1, optimizer), best, double=best.has_double)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch_size", "right", "wrong"),
    [
        (1, "k < WORK_ITEMS; k += PARTS", "k < WORK_ITEMS - 1; k += PARTS"),
        (1, "k < PARTS; ++k", "k < PARTS - 1; ++k"),
        (1, "min(GROUP, N_IN - i0)", "GROUP <= N_IN - i0 ? GROUP : 1"),
        (1, "adders = SLICES / 2", "adders = SLICES / 4"),
        (1, "j / N_OUT * ROWS, o", "j / N_OUT, o"),
        (4, "(columns + 7) / 8", "columns / 8"),
    ],
)  # fmt: skip
def test_a_fault_is_seen(batch_size, right, wrong, best, rng):
    with pytest.raises(AssertionError, match="worst at"):
        check(sample_of(rng, batch_size), best, double=best.has_double, right=right, wrong=wrong)
