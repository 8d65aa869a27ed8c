"""The layers that normalise, in NumPy; see `reference`."""

from __future__ import annotations

import numpy as np

from bt_neuro.nn.normalization import (
    BatchNorm,
    BatchNormalization,
    LayerNormalization,
    OnlineNormalization,
    Scale,
)
from bt_neuro.nn.reference_activations import Array, Pass, Saved, Tensors, activate, activation_slope


# batch_norm.cl ----------------------------------------------------------------------------------------------
def batch_norm_move(inp: Array, mean: Array, variance: Array, window: int) -> tuple[Array, Array]:
    """Return mean and variance with one more sample in them."""
    mean = ((window - 1) * mean + inp) / window
    square = (inp - mean) ** 2
    return mean, np.where(variance == 0, square, ((window - 1) * variance + square) / window)


def batch_norm_forward(
    inp: Array, mean: Array, variance: Array, gamma: Array, beta: Array, layer: BatchNorm
) -> tuple[Array, Array]:
    """Return out and xhat, by statistics that already hold this sample."""
    xhat = (inp - mean) / np.sqrt(variance + layer.epsilon)
    return activate(gamma * xhat + beta, layer.activation), xhat


def batch_norm_backward(
    dout: Array, out: Array, xhat: Array, variance: Array, gamma: Array, layer: BatchNorm
) -> tuple[Array, Array, Array]:
    """Return dinp, dgamma, dbeta. The past is constant, the sample acts through its 1/m of the statistics."""
    m = layer.window
    dy = dout * activation_slope(out, layer.activation)
    dinp = dy * gamma * ((1 - 1 / m) * (1 - xhat * xhat / m)) / np.sqrt(variance + layer.epsilon)
    return dinp.astype(dout.dtype), dy * xhat, dy


# batch_normalization.cl -------------------------------------------------------------------------------------
def batch_normalization_forward(layer: BatchNormalization, t: Tensors, s: Saved, p: Pass) -> Array:
    """Normalise by the batch, or by running averages of which it is a share."""
    mean, variance = t["moving_mean"].reshape(-1), t["moving_variance"].reshape(-1)
    x = s["inp"].reshape(-1, mean.size)
    by_batch = p.learns and (len(s["inp"]) > 1 or (layer.renorm and len(x) > 1))
    share = s["share"] = 1.0 if by_batch else 1 - layer.momentum
    old_mean, old_variance = mean.copy(), variance.copy()
    used_mean, used_variance = old_mean, old_variance
    if by_batch or p.moves:
        used_mean = (1 - share) * mean + share * x.mean(axis=0)
        square = ((x - used_mean) ** 2).mean(axis=0)
        used_variance = np.where(variance == 0, square, (1 - share) * variance + share * square)
    if p.moves and by_batch:
        keep, sample_variance = layer.momentum, used_variance * (len(x) / (len(x) - 1))
        mean[...] = keep * mean + (1 - keep) * used_mean
        moved = keep * variance + (1 - keep) * sample_variance
        variance[...] = np.where(variance == 0, sample_variance, moved)
    elif p.moves:
        mean[...], variance[...] = used_mean, used_variance
    s["rate"], s["r"], s["d"] = 1 / np.sqrt(used_variance + layer.epsilon), 1.0, 0.0
    if layer.renorm and by_batch:
        old_rate = 1 / np.sqrt(old_variance + layer.epsilon)
        s["r"] = np.clip(old_rate / s["rate"], 1 / layer.rmax, layer.rmax)
        s["d"] = np.clip((used_mean - old_mean) * old_rate, -layer.dmax, layer.dmax)
    s["normal"] = (x - used_mean) * s["rate"]
    return (s["normal"] * s["r"] + s["d"]).astype(x.dtype).reshape(s["inp"].shape)


def batch_normalization_backward(
    layer: BatchNormalization, t: Tensors, s: Saved, dout: Array
) -> tuple[Array, Tensors]:
    """Return dinp: the batch acts through its share of the statistics; the past, r and d are constant."""
    z, share = s["normal"], s["share"]
    dout = dout.reshape(z.shape)
    centre = z - share * z.mean(axis=0)
    dx = dout - share * dout.mean(axis=0) - share * centre * (dout * z).mean(axis=0)
    return (dx * s["rate"] * s["r"]).astype(dout.dtype), {}


