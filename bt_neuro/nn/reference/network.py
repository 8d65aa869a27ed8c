"""The walk through the layers in NumPy: windows as rows, forward, backward, one update."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from bt_neuro.nn.layer import Layer
from bt_neuro.nn.layers import Conv1D, Dense
from bt_neuro.nn.layout import LayerPlan, Layout
from bt_neuro.nn.optimizers import Adam
from bt_neuro.nn.reference import activations
from bt_neuro.nn.reference import layers as twins
from bt_neuro.nn.reference import normalization as norms
from bt_neuro.nn.reference.activations import Array, Pass, Saved, Tensors

Gradients = tuple[Array, Tensors]  # of the inputs, of the parameters
Forward = Callable[[Any, Tensors, Saved, Pass], Array]
Backward = Callable[[Any, Tensors, Saved, Array], Gradients]


def row_by_row(forward: Forward, backward: Backward) -> tuple[Forward, Backward]:
    """Make passes of one window passes of several: the windows do not meet, their gradients add up."""

    def forward_rows(layer: Layer, t: Tensors, s: Saved, p: Pass) -> Array:
        s["windows"] = [{"inp": window} for window in s["inp"]]
        for window in s["windows"]:
            window["out"] = forward(layer, t, window, p)
        return np.stack([window["out"] for window in s["windows"]])

    def backward_rows(layer: Layer, t: Tensors, s: Saved, dout: Array) -> Gradients:
        parts = [backward(layer, t, *one) for one in zip(s["windows"], dout, strict=True)]
        gradients = {name: reduce(add, [found[name] for _, found in parts]) for name in parts[0][1]}
        return np.stack([dinp for dinp, _ in parts]), gradients

    return forward_rows, backward_rows


def _dense_forward(layer: Dense, t: Tensors, s: Saved, p: Pass) -> Array:
    s["rows"] = s["inp"].reshape(len(s["inp"]), -1)
    return twins.dense_forward(s["rows"], t["kernel"], t["bias"], layer.activation)


def _dense_backward(layer: Dense | Conv1D, t: Tensors, s: Saved, dout: Array) -> Gradients:
    dinp, dkernel, dbias = twins.dense_backward(dout, s["out"], s["rows"], t["kernel"], layer.activation)
    return dinp, {"kernel": dkernel, "bias": dbias}


def _conv1d_forward(layer: Conv1D, t: Tensors, s: Saved, p: Pass) -> Array:
    channels = layer.channels(s["inp"].shape)
    s["rows"] = twins.conv1d_rows(s["inp"].ravel(), layer.kernel_size * channels, layer.strides * channels)
    return twins.dense_forward(s["rows"], t["kernel"], t["bias"], layer.activation)


def _conv1d_backward(layer: Conv1D, t: Tensors, s: Saved, dout: Array) -> Gradients:
    drows, gradients = _dense_backward(layer, t, s, dout)
    return twins.conv1d_fold(drows, s["inp"].size, layer.strides * layer.channels(s["inp"].shape)), gradients


# A line a kind of layer: its passes, of one window (`row_by_row`) or of rows that may meet.
PASSES: dict[str, tuple[Forward, Backward]] = {
    "dense": (_dense_forward, _dense_backward),
    "conv1d": row_by_row(_conv1d_forward, _conv1d_backward),
    "encoder": row_by_row(twins.encoder_forward, twins.encoder_backward),
    "lstm": row_by_row(twins.lstm_forward, twins.lstm_backward),
    "pooling": row_by_row(twins.pooling_forward, twins.pooling_backward),
    "dropout": (twins.dropout_forward, twins.dropout_backward),
    "running_batch_norm": row_by_row(norms.running_batch_norm_forward, norms.running_batch_norm_backward),
    "batch_normalization": (norms.batch_normalization_forward, norms.batch_normalization_backward),
    "layer_normalization": (norms.layer_normalization_forward, norms.layer_normalization_backward),
    "scale": (norms.scale_forward, norms.scale_backward),
    "gelu": (activations.gelu_forward, activations.gelu_backward),
    "softmax": (activations.softmax_forward, activations.softmax_backward),
}


# network.cl -------------------------------------------------------------------------------------------------
class Mode:
    """What one step of a run does: bits the kernel knows too. No enum: its `|` costs half a microsecond."""

    LEARN = 1
    PREDICT = 2
    BOTH = LEARN | PREDICT
    LEARN_MOVES = 4  # the learning pass moves the running statistics (history learned without predicting)
    PREDICT_MOVES = 8
    HELD = 16  # the activations of the first window to learn are still in place: no forward pass for it
    CHAINED = 32  # each further window to learn is the one predicted just before: the same
    SKIPPED = 256  # from this bit on: number of a layer to leave out, counted from 1, to see what it costs


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
        self.parts: list[tuple[LayerPlan, Saved]] = [(part, {}) for part in layout.parts(rows)]
        self._places, self._skipped = dict(layout.parameters()), 0
        self._out: Array = np.empty((0, 0))

    def forward(self, windows: Array, *, moves: bool, step: int | None = None) -> Array:
        """Return the outputs (rows, n_outputs) of windows (rows, n_inputs), or of one window."""
        out = windows.astype(self.block.dtype, copy=False).reshape(-1, self.layout.n_inputs)
        for part, saved in self.parts:
            if part.index + 1 != self._skipped:
                saved["inp"] = out.reshape(len(out), *part.input_shape)
                key = twins.dropout_key(self.seed, part.index)
                forward, _ = PASSES[part.layer.kind]
                saved["out"] = forward(part.layer, self._tensors(part), saved, Pass(moves, step, key))
            out = saved["out"]
        self._out = out.reshape(len(out), -1)
        return self._out

    def backward(self, targets: Array) -> tuple[dict[str, Array], Array]:
        """Return every parameter's gradient by name, and the inputs'; targets as the loss wants them."""
        loss, out, parts = self.layout.loss, self._out, self.parts
        wanted = targets.astype(out.dtype, copy=False).reshape(out.shape)
        if loss.needs_softmax:
            dout = twins.categorical_crossentropy_backward(out, wanted, loss.gamma)
            parts = parts[:-1]  # that gradient is the one before the softmax
        else:
            dout = twins.mean_squared_error_backward(out, wanted)
        gradients: dict[str, Array] = {}
        for part, saved in reversed(parts):
            if part.index + 1 == self._skipped:
                dout = np.zeros_like(saved["inp"])
                continue
            _, backward = PASSES[part.layer.kind]
            dout, found = backward(part.layer, self._tensors(part), saved, dout.reshape(saved["out"].shape))
            gradients |= {f"{part.name}.{name}": gradient for name, gradient in found.items()}
        return gradients, dout

    def run(
        self, mode: int, learn: Array, targets: Array, predict: Array, rates: Array, first_step: int
    ) -> tuple[Array, Array]:
        """Run the order of passes that network.cl runs; return outputs (windows, n_outputs) of both kinds."""
        outputs = np.zeros((2, max(len(learn), len(predict)), self.layout.n_outputs), self.block.dtype)
        self._skipped = mode // Mode.SKIPPED
        for i, first in enumerate(range(0, outputs.shape[1], self.rows)):
            part = slice(first, first + self.rows)
            if mode & Mode.LEARN:
                if not mode & (Mode.CHAINED if i else Mode.HELD):
                    self.forward(learn[part], moves=bool(mode & Mode.LEARN_MOVES), step=first_step + i)
                outputs[0, part] = self._out
                self._step(self.backward(targets[part])[0], rates[i])
            if mode & Mode.PREDICT:
                outputs[1, part] = self.forward(predict[part], moves=bool(mode & Mode.PREDICT_MOVES))
        return outputs[0, : len(learn)], outputs[1, : len(predict)]

    def _step(self, gradients: dict[str, Array], rates: Array) -> None:
        optimizer = self.layout.optimizer
        gradients = twins.clipped(gradients, optimizer)
        for part, _ in self.parts:
            pair = [f"{part.name}.gamma", f"{part.name}.beta"]
            published = getattr(part.layer, "gradient", "exact") == "published" and pair[0] in gradients
            if published and isinstance(optimizer, Adam):
                found = [gradients.pop(name).ravel() for name in pair]
                norms.published_adam_step([self._slots(name) for name in pair], found, optimizer, rates[3])
        for name, gradient in gradients.items():
            parameter, *moments = self._slots(name)
            twins.optimizer_step(optimizer, parameter, gradient.ravel(), moments, rates)

    def _slots(self, name: str) -> list[Array]:
        """Return a parameter and its moments, flat."""
        size, placed = self.layout.size_parameters, self._places[name]
        return [
            self.block[placed.offset + slot * size :][: placed.tensor.size]
            for slot in range(1 + len(self.layout.optimizer.moments))
        ]

    def _tensors(self, plan: LayerPlan) -> dict[str, Array]:
        return {name: placed.view(self.block) for name, placed in plan.tensors.items()}
