"""The walk through the layers in NumPy: windows as rows, forward, backward, one update.

A layer's `saved` holds what its forward pass leaves for its backward one: "inp" and "out", with the windows
as rows, and more. Each kind of layer has one line in `PASSES`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np

from bt_neuro.nn import reference as layers_of
from bt_neuro.nn import reference_norms as norms_of
from bt_neuro.nn.layer import Layer
from bt_neuro.nn.layers import (
    LSTM,
    AveragePooling1D,
    Conv1D,
    Dense,
    Dropout,
    Gelu,
    MaxPooling1D,
    Softmax,
    TransformerEncoder,
)
from bt_neuro.nn.layout import LayerPlan, Layout
from bt_neuro.nn.normalization import (
    BatchNorm,
    BatchNormalization,
    LayerNormalization,
    Normalization,
    OnlineNormalization,
)
from bt_neuro.nn.reference import Array
from bt_neuro.nn.reference_activations import (
    activate,
    activation_slope,
    gelu_backward,
    gelu_forward,
    softmax_backward,
    softmax_forward,
)

Tensors = dict[str, Array]
Saved = dict[str, Any]


class Pass(NamedTuple):
    """What a forward pass is for: `step` is the learning step, None when predicting."""

    moves: bool
    step: int | None
    key: int  # of random bits

    @property
    def learns(self) -> bool:
        return self.step is not None


Forward = Callable[[Any, Tensors, Saved, Pass], Array]
Backward = Callable[[Any, Tensors, Saved, Array], tuple[Array, Tensors]]


def row_by_row(forward: Forward, backward: Backward) -> tuple[Forward, Backward]:
    """Make passes of one window passes of several: the windows do not meet, their gradients add up."""

    def forward_rows(layer: Layer, t: Tensors, s: Saved, p: Pass) -> Array:
        s["windows"] = [{"inp": window} for window in s["inp"]]
        for window in s["windows"]:
            window["out"] = forward(layer, t, window, p)
        return np.stack([window["out"] for window in s["windows"]])

    def backward_rows(layer: Layer, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
        parts = [backward(layer, t, *one) for one in zip(s["windows"], dout, strict=True)]
        gradients = {name: reduce(add, [found[name] for _, found in parts]) for name in parts[0][1]}
        return np.stack([dinp for dinp, _ in parts]), gradients

    return forward_rows, backward_rows


# -- rows ----------------------------------------------------------------------------------------------------
def _dense_forward(layer: Dense, t: Tensors, s: Saved, p: Pass) -> Array:
    s["rows"] = s["inp"].reshape(len(s["inp"]), -1)
    return layers_of.dense_forward(s["rows"], t["kernel"], t["bias"], layer.activation)


def _dense_backward(layer: Dense | Conv1D, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
    dinp, dkernel, dbias = layers_of.dense_backward(dout, s["out"], s["rows"], t["kernel"], layer.activation)
    return dinp, {"kernel": dkernel, "bias": dbias}


def _dropout_forward(layer: Dropout, t: Tensors, s: Saved, p: Pass) -> Array:
    if p.step is None:
        return s["inp"]
    out, s["mask"] = layers_of.dropout_forward(s["inp"], layer, p.step, p.key)
    return out


def _scaled(layer: Normalization, t: Tensors, s: Saved, xhat: Array) -> Array:
    """Return the layer's output from its normalised samples."""
    s["xhat"] = xhat
    out = activate(xhat * t.get("gamma", 1) + t.get("beta", 0), layer.activation)
    return out.reshape(s["inp"].shape).astype(xhat.dtype)


