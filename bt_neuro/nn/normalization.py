"""Frozen descriptions of the layers that normalise. No numbers live here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from bt_neuro.nn.layer import ActivationName, Layer, Shape, Tensor


@dataclass(frozen=True)
class RunningBatchNorm(Layer):
    """Normalise every neuron by running statistics: batch normalisation with a batch of one.

    Parameters
    ----------
    window : samples the exponential average stands for (100); 1 or less switches the layer off, with its
        activation
    activation : applied after scale and shift, as in `Dense`
    epsilon : added to the variance (1e-6)
    gradient : "exact", or "published": the article's, with its slips, and with `Adam` its own step of gamma
        and beta too
    start : of the statistics: "published", from 0, or "debiased": sample t weighs 1 / min(t, window)

    Notes
    -----
    mean_t = ((m-1) mean + x) / m, d = x - mean_t, var_t = ((m-1) var + d^2) / m (while var is 0, d^2 is not
    divided), y = act(gamma d / sqrt(var_t + epsilon) + beta). Gizlyk, "Neural networks made easy (Part 13)".

    Where several windows make one step (``batch_size``), it is `BatchNormalization` of every neuron: the
    batch's own statistics normalise, and the running ones, which go on afterwards, move by 1 / window. The
    gradient is exact then; a debiased start is refused.
    """

    window: int = 100
    activation: ActivationName = None
    epsilon: float = 1e-6
    gradient: Literal["exact", "published"] = "exact"
    start: Literal["published", "debiased"] = "published"
    kind: ClassVar[str] = "running_batch_norm"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.gradient in ("exact", "published"), "gradient must be exact or published")
        self._require(self.start in ("published", "debiased"), "start must be published or debiased")

    @property
    def is_off(self) -> bool:
        return self.window <= 1

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return () if self.is_off else (Tensor("gamma", shape, start=1.0), Tensor("beta", shape))

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        samples = (Tensor("samples", (1,)),) if self.start == "debiased" else ()
        return (
            () if self.is_off else (Tensor("moving_mean", shape), Tensor("moving_variance", shape), *samples)
        )

    def macros(self, shape: Shape) -> dict[str, Any]:
        modes = {"DEBIASED": int(self.start == "debiased"), "PUBLISHED": int(self.gradient == "published")}
        return {"M": self.window, "EPSILON": self.epsilon, **modes}

    def saved(self, shape: Shape, rows: int) -> int:
        return math.prod(shape)

    def parts(self, rows: int) -> tuple[Layer, ...]:
        if self.is_off:
            return ()
        if rows == 1:
            return super().parts(rows)
        self._require(self.start == "published", "a debiased start counts single windows: leave batch_size 1")
        momentum, activation = 1 - 1 / self.window, self.activation
        by_batch = BatchNormalization(
            momentum=momentum, epsilon=self.epsilon, activation=activation, per_channel=False
        )
        return by_batch.parts(rows)


@dataclass(frozen=True, kw_only=True)
class _Channels(Layer):
    """Base of the layers that treat every channel by itself; with `per_channel` off, every neuron."""

    center: bool = True
    scale: bool = True
    activation: ActivationName = None
    per_channel: bool = True

    def channels(self, shape: Shape) -> int:
        return shape[-1] if self.per_channel else math.prod(shape)

    def macros(self, shape: Shape) -> dict[str, Any]:
        channels = self.channels(shape)
        sizes = {"POSITIONS": math.prod(shape) // channels, "CHANNELS": channels}
        return {**sizes, "SCALES": int(self.scale), "CENTERS": int(self.center)}


@dataclass(frozen=True, kw_only=True)
class Scale(_Channels):
    """The scale and the shift behind a normalisation, and its activation."""

    kind: ClassVar[str] = "scale"


@dataclass(frozen=True, kw_only=True)
class Normalization(_Channels):
    """Base of the layers that normalise; `Scale` is run behind them."""

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

    def saved(self, shape: Shape, rows: int) -> int:
        # A rate for each channel, or for each sample.
        channels = self.channels(shape)
        return max(channels, rows * math.prod(shape) // channels)

    def parts(self, rows: int) -> tuple[Layer, ...]:
        options = {name: getattr(self, name) for name in ("center", "scale", "activation", "per_channel")}
        return (self, *Scale(**options).parts(rows))


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

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.momentum < 1, "momentum must be in [0, 1)")

    def macros(self, shape: Shape) -> dict[str, Any]:
        return {**super().macros(shape), "MOMENTUM": float(self.momentum)}


@dataclass(frozen=True, kw_only=True)
class LayerNormalization(Normalization):
    """Normalise the channels of every position among themselves, or all neurons: no statistics.

    Options as in `BatchNormalization`. Ba, Kiros, Hinton 2016; Keras's layer with its default axis.
    """

    kind: ClassVar[str] = "layer_normalization"

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        return ()
