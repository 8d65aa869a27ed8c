"""Frozen descriptions of layers: shapes, parameters, initialisation. No numbers live here.

A shape is ``(n,)`` or ``(positions, channels)``. ``Conv1D`` reads ``(n,)`` as n steps of one channel and
``Dense`` connects to every number of the layer before it, as the article's layers do (Keras would ask for
a ``Flatten`` in between).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bt_neuro.nn.layer import ACTIVATIONS, ActivationName, Layer, Shape, Tensor, kernel_and_bias
from bt_neuro.nn.normalization import Scale


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
    activation : None, "tanh", "sigmoid", "leaky_relu" (slope 0.01), "relu", "gelu"; in the last layer also
        "softmax"
    """

    units: int
    activation: ActivationName = None
    kind: ClassVar[str] = "dense"
    activations: ClassVar[tuple[str | None, ...]] = (*ACTIVATIONS, "softmax")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.units >= 1, "units must be 1 or more")

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return kernel_and_bias("", math.prod(shape), self.units)


@dataclass(frozen=True)
class Activation(Layer):
    """An activation by itself, such as ``Activation("tanh")`` of inputs; the others are as in `Dense`."""

    activation: ActivationName
    kind: ClassVar[str] = "activation"

    def parts(self, rows: int) -> tuple[Layer, ...]:
        return Scale(scale=False, center=False, activation=self.activation, per_channel=False).parts(rows)


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
    activation: ActivationName = None
    kind: ClassVar[str] = "conv1d"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(min(self.filters, self.kernel_size, self.strides) >= 1, "sizes must be 1 or more")

    def output_shape(self, shape: Shape) -> Shape:
        self._require(shape[0] >= self.kernel_size, f"kernel_size is larger than the input {shape}")
        return ((shape[0] - self.kernel_size) // self.strides + 1, self.filters)

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return kernel_and_bias("", self.kernel_size * self.channels(shape), self.filters)

    @staticmethod
    def channels(shape: Shape) -> int:
        return shape[1] if len(shape) == 2 else 1


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
    activation: ActivationName = None
    epsilon: float = 1e-6
    kind: ClassVar[str] = "encoder"

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = (self.blocks, self.num_heads, self.key_dim, 1 if self.units is None else self.units)
        self._require(min(sizes) >= 1, "sizes must be 1 or more")

    def output_shape(self, shape: Shape) -> Shape:
        self._require_positions(shape)
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
            *kernel_and_bias("qkv_", channels, 3 * width, fan_out=width),
            *_joins_the_sum("project_", width, channels),
            *kernel_and_bias("expand_", channels, units),
            *_joins_the_sum("contract_", units, channels),
        ]

    def hidden(self, shape: Shape) -> int:
        return self.units if self.units is not None else 4 * shape[1]


@dataclass(frozen=True)
class Dropout(Layer):
    """Zero a share of the inputs at each learning step, scale the others by 1 / (1 - rate); else identity."""

    rate: float
    kind: ClassVar[str] = "dropout"
    learns_otherwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.rate < 1, "rate must be in [0, 1)")

    def macros(self, shape: Shape) -> dict[str, Any]:
        return {"THRESHOLD": f"{self.threshold}u", "KEEP": 1 / (1 - self.rate)}

    @property
    def threshold(self) -> int:
        """Of 32 random bits, below which a number is zeroed."""
        return int(self.rate * 2**32)

    def saved(self, shape: Shape, rows: int) -> int:
        return rows * math.prod(shape)


@dataclass(frozen=True)
class Reshape(Layer):
    """Read the inputs as another shape: ``Reshape((-1, 12))`` makes bars of 12 features; -1 is what fits."""

    target_shape: tuple[int, ...]
    kind: ClassVar[str] = "reshape"

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = self.target_shape
        holds = 1 <= len(sizes) <= 2 and sizes.count(-1) <= 1 and all(n == -1 or n >= 1 for n in sizes)
        self._require(holds, "target_shape is (n,) or (positions, channels), of which one may be -1")

    def output_shape(self, shape: Shape) -> Shape:
        n, known = math.prod(shape), math.prod(size for size in self.target_shape if size != -1)
        target = tuple(n // known if size == -1 else size for size in self.target_shape)
        self._require(math.prod(target) == n, f"does not hold the {n} numbers of {shape}")
        return target

    def parts(self, rows: int) -> tuple[Layer, ...]:
        return ()


@dataclass(frozen=True)
class _Pooling1D(Layer):
    """Base of the poolings: windows of positions, channel by channel, "valid" padding."""

    pool_size: int = 2
    strides: int | None = None
    kind: ClassVar[str] = "pooling"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(min(self.pool_size, self.step) >= 1, "sizes must be 1 or more")

    @property
    def step(self) -> int:
        return self.pool_size if self.strides is None else self.strides

    def output_shape(self, shape: Shape) -> Shape:
        self._require_positions(shape)
        self._require(shape[0] >= self.pool_size, f"pool_size is larger than the input {shape}")
        return ((shape[0] - self.pool_size) // self.step + 1, shape[1])

    def macros(self, shape: Shape) -> dict[str, Any]:
        positions, channels = shape
        sizes = {"POSITIONS": positions, "CHANNELS": channels, "POOLED": self.output_shape(shape)[0]}
        largest = int(isinstance(self, MaxPooling1D))
        return {**sizes, "SIZE": self.pool_size, "STRIDE": self.step, "LARGEST": largest}


@dataclass(frozen=True)
class MaxPooling1D(_Pooling1D):
    """The largest of every `pool_size` positions; windows lie `strides` apart, by default side by side.

    The gradient goes to the first of several largest.
    """


@dataclass(frozen=True)
class AveragePooling1D(_Pooling1D):
    """The mean of every `pool_size` positions; windows lie `strides` apart, by default side by side."""


@dataclass(frozen=True)
class LSTM(Layer):
    """Long short-term memory over the positions: tanh, gates by sigmoids (Hochreiter and Schmidhuber 1997).

    Parameters
    ----------
    units : size of the state and of the output
    return_sequences : give the output of every position, not only of the last one

    Notes
    -----
    As in Keras: one bias, gates in the order input, forget, cell, output, the forget gate's bias starts at 1.
    """

    units: int
    return_sequences: bool = False
    kind: ClassVar[str] = "lstm"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.units >= 1, "units must be 1 or more")

    def output_shape(self, shape: Shape) -> Shape:
        self._require_positions(shape)
        return (shape[0], self.units) if self.return_sequences else (self.units,)

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        u = self.units
        return (
            Tensor("kernel", (shape[1], 4 * u), fan=(shape[1], u)),
            Tensor("recurrent_kernel", (u, 4 * u), fan=(u, u)),
            Tensor("bias", (4 * u,), start=(0.0, 1.0, 0.0, 0.0)),
        )
