"""The network in NumPy: slow, clear, any precision. It defines what the kernels must compute.

Each section is the twin of the kernel file it names, with the same function names. Gradients are called
d + noun; every ``*_backward`` takes the gradient with respect to the layer's output *after* its activation
(the loss's begins them).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.nn.layers import LEAKY_SLOPE, Activation, BatchNorm, Conv1D, Dense, Dropout, TransformerEncoder
from bt_neuro.nn.layout import LayerPlan, Layout
from bt_neuro.nn.optimizers import SGD, Optimizer

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
    return z


def activation_slope(out: Array, activation: Activation) -> Array:
    """Return d act(z) / dz, told from the output alone."""
    if activation == "tanh":
        return 1 - out * out
    if activation == "sigmoid":
        return out * (1 - out)
    if activation == "leaky_relu":
        return np.where(out >= 0, out.dtype.type(1), out.dtype.type(LEAKY_SLOPE))
    return np.ones_like(out)


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
def dense_forward(inp: Array, kernel: Array, bias: Array, activation: Activation) -> Array:
    """Return act(inp @ kernel + bias): (positions, n_in) to (positions, n_out)."""
    return activate(inp @ kernel + bias, activation)


def dense_backward(
    dout: Array, out: Array, inp: Array, kernel: Array, activation: Activation
) -> tuple[Array, Array, Array]:
    """Return dinp, dkernel, dbias."""
    dz = dout * activation_slope(out, activation)
    return dz @ kernel.T, inp.T @ dz, dz.sum(axis=0)


# conv1d.cl --------------------------------------------------------------------------------------------------
def conv1d_rows(inp: Array, size: int, stride: int) -> Array:
    """Return the (positions, size) windows of a flat input, `stride` apart: Conv1D is Dense on them."""
    return np.lib.stride_tricks.sliding_window_view(inp, size)[::stride]


def conv1d_fold(drows: Array, n: int, stride: int) -> Array:
    """Return the gradient of the flat input: windows that overlap add up."""
    dinp = np.zeros(n, drows.dtype)
    for position, row in enumerate(drows):
        dinp[position * stride : position * stride + row.size] += row
    return dinp


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


# dropout.cl -------------------------------------------------------------------------------------------------
def dropout_key(seed: int, layer: int) -> int:
    return (seed + 0x85EBCA6B * layer) & 0xFFFFFFFF


def dropout_threshold(rate: float) -> int:
    return int(rate * 2**32)


def dropout_forward(inp: Array, rate: float, step: int, key: int) -> tuple[Array, Array]:
    """Return out and the mask: 0 or 1 / (1 - rate), by key, step and neuron only. For learning passes."""
    bits = philox(np.arange(inp.size, dtype=np.uint64), step & 0xFFFFFFFF, key).reshape(inp.shape)
    mask = np.where(bits < dropout_threshold(rate), 0.0, 1 / (1 - rate)).astype(inp.dtype)
    return inp * mask, mask


def dropout_backward(dout: Array, mask: Array) -> Array:
    """Return dinp."""
    return dout * mask


# attention.cl -----------------------------------------------------------------------------------------------
def attention_forward(qkv: Array, heads: int, key_dim: int) -> tuple[Array, Array]:
    """Return context (positions, key_dim x heads) and weights (heads, queries, keys).

    The columns of `qkv` are (query key value, key_dim, heads): heads lie side by side, where a vector unit
    wants them.
    """
    query, key, value = qkv.reshape(len(qkv), 3, key_dim, heads).transpose(1, 3, 0, 2)
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(qkv.dtype.type(key_dim))
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return (weights @ value).transpose(1, 2, 0).reshape(len(qkv), -1), weights


def attention_backward(dcontext: Array, qkv: Array, weights: Array, heads: int, key_dim: int) -> Array:
    """Return dqkv."""
    query, key, value = qkv.reshape(len(qkv), 3, key_dim, heads).transpose(1, 3, 0, 2)
    dout = dcontext.reshape(len(qkv), key_dim, heads).transpose(2, 0, 1)
    dweights = dout @ value.transpose(0, 2, 1)
    dscores = weights * (dweights - (weights * dweights).sum(axis=-1, keepdims=True))
    dscores = dscores / np.sqrt(qkv.dtype.type(key_dim))
    parts = dscores @ key, dscores.transpose(0, 2, 1) @ query, weights.transpose(0, 2, 1) @ dout
    return np.stack(parts).transpose(2, 0, 3, 1).reshape(qkv.shape)


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


# encoder.cl -------------------------------------------------------------------------------------------------
def encoder_forward(inp: Array, p: dict[str, Array], layer: TransformerEncoder) -> list[dict[str, Array]]:
    """Return what each block saves for its backward pass; the last one's "out" is the layer's output."""
    blocks: list[dict[str, Array]] = []
    for b in range(layer.blocks):
        s: dict[str, Array] = {"inp": inp}
        s["qkv"] = dense_forward(inp, p[f"block{b}.qkv_kernel"], p[f"block{b}.qkv_bias"], None)
        s["context"], s["weights"] = attention_forward(s["qkv"], layer.num_heads, layer.key_dim)
        projected = dense_forward(
            s["context"], p[f"block{b}.project_kernel"], p[f"block{b}.project_bias"], None
        )
        s["mid"], s["mid_rate"] = layer_norm_forward(inp, projected, layer.epsilon)
        s["hidden"] = dense_forward(
            s["mid"], p[f"block{b}.expand_kernel"], p[f"block{b}.expand_bias"], "leaky_relu"
        )
        contracted = dense_forward(
            s["hidden"], p[f"block{b}.contract_kernel"], p[f"block{b}.contract_bias"], None
        )
        inp, s["norm_rate"] = layer_norm_forward(s["mid"], contracted, layer.epsilon)
        s["norm"] = inp
        blocks.append(s)
    blocks[-1]["out"] = activate(inp, layer.activation)
    return blocks


def encoder_backward(
    dout: Array, blocks: list[dict[str, Array]], p: dict[str, Array], layer: TransformerEncoder
) -> tuple[Array, dict[str, Array]]:
    """Return dinp and the gradients of all blocks' parameters."""
    d: dict[str, Array] = {}
    dout = dout * activation_slope(blocks[-1]["out"], layer.activation)
    for b in reversed(range(layer.blocks)):
        s = blocks[b]

        def through(name: str, dout: Array, out: Array, inp: Array, act: Activation, b: int = b) -> Array:
            kernel = p[f"block{b}.{name}_kernel"]
            dinp, dkernel, dbias = dense_backward(dout, out, inp, kernel, act)
            d[f"block{b}.{name}_kernel"], d[f"block{b}.{name}_bias"] = dkernel, dbias
            return dinp

        dsum = layer_norm_backward(dout, s["norm"], s["norm_rate"])
        dhidden = through("contract", dsum, dsum, s["hidden"], None)
        dmid = dsum + through("expand", dhidden, s["hidden"], s["mid"], "leaky_relu")
        dsum = layer_norm_backward(dmid, s["mid"], s["mid_rate"])
        dcontext = through("project", dsum, dsum, s["context"], None)
        dqkv = attention_backward(dcontext, s["qkv"], s["weights"], layer.num_heads, layer.key_dim)
        dout = dsum + through("qkv", dqkv, dqkv, s["inp"], None)
    return dout, d


