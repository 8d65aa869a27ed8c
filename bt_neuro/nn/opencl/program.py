"""From layers to kernel source: where each layer's numbers lie, and the calls in their order.

The functions called are those of `kernels/`, stamped for the sizes of the network by `Stamps`. No C is made
here beyond constants and the list of calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bt_neuro.nn.layer import Layer
from bt_neuro.nn.layers import LSTM, Conv1D, Dense, TransformerEncoder
from bt_neuro.nn.layout import LayerPlan, Layout, Placed, aligned
from bt_neuro.nn.opencl.specialize import KernelShape, Offsets, Stamps, included
from bt_neuro.nn.optimizers import SGD, AdamW
from bt_neuro.nn.reference.layers import dropout_key

_COMMON = ("common.cl", "activation.cl", "random.cl", "optimizer.cl", "transpose.cl")
_PASS = ("rows", "moves", "learns", "step")


class Program:
    """The kernel source of one network for one kernel shape.

    Parameters
    ----------
    layout : the network
    shape : how kernels are cut for the device
    rows : windows that make one learning step; they pass through the layers together

    Attributes
    ----------
    source : OpenCL C, complete
    size : numbers of one lane: the layout's block and the scratch behind it
    """

    def __init__(self, layout: Layout, shape: KernelShape, rows: int = 1) -> None:
        self.layout, self.shape, self.rows, self.size = layout, shape, rows, aligned(layout.size)
        self._stamps = Stamps(shape)
        self._forward: list[str] = []
        self._backward: list[str] = []  # first call last, as the layers come
        inputs = self._out = self._scratch(rows * layout.n_inputs)
        self._dout = self._scratch(rows * layout.n_inputs)
        for part in layout.parts(rows):
            self._emit(part)
        name = self._stamps.loss(layout.n_outputs, rows, layout.loss)
        function = "categorical_crossentropy" if layout.loss.needs_softmax else "mean_squared_error"
        dout = self._dout
        if layout.loss.needs_softmax:  # its gradient is the one before the softmax
            self._backward.pop()
            dout = self._dinp
        self._backward.append(_call(f"{function}_backward", name, dout, self._out, "target", "rows"))
        self._gradients = 0
        if layout.optimizer.global_clipnorm is not None:
            self._gradients = self._scratch(layout.size_parameters)
            self._backward.insert(0, "optimizer_steps(net, rates, shared);")
        self.source = self._assemble(inputs)

    def _assemble(self, inputs: int) -> str:
        optimizer = self.layout.optimizer
        constants = {
            "DOUBLE": int(self.shape.double),
            "VECTOR": self.shape.vector,
            "WORK_ITEMS": self.shape.work_items,
            "ROWS_A_STEP": self.rows,
            "OPTIMIZER_ADAM": int(not isinstance(optimizer, SGD)),
            "DECAYS": int(isinstance(optimizer, AdamW)),
            "GATHERS": int(optimizer.global_clipnorm is not None),
            "CLIP_NORM": float(optimizer.global_clipnorm or 0),
            "AT_GRADIENTS": self._gradients,
            "BETA_1": getattr(optimizer, "beta_1", 0.0),
            "BETA_2": getattr(optimizer, "beta_2", 0.0),
            "SIZE_PARAMETERS": self.layout.size_parameters,
            "NETWORK_SIZE": self.size,
            "N_INPUTS": self.layout.n_inputs,
            "N_OUTPUTS": self.layout.n_outputs,
            "AT_OUTPUTS": self._out,
        }
        parts = [
            *(f"#define {name} {value}" for name, value in constants.items()),
            *map(included, _COMMON),
            *self._stamps.texts,
            "FUNCTION network_forward(global real* net, global const real* window, const int rows,",
            "    const int moves, const int learns, const uint step, const uint seed, const int skipped,",
            "    local real* shared) {",
            f"  {self._take_windows(inputs)}",
            "  SYNC;",
            *(f"  {call}" for call in self._forward),
            "}",
            "FUNCTION network_backward(global real* net, global const real* target, const int rows,",
            "    const rates_t rates, const int skipped, local real* shared) {",
            *(f"  {call}" for call in reversed(self._backward)),
            "}",
            included("network.cl"),
        ]
        return "\n".join(parts)

    def _take_windows(self, inputs: int) -> str:
        if self.rows == 1:
            return f"FOR_ITEMS(i, N_INPUTS) net[{inputs} + i] = window[i];"
        # A batch that is not full is made so by windows of zeros, which no gradient comes back from.
        value = "i < rows * N_INPUTS ? window[i] : 0"
        return f"FOR_ITEMS(i, ROWS_A_STEP * N_INPUTS) net[{inputs} + i] = {value};"

    def _scratch(self, size: int) -> int:
        offset = self.size
        self.size += aligned(size)
        return offset

    # -- the calls of a layer --------------------------------------------------------------------------------
    def _emit(self, plan: LayerPlan) -> None:
        """Append a layer's calls; its outputs are the next one's inputs."""
        inp, dinp, size = self._out, self._dout, self.rows * math.prod(plan.output_shape)
        self._out, self._dout, self._dinp = self._scratch(size), self._scratch(size), dinp
        emitters: dict[type[Layer], Callable[..., None]] = {
            Dense: self._emit_dense,
            Conv1D: self._emit_conv1d,
            TransformerEncoder: self._emit_encoder,
            LSTM: self._emit_lstm,
        }
        emit = emitters.get(type(plan.layer), self._emit_alone)
        calls = (self._forward, self._backward)
        before = [len(made) for made in calls]
        emit(plan, plan.layer, inp, dinp, self._out, self._dout)
        if self.shape.work_items > 1:  # a barrier behind a condition takes PoCL for ever to build
            return
        for made, first in zip(calls, before, strict=True):
            made[first:] = [f"if (skipped != {plan.index + 1}) {call}" for call in made[first:]]

    def _emit_alone(self, plan: LayerPlan, layer: Layer, inp: int, dinp: int, out: int, dout: int) -> None:
        """Emit a layer that calls no other's functions; what it needs to know its description says."""
        name = self._stamps.layer(plan, layer, self.rows)
        saved = self._scratch(layer.saved(plan.input_shape, self.rows))
        key = f"seed + {dropout_key(0, plan.index)}u"
        self._forward.append(_call(f"{layer.kind}_forward", name, out, saved, inp, "net", *_PASS, key))
        self._backward.append(
            _call(f"{layer.kind}_backward", name, dinp, dout, saved, out, inp, "net", "rows", "rates")
        )

    def _emit_dense(self, plan: LayerPlan, layer: Dense, inp: int, dinp: int, out: int, dout: int) -> None:
        n_in, t = math.prod(plan.input_shape), plan.tensors
        wants_dinp = bool(self._forward)
        name = self._stamps.dense(self.rows, n_in, layer.units, layer.activation, wants_dinp=wants_dinp)
        turned = dinp if self.rows == 1 else self._scratch(n_in * layer.units)  # of one row nothing is turned
        self._forward.append(_call("dense_forward", name, out, inp, t["kernel"], t["bias"]))
        self._backward.append(
            _call("dense_backward", name, dinp, dout, turned, out, inp, t["kernel"], t["bias"], "rates")
        )

    def _emit_conv1d(self, plan: LayerPlan, layer: Conv1D, inp: int, dinp: int, out: int, dout: int) -> None:
        """Emit a dense layer over windows of the input, and the sum of the windows' gradients."""
        t = plan.tensors
        channels, positions = layer.channels(plan.input_shape), plan.output_shape[0]
        size, stride = layer.kernel_size * channels, layer.strides * channels
        n, wants_dinp, rows = math.prod(plan.input_shape), bool(self._forward), self.rows
        drows, fold = dinp, ""
        if stride != size or n != positions * size:
            fold = self._stamps.conv1d(n, positions, size, stride, rows)
            drows = self._scratch(rows * positions * size)
            if rows > 1:  # one input's windows can be read where they lie
                windows, stride = self._scratch(rows * positions * size), size
                self._forward.append(_call("conv1d_unfold", fold, windows, inp))
                inp = windows
        name = self._stamps.dense(
            rows * positions, size, layer.filters, layer.activation, stride=stride, wants_dinp=wants_dinp
        )
        turned = self._scratch(size * layer.filters)
        self._forward.append(_call("dense_forward", name, out, inp, t["kernel"], t["bias"]))
        if wants_dinp and fold:
            self._backward.append(_call("conv1d_fold", fold, dinp, drows))
        self._backward.append(
            _call("dense_backward", name, drows, dout, turned, out, inp, t["kernel"], t["bias"], "rates")
        )

    def _emit_lstm(self, plan: LayerPlan, layer: LSTM, inp: int, dinp: int, out: int, dout: int) -> None:
        """Emit the dense layer of all inputs, the recurrence, and the dense updates of both kernels."""
        t, (positions, channels) = plan.tensors, plan.input_shape
        units, steps = layer.units, self.rows * positions
        name, inputs, outputs = self._stamps.lstm(positions, channels, layer, self.rows)
        gates, dgates = self._scratch(4 * steps * units), self._scratch(4 * steps * units)
        cell, before, dcell = (self._scratch(size * units) for size in (steps, steps, 1))
        turned = self._scratch(4 * units * channels)
        kernel, recurrent = t["kernel"], t["recurrent_kernel"]
        self._forward.append(_call("dense_forward", inputs, gates, inp, kernel, t["bias"]))
        self._forward.append(_call("lstm_forward", name, out, gates, cell, before, recurrent))
        # The last call comes first.
        self._backward.append(
            _call("dense_backward", inputs, dinp, dgates, turned, dgates, inp, kernel, t["bias"], "rates")
        )
        self._backward.append(
            _call("dense_backward", outputs, *(dgates,) * 4, before, recurrent, recurrent, "rates")
        )
        self._backward.append(_call("lstm_backward", name, dgates, dout, dcell, gates, cell, recurrent))

    def _emit_encoder(
        self, plan: LayerPlan, layer: TransformerEncoder, inp: int, dinp: int, out: int, dout: int
    ) -> None:
        (positions, channels), rows = plan.input_shape, self.rows
        context, units = layer.num_heads * layer.key_dim, layer.hidden(plan.input_shape)
        lanes = positions * layer.num_heads
        period = max(layer.num_heads, self.shape.lane_width(lanes, layer.num_heads))
        block = Offsets({t.name.upper(): t.size for t in layer.block_parameters(plan.input_shape)})
        saved = Offsets(
            {
                "QKV": rows * positions * 3 * context,
                "WEIGHTS": rows * positions * lanes,
                "CONTEXT": rows * positions * context,
                "MID": rows * positions * channels,
                "HIDDEN": rows * positions * units,
                "NORM": rows * positions * channels,
                "RATES": 2 * rows,
            }
        )
        scratch = Offsets(
            {
                "WIDE": rows * positions * max(3 * context, units),
                "NARROW": rows * positions * max(context, channels),
                "TURNED": channels * max(3 * context, units),
                "LANES": 3 * layer.key_dim * lanes
                + 2 * positions * layer.key_dim * period
                + positions * lanes,
            }
        )
        name = self._stamps.encoder(positions, channels, layer, rows, block, saved, scratch)
        at_saved, at_scratch = self._scratch(layer.blocks * saved.end), self._scratch(scratch.end)
        weights = plan.tensors["block0.qkv_kernel"]
        self._forward.append(
            _call("encoder_forward", name, out, at_saved, at_scratch, inp, weights, "shared")
        )
        places = (dinp, dout, at_scratch, out, at_saved, inp, weights)
        self._backward.append(_call("encoder_backward", name, *places, "rates", "shared"))


def _call(function: str, stamp: str, *arguments: int | Placed | str) -> str:
    """Return a call; a number is an offset in the lane's memory, a tensor lies at its own."""
    words = []
    for argument in arguments:
        offset = argument.offset if isinstance(argument, Placed) else argument
        words.append(f"net + {offset}" if isinstance(offset, int) else offset)
    return f"{function}_{stamp}({', '.join(words)});"
