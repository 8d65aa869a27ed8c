"""Activations in NumPy, and what a layer's two passes are given; see `reference`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.nn.layer import LEAKY_SLOPE, Activation, Layer

Array = NDArray[np.floating]
Tensors = dict[str, Array]  # of a layer, by short name; as gradients too
Saved = dict[str, Any]  # by a layer's forward pass for its backward one: "inp", "out" and more


class Pass(NamedTuple):
    """What a forward pass is for: `step` is the learning step, None when predicting."""

    moves: bool
    step: int | None
    key: int  # of random bits

    @property
    def learns(self) -> bool:
        return self.step is not None


# activation.cl ----------------------------------------------------------------------------------------------
def activate(z: Array, activation: Activation) -> Array:
    if activation == "tanh":
        return np.tanh(z)
    if activation == "sigmoid":
        with np.errstate(over="ignore"):  # 1 / infinity is the right 0
            return 1 / (1 + np.exp(-z))
    if activation == "leaky_relu":
        return np.maximum(z, z * LEAKY_SLOPE)
    if activation == "relu":
        return np.maximum(z, 0)
    return z


def activation_slope(out: Array, activation: Activation) -> Array:
    """Return d act(z) / dz, told from the output alone."""
    if activation == "tanh":
        return 1 - out * out
    if activation == "sigmoid":
        return out * (1 - out)
    if activation == "leaky_relu":
        return np.where(out >= 0, out.dtype.type(1), out.dtype.type(LEAKY_SLOPE))
    if activation == "relu":
        return (out > 0).astype(out.dtype)
    return np.ones_like(out)


# gelu.cl ----------------------------------------------------------------------------------------------------
def gelu_forward(layer: Layer, t: Tensors, s: Saved, p: Pass) -> Array:
    from scipy.special import ndtr  # here: a quarter of a second to import

    return s["inp"] * ndtr(s["inp"])


def gelu_backward(layer: Layer, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
    from scipy.special import ndtr

    x = s["inp"]
    return dout * (ndtr(x) + x * np.exp(-0.5 * x * x) / x.dtype.type(np.sqrt(2 * np.pi))), {}


# softmax.cl -------------------------------------------------------------------------------------------------
def softmax_forward(layer: Layer, t: Tensors, s: Saved, p: Pass) -> Array:
    weights = np.exp(s["inp"] - s["inp"].max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def softmax_backward(layer: Layer, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
    return s["out"] * (dout - (dout * s["out"]).sum(axis=-1, keepdims=True)), {}
