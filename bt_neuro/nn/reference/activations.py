"""Activations in NumPy, elementwise and as layers of their own; see `layers`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bt_neuro.nn.reference.passes import Array, Pass, Saved, Tensors

LEAKY_SLOPE = 0.01


# activation.cl ----------------------------------------------------------------------------------------------
def activate(z: Array, activation: str | None) -> Array:
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


def activation_slope(out: Array, activation: str | None) -> Array:
    """Return d act(z) / dz, from the output alone."""
    if activation == "tanh":
        return 1 - out * out
    if activation == "sigmoid":
        return out * (1 - out)
    if activation == "leaky_relu":
        return np.maximum((out >= 0).astype(out.dtype), LEAKY_SLOPE)
    if activation == "relu":
        return (out > 0).astype(out.dtype)
    return np.ones_like(out)


# gelu.cl ----------------------------------------------------------------------------------------------------
def share_below(x: Array) -> Array:
    """Return the share of a normal distribution below each x; NumPy has no such function."""
    return (0.5 + 0.5 * np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))).astype(x.dtype)


def gelu_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    return s["inp"] * share_below(s["inp"])


def gelu_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    x = s["inp"]
    return dout * (share_below(x) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


# softmax.cl -------------------------------------------------------------------------------------------------
def softmax_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    weights = np.exp(s["inp"] - s["inp"].max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def softmax_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    return s["out"] * (dout - (dout * s["out"]).sum(axis=-1, keepdims=True))
