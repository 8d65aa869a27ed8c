"""Convolution over positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bt_neuro.nn.layers.base import ActivationName, Layer, LayerPlan, Shape, Tensor, kernel_and_bias
from bt_neuro.nn.layers.dense import emit_dense, specialize_dense
from bt_neuro.nn.opencl.specialize import Arrays, Emitter
from bt_neuro.nn.reference.layers import conv1d_backward, conv1d_forward
from bt_neuro.nn.reference.passes import Passes, window_by_window


@dataclass(frozen=True)
class Conv1D(Layer):
    """Convolution over positions, "valid" padding: one filter bank shared by all of them.

    Parameters
    ----------
    filters : channels of the output
    kernel_size, strides : in positions; a flat input is n positions of one channel
    activation : as in `Dense`
    """

    filters: int
    kernel_size: int
    strides: int = 1
    activation: ActivationName = None
    kind: ClassVar[str] = "conv1d"
    reference: ClassVar[Passes] = window_by_window(conv1d_forward, conv1d_backward)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(min(self.filters, self.kernel_size, self.strides) >= 1, "sizes must be 1 or more")

    def output_shape(self, shape: Shape) -> Shape:
        self.require(shape[0] >= self.kernel_size, f"kernel_size is larger than the input {shape}")
        return ((shape[0] - self.kernel_size) // self.strides + 1, self.filters)

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return kernel_and_bias("", self.kernel_size * self.channels(shape), self.filters)

    @staticmethod
    def channels(shape: Shape) -> int:
        return shape[1] if len(shape) == 2 else 1

    def emit(self, emitter: Emitter, plan: LayerPlan, at: Arrays) -> None:
        """Add a dense layer over windows of the input, and the sum of the windows' gradients."""
        channels, positions, batch = (
            self.channels(plan.input_shape), plan.output_shape[0], emitter.batch_size
        )  # fmt: skip
        size, stride = self.kernel_size * channels, self.strides * channels
        n, wants_dinp = math.prod(plan.input_shape), bool(emitter.forward)
        inp, dinp, fold = at.inp, at.dinp, ""
        if stride != size or n != positions * size:  # windows overlap, or leave gaps
            sizes = {"N": n, "POSITIONS": positions, "N_IN": size, "STRIDE": stride}
            fold = emitter.specialize("conv1d.cl", f"{n}_{positions}x{size}", **sizes)
            dinp = emitter.scratch(batch * positions * size)
            if batch > 1:  # the windows of one input can be read where they lie
                inp, stride = emitter.scratch(batch * positions * size), size
                emitter.call_forward("conv1d_unfold", fold, inp, at.inp)
        rows = batch * positions
        name = specialize_dense(
            emitter, rows, size, self.filters, self.activation, stride=stride, wants_dinp=wants_dinp
        )
        if wants_dinp and fold:
            emitter.call_backward("conv1d_fold", fold, at.dinp, dinp)
        emit_dense(emitter, name, plan, at, inp, dinp, emitter.scratch(size * self.filters))
