"""The layers in NumPy: slow, clear, any precision. They define what the kernels must compute.

Each section is the twin of the kernel file it names, with the same function names. Gradients are called
d + noun; every ``*_backward`` takes the gradient with respect to the layer's output *after* its activation.
A layer's passes take its description first, for its options; the backward one sets the gradients `d` of its tensors
and returns that of its inputs. Normalising layers are in `normalization`, losses and
optimisers in `training`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.nn.reference.activations import activate, activation_slope
from bt_neuro.nn.reference.normalization import residual_norm_backward, residual_norm_forward
from bt_neuro.nn.reference.passes import Array, Pass, Saved, Tensors, ones


# random.cl --------------------------------------------------------------------------------------------------
def philox(counter: NDArray[np.uint64], step: int, key: int) -> NDArray[np.uint64]:
    """Return 32 random bits for each (counter, step) under a key: the first word of Philox2x32-10."""
    low = np.asarray(counter, np.uint64)
    high = np.full_like(low, step)
    for _ in range(10):
        product = low * np.uint64(0xD256D193)
        low, high = (product >> np.uint64(32)) ^ np.uint64(key) ^ high, product & np.uint64(0xFFFFFFFF)
        key = (key + 0x9E3779B9) & 0xFFFFFFFF
    return low


# dense.cl ---------------------------------------------------------------------------------------------------
def dense_forward(inp: Array, kernel: Array, bias: Array, activation: str | None) -> Array:
    """Return act(inp @ kernel + bias): (positions, n_in) to (positions, n_out)."""
    z = inp.dot(kernel)  # as inp @ kernel, which takes twice as long to begin
    z += bias
    return activate(z, activation)


def dense_backward(
    dout: Array, out: Array, inp: Array, kernel: Array, activation: str | None, dkernel: Array, dbias: Array
) -> Array:
    """Return dinp; set dkernel and dbias."""
    dz = dout * activation_slope(out, activation) if activation else dout
    if len(inp) == 1:
        np.multiply(inp.T, dz, out=dkernel)  # a quarter of a matrix product's time
        dbias[...] = dz[0]
    else:
        np.dot(inp.T, dz, out=dkernel)
        np.dot(ones(len(dz), dz.dtype), dz, out=dbias)
    return dz.dot(kernel.T)


def dense_layer_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    """Return the outputs of windows, each a row whatever its shape."""
    s["rows"] = s["inp"].reshape(len(s["inp"]), -1)
    return dense_forward(s["rows"], t["kernel"], t["bias"], layer.activation)


def dense_layer_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    return dense_backward(dout, s["out"], s["rows"], t["kernel"], layer.activation, d["kernel"], d["bias"])


# conv1d.cl --------------------------------------------------------------------------------------------------
def conv1d_rows(inp: Array, size: int, stride: int) -> Array:
    """Return the (positions, size) windows of a flat input, `stride` apart: Conv1D is Dense on them."""
    if size == stride:  # quicker
        return inp[: len(inp) // size * size].reshape(-1, size)
    return np.lib.stride_tricks.sliding_window_view(inp, size)[::stride]


def conv1d_fold(drows: Array, n: int, stride: int) -> Array:
    """Return the gradient of the flat input: windows that overlap add up."""
    dinp = np.zeros(n, drows.dtype)
    if stride == drows.shape[1]:
        dinp[: drows.size] = drows.reshape(-1)
        return dinp
    for position, row in enumerate(drows):
        dinp[position * stride : position * stride + row.size] += row
    return dinp


def conv1d_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    channels = layer.channels(s["inp"].shape)
    s["rows"] = conv1d_rows(s["inp"].ravel(), layer.kernel_size * channels, layer.strides * channels)
    return dense_forward(s["rows"], t["kernel"], t["bias"], layer.activation)


def conv1d_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    drows = dense_layer_backward(layer, t, s, dout, d)
    return conv1d_fold(drows, s["inp"].size, layer.strides * layer.channels(s["inp"].shape))


# dropout.cl -------------------------------------------------------------------------------------------------
def dropout_key(seed: int, layer: int) -> int:
    return (seed + 0x85EBCA6B * layer) & 0xFFFFFFFF


def dropout_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    """Multiply by a mask, 0 or 1 / (1 - rate), by key, step and neuron only; predicting, change nothing."""
    if p.step is None:
        return s["inp"]
    counter = np.arange(s["inp"].size, dtype=np.uint64)
    bits = philox(counter, p.step & 0xFFFFFFFF, p.key).reshape(s["inp"].shape)
    s["mask"] = np.where(bits < layer.threshold, 0.0, 1 / (1 - layer.rate)).astype(s["inp"].dtype)
    return s["inp"] * s["mask"]


def dropout_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    return dout * s["mask"]


# attention.cl -----------------------------------------------------------------------------------------------
def attention_forward(qkv: Array, heads: int, key_dim: int) -> tuple[Array, Array]:
    """Return context (positions, key_dim x heads) and weights (keys, heads, queries).

    The columns of `qkv` are (query key value, key_dim, heads): heads lie side by side, where a vector unit
    wants them.
    """
    query, key, value = qkv.reshape(len(qkv), 3, key_dim, heads).transpose(1, 3, 0, 2).copy()
    query /= math.sqrt(key_dim)
    weights = np.empty((len(qkv), heads, len(qkv)), qkv.dtype)  # keys first: sums over them run in vectors
    np.matmul(key, query.transpose(0, 2, 1), out=weights.transpose(1, 0, 2))
    by_key = weights.reshape(len(qkv), -1)
    by_key -= np.maximum.reduce(by_key)
    np.exp(by_key, out=by_key)
    by_key /= ones(len(qkv), qkv.dtype).dot(by_key)
    return (weights.transpose(1, 2, 0) @ value).transpose(1, 2, 0).reshape(len(qkv), -1), weights


def attention_backward(dcontext: Array, qkv: Array, weights: Array, heads: int, key_dim: int) -> Array:
    """Return dqkv."""
    query, key, value = qkv.reshape(len(qkv), 3, key_dim, heads).transpose(1, 3, 0, 2).copy()
    dout = dcontext.reshape(len(qkv), key_dim, heads).transpose(2, 0, 1).copy()
    dscores = np.empty_like(weights)
    np.matmul(value, dout.transpose(0, 2, 1), out=dscores.transpose(1, 0, 2))
    by_key = dscores.reshape(len(qkv), -1)
    by_key -= ones(len(qkv), qkv.dtype).dot((weights * dscores).reshape(by_key.shape))
    dscores *= weights
    dscores /= math.sqrt(key_dim)
    dqkv = np.empty((len(qkv), 3, key_dim, heads), qkv.dtype)
    parts = dqkv.transpose(1, 3, 0, 2)
    np.matmul(dscores.transpose(1, 2, 0), key, out=parts[0])
    np.matmul(dscores.transpose(1, 0, 2), query, out=parts[1])
    np.matmul(weights.transpose(1, 0, 2), dout, out=parts[2])
    return dqkv.reshape(qkv.shape)


# encoder.cl -------------------------------------------------------------------------------------------------
def encoder_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    """Keep what each block needs for its backward pass."""
    inp, s["blocks"] = s["inp"], []
    for b in range(layer.blocks):

        def through(name: str, inp: Array, activation: str | None = None, b: int = b) -> Array:
            return dense_forward(inp, t[f"block{b}.{name}_kernel"], t[f"block{b}.{name}_bias"], activation)

        kept: Saved = {"inp": inp, "qkv": through("qkv", inp)}
        kept["context"], kept["weights"] = attention_forward(kept["qkv"], layer.num_heads, layer.key_dim)
        projected = through("project", kept["context"])
        kept["mid"], kept["mid_rate"] = residual_norm_forward(inp, projected, layer.epsilon)
        kept["hidden"] = through("expand", kept["mid"], "leaky_relu")
        contracted = through("contract", kept["hidden"])
        inp, kept["norm_rate"] = residual_norm_forward(kept["mid"], contracted, layer.epsilon)
        kept["norm"] = inp
        s["blocks"].append(kept)
    return activate(inp, layer.activation)


def encoder_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    dout = dout * activation_slope(s["out"], layer.activation)
    for b, kept in reversed([*enumerate(s["blocks"])]):

        def through(name: str, dout: Array, out: Array, inp: Array, act: str | None, b: int = b) -> Array:
            kernel, bias = f"block{b}.{name}_kernel", f"block{b}.{name}_bias"
            return dense_backward(dout, out, inp, t[kernel], act, d[kernel], d[bias])

        dsum = residual_norm_backward(dout, kept["norm"], kept["norm_rate"])
        dhidden = through("contract", dsum, dsum, kept["hidden"], None)
        dmid = dsum + through("expand", dhidden, kept["hidden"], kept["mid"], "leaky_relu")
        dsum = residual_norm_backward(dmid, kept["mid"], kept["mid_rate"])
        dcontext = through("project", dsum, dsum, kept["context"], None)
        dqkv = attention_backward(dcontext, kept["qkv"], kept["weights"], layer.num_heads, layer.key_dim)
        dout = dsum + through("qkv", dqkv, dqkv, kept["inp"], None)
    return dout


# pooling.cl -------------------------------------------------------------------------------------------------
def pooling_windows(inp: Array, layer: Any) -> Array:
    """Return views (pooled, channels, pool_size) of (positions, channels)."""
    return np.lib.stride_tricks.sliding_window_view(inp, layer.pool_size, axis=0)[:: layer.step_size]


def pooling_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    windows = pooling_windows(s["inp"], layer)
    return windows.max(axis=-1) if layer.largest else windows.mean(axis=-1)


def pooling_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    """Return dinp: to the first of the largest, or in equal parts; windows that overlap add up."""
    windows, dinp = pooling_windows(s["inp"], layer), np.zeros_like(s["inp"])
    if layer.largest:
        shares = np.arange(layer.pool_size) == windows.argmax(axis=-1)[..., None]
    else:
        shares = np.full(windows.shape, 1 / layer.pool_size)
    for p, (row, share) in enumerate(zip(dout, shares.astype(dinp.dtype), strict=True)):
        dinp[p * layer.step_size :][: layer.pool_size] += (row[:, None] * share).T
    return dinp


# lstm.cl ----------------------------------------------------------------------------------------------------
def lstm_forward(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
    """Keep gates, cells and the output before, a row per position."""
    positions, units = len(s["inp"]), layer.units
    gates = s["gates"] = s["inp"] @ t["kernel"] + t["bias"]
    cell = s["cell"] = np.zeros((positions, units), gates.dtype)
    outputs = np.zeros((positions + 1, units), gates.dtype)
    s["before"] = outputs[:-1]
    for n in range(positions):
        z = (gates[n] + outputs[n] @ t["recurrent_kernel"]).reshape(4, units)
        i, f, o = (activate(z[k], "sigmoid") for k in (0, 1, 3))
        g = np.tanh(z[2])
        cell[n] = f * cell[n - 1] + i * g if n else i * g
        gates[n] = np.concatenate([i, f, g, o])
        outputs[n + 1] = o * np.tanh(cell[n])
    return outputs[1:] if layer.return_sequences else outputs[-1]


def lstm_backward(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
    cell, recurrent = s["cell"], t["recurrent_kernel"]
    dgates, dcell, dh = np.zeros_like(s["gates"]), np.zeros_like(cell[0]), np.zeros_like(cell[0])
    for n in reversed(range(len(cell))):
        if layer.return_sequences or n == len(cell) - 1:
            dh = dh + (dout[n] if layer.return_sequences else dout)
        i, f, g, o = s["gates"][n].reshape(4, -1)
        top = np.tanh(cell[n])
        dcell = dcell + dh * o * (1 - top * top)
        last = cell[n - 1] if n else np.zeros_like(dcell)
        slopes = i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o)
        dgates[n] = (np.stack([dcell * g, dcell * last, dcell * i, dh * top]) * slopes).ravel()
        dcell, dh = dcell * f, recurrent @ dgates[n]
    d["kernel"][...], d["recurrent_kernel"][...] = s["inp"].T @ dgates, s["before"].T @ dgates
    d["bias"][...] = dgates.sum(axis=0)
    return dgates @ t["kernel"].T
