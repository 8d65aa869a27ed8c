"""Frozen descriptions of the layers that normalise. No numbers live here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bt_neuro.nn.layer import ACTIVATIONS, Activation, Layer, Shape, Tensor, positions_and_channels


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

    Where several windows make one step (``batch_size``), it is `BatchNormalization` of every neuron: the
    batch's own statistics normalise, and the running ones, which go on afterwards, move by 1 / window.
    """

    window: int = 100
    activation: Activation = None
    epsilon: float = 1e-6
    kind: ClassVar[str] = "batch_norm"

    def __post_init__(self) -> None:
        self._require(self.epsilon > 0, "epsilon must be positive")
        self._require(self.activation in ACTIVATIONS, f"activation must be one of {ACTIVATIONS}")

    @property
    def is_off(self) -> bool:
        return self.window <= 1

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return () if self.is_off else (Tensor("gamma", shape, start=1.0), Tensor("beta", shape))

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        return () if self.is_off else (Tensor("moving_mean", shape), Tensor("moving_variance", shape))

    def macros(self, shape: Shape) -> dict[str, Any]:
        return {"M": self.window, "EPSILON": self.epsilon}

    def saved(self, shape: Shape, rows: int) -> int:
        return math.prod(shape)

    def in_rows(self, rows: int) -> Layer:
        if rows == 1 or self.is_off:
            return self
        momentum = 1 - 1 / self.window
        return BatchNormalization(
            momentum=momentum, epsilon=self.epsilon, activation=self.activation, per_channel=False
        )


@dataclass(frozen=True, kw_only=True)
class Normalization(Layer):
    """Base of the normalisations whose scale and shift, one a channel, can be switched off."""

    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    activation: Activation = None

    def __post_init__(self) -> None:
        self._require(self.epsilon > 0, "epsilon must be positive")
        self._require(self.activation in ACTIVATIONS, f"activation must be one of {ACTIVATIONS}")

    def samples(self, shape: Shape) -> tuple[int, int]:
        """Return how many samples a window holds of each channel, and how many channels there are."""
        return positions_and_channels(shape)

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        channels = self.samples(shape)[1]
        gamma = (Tensor("gamma", (channels,), start=1.0),) if self.scale else ()
        return gamma + ((Tensor("beta", (channels,)),) if self.center else ())

    def macros(self, shape: Shape) -> dict[str, Any]:
        positions, channels = self.samples(shape)
        switches = {"SCALES": int(self.scale), "CENTERS": int(self.center)}
        return {"POSITIONS": positions, "CHANNELS": channels, "EPSILON": self.epsilon, **switches}


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
    renorm : Batch Renormalization: while learning, the batch's normalised values are brought in line with
        the running averages, ``xhat r + d``
    rmax, dmax : limits of r, in [1 / rmax, rmax], and of d (3 and 5)

    Notes
    -----
    Learning several windows a step (``batch_size``), the batch normalises. A single window is normalised by
    the running averages, moved by it first, as in `BatchNorm`; so what was trained in batches goes on
    learning bar by bar. Predictions use the running averages. These hold the variance with n - 1 below, as
    PyTorch's. Ioffe and Szegedy 2015; Ioffe 2017, "Batch Renormalization", where r and d are constants.
    """

    momentum: float = 0.99
    per_channel: bool = True
    renorm: bool = False
    rmax: float = 3.0
    dmax: float = 5.0
    kind: ClassVar[str] = "batch_normalization"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.momentum < 1, "momentum must be in [0, 1)")
        self._require(self.rmax >= 1 and self.dmax >= 0, "rmax must be 1 or more, dmax 0 or more")

    @property
    def learns_otherwise(self) -> bool:  # type: ignore[override]
        return self.renorm

    def samples(self, shape: Shape) -> tuple[int, int]:
        return positions_and_channels(shape) if self.per_channel else (1, math.prod(shape))

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        channels = (self.samples(shape)[1],)
        return Tensor("moving_mean", channels), Tensor("moving_variance", channels, start=1.0)

    def macros(self, shape: Shape) -> dict[str, Any]:
        renorm = {"RENORM": int(self.renorm), "R_MAX": self.rmax, "D_MAX": self.dmax}
        return {**super().macros(shape), "MOMENTUM": self.momentum, **renorm}

    def saved(self, shape: Shape, rows: int) -> int:
        positions, channels = self.samples(shape)
        return (rows * positions + 3) * channels  # normalised values; rate, r and d a channel


@dataclass(frozen=True, kw_only=True)
class OnlineNormalization(Normalization):
    """Normalise every channel by its past; two control terms keep the gradient unbiased.

    Parameters
    ----------
    alpha_forward, alpha_backward : share of the past in the statistics (0.999), in the control terms (0.99)
    epsilon, center, scale, activation : as in `BatchNormalization`

    Notes
    -----
    For one window at a time; the windows of a batch pass one after the other. The paper's layer scaling,
    against outputs that grow, is `LayerNormalization` without center. Chiley et al. 2019, "Online
    Normalization for Training Neural Networks".
    """

    alpha_forward: float = 0.999
    alpha_backward: float = 0.99
    kind: ClassVar[str] = "online_normalization"
    learns_otherwise: ClassVar[bool] = True  # by then the statistics are no longer the past's

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("alpha_forward", "alpha_backward"):
            self._require(0 <= getattr(self, name) < 1, f"{name} must be in [0, 1)")

    def statistics(self, shape: Shape) -> Sequence[Tensor]:
        channels = (self.samples(shape)[1],)
        moving = Tensor("moving_mean", channels), Tensor("moving_variance", channels, start=1.0)
        return *moving, Tensor("control_output", channels), Tensor("control_input", channels)

    def macros(self, shape: Shape) -> dict[str, Any]:
        return {
            **super().macros(shape),
            "ALPHA_FORWARD": self.alpha_forward,
            "ALPHA_BACKWARD": self.alpha_backward,
        }

    def saved(self, shape: Shape, rows: int) -> int:
        positions, channels = self.samples(shape)
        return rows * (positions + 1) * channels  # normalised values, and a window's rates


@dataclass(frozen=True, kw_only=True)
class LayerNormalization(Normalization):
    """Normalise the channels of every position among themselves: no statistics, the same when learning.

    Options as in `BatchNormalization`. Ba, Kiros, Hinton 2016; Keras's layer with its default axis.
    """

    kind: ClassVar[str] = "layer_normalization"

    def saved(self, shape: Shape, rows: int) -> int:
        positions, channels = self.samples(shape)
        return rows * positions * (channels + 1)  # normalised values, and a position's rate
