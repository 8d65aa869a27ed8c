"""Normalising layers, and the scale and shift behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bt_neuro.errors import LayerError
from bt_neuro.nn.layers.base import ActivationName, Layer, Shape, Tensor
from bt_neuro.nn.optimizers import SGD, Adam, Optimizer
from bt_neuro.nn.reference import normalization as twins
from bt_neuro.nn.reference.passes import Passes, window_by_window


@dataclass(frozen=True)
class RunningBatchNorm(Layer):
    """Normalise every neuron by running statistics: batch normalisation with a batch of one.

    Parameters
    ----------
    window : samples that the exponential average stands for (100); 1 or less switches the layer off, with its
        activation
    activation : applied after scale and shift, as in `Dense`
    epsilon : added to the variance (1e-6)
    gradient : "exact", or "published": the article's, with its slips, and with `Adam` its own step of gamma
        and beta too

    Notes
    -----
    mean_t = ((m-1) mean + x) / m, d = x - mean_t, var_t = ((m-1) var + d^2) / m (while var is 0, d^2 is not
    divided), y = act(gamma d / sqrt(var_t + epsilon) + beta). Gizlyk, "Neural networks made easy (Part 13)".

    Where several windows make one step (``batch_size``), it is `BatchNormalization` of every neuron: the
    batch's own statistics normalise, and the running ones, which go on afterwards, move by 1 / window. The
    gradient is exact then.
    """

    window: int = 100
    activation: ActivationName = None
    epsilon: float = 1e-6
    gradient: Literal["exact", "published"] = "exact"
    kind: ClassVar[str] = "running_batch_norm"
    reference: ClassVar[Passes] = window_by_window(
        twins.running_batch_norm_forward, twins.running_batch_norm_backward
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.gradient in ("exact", "published"), "gradient must be exact or published")

    @property
    def is_off(self) -> bool:
        return self.window <= 1

    @property
    def is_published(self) -> bool:
        return self.gradient == "published"

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return () if self.is_off else (Tensor("gamma", shape, start=1.0), Tensor("beta", shape))

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        return () if self.is_off else (Tensor("moving_mean", shape), Tensor("moving_variance", shape))

    def macros(self, shape: Shape) -> dict[str, Any]:
        return {"M": self.window, "EPSILON": self.epsilon, "PUBLISHED": int(self.is_published)}

    def saved(self, shape: Shape, batch_size: int) -> int:
        return math.prod(shape)

    def parts(self, batch_size: int) -> tuple[Layer, ...]:
        if self.is_off:
            return ()
        if batch_size == 1:
            return super().parts(batch_size)
        by_batch = BatchNormalization(
            momentum=1 - 1 / self.window, epsilon=self.epsilon, activation=self.activation, per_channel=False
        )
        return by_batch.parts(batch_size)

    def require_optimizer(self, optimizer: Optimizer) -> None:
        holds = type(optimizer) in (Adam, SGD) and not optimizer.global_clipnorm
        if self.is_published and not holds:
            raise LayerError(f"a published gradient goes with Adam or SGD, unclipped, not {optimizer}")

    def has_own_step(self, optimizer: Optimizer) -> bool:
        return self.is_published and isinstance(optimizer, Adam)


@dataclass(frozen=True, kw_only=True)
class _Channels(Layer, internal=True):
    """Base of layers over channels, each by itself; with `per_channel` off, over neurons."""

    center: bool = True
    scale: bool = True
    activation: ActivationName = None
    per_channel: bool = True

    def channels(self, shape: Shape) -> int:
        return shape[-1] if self.per_channel else math.prod(shape)

    def macros(self, shape: Shape) -> dict[str, Any]:
        channels = self.channels(shape)
        sizes = {"POSITIONS": math.prod(shape) // channels, "CHANNELS": channels}
        # A tensor that an option leaves out lies nowhere, and nothing reads it.
        return {**sizes, "SCALES": int(self.scale), "CENTERS": int(self.center), "AT_GAMMA": 0, "AT_BETA": 0}


@dataclass(frozen=True, kw_only=True)
class Scale(_Channels, internal=True):
    """The scale and the shift behind a normalisation, and its activation."""

    kind: ClassVar[str] = "scale"
    reference: ClassVar[Passes] = twins.scale_forward, twins.scale_backward


@dataclass(frozen=True, kw_only=True)
class Normalization(_Channels, internal=True):
    """Base of the normalising layers; `Scale` is run behind them."""

    epsilon: float = 1e-3

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        channels = (self.channels(shape),)
        gamma = (Tensor("gamma", channels, start=1.0),) if self.scale else ()
        return gamma + ((Tensor("beta", channels),) if self.center else ())

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        channels = (self.channels(shape),)
        return Tensor("moving_mean", channels), Tensor("moving_variance", channels, start=1.0)

    def macros(self, shape: Shape) -> dict[str, Any]:
        return {**super().macros(shape), "EPSILON": self.epsilon}

    def saved(self, shape: Shape, batch_size: int) -> int:
        # A rate for each channel, or for each sample.
        channels = self.channels(shape)
        return max(channels, batch_size * math.prod(shape) // channels)

    def parts(self, batch_size: int) -> tuple[Layer, ...]:
        options = {name: getattr(self, name) for name in ("center", "scale", "activation", "per_channel")}
        return (self, *Scale(**options).parts(batch_size))


@dataclass(frozen=True, kw_only=True)
class BatchNormalization(Normalization):
    """Normalise every channel by the batch, keep running averages for operation: Keras's layer.

    Parameters
    ----------
    momentum : share of the past in the running averages (0.99)
    epsilon : added to the variance (1e-3)
    center, scale : whether there is a shift beta, a scale gamma
    activation : applied last, as in `Dense`
    per_channel : statistics over rows and positions, one a channel; False: over rows only, one a neuron

    Notes
    -----
    Learning several windows a step (``batch_size``), the batch normalises. A single window is normalised by
    the running averages, moved by it first, as in `RunningBatchNorm`; so what was trained in batches goes on
    learning bar by bar. Predictions use the running averages. These hold the variance with n - 1 below, as
    PyTorch's. Ioffe and Szegedy 2015.
    """

    momentum: float = 0.99
    kind: ClassVar[str] = "batch_normalization"
    reference: ClassVar[Passes] = twins.batch_normalization_forward, twins.batch_normalization_backward

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(0 <= self.momentum < 1, "momentum must be in [0, 1)")

    def macros(self, shape: Shape) -> dict[str, Any]:
        return {**super().macros(shape), "MOMENTUM": float(self.momentum)}


@dataclass(frozen=True, kw_only=True)
class LayerNormalization(Normalization):
    """Normalise the channels of every position among themselves, or all neurons: no statistics.

    Options as in `BatchNormalization`. Ba, Kiros, Hinton 2016; Keras's layer with its default axis.
    """

    kind: ClassVar[str] = "layer_normalization"
    reference: ClassVar[Passes] = twins.layer_normalization_forward, twins.layer_normalization_backward

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        return ()
