"""Transformer encoder: multi-head self-attention and a feed-forward pair, each added and normalised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bt_neuro.nn.layers.base import ActivationName, Layer, LayerPlan, Shape, Tensor, kernel_and_bias
from bt_neuro.nn.layers.dense import specialize_dense
from bt_neuro.nn.opencl.specialize import Arrays, Emitter, Offsets, macro_of
from bt_neuro.nn.reference.layers import encoder_backward, encoder_forward
from bt_neuro.nn.reference.passes import Passes, window_by_window


@dataclass(frozen=True)
class TransformerEncoder(Layer):
    """A stack of encoder blocks: multi-head self-attention, then a feed-forward pair, each with its norm.

    Parameters
    ----------
    blocks : number of blocks, each with its own weights (5)
    num_heads, key_dim : heads (8) and numbers a head (4), as in Keras's MultiHeadAttention
    units : width of the feed-forward layer; 4 x channels by default
    activation : of the last block's output, as in `Dense`
    epsilon : of the normalisation (1e-6)

    Notes
    -----
    The normalisation makes the whole (positions x channels) output of a block mean 0 and variance 1, without
    scale and shift; the feed-forward activation is leaky ReLU. Vaswani et al. 2017, in the article's form.
    """

    blocks: int = 5
    num_heads: int = 8
    key_dim: int = 4
    units: int | None = None
    activation: ActivationName = None
    epsilon: float = 1e-6
    kind: ClassVar[str] = "encoder"
    reference: ClassVar[Passes] = window_by_window(encoder_forward, encoder_backward)

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = (self.blocks, self.num_heads, self.key_dim, 1 if self.units is None else self.units)
        self.require(min(sizes) >= 1, "sizes must be 1 or more")

    def output_shape(self, shape: Shape) -> Shape:
        self.require_positions(shape)
        return shape

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return [
            Tensor(f"block{block}.{tensor.name}", tensor.shape, tensor.start, tensor.fan)
            for block in range(self.blocks)
            for tensor in self._block_parameters(shape)
        ]

    def _block_parameters(self, shape: Shape) -> list[Tensor]:
        """Return one block's tensors; the columns of "qkv" are (query key value, key_dim, heads)."""
        channels, width, units = shape[1], self.num_heads * self.key_dim, self._hidden(shape)
        return [
            *kernel_and_bias("qkv_", channels, 3 * width, fan_out=width),
            *_joins_the_sum("project_", width, channels),
            *kernel_and_bias("expand_", channels, units),
            *_joins_the_sum("contract_", units, channels),
        ]

    def _hidden(self, shape: Shape) -> int:
        return self.units if self.units is not None else 4 * shape[1]

    def emit(self, emitter: Emitter, plan: LayerPlan, at: Arrays) -> None:
        (positions, channels), shape = plan.input_shape, emitter.shape
        context, units = self.num_heads * self.key_dim, self._hidden(plan.input_shape)
        lanes, rows, n = positions * self.num_heads, emitter.batch_size * positions, positions * channels
        lane_width = shape.lane_width(lanes, self.num_heads)
        period = max(self.num_heads, lane_width)
        block = Offsets({t.name.upper(): t.size for t in self._block_parameters(plan.input_shape)})
        saved = Offsets(
            {
                "QKV": rows * 3 * context,
                "WEIGHTS": rows * lanes,
                "CONTEXT": rows * context,
                "MID": rows * channels,
                "HIDDEN": rows * units,
                "NORM": rows * channels,
                "RATES": 2 * emitter.batch_size,
            }
        )
        spread = 3 * self.key_dim * lanes + 2 * positions * self.key_dim * period + positions * lanes
        scratch = Offsets(
            {
                "WIDE": rows * max(3 * context, units),
                "NARROW": rows * max(context, channels),
                "TURNED": channels * max(3 * context, units),
                "LANES": spread,
            }
        )
        attention = emitter.specialize(
            "attention.cl" if shape.work_items == 1 else "attention_items.cl",
            f"{positions}x{self.key_dim}x{self.num_heads}",
            POSITIONS=positions,
            HEADS=self.num_heads,
            KEY_DIM=self.key_dim,
            WIDTH=lane_width,
            HEAD_WIDTH=shape.width(self.num_heads),
            PERIOD=period,
            SCALE=1 / math.sqrt(self.key_dim),
        )
        norm = emitter.specialize("residual_norm.cl", f"{n}", N=n, WIDTH=shape.width(n), EPSILON=self.epsilon)
        name = emitter.specialize(
            "encoder.cl",
            f"{self.blocks}x{positions}x{channels}_{self.activation or 'none'}",
            BLOCKS=self.blocks,
            N=n,
            CONTEXT_SIZE=positions * context,
            WEIGHTS_SIZE=positions * lanes,
            WIDTH=shape.width(n),
            ACTIVATION=macro_of(self.activation),
            BLOCK_PARAMETERS=block.end,
            BLOCK_SAVED=saved.end,
            **block.macros,
            **saved.macros,
            **scratch.macros,
            QKV=specialize_dense(emitter, rows, channels, 3 * context, None),
            PROJECT=specialize_dense(emitter, rows, context, channels, None),
            EXPAND=specialize_dense(emitter, rows, channels, units, "leaky_relu"),
            CONTRACT=specialize_dense(emitter, rows, units, channels, None),
            ATTENTION=attention,
            NORM=norm,
        )
        at_saved, at_scratch = emitter.scratch(self.blocks * saved.end), emitter.scratch(scratch.end)
        weights = plan.tensors["block0.qkv_kernel"].offset
        emitter.call_forward("encoder_forward", name, at.out, at_saved, at_scratch, at.inp, weights, "shared")
        places = at.dinp, at.dout, at_scratch, at.out, at_saved, at.inp, weights
        emitter.call_backward("encoder_backward", name, *places, "rates", "shared")


def _joins_the_sum(prefix: str, n_in: int, n_out: int) -> list[Tensor]:
    # An addend to a block's input starts at 0, so that a fresh block passes its input on: with Glorot's
    # start the five blocks hide the bars from the layers behind (docs/explanation/defaults.md).
    return [Tensor(f"{prefix}kernel", (n_in, n_out)), Tensor(f"{prefix}bias", (n_out,))]
