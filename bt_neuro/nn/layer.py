"""What every description of a layer says: its output shape, its tensors, the sizes its kernels are cut for.

A shape is ``(n,)`` or ``(positions, channels)``. No numbers live here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from bt_neuro.errors import LayerError
from bt_neuro.nn.optimizers import check_numbers

Shape = tuple[int, ...]
ActivationName = Literal["tanh", "sigmoid", "leaky_relu", "relu", "gelu", "softmax"] | None
ACTIVATIONS = (None, "tanh", "sigmoid", "leaky_relu", "relu", "gelu")
LEAKY_SLOPE = 0.01


@dataclass(frozen=True)
class Tensor:
    """A named array that a layer owns. ``fan`` = (in, out) asks for Glorot's uniform start.

    Several numbers in `start` are those of as many equal parts.
    """

    name: str
    shape: Shape
    start: float | tuple[float, ...] = 0.0
    fan: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layer:
    """Base of all layers. A subclass says its output shape and which tensors it owns.

    Attributes
    ----------
    kind : begins the layer's tensors' names, and is the name of its kernel file
    activations : those it can have
    learns_otherwise : its learning pass is not the pass that predicts, so that one cannot stand for the other
    """

    kind: ClassVar[str]
    learns_otherwise: ClassVar[bool] = False
    activations: ClassVar[tuple[str | None, ...]] = ACTIVATIONS

    def __post_init__(self) -> None:
        check_numbers(self)
        known = getattr(self, "activation", None) in self.activations
        self._require(known, f"activation must be one of {self.activations}")
        self._require(getattr(self, "epsilon", 1) > 0, "epsilon must be positive")

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the outputs; raise LayerError when the inputs do not fit."""
        return shape

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        """Return what the optimiser moves, for inputs of this shape."""
        return ()

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        """Return the running statistics, for inputs of this shape."""
        return ()

    def macros(self, shape: Shape) -> dict[str, Any]:
        """Return the macros of its kernel file, beyond those that `Stamps.layer` knows."""
        return {}

    def saved(self, shape: Shape, rows: int) -> int:
        """Return how many numbers the forward pass of so many windows leaves for the backward one."""
        return 0

    def parts(self, rows: int) -> tuple[Layer, ...]:
        """Return what is run for it where so many windows make one step; nothing if it changes nothing."""
        own = _OWN_LAYER.get(getattr(self, "activation", None) or "")
        return (self,) if own is None else (replace(self, activation=None), own)  # type: ignore[call-arg]

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise LayerError(f"{self}: {what}")

    def _require_positions(self, shape: Shape) -> None:
        wants = "needs (positions, channels): put a Reshape or a Conv1D before it"
        self._require(len(shape) == 2, f"{wants}; got {shape}")


@dataclass(frozen=True)
class Gelu(Layer):
    """x times the share of a normal distribution below x, whose slope its output does not tell."""

    kind: ClassVar[str] = "gelu"


@dataclass(frozen=True)
class Softmax(Layer):
    """The exponentials as shares of their sum, at the end of a network."""

    kind: ClassVar[str] = "softmax"


# Activations that are not applied in the loop of the layer that names them.
_OWN_LAYER: dict[str, Layer] = {"gelu": Gelu(), "softmax": Softmax()}


def kernel_and_bias(prefix: str, n_in: int, n_out: int, fan_out: int | None = None) -> list[Tensor]:
    return [
        Tensor(f"{prefix}kernel", (n_in, n_out), fan=(n_in, fan_out or n_out)),
        Tensor(f"{prefix}bias", (n_out,)),
    ]