# loss.cl ----------------------------------------------------------------------------------------------------
def mean_squared_error_backward(out: Array, target: Array) -> Array:
    """Return the gradient of mean((out - target)^2) over the outputs."""
    return (2 / out.size) * (out - target)


# optimizer.cl -----------------------------------------------------------------------------------------------
def optimizer_step(
    optimizer: Optimizer, parameter: Array, gradient: Array, moments: list[Array], rates: tuple[float, float]
) -> None:
    """Move parameters and moments in place. `rates` is what `Optimizer.rates(step)` gives."""
    if isinstance(optimizer, SGD):
        (delta,) = moments
        delta[...] = rates[0] * gradient + rates[1] * delta
        parameter -= delta
        return
    m, v = moments
    m += (1 - optimizer.beta_1) * (gradient - m)
    v += (1 - optimizer.beta_2) * (gradient * gradient - v)
    parameter -= rates[0] * m / (np.sqrt(v) + rates[1])


# network.cl -------------------------------------------------------------------------------------------------
class Mode:
    """What one step of a run does: bits the kernel knows too. No enum: its `|` costs half a microsecond."""

    LEARN = 1
    PREDICT = 2
    LEARN_MOVES = 4  # the learning pass moves the running statistics (history learned without predicting)
    PREDICT_MOVES = 8
    HELD = 16  # the activations of the first window to learn are still in place: no forward pass for it
    CHAINED = 32  # each further window to learn is the one predicted just before: the same


