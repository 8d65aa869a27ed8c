"""Frozen descriptions of layers: shapes, parameters, initialisation. No numbers live here.

A shape is ``(n,)`` or ``(positions, channels)``. ``Conv1D`` reads ``(n,)`` as n steps of one channel and
``Dense`` connects to every number of the layer before it, as the article's layers do (Keras would ask for
a ``Flatten`` in between).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

from bt_neuro.errors import LayerError, did_you_mean
from bt_neuro.nn.optimizers import SGD, Adam, Optimizer, check_numbers

Shape = tuple[int, ...]
Activation = Literal["tanh", "sigmoid", "leaky_relu"] | None
ACTIVATIONS = (None, "tanh", "sigmoid", "leaky_relu")
LEAKY_SLOPE = 0.01


@dataclass(frozen=True)
class Tensor:
    """A named array that a layer owns. ``fan`` = (in, out) asks for Glorot's uniform start."""

    name: str
    shape: Shape
    start: float = 0.0
    fan: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layer:
    """Base of all layers. A subclass says its output shape and which tensors it owns."""

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        check_numbers(self)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of the outputs; raise LayerError when the inputs do not fit."""
        return shape

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        """Return what the optimiser moves, for inputs of this shape."""
        return ()

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        """Return the running statistics, for inputs of this shape."""
        return ()

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise LayerError(f"{self}: {what}")


def _kernel_and_bias(prefix: str, n_in: int, n_out: int, fan_out: int | None = None) -> list[Tensor]:
    return [
        Tensor(f"{prefix}kernel", (n_in, n_out), fan=(n_in, fan_out or n_out)),
        Tensor(f"{prefix}bias", (n_out,)),
    ]


def _joins_the_sum(prefix: str, n_in: int, n_out: int) -> list[Tensor]:
    # What is added to a block's input starts at 0, so that a fresh block passes its input on: with Glorot's
    # start the five blocks hide the bars from the layers behind (docs/defaults.md).
    return [Tensor(f"{prefix}kernel", (n_in, n_out)), Tensor(f"{prefix}bias", (n_out,))]


@dataclass(frozen=True)
class Dense(Layer):
    """Fully connected layer, ``act(inputs @ kernel + bias)``.

    Parameters
    ----------
    units : number of outputs; multiples of 16 are fastest
    activation : None, "tanh", "sigmoid" or "leaky_relu" (slope 0.01)
    """

    units: int
    activation: Activation = None
    kind: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.units >= 1, "units must be 1 or more")
        self._require(self.activation in ACTIVATIONS, f"activation must be one of {ACTIVATIONS}")

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return _kernel_and_bias("", math.prod(shape), self.units)


@dataclass(frozen=True)
class Conv1D(Layer):
    """Convolution over positions, "valid" padding: one filter bank shared by all of them.

    Parameters
    ----------
    filters : channels of the output
    kernel_size, strides : in positions; for a flat input, in numbers
    activation : as in `Dense`
    """

    filters: int
    kernel_size: int
    strides: int = 1
    activation: Activation = None
    kind: ClassVar[str] = "conv1d"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(min(self.filters, self.kernel_size, self.strides) >= 1, "sizes must be 1 or more")
        self._require(self.activation in ACTIVATIONS, f"activation must be one of {ACTIVATIONS}")

    def output_shape(self, shape: Shape) -> Shape:
        self._require(shape[0] >= self.kernel_size, f"kernel_size is larger than the input {shape}")
        return ((shape[0] - self.kernel_size) // self.strides + 1, self.filters)

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return _kernel_and_bias("", self.kernel_size * self.channels(shape), self.filters)

    @staticmethod
    def channels(shape: Shape) -> int:
        return shape[1] if len(shape) == 2 else 1


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Normalise every neuron by running statistics: batch normalisation with a batch of one.

    Parameters
    ----------
    window : samples the exponential average stands for (100); 1 or less switches the layer off, with its
        activation
    activation : applied after scale and shift, as in `Dense`
    epsilon : added to the variance (1e-6)

    Notes
    -----
    mean_t = ((m-1) mean + x) / m, d = x - mean_t, var_t = ((m-1) var + d^2) / m (while var is 0, d^2 is not
    divided), y = act(gamma d / sqrt(var_t + epsilon) + beta). Gizlyk, "Neural networks made easy (Part 13)".
    """

    window: int = 100
    activation: Activation = None
    epsilon: float = 1e-6
    kind: ClassVar[str] = "batch_norm"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.epsilon > 0, "epsilon must be positive")
        self._require(self.activation in ACTIVATIONS, f"activation must be one of {ACTIVATIONS}")

    @property
    def is_off(self) -> bool:
        return self.window <= 1

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return () if self.is_off else (Tensor("gamma", shape, start=1.0), Tensor("beta", shape))

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        return () if self.is_off else (Tensor("moving_mean", shape), Tensor("moving_variance", shape))


