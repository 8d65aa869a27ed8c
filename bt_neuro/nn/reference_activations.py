"""Activations in NumPy; see `reference`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bt_neuro.nn.layer import LEAKY_SLOPE, Activation

Array = NDArray[np.floating]


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
def gelu_forward(inp: Array) -> Array:
    from scipy.special import ndtr  # here: a quarter of a second to import

    return inp * ndtr(inp)


def gelu_backward(dout: Array, inp: Array) -> Array:
    """Return dinp."""
    from scipy.special import ndtr

    return dout * (ndtr(inp) + inp * np.exp(-0.5 * inp * inp) / inp.dtype.type(np.sqrt(2 * np.pi)))


# softmax.cl -------------------------------------------------------------------------------------------------
def softmax_forward(inp: Array) -> Array:
    """Return the shares of each row's exponentials."""
    weights = np.exp(inp - inp.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def softmax_backward(dout: Array, out: Array) -> Array:
    """Return dinp."""
    return out * (dout - (dout * out).sum(axis=-1, keepdims=True))
