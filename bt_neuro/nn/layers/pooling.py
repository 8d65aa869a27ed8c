"""Pooling over positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bt_neuro.nn.layers.base import Layer, Shape
from bt_neuro.nn.reference.layers import pooling_backward, pooling_forward
from bt_neuro.nn.reference.passes import Passes, window_by_window


@dataclass(frozen=True)
class _Pooling1D(Layer, internal=True):
    """Base of the poolings: windows of positions, channel by channel, "valid" padding."""

    pool_size: int = 2
    strides: int | None = None
    kind: ClassVar[str] = "pooling"
    reference: ClassVar[Passes] = window_by_window(pooling_forward, pooling_backward)
    largest: ClassVar[bool]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(min(self.pool_size, self.step_size) >= 1, "sizes must be 1 or more")

    @property
    def step_size(self) -> int:
        return self.pool_size if self.strides is None else self.strides

    def output_shape(self, shape: Shape) -> Shape:
        self.require_positions(shape)
        self.require(shape[0] >= self.pool_size, f"pool_size is larger than the input {shape}")
        return ((shape[0] - self.pool_size) // self.step_size + 1, shape[1])

    def macros(self, shape: Shape) -> dict[str, Any]:
        positions, channels = shape
        sizes = {"POSITIONS": positions, "CHANNELS": channels, "POOLED": self.output_shape(shape)[0]}
        return {**sizes, "SIZE": self.pool_size, "STRIDE": self.step_size, "LARGEST": int(self.largest)}


@dataclass(frozen=True)
class MaxPooling1D(_Pooling1D):
    """Largest of every `pool_size` positions; windows lie `strides` apart, by default side by side.

    The gradient goes to the first of several largest.
    """

    largest: ClassVar[bool] = True


@dataclass(frozen=True)
class AveragePooling1D(_Pooling1D):
    """Mean of every `pool_size` positions; windows lie `strides` apart, by default side by side."""

    largest: ClassVar[bool] = False