# online_normalization.cl ------------------------------------------------------------------------------------
def online_normalization_forward(layer: OnlineNormalization, t: Tensors, s: Saved, p: Pass) -> Array:
    """Normalise one window by the past, then add it to that if the pass moves statistics."""
    mean, variance = t["moving_mean"], t["moving_variance"]
    x = s["inp"].reshape(-1, mean.size)
    s["rate"] = 1 / np.sqrt(variance + layer.epsilon)
    out = ((x - mean) * s["rate"]).astype(x.dtype).reshape(s["inp"].shape)
    if p.moves:
        keep, window_mean = layer.alpha_forward, x.mean(axis=0)
        spread = ((x - window_mean) ** 2).mean(axis=0) + keep * (window_mean - mean) ** 2
        variance[...] = keep * variance + (1 - keep) * spread
        mean[...] = keep * mean + (1 - keep) * window_mean
    return out


def online_normalization_backward(
    layer: OnlineNormalization, t: Tensors, s: Saved, dout: Array
) -> tuple[Array, Tensors]:
    """Return dinp; two control terms, which it moves, keep it across the outputs and of mean 0 in time."""
    xhat, rest = s["out"].reshape(-1, s["rate"].size), 1 - layer.alpha_backward
    d = dout.reshape(xhat.shape) - rest * t["control_output"] * xhat
    t["control_output"] += (d * xhat).mean(axis=0)
    dx = d * s["rate"] - rest * t["control_input"]
    t["control_input"] += dx.mean(axis=0)
    return dx.astype(dout.dtype), {}


# layer_normalization.cl -------------------------------------------------------------------------------------
def layer_normalization_forward(layer: LayerNormalization, t: Tensors, s: Saved, p: Pass) -> Array:
    """Make each sample mean 0 and variance 1."""
    x = s["inp"].reshape(-1, layer.channels(s["inp"].shape[1:]))
    d = x - x.mean(axis=-1, keepdims=True)
    s["rate"] = 1 / np.sqrt((d * d).mean(axis=-1, keepdims=True) + x.dtype.type(layer.epsilon))
    return (d * s["rate"]).reshape(s["inp"].shape)


def layer_normalization_backward(
    layer: LayerNormalization, t: Tensors, s: Saved, dout: Array
) -> tuple[Array, Tensors]:
    xhat = s["out"].reshape(len(s["rate"]), -1)
    dout = dout.reshape(xhat.shape)
    slope = (dout * xhat).mean(axis=-1, keepdims=True)
    return (dout - dout.mean(axis=-1, keepdims=True) - xhat * slope) * s["rate"], {}


# scale.cl ---------------------------------------------------------------------------------------------------
def scale_forward(layer: Scale, t: Tensors, s: Saved, p: Pass) -> Array:
    """Return act(gamma inp + beta), as far as there are both."""
    s["xhat"] = s["inp"].reshape(-1, layer.channels(s["inp"].shape[1:]))
    scaled = s["xhat"] * t["gamma"].reshape(-1) if layer.scale else s["xhat"]
    shifted = scaled + t["beta"].reshape(-1) if layer.center else scaled
    return activate(shifted, layer.activation).reshape(s["inp"].shape)


def scale_backward(layer: Scale, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
    dy = (dout * activation_slope(s["out"], layer.activation)).reshape(s["xhat"].shape)
    gradients = {"gamma": (dy * s["xhat"]).sum(axis=0)} if layer.scale else {}
    gradients |= {"beta": dy.sum(axis=0)} if layer.center else {}
    return dy * t["gamma"].reshape(-1) if layer.scale else dy, gradients


# layer_norm.cl ----------------------------------------------------------------------------------------------
def layer_norm_forward(a: Array, b: Array, epsilon: float) -> tuple[Array, Array]:
    """Return (a + b) made mean 0 and variance 1 as a whole, and the factor 1 / deviation."""
    z = a + b
    z = z - z.mean()
    rate = 1 / np.sqrt((z * z).mean() + z.dtype.type(epsilon))
    return z * rate, rate


def layer_norm_backward(dout: Array, out: Array, rate: Array) -> Array:
    """Return the gradient of the sum a + b, which is that of a and of b."""
    return (dout - dout.mean() - out * (dout * out).mean()) * rate