def _unscaled(layer: Normalization, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
    """Return the gradient of the normalised samples, and those of scale and shift."""
    dy = (dout * activation_slope(s["out"], layer.activation)).reshape(s["xhat"].shape)
    gradients = {"gamma": (dy * s["xhat"]).sum(axis=0), "beta": dy.sum(axis=0)}
    return dy * t.get("gamma", 1), {name: gradients[name] for name in gradients if name in t}


def _samples(layer: Normalization, inp: Array) -> Array:
    return inp.reshape(-1, layer.samples(inp.shape[1:])[1])


def _batch_normalization_forward(layer: BatchNormalization, t: Tensors, s: Saved, p: Pass) -> Array:
    x = _samples(layer, s["inp"])
    by_batch = p.learns and (len(s["inp"]) > 1 or (layer.renorm and len(x) > 1))
    mean, variance = t["moving_mean"].reshape(-1), t["moving_variance"].reshape(-1)
    s["batch"] = norms_of.batch_normalization_forward(
        x, mean, variance, layer, by_batch=by_batch, moves=p.moves
    )
    return _scaled(layer, _flat_tensors(t), s, s["batch"].xhat)


def _batch_normalization_backward(
    layer: BatchNormalization, t: Tensors, s: Saved, dout: Array
) -> tuple[Array, Tensors]:
    dxhat, gradients = _unscaled(layer, _flat_tensors(t), s, dout)
    return norms_of.batch_normalization_backward(dxhat, s["batch"]), gradients


def _flat_tensors(t: Tensors) -> Tensors:
    # Those of a BatchNorm have the shape of its inputs.
    return {name: tensor.reshape(-1) for name, tensor in t.items()}


def _layer_normalization_forward(layer: LayerNormalization, t: Tensors, s: Saved, p: Pass) -> Array:
    xhat, s["rate"] = norms_of.layer_normalization_forward(_samples(layer, s["inp"]), layer.epsilon)
    return _scaled(layer, t, s, xhat)


def _layer_normalization_backward(
    layer: LayerNormalization, t: Tensors, s: Saved, dout: Array
) -> tuple[Array, Tensors]:
    dxhat, gradients = _unscaled(layer, t, s, dout)
    return norms_of.layer_normalization_backward(dxhat, s["xhat"], s["rate"]), gradients


# -- one window at a time ------------------------------------------------------------------------------------
def _conv1d_forward(layer: Conv1D, t: Tensors, s: Saved, p: Pass) -> Array:
    channels = layer.channels(s["inp"].shape)
    s["rows"] = layers_of.conv1d_rows(
        s["inp"].ravel(), layer.kernel_size * channels, layer.strides * channels
    )
    return layers_of.dense_forward(s["rows"], t["kernel"], t["bias"], layer.activation)


def _conv1d_backward(layer: Conv1D, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
    drows, gradients = _dense_backward(layer, t, s, dout)
    stride = layer.strides * layer.channels(s["inp"].shape)
    return layers_of.conv1d_fold(drows, s["inp"].size, stride), gradients


def _batch_norm_forward(layer: BatchNorm, t: Tensors, s: Saved, p: Pass) -> Array:
    mean, variance = t["moving_mean"], t["moving_variance"]
    if p.moves:
        mean[...], variance[...] = norms_of.batch_norm_move(s["inp"], mean, variance, layer.window)
    s["variance"] = variance.copy()
    out, s["xhat"] = norms_of.batch_norm_forward(s["inp"], mean, variance, t["gamma"], t["beta"], layer)
    return out


def _batch_norm_backward(layer: BatchNorm, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
    dinp, dgamma, dbeta = norms_of.batch_norm_backward(
        dout, s["out"], s["xhat"], s["variance"], t["gamma"], layer
    )
    return dinp, {"gamma": dgamma, "beta": dbeta}


def _online_normalization_forward(layer: OnlineNormalization, t: Tensors, s: Saved, p: Pass) -> Array:
    x = s["inp"].reshape(layer.samples(s["inp"].shape))
    mean, variance = t["moving_mean"], t["moving_variance"]
    xhat, s["rate"] = norms_of.online_normalization_forward(x, mean, variance, layer, moves=p.moves)
    return _scaled(layer, t, s, xhat)


def _online_normalization_backward(
    layer: OnlineNormalization, t: Tensors, s: Saved, dout: Array
) -> tuple[Array, Tensors]:
    dxhat, gradients = _unscaled(layer, t, s, dout)
    controls = t["control_output"], t["control_input"], layer.alpha_backward
    return norms_of.online_normalization_backward(dxhat, s["xhat"], s["rate"], *controls), gradients


def _encoder_forward(layer: TransformerEncoder, t: Tensors, s: Saved, p: Pass) -> Array:
    s["blocks"] = layers_of.encoder_forward(s["inp"], t, layer)
    return s["blocks"][-1]["out"]


def _encoder_backward(layer: TransformerEncoder, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
    return layers_of.encoder_backward(dout, s["blocks"], t, layer)


def _lstm_forward(layer: LSTM, t: Tensors, s: Saved, p: Pass) -> Array:
    out, s["gates"], s["cell"], s["before"] = layers_of.lstm_forward(
        s["inp"], t["kernel"], t["recurrent_kernel"], t["bias"]
    )
    return out if layer.return_sequences else out[-1]


def _lstm_backward(layer: LSTM, t: Tensors, s: Saved, dout: Array) -> tuple[Array, Tensors]:
    if not layer.return_sequences:
        dout = np.concatenate([np.zeros_like(s["cell"][:-1]), dout[None]])
    dgates = layers_of.lstm_backward(dout, s["gates"], s["cell"], t["recurrent_kernel"])
    gradients = {
        "kernel": s["inp"].T @ dgates,
        "recurrent_kernel": s["before"].T @ dgates,
        "bias": dgates.sum(axis=0),
    }
    return dgates @ t["kernel"].T, gradients


_pooling = row_by_row(
    lambda layer, t, s, p: layers_of.pooling_forward(s["inp"], layer),
    lambda layer, t, s, dout: (layers_of.pooling_backward(dout, s["inp"], layer), {}),
)
PASSES: dict[type[Layer], tuple[Forward, Backward]] = {
    Dense: (_dense_forward, _dense_backward),
    Conv1D: row_by_row(_conv1d_forward, _conv1d_backward),
    TransformerEncoder: row_by_row(_encoder_forward, _encoder_backward),
    LSTM: row_by_row(_lstm_forward, _lstm_backward),
    MaxPooling1D: _pooling,
    AveragePooling1D: _pooling,
    BatchNorm: row_by_row(_batch_norm_forward, _batch_norm_backward),
    BatchNormalization: (_batch_normalization_forward, _batch_normalization_backward),
    OnlineNormalization: row_by_row(_online_normalization_forward, _online_normalization_backward),
    LayerNormalization: (_layer_normalization_forward, _layer_normalization_backward),
    Dropout: (_dropout_forward, lambda layer, t, s, dout: (layers_of.dropout_backward(dout, s["mask"]), {})),
    Gelu: (
        lambda layer, t, s, p: gelu_forward(s["inp"]),
        lambda layer, t, s, dout: (gelu_backward(dout, s["inp"]), {}),
    ),
    Softmax: (
        lambda layer, t, s, p: softmax_forward(s["inp"]),
        lambda layer, t, s, dout: (softmax_backward(dout, s["out"]), {}),
    ),
}


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
    """One network on a flat block (see `Layout`), in the block's own precision.

    Parameters
    ----------
    layout, block : the network and its numbers
    seed : of dropout
    rows : windows that make one learning step
    """

    def __init__(self, layout: Layout, block: Array, seed: int, rows: int = 1) -> None:
        self.layout, self.block, self.seed, self.rows = layout, block, seed, rows
        self.saved: list[Saved] = [{} for _ in layout.plans]

    def forward(self, windows: Array, *, moves: bool, step: int | None = None) -> Array:
        """Return the outputs (rows, n_outputs) of windows (rows, n_inputs), or of one window."""
        out = windows.astype(self.block.dtype, copy=False).reshape(-1, self.layout.n_inputs)
        for plan, saved in zip(self.layout.plans, self.saved, strict=True):
            inp = saved["inp"] = out.reshape(len(out), *plan.input_shape)
            layer = plan.layer.in_rows(self.rows)
            if not layer.is_off:
                key = layers_of.dropout_key(self.seed, plan.index)
                inp = PASSES[type(layer)][0](layer, self._tensors(plan), saved, Pass(moves, step, key))
            out = saved["out"] = inp
        return out.reshape(len(out), -1)

    def backward(self, targets: Array) -> tuple[dict[str, Array], Array]:
        """Return every parameter's gradient by name, and the inputs'; targets as the loss wants them."""
        loss, last = self.layout.loss, self.saved[-1]["out"]
        out = last.reshape(len(last), -1)
        wanted = targets.astype(out.dtype, copy=False).reshape(out.shape)
        walk = list(zip(self.layout.plans, self.saved, strict=True))
        if loss.needs_softmax:
            dout = layers_of.categorical_crossentropy_backward(out, wanted, loss.gamma)
            walk.pop()  # that gradient is the one before the softmax
        else:
            dout = layers_of.mean_squared_error_backward(out, wanted)
        gradients: dict[str, Array] = {}
        for plan, saved in reversed(walk):
            layer, dout = plan.layer.in_rows(self.rows), dout.reshape(saved["out"].shape)
            if not layer.is_off:
                dout, found = PASSES[type(layer)][1](layer, self._tensors(plan), saved, dout)
                gradients |= {f"{plan.name}.{name}": gradient for name, gradient in found.items()}
        return gradients, dout

    def run(
        self, mode: int, learn: Array, targets: Array, predict: Array, rates: Array, first_step: int
    ) -> tuple[Array, Array]:
        """Run the order of passes that network.cl runs; return outputs (windows, n_outputs) of both kinds."""
        outputs = np.zeros((2, max(len(learn), len(predict)), self.layout.n_outputs), self.block.dtype)
        for i, first in enumerate(range(0, outputs.shape[1], self.rows)):
            part = slice(first, first + self.rows)
            if mode & Mode.LEARN:
                if not mode & (Mode.CHAINED if i else Mode.HELD):
                    self.forward(learn[part], moves=bool(mode & Mode.LEARN_MOVES), step=first_step + i)
                outputs[0, part] = self.saved[-1]["out"].reshape(-1, self.layout.n_outputs)
                self._step(self.backward(targets[part])[0], rates[i])
            if mode & Mode.PREDICT:
                outputs[1, part] = self.forward(predict[part], moves=bool(mode & Mode.PREDICT_MOVES))
        return outputs[0, : len(learn)], outputs[1, : len(predict)]

    def _step(self, gradients: dict[str, Array], rates: Array) -> None:
        size, places = self.layout.size_parameters, dict(self.layout.parameters())
        for name, gradient in layers_of.clipped(gradients, self.layout.optimizer).items():
            flat = [
                self.block[places[name].offset + slot * size :][: places[name].tensor.size]
                for slot in range(1 + len(self.layout.optimizer.moments))
            ]
            layers_of.optimizer_step(self.layout.optimizer, flat[0], gradient.ravel(), flat[1:], rates)

    def _tensors(self, plan: LayerPlan) -> dict[str, Array]:
        return {name: placed.view(self.block) for name, placed in plan.tensors.items()}
