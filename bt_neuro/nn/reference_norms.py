"""The layers that normalise, in NumPy; see `reference`. Samples are (samples, channels)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bt_neuro.nn.normalization import BatchNorm, BatchNormalization, OnlineNormalization
from bt_neuro.nn.reference_activations import activate, activation_slope

Array = NDArray[np.floating]


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
class Batch(NamedTuple):
    """How a batch was normalised: xhat = normal r + d, normal = (x - mean) rate.

    The statistics hold the batch with this `share`, of which 1 is the batch's own.
    """

    normal: Array
    rate: Array
    share: float
    r: Array | float = 1.0
    d: Array | float = 0.0

    @property
    def xhat(self) -> Array:
        return self.normal * self.r + self.d


def batch_normalization_forward(
    x: Array, mean: Array, variance: Array, layer: BatchNormalization, *, by_batch: bool, moves: bool
) -> Batch:
    """Normalise by the batch, or by the running averages; `moves` moves these, in place."""
    share = 1.0 if by_batch else 1 - layer.momentum
    old_mean, old_variance = mean.copy(), variance.copy()
    used_mean, used_variance = old_mean, old_variance
    if by_batch or moves:
        used_mean = (1 - share) * mean + share * x.mean(axis=0)
        square = ((x - used_mean) ** 2).mean(axis=0)
        used_variance = np.where(variance == 0, square, (1 - share) * variance + share * square)
    if moves and by_batch:
        keep, sample_variance = layer.momentum, used_variance * (len(x) / (len(x) - 1))
        mean[...] = keep * mean + (1 - keep) * used_mean
        moved = keep * variance + (1 - keep) * sample_variance
        variance[...] = np.where(variance == 0, sample_variance, moved)
    elif moves:
        mean[...], variance[...] = used_mean, used_variance
    rate = 1 / np.sqrt(used_variance + layer.epsilon)
    normal = (x - used_mean) * rate
    if not (layer.renorm and by_batch):
        return Batch(normal, rate, share)
    old_rate = 1 / np.sqrt(old_variance + layer.epsilon)
    r = np.clip(old_rate / rate, 1 / layer.rmax, layer.rmax)
    d = np.clip((used_mean - old_mean) * old_rate, -layer.dmax, layer.dmax)
    return Batch(normal, rate, share, r, d)


def batch_normalization_backward(dxhat: Array, batch: Batch) -> Array:
    """Return dx: the batch acts through its share of the statistics, the past, r and d are constant."""
    z, share = batch.normal, batch.share
    centre = z - share * z.mean(axis=0)
    dx = dxhat - share * dxhat.mean(axis=0) - share * centre * (dxhat * z).mean(axis=0)
    return (dx * batch.rate * batch.r).astype(dxhat.dtype)


# online_normalization.cl ------------------------------------------------------------------------------------
def online_normalization_forward(
    x: Array, mean: Array, variance: Array, layer: OnlineNormalization, *, moves: bool
) -> tuple[Array, Array]:
    """Return xhat of one window and the rate, by the past; `moves` then adds the window, in place."""
    rate = 1 / np.sqrt(variance + layer.epsilon)
    xhat = ((x - mean) * rate).astype(x.dtype)
    if moves:
        keep, window_mean = layer.alpha_forward, x.mean(axis=0)
        spread = ((x - window_mean) ** 2).mean(axis=0) + keep * (window_mean - mean) ** 2
        variance[...] = keep * variance + (1 - keep) * spread
        mean[...] = keep * mean + (1 - keep) * window_mean
    return xhat, rate


def online_normalization_backward(
    dxhat: Array, xhat: Array, rate: Array, control_output: Array, control_input: Array, alpha: float
) -> Array:
    """Return dx; two control terms, moved in place, keep it across the outputs and of mean 0 in time."""
    d = dxhat - (1 - alpha) * control_output * xhat
    control_output += (d * xhat).mean(axis=0)
    dx = d * rate - (1 - alpha) * control_input
    control_input += dx.mean(axis=0)
    return dx.astype(dxhat.dtype)


# layer_normalization.cl -------------------------------------------------------------------------------------
def layer_normalization_forward(x: Array, epsilon: float) -> tuple[Array, Array]:
    """Return each sample made mean 0 and variance 1, and the factors 1 / deviation."""
    d = x - x.mean(axis=-1, keepdims=True)
    rate = 1 / np.sqrt((d * d).mean(axis=-1, keepdims=True) + x.dtype.type(epsilon))
    return d * rate, rate


def layer_normalization_backward(dxhat: Array, xhat: Array, rate: Array) -> Array:
    """Return dx."""
    slope = (dxhat * xhat).mean(axis=-1, keepdims=True)
    return (dxhat - dxhat.mean(axis=-1, keepdims=True) - xhat * slope) * rate


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
