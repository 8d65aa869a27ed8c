"""Fully connected layer, and the dense kernels that other layers call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bt_neuro.nn.layers.base import (
    ACTIVATIONS,
    ActivationName,
    Layer,
    LayerPlan,
    Shape,
    Tensor,
    kernel_and_bias,
)
from bt_neuro.nn.opencl.specialize import Arrays, Emitter, largest_divisor, macro_of
from bt_neuro.nn.reference.layers import dense_layer_backward, dense_layer_forward
from bt_neuro.nn.reference.passes import Passes

_GROUP = 32  # rows of weights between two barriers in dense_items.cl


@dataclass(frozen=True)
class Dense(Layer):
    """Fully connected layer, ``act(inputs @ kernel + bias)``, over all numbers of the layer before it.

    Parameters
    ----------
    units : number of outputs; multiples of 16 are fastest
    activation : None, "tanh", "sigmoid", "leaky_relu" (slope 0.01), "relu", "gelu"; in the last layer also
        "softmax"

    Notes
    -----
    An input of (positions, channels) is read as one row: Keras would need a ``Flatten`` before it.
    """

    units: int
    activation: ActivationName = None
    kind: ClassVar[str] = "dense"
    reference: ClassVar[Passes] = dense_layer_forward, dense_layer_backward
    activations: ClassVar[tuple[str | None, ...]] = (*ACTIVATIONS, "softmax")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.units >= 1, "units must be 1 or more")

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        return kernel_and_bias("", math.prod(shape), self.units)

    def emit(self, emitter: Emitter, plan: LayerPlan, at: Arrays) -> None:
        n_in = math.prod(plan.input_shape)
        name = specialize_dense(
            emitter, emitter.batch_size, n_in, self.units, self.activation, wants_dinp=bool(emitter.forward)
        )
        # One row needs no transposed weights.
        turned = at.dinp if emitter.batch_size == 1 else emitter.scratch(n_in * self.units)
        emit_dense(emitter, name, plan, at, at.inp, at.dinp, turned)


def emit_dense(
    emitter: Emitter, name: str, plan: LayerPlan, at: Arrays, inp: int, dinp: int, turned: int
) -> None:
    """Add the two calls of a dense layer with the layer's own kernel and bias."""
    kernel, bias = plan.tensors["kernel"].offset, plan.tensors["bias"].offset
    emitter.call_forward("dense_forward", name, at.out, inp, kernel, bias, "shared")
    arguments = dinp, at.dout, turned, at.out, inp, kernel, bias
    emitter.call_backward("dense_backward", name, *arguments, "rates", "shared")


def specialize_dense(
    emitter: Emitter,
    positions: int,
    n_in: int,
    n_out: int,
    activation: ActivationName,
    *,
    stride: int | None = None,
    wants_dinp: bool = True,
    has_bias: bool = True,
) -> str:
    """Specialise dense.cl, or dense_items.cl for many work-items; their headers explain the macros."""
    shape, stride = emitter.shape, n_in if stride is None else stride
    turns = positions > 1 and wants_dinp
    matmul_out = _specialize_matmul(emitter, positions, n_in, n_out, stride, activation)
    matmul_inp = _specialize_matmul(emitter, positions, n_out, n_in, n_out, None) if turns else ""
    macros = {
        "POSITIONS": positions,
        "N_IN": n_in,
        "STRIDE": stride,
        "N_OUT": n_out,
        "ACTIVATION": macro_of(activation),
        "WANTS_DINP": int(wants_dinp),
        "HAS_BIAS": int(has_bias),
        "LINEAR": int(activation is None),
        "MATMUL_OUT": f"matmul_{matmul_out}",
        "MATMUL_INP": f"matmul_{matmul_inp}" if turns else "unused",
    }
    is_for_items = shape.work_items > 1
    macros |= (_tiles_of_items if is_for_items else _tiles_of_vectors)(emitter, positions, n_in, n_out)
    file = "dense_items.cl" if is_for_items else "dense.cl"
    return emitter.specialize(file, f"{positions}x{n_in}x{n_out}_{activation or 'none'}", **macros)


def _tiles_of_items(emitter: Emitter, positions: int, n_in: int, n_out: int) -> dict[str, int]:
    """Return the macros of dense_items.cl that deal the weights out, and reserve local memory for its sums."""
    items = emitter.shape.work_items
    group = min(_GROUP, items)
    whole = n_out > items // 2 or positions > 1
    if whole and positions == 1:
        emitter.shared = max(emitter.shared, group * (items + items // group) + items)
    # As many rows as leave a weight to each item.
    fits = (rows for rows in (4, 2) if n_in % rows == 0 and n_in // rows * n_out >= items)
    return {
        "ROWS": next(fits, 1),
        "GROUP": group,
        "SLICES": 1 if whole else 1 << (items // n_out).bit_length() - 1,
    }


def _tiles_of_vectors(emitter: Emitter, positions: int, n_in: int, n_out: int) -> dict[str, int]:
    """Return the macros of dense.cl for the sizes of its vectors and tiles."""
    shape = emitter.shape
    width = shape.width(n_out)
    # The update's tiles are whole rows of wide vectors, if the registers hold two.
    wide, strip = shape.widest(n_out), n_out
    cols = -(-n_out // wide)
    rows = largest_divisor(n_in, shape.registers // (cols + 1))
    if shape.registers < 2 * (cols + 1):
        rows, cols = shape.tile(n_in, n_out // width)
        wide, strip = width, width * cols
    rest = n_out % wide
    tail = rest if cols > 1 and strip == n_out and rest == shape.width(rest or 1) else 0
    cols -= tail > 0
    # The optimiser's vectors go over the ends of rows, where whole rows lie behind one another.
    flat = shape.width(rows * n_out if strip == n_out else strip)
    pairs = positions == 1 and width == shape.vector // 2 > 0 == n_in % 2
    if positions == 1:
        flat = shape.width(2 * n_out) if pairs else width
    return {
        "WIDTH": width,
        "DOTS": largest_divisor(n_out // width, 8),
        "WIDE": wide,
        "COLS": cols,
        "TAIL": tail,
        "STRIP": strip,
        "WEIGHT_ROWS": rows,
        "FLAT": flat,
        "PAIRS": int(pairs),
        "TILE": 8 if shape.vector > 1 and n_in % 8 == 0 == n_out % 8 else 1,
    }


def _specialize_matmul(
    emitter: Emitter, positions: int, n_in: int, n_out: int, stride: int, activation: ActivationName
) -> str:
    width = emitter.shape.widest(n_out)
    vectors, rest = n_out // width, n_out % width
    rows, cols = emitter.shape.tile(positions, vectors + (rest > 0), overlaps=True)
    tail = rest if cols > vectors and rest == emitter.shape.width(rest) else 0
    cols, vectors = (vectors, vectors) if tail else (cols, vectors + (rest > 0))
    return emitter.specialize(
        "matmul.cl",
        f"{positions}x{n_in}x{n_out}_{activation or 'none'}",
        POSITIONS=positions,
        N_IN=n_in,
        STRIDE=stride,
        N_OUT=n_out,
        WIDTH=width,
        STRIPS=-(-vectors // cols),
        TILE_ROWS=rows,
        TILE_COLS=cols,
        TAIL=tail,
        ACTIVATION=macro_of(activation),
    )
