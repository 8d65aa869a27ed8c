"""From layers to kernel source: where each layer's numbers lie, and the calls in their order.

The functions called are those of `kernels/`, stamped for the sizes of the network by `Stamps`. No C is made
here beyond constants and the list of calls.
"""

from __future__ import annotations

import math

from bt_neuro.nn.layers import BatchNorm, Conv1D, Dense, Dropout, TransformerEncoder
from bt_neuro.nn.layout import LayerPlan, Layout, Placed, aligned
from bt_neuro.nn.optimizers import SGD
from bt_neuro.nn.reference import dropout_key
from bt_neuro.nn.stamps import KernelShape, Offsets, Stamps, included

_COMMON = ("common.cl", "activation.cl", "random.cl", "optimizer.cl", "transpose.cl")


class Program:
    """The kernel source of one network for one kernel shape.

    Attributes
    ----------
    source : OpenCL C, complete
    size : numbers of one lane: the layout's block and the scratch behind it
    """

    def __init__(self, layout: Layout, shape: KernelShape) -> None:
        self.layout, self.shape, self.size = layout, shape, aligned(layout.size)
        self._stamps = Stamps(shape)
        self._forward: list[str] = []
        self._backward: list[str] = []  # first call last, as the layers come
        inputs = self._out = self._scratch(layout.n_inputs)
        self._dout = self._scratch(layout.n_inputs)
        for plan in layout.plans:
            self._emit(plan)
        loss = self._stamps.mean_squared_error(layout.n_outputs)
        self._backward.append(_call("mean_squared_error_backward", loss, self._dout, self._out, "target"))
        self.source = self._assemble(inputs)

    def _assemble(self, inputs: int) -> str:
        optimizer = self.layout.optimizer
        constants = {
            "DOUBLE": int(self.shape.double),
            "VECTOR": self.shape.vector,
            "WORK_ITEMS": self.shape.work_items,
            "OPTIMIZER_ADAM": int(not isinstance(optimizer, SGD)),
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
            "FUNCTION network_forward(global real* net, global const real* window, const int moves,",
            "    const int learns, const uint step, const uint seed, local real* shared) {",
            f"  FOR_ITEMS(i, N_INPUTS) net[{inputs} + i] = window[i];",
            "  SYNC;",
            *(f"  {call}" for call in self._forward),
            "}",
            "FUNCTION network_backward(global real* net, global const real* target, const real2 rates,",
            "    local real* shared) {",
            *(f"  {call}" for call in reversed(self._backward)),
            "}",
            included("network.cl"),
        ]
        return "\n".join(parts)

    def _scratch(self, size: int) -> int:
        offset = self.size
        self.size += aligned(size)
        return offset

    # -- the calls of a layer --------------------------------------------------------------------------------
    def _emit(self, plan: LayerPlan) -> None:
        """Append a layer's calls; its outputs are the next one's inputs."""
        layer = plan.layer
        if isinstance(layer, BatchNorm) and layer.is_off:
            return
        inp, dinp, size = self._out, self._dout, math.prod(plan.output_shape)
        out, dout = self._out, self._dout = self._scratch(size), self._scratch(size)
        if isinstance(layer, Dense):
            self._emit_dense(plan, layer, inp, dinp, out, dout)
        elif isinstance(layer, Conv1D):
            self._emit_conv1d(plan, layer, inp, dinp, out, dout)
        elif isinstance(layer, BatchNorm):
            self._emit_batch_norm(plan, layer, inp, dinp, out, dout)
        elif isinstance(layer, Dropout):
            self._emit_dropout(plan, layer, inp, dinp, out, dout)
        elif isinstance(layer, TransformerEncoder):
            self._emit_encoder(plan, layer, inp, dinp, out, dout)
        else:
            raise TypeError(f"no kernel for {layer}")

    def _emit_dense(self, plan: LayerPlan, layer: Dense, inp: int, dinp: int, out: int, dout: int) -> None:
        n_in, wants_dinp = math.prod(plan.input_shape), plan.index > 0
        name = self._stamps.dense(1, n_in, layer.units, layer.activation, wants_dinp=wants_dinp)
        t, unused = plan.tensors, dinp
        self._forward.append(_call("dense_forward", name, out, inp, t["kernel"], t["bias"]))
        self._backward.append(
            _call("dense_backward", name, dinp, dout, unused, out, inp, t["kernel"], t["bias"], "rates")
        )

    def _emit_conv1d(self, plan: LayerPlan, layer: Conv1D, inp: int, dinp: int, out: int, dout: int) -> None:
        """Emit a dense layer over windows of the input, and the sum of the windows' gradients."""
        channels, positions = layer.channels(plan.input_shape), plan.output_shape[0]
        size, stride = layer.kernel_size * channels, layer.strides * channels
        n, wants_dinp = math.prod(plan.input_shape), plan.index > 0
        name = self._stamps.dense(
            positions, size, layer.filters, layer.activation, stride=stride, wants_dinp=wants_dinp
        )
        t, turned, drows = plan.tensors, self._scratch(size * layer.filters), dinp
        self._forward.append(_call("dense_forward", name, out, inp, t["kernel"], t["bias"]))
        if wants_dinp and (stride != size or n != positions * size):
            drows = self._scratch(positions * size)
            fold = self._stamps.conv1d_fold(n, positions, size, stride)
            self._backward.append(_call("conv1d_fold", fold, dinp, drows))
        self._backward.append(
            _call("dense_backward", name, drows, dout, turned, out, inp, t["kernel"], t["bias"], "rates")
        )

    def _emit_batch_norm(
        self, plan: LayerPlan, layer: BatchNorm, inp: int, dinp: int, out: int, dout: int
    ) -> None:
        n = math.prod(plan.input_shape)
        name, xhat, t = self._stamps.batch_norm(n, layer), self._scratch(n), plan.tensors
        mean, variance, scale = t["moving_mean"], t["moving_variance"], (t["gamma"], t["beta"])
        self._forward.append(
            _call("batch_norm_forward", name, out, mean, variance, xhat, inp, *scale, "moves")
        )
        self._backward.append(
            _call("batch_norm_backward", name, dinp, dout, out, xhat, variance, *scale, "rates")
        )

    def _emit_dropout(
        self, plan: LayerPlan, layer: Dropout, inp: int, dinp: int, out: int, dout: int
    ) -> None:
        n = math.prod(plan.input_shape)
        name, mask = self._stamps.dropout(n, layer), self._scratch(n)
        key = f"seed + {dropout_key(0, plan.index)}u"
        self._forward.append(_call("dropout_forward", name, out, mask, inp, key, "step", "learns"))
        self._backward.append(_call("dropout_backward", name, dinp, dout, mask))

    def _emit_encoder(
        self, plan: LayerPlan, layer: TransformerEncoder, inp: int, dinp: int, out: int, dout: int
    ) -> None:
        positions, channels = plan.input_shape
        context, units = layer.num_heads * layer.key_dim, layer.hidden(plan.input_shape)
        lanes = positions * layer.num_heads
        period = max(layer.num_heads, self.shape.lane_width(lanes, layer.num_heads))
        block = Offsets({t.name.upper(): t.size for t in layer.block_parameters(plan.input_shape)})
        saved = Offsets(
            {
                "QKV": positions * 3 * context,
                "WEIGHTS": positions * lanes,
                "CONTEXT": positions * context,
                "MID": positions * channels,
                "HIDDEN": positions * units,
                "NORM": positions * channels,
                "RATES": 2,
            }
        )
        scratch = Offsets(
            {
                "WIDE": positions * max(3 * context, units),
                "NARROW": positions * max(context, channels),
                "TURNED": channels * max(3 * context, units),
                "LANES": 3 * layer.key_dim * lanes
                + 2 * positions * layer.key_dim * period
                + positions * lanes,
            }
        )
        name = self._stamps.encoder(positions, channels, layer, block, saved, scratch)
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