@dataclass(frozen=True)
class TransformerEncoder(Layer):
    """A stack of encoder blocks: multi-head self-attention, then a feed-forward pair, each with its norm.

    Parameters
    ----------
    blocks : how many, each with its own weights (5)
    num_heads, key_dim : heads (8) and numbers a head (4), as in Keras's MultiHeadAttention
    units : width of the feed-forward layer; 4 x channels by default
    activation : of the last block's output, as in `Dense`
    epsilon : of the normalisation (1e-6)

    Notes
    -----
    The normalisation makes the whole (positions x channels) output of a block mean 0 and variance 1, without
    scale and shift; the feed-forward activation is leaky ReLU. Vaswani et al. 2017, in the article's form.
    """

    blocks: int = 5
    num_heads: int = 8
    key_dim: int = 4
    units: int | None = None
    activation: Activation = None
    epsilon: float = 1e-6
    kind: ClassVar[str] = "encoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = (self.blocks, self.num_heads, self.key_dim, 1 if self.units is None else self.units)
        self._require(min(sizes) >= 1, "sizes must be 1 or more")
        self._require(self.epsilon > 0, "epsilon must be positive")
        self._require(self.activation in ACTIVATIONS, f"activation must be one of {ACTIVATIONS}")

    def output_shape(self, shape: Shape) -> Shape:
        self._require(len(shape) == 2, f"needs (positions, channels), got {shape}: put a Conv1D before it")
        return shape

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return [
            Tensor(f"block{block}.{tensor.name}", tensor.shape, tensor.start, tensor.fan)
            for block in range(self.blocks)
            for tensor in self.block_parameters(shape)
        ]

    def block_parameters(self, shape: Shape) -> list[Tensor]:
        """Return one block's tensors; the columns of "qkv" are (query key value, key_dim, heads)."""
        channels, width, units = shape[1], self.num_heads * self.key_dim, self.hidden(shape)
        return [
            *_kernel_and_bias("qkv_", channels, 3 * width, fan_out=width),
            *_joins_the_sum("project_", width, channels),
            *_kernel_and_bias("expand_", channels, units),
            *_joins_the_sum("contract_", units, channels),
        ]

    def hidden(self, shape: Shape) -> int:
        return self.units if self.units is not None else 4 * shape[1]


@dataclass(frozen=True)
class Dropout(Layer):
    """Zero a share of the inputs at each learning step, scale the others by 1 / (1 - rate); else identity."""

    rate: float
    kind: ClassVar[str] = "dropout"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.rate < 1, "rate must be in [0, 1)")


_BY_NAME: dict[str, type] = {
    cls.__name__: cls for cls in (Dense, Conv1D, BatchNorm, TransformerEncoder, Dropout, Adam, SGD)
}


def to_config(description: Layer | Optimizer) -> dict[str, Any]:
    """Return a layer or optimiser as plain JSON values.

    Examples
    --------
    >>> to_config(Dense(3, "sigmoid"))
    {'class': 'Dense', 'units': 3, 'activation': 'sigmoid'}
    """
    options = {
        name: getattr(value, "tolist", lambda value=value: value)()  # a number of NumPy's is none of JSON's
        for name, value in asdict(description).items()
    }
    return {"class": type(description).__name__, **options}


def from_config(config: dict[str, Any]) -> Any:
    """Return the layer or optimiser that `to_config` described; unknown names are a LayerError."""
    options = dict(config)
    name = options.pop("class", "")
    if name not in _BY_NAME:
        raise LayerError(f"unknown layer or optimiser {name!r}.{did_you_mean(str(name), _BY_NAME)}")
    cls = _BY_NAME[name]
    known = {field.name for field in fields(cls)}
    for option in options:
        if option not in known:
            raise LayerError(f"{name} has no option {option!r}.{did_you_mean(option, known)}")
    return cls(**options)


def article_layers(features: int = 12) -> list[Layer]:
    """Return the network of the article: 178,755 parameters on 20 bars of 12 features, 3 outputs."""
    return [
        BatchNorm(100, activation="tanh"),
        Conv1D(24, kernel_size=features, strides=features),
        BatchNorm(100, activation="sigmoid"),
        TransformerEncoder(blocks=5, num_heads=8, key_dim=4, activation="sigmoid"),
        Dense(200),
        BatchNorm(100, activation="tanh"),
        Dense(200, activation="tanh"),
        Dense(3, activation="sigmoid"),
    ]
