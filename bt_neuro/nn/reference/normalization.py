"""Normalising layers in NumPy; see `layers`."""

from __future__ import annotations

from typing import Any

import numpy as np

from bt_neuro.nn.reference.activations import activate, activation_slope
from bt_neuro.nn.reference.passes import Array, Pass, Saved, Tensors, ones

MAX_GRADIENT, MAX_WEIGHT = 1.0, 1000.0  # of the article's library
LARGEST_GRADIENT, LARGEST_SQUARE = 10.0, 1e37  # ours


def bounded(gradient: Array) -> Array:
    """Return a gradient within 10: a normalisation of no variance multiplies it by 1 / sqrt(epsilon)."""
    flat = gradient.reshape(-1)
    if flat.dot(flat) <= LARGEST_GRADIENT**2:  # which is quick to find out
        return gradient
    return np.clip(gradient, -LARGEST_GRADIENT, LARGEST_GRADIENT)


def finite_square(square: Array) -> Array:
    """Return squares below what overflows: a running mean of them that has become infinite would stay it."""
    return np.minimum(square, LARGEST_SQUARE)


# running_batch_norm.cl --------------------------------------------------------------------------------------
def running_batch_norm_move(inp: Array, mean: Array, variance: Array, m: float) -> tuple[Array, Array]:
    """Return mean and variance with one more sample in them, of weight 1 / m."""
    mean = ((m - 1) * mean + inp) / m
    square = finite_square((inp - mean) ** 2)
    return mean, np.where(variance == 0, square, ((m - 1) * variance + square) / m)


def running_batch_norm_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    """Normalise by running statistics, which hold this sample if the pass moves them."""
    mean, variance = t["moving_mean"], t["moving_variance"]
    if p.moves:
        mean[...], variance[...] = running_batch_norm_move(s["inp"], mean, variance, layer.window)
    s["xhat"] = (s["inp"] - mean) / np.sqrt(variance + layer.epsilon)
    return activate(t["gamma"] * s["xhat"] + t["beta"], layer.activation)


def running_batch_norm_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    """Return dinp. The past is constant, the sample acts through its 1/m of the statistics."""
    m, xhat, root = layer.window, s["xhat"], np.sqrt(t["moving_variance"] + layer.epsilon)
    dy = dout * activation_slope(s["out"], layer.activation)
    if layer.gradient == "published":
        dinp = published_gradient(dy * t["gamma"], s["inp"], t["moving_mean"], root, m)
    else:
        dinp = bounded(dy * t["gamma"] * ((1 - 1 / m) * (1 - xhat * xhat / m)) / root)
    d["gamma"][...], d["beta"][...] = dy * xhat, dy
    return dinp.astype(dout.dtype, copy=False)


def published_gradient(gnx: Array, inp: Array, mean: Array, root: Array, m: float) -> Array:
    """Return dinp as the article's CalcHiddenGradientBatch has it, two slips included.

    The variance's part divides by root^2 where root^3 belongs, for ``3/2`` is 1 in OpenCL C; and mean times
    inp stands where inp - mean belongs. The clamp comes before the slope of the layer below, where that has
    one: none of the article's has.
    """
    gvar = mean * inp / (2 * root**2) * gnx
    gx = gnx / root * (1 - 1 / m) + gvar * 2 * inp / m * (1 - 1 / m) ** 2
    return np.clip(gx, -MAX_GRADIENT, MAX_GRADIENT)


def published_adam_step(pair: list[list[Array]], gradients: list[Array], optimizer: Any, rate: float) -> None:
    """Move gamma and beta, each with its moments, in place, as the article's UpdateBatchOptionsAdam does.

    Its slip: the second moment is averaged from the slots of the first, which is of gradients uphill, hence
    the minus. Where that is negative the root has no value, and the article leaves both parameters of the
    neuron and their moments as they were. No bias correction; 1e-8 stands inside the root.
    """
    b1, b2 = optimizer.beta_1, optimizer.beta_2
    spreads = [(1 - b2) * g * g - b2 * m + 1e-8 for (_, m, _), g in zip(pair, gradients, strict=True)]
    moves = np.minimum(*spreads) > 0
    for (parameter, m, _), g, v in zip(pair, gradients, spreads, strict=True):
        m[moves] = (b1 * m + (1 - b1) * g)[moves]
        moved = parameter[moves] - rate * m[moves] / np.sqrt(v[moves])
        parameter[moves] = np.clip(moved, -MAX_WEIGHT, MAX_WEIGHT)


