"""Base of the layers: shapes, tensors, and the hooks by which a layer enters the reference and the kernels.

A shape is ``(n,)`` or ``(positions, channels)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bt_neuro.nn.config import Config
from bt_neuro.nn.opencl.specialize import Arrays, Emitter, macro_of
from bt_neuro.nn.optimizers import Optimizer
from bt_neuro.nn.reference.activations import gelu_backward, gelu_forward, softmax_backward, softmax_forward
from bt_neuro.nn.reference.layers import dropout_key
from bt_neuro.nn.reference.passes import Passes

Shape = tuple[int, ...]
ActivationName = Literal["tanh", "sigmoid", "leaky_relu", "relu", "gelu", "softmax"] | None
ACTIVATIONS = (None, "tanh", "sigmoid", "leaky_relu", "relu", "gelu")


@dataclass(frozen=True)
class Tensor:
    """A named array that a layer owns.

    Parameters
    ----------
    start : its first value; several numbers are those of as many equal parts
    fan : (in, out) for Glorot's uniform start instead
    """

    name: str
    shape: Shape
    start: float | tuple[float, ...] = 0.0
    fan: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Placed:
    """A tensor and its offset in the state, in numbers."""

    tensor: Tensor
    offset: int

    def view(self, state: NDArray[np.floating]) -> NDArray[np.floating]:
        return state[self.offset : self.offset + self.tensor.size].reshape(self.tensor.shape)


@dataclass(frozen=True)
class LayerPlan:
    """A layer in its place: shapes of its inputs and outputs, its tensors by short name."""

    name: str
    index: int
    layer: Layer
    input_shape: Shape
    output_shape: Shape
    tensors: dict[str, Placed]

    def named(self) -> Iterator[tuple[str, Placed]]:
        """Yield ("dense_4.kernel", place) of each tensor."""
        return ((f"{self.name}.{name}", placed) for name, placed in self.tensors.items())


class Layer(Config, internal=True):
    """Base of all layers. A new layer is one subclass, beside its kernel and its twin in NumPy.

    Attributes
    ----------
    kind : first part of its tensors' names, and name of its kernel file
    reference : its forward and backward pass in NumPy
    activations : allowed values of its option `activation`
    differs_when_learning : whether its learning pass cannot reuse the activations of a prediction
    """

    kind: ClassVar[str]
    reference: ClassVar[Passes]
    activations: ClassVar[tuple[str | None, ...]] = ACTIVATIONS
    differs_when_learning: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        known = getattr(self, "activation", None) in self.activations
        self.require(known, f"activation must be one of {self.activations}")
        self.require(getattr(self, "epsilon", 1) > 0, "epsilon must be positive")

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the outputs; raise LayerError when the inputs do not fit."""
        return shape

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        """Return the tensors that the optimiser moves, for inputs of this shape."""
        return ()

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        """Return the running statistics, for inputs of this shape."""
        return ()

    def parts(self, batch_size: int) -> tuple[Layer, ...]:
        """Return the layers that run in its place; none for an identity."""
        own = _OWN_LAYER.get(getattr(self, "activation", None) or "")
        return (self,) if own is None else (replace(self, activation=None), own)  # type: ignore[type-var]

    def require_optimizer(self, optimizer: Optimizer) -> None:
        """Raise LayerError if the layer does not work with the optimiser."""

    def has_own_step(self, optimizer: Optimizer) -> bool:
        """Return whether gamma and beta move as the article published, not by the optimiser."""
        return False

    # -- in OpenCL -------------------------------------------------------------------------------------------
    def macros(self, shape: Shape) -> dict[str, Any]:
        """Return the macros of its kernel file, beyond those that `emit` sets."""
        return {}

    def saved(self, shape: Shape, batch_size: int) -> int:
        """Return how many numbers the forward pass saves for the backward one."""
        return 0

    def emit(self, emitter: Emitter, plan: LayerPlan, at: Arrays) -> None:
        """Add its calls to a program: by default those of the functions in its own kernel file."""
        n = math.prod(plan.input_shape)
        macros: dict[str, Any] = {"N": n, "ACTIVATION": macro_of(getattr(self, "activation", None))}
        macros |= self.macros(plan.input_shape)
        macros["WIDTH"] = emitter.shape.width(macros.get("CHANNELS", n))
        macros |= {f"AT_{name.upper()}": placed.offset for name, placed in plan.tensors.items()}
        name = emitter.specialize(f"{self.kind}.cl", str(plan.index), **macros)
        saved = emitter.scratch(self.saved(plan.input_shape, emitter.batch_size))
        forward = "tensors", "batch", "moves", "learns", "step", f"seed + {dropout_key(0, plan.index)}u"
        emitter.call_forward(f"{self.kind}_forward", name, at.out, saved, at.inp, *forward)
        backward = at.dinp, at.dout, saved, at.out, at.inp, "net", "batch", "rates"
        emitter.call_backward(f"{self.kind}_backward", name, *backward)

    def require_positions(self, shape: Shape) -> None:
        needs = "needs (positions, channels): put a Reshape or a Conv1D before it"
        self.require(len(shape) == 2, f"{needs}; got {shape}")


@dataclass(frozen=True)
class Gelu(Layer, internal=True):
    """GELU. Its gradient needs the input, hence a layer of its own."""

    kind: ClassVar[str] = "gelu"
    reference: ClassVar[Passes] = gelu_forward, gelu_backward


@dataclass(frozen=True)
class Softmax(Layer, internal=True):
    """Softmax, at the end of a network."""

    kind: ClassVar[str] = "softmax"
    reference: ClassVar[Passes] = softmax_forward, softmax_backward


# Activations that are not applied in the loop of the layer that names them.
_OWN_LAYER: dict[str, Layer] = {"gelu": Gelu(), "softmax": Softmax()}


def kernel_and_bias(prefix: str, n_in: int, n_out: int, fan_out: int | None = None) -> list[Tensor]:
    return [
        Tensor(f"{prefix}kernel", (n_in, n_out), fan=(n_in, fan_out or n_out)),
        Tensor(f"{prefix}bias", (n_out,)),
    ]