class ReferenceNetwork:
    """One network on a flat block (see `Layout`), in the block's own precision."""

    def __init__(self, layout: Layout, block: Array, seed: int) -> None:
        self.layout, self.block, self.seed = layout, block, seed
        self.saved: list[dict[str, Any]] = [{} for _ in layout.plans]

    def forward(self, window: Array, *, moves: bool, step: int | None = None) -> Array:
        """Return the outputs of one window; `step` is the learning step, None when predicting."""
        out = window.astype(self.block.dtype, copy=False).ravel()
        for plan, saved in zip(self.layout.plans, self.saved, strict=True):
            saved["inp"] = out.reshape(plan.input_shape)
            out = saved["out"] = self._layer_forward(plan, saved, moves, step)
        return out.ravel()

    def backward(self, target: Array) -> tuple[dict[tuple[int, str], Array], Array]:
        """Return every parameter's gradient by (layer index, name), and the input's."""
        gradients: dict[tuple[int, str], Array] = {}
        out = self.saved[-1]["out"]
        dout = mean_squared_error_backward(out, target.astype(out.dtype, copy=False).reshape(out.shape))
        for plan, saved in zip(reversed(self.layout.plans), reversed(self.saved), strict=True):
            dinp, tensors = self._layer_backward(plan, saved, dout.reshape(saved["out"].shape))
            gradients |= {(plan.index, name): gradient for name, gradient in tensors.items()}
            dout = dinp.reshape(plan.input_shape)
        return gradients, dout

    def run(
        self, mode: int, learn: Array, targets: Array, predict: Array, rates: Array, first_step: int
    ) -> tuple[Array, Array]:
        """Run the order of passes that network.cl runs; return outputs (steps, n_outputs) of both kinds."""
        outputs = np.zeros((2, max(len(learn), len(predict)), self.layout.n_outputs), self.block.dtype)
        for i in range(outputs.shape[1]):
            if mode & Mode.LEARN:
                if not mode & (Mode.CHAINED if i else Mode.HELD):
                    self.forward(learn[i], moves=bool(mode & Mode.LEARN_MOVES), step=first_step + i)
                outputs[0, i] = self.saved[-1]["out"].ravel()
                self._step(self.backward(targets[i])[0], (rates[i, 0], rates[i, 1]))
            if mode & Mode.PREDICT:
                outputs[1, i] = self.forward(predict[i], moves=bool(mode & Mode.PREDICT_MOVES))
        return outputs[0, : len(learn)], outputs[1, : len(predict)]

    def _step(self, gradients: dict[tuple[int, str], Array], rates: tuple[float, float]) -> None:
        size = self.layout.size_parameters
        for (index, name), gradient in gradients.items():
            placed = self.layout.plans[index].tensors[name]
            flat = [
                self.block[placed.offset + slot * size :][: placed.tensor.size]
                for slot in range(1 + len(self.layout.optimizer.moments))
            ]
            optimizer_step(self.layout.optimizer, flat[0], gradient.ravel(), flat[1:], rates)

    def _tensors(self, plan: LayerPlan) -> dict[str, Array]:
        return {name: placed.view(self.block) for name, placed in plan.tensors.items()}

    def _layer_forward(self, plan: LayerPlan, saved: dict[str, Any], moves: bool, step: int | None) -> Array:
        layer, t, inp = plan.layer, self._tensors(plan), saved["inp"]
        if isinstance(layer, Dense):
            return dense_forward(inp.reshape(1, -1), t["kernel"], t["bias"], layer.activation).ravel()
        if isinstance(layer, Conv1D):
            channels = layer.channels(plan.input_shape)
            saved["rows"] = conv1d_rows(inp.ravel(), layer.kernel_size * channels, layer.strides * channels)
            return dense_forward(saved["rows"], t["kernel"], t["bias"], layer.activation)
        if isinstance(layer, BatchNorm) and not layer.is_off:
            mean, variance = t["moving_mean"], t["moving_variance"]
            if moves:
                mean[...], variance[...] = batch_norm_move(inp, mean, variance, layer.window)
            saved["variance"] = variance.copy()
            out, saved["xhat"] = batch_norm_forward(inp, mean, variance, t["gamma"], t["beta"], layer)
            return out
        if isinstance(layer, TransformerEncoder):
            saved["blocks"] = encoder_forward(inp, t, layer)
            return saved["blocks"][-1]["out"]
        if isinstance(layer, Dropout) and step is not None:
            out, saved["mask"] = dropout_forward(inp, layer.rate, step, dropout_key(self.seed, plan.index))
            return out
        return inp

    def _layer_backward(
        self, plan: LayerPlan, saved: dict[str, Any], dout: Array
    ) -> tuple[Array, dict[str, Array]]:
        layer, t, out = plan.layer, self._tensors(plan), saved["out"]
        if isinstance(layer, Dense | Conv1D):
            rows = saved["rows"] if isinstance(layer, Conv1D) else saved["inp"].reshape(1, -1)
            dout, out = dout.reshape(len(rows), -1), out.reshape(len(rows), -1)
            dinp, dkernel, dbias = dense_backward(dout, out, rows, t["kernel"], layer.activation)
            if isinstance(layer, Conv1D):
                stride = layer.strides * layer.channels(plan.input_shape)
                dinp = conv1d_fold(dinp, saved["inp"].size, stride)
            return dinp, {"kernel": dkernel, "bias": dbias}
        if isinstance(layer, BatchNorm) and not layer.is_off:
            dinp, dgamma, dbeta = batch_norm_backward(
                dout, out, saved["xhat"], saved["variance"], t["gamma"], layer
            )
            return dinp, {"gamma": dgamma, "beta": dbeta}
        if isinstance(layer, TransformerEncoder):
            return encoder_backward(dout, saved["blocks"], t, layer)
        if isinstance(layer, Dropout):
            return dropout_backward(dout, saved["mask"]), {}
        return dout, {}
