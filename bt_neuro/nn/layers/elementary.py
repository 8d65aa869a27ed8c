"""Layers without parameters: activation, dropout, reshape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from bt_neuro.nn.layers.base import ActivationName, Layer, Shape
from bt_neuro.nn.layers.normalization import Scale
from bt_neuro.nn.reference.layers import dropout_backward, dropout_forward
from bt_neuro.nn.reference.passes import Passes


@dataclass(frozen=True)
class Activation(Layer):
    """An activation by itself, such as ``Activation("tanh")`` of the inputs; names as in `Dense`."""

    activation: ActivationName
    kind: ClassVar[str] = "activation"

    def parts(self, batch_size: int) -> tuple[Layer, ...]:
        scale = Scale(scale=False, center=False, activation=self.activation, per_channel=False)
        return scale.parts(batch_size)


@dataclass(frozen=True)
class Dropout(Layer):
    """Zero a share of the inputs at each learning step, scale the others by 1 / (1 - rate); else identity."""

    rate: float
    kind: ClassVar[str] = "dropout"
    reference: ClassVar[Passes] = dropout_forward, dropout_backward
    differs_when_learning: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.rate < 1, "rate must be in [0, 1)")

    @property
    def threshold(self) -> int:
        """Of 32 random bits, below which a number is zeroed."""
        return int(self.rate * 2**32)

    def macros(self, shape: Shape) -> dict[str, Any]:
        return {"THRESHOLD": f"{self.threshold}u", "KEEP": 1 / (1 - self.rate)}

    def saved(self, shape: Shape, batch_size: int) -> int:
        return batch_size * math.prod(shape)


@dataclass(frozen=True)
class Reshape(Layer):
    """Read the inputs as another shape: ``Reshape((-1, 12))`` makes bars of 12 features; -1 is inferred."""

    target_shape: tuple[int, ...]
    kind: ClassVar[str] = "reshape"

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = self.target_shape
        holds = 1 <= len(sizes) <= 2 and sizes.count(-1) <= 1 and all(n == -1 or n >= 1 for n in sizes)
        self.require(holds, "target_shape is (n,) or (positions, channels), of which one may be -1")

    def output_shape(self, shape: Shape) -> Shape:
        n, known = math.prod(shape), math.prod(size for size in self.target_shape if size != -1)
        target = tuple(n // known if size == -1 else size for size in self.target_shape)
        self.require(math.prod(target) == n, f"does not hold the {n} numbers of {shape}")
        return target

    def parts(self, batch_size: int) -> tuple[Layer, ...]:
        return ()