# batch_normalization.cl -------------------------------------------------------------------------------------
def batch_normalization_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    """Normalise by the batch, or by running averages of which it is a share."""
    mean, variance = t["moving_mean"].reshape(-1), t["moving_variance"].reshape(-1)
    x = s["inp"].reshape(-1, mean.size)
    by_batch = p.learns and len(s["inp"]) > 1
    share = s["share"] = 1.0 if by_batch else 1 - layer.momentum
    used_mean, used_variance = mean, variance
    if by_batch or p.moves:
        used_mean = (1 - share) * mean + share * x.mean(axis=0)
        square = finite_square(((x - used_mean) ** 2).mean(axis=0))
        used_variance = np.where(variance == 0, square, (1 - share) * variance + share * square)
    if p.moves and by_batch:
        keep, sample_variance = layer.momentum, used_variance * (len(x) / (len(x) - 1))
        mean[...] = keep * mean + (1 - keep) * used_mean
        moved = keep * variance + (1 - keep) * sample_variance
        variance[...] = np.where(variance == 0, sample_variance, moved)
    elif p.moves:
        mean[...], variance[...] = used_mean, used_variance
    s["rate"] = 1 / np.sqrt(used_variance + layer.epsilon)
    s["normal"] = (x - used_mean) * s["rate"]
    return s["normal"].astype(x.dtype).reshape(s["inp"].shape)


def batch_normalization_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    """Return dinp: the batch acts through its share of the statistics; the past is constant."""
    z, share = s["normal"], s["share"]
    dout = dout.reshape(z.shape)
    centre = z - share * z.mean(axis=0)
    dx = dout - share * dout.mean(axis=0) - share * centre * (dout * z).mean(axis=0)
    return bounded(dx * s["rate"]).astype(dout.dtype)


# layer_normalization.cl -------------------------------------------------------------------------------------
def layer_normalization_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    """Make each sample mean 0 and variance 1."""
    x = s["inp"].reshape(-1, layer.channels(s["inp"].shape[1:]))
    d = x - x.mean(axis=-1, keepdims=True)
    s["rate"] = 1 / np.sqrt((d * d).mean(axis=-1, keepdims=True) + x.dtype.type(layer.epsilon))
    return (d * s["rate"]).reshape(s["inp"].shape)


def layer_normalization_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    xhat = s["out"].reshape(len(s["rate"]), -1)
    dout = dout.reshape(xhat.shape)
    slope = (dout * xhat).mean(axis=-1, keepdims=True)
    return bounded((dout - dout.mean(axis=-1, keepdims=True) - xhat * slope) * s["rate"])


# scale.cl ---------------------------------------------------------------------------------------------------
def scale_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    """Return act(gamma inp + beta), as far as there are both."""
    s["xhat"] = s["inp"].reshape(-1, layer.channels(s["inp"].shape[1:]))
    scaled = s["xhat"] * t["gamma"].reshape(-1) if layer.scale else s["xhat"]
    shifted = scaled + t["beta"].reshape(-1) if layer.center else scaled
    return activate(shifted, layer.activation).reshape(s["inp"].shape)


def scale_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    dy = (dout * activation_slope(s["out"], layer.activation)).reshape(s["xhat"].shape)
    if layer.center:
        d["beta"].reshape(-1)[...] = dy.sum(axis=0)
    if not layer.scale:
        return dy
    d["gamma"].reshape(-1)[...] = (dy * s["xhat"]).sum(axis=0)
    return dy * t["gamma"].reshape(-1)


# residual_norm.cl -------------------------------------------------------------------------------------------
def residual_norm_forward(a: Array, b: Array, epsilon: float) -> tuple[Array, Array]:
    """Return (a + b) made mean 0 and variance 1 as a whole, and the factor 1 / deviation."""
    z = a + b
    flat, n = z.reshape(-1), z.size
    flat -= flat.dot(ones(n, z.dtype)) / n
    rate = 1 / np.sqrt(flat.dot(flat) / n + epsilon)
    flat *= rate
    return z, rate


def residual_norm_backward(dout: Array, out: Array, rate: Array) -> Array:
    """Return the gradient of the sum a + b, which is that of a and of b."""
    flat, normal, n = dout.reshape(-1), out.reshape(-1), dout.size
    dz = normal * (-flat.dot(normal) / n)
    dz += flat
    dz -= flat.dot(ones(n, dout.dtype)) / n
    dz *= rate
    return bounded(dz).reshape(out.shape)
