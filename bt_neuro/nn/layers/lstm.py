"""Long short-term memory over positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bt_neuro.nn.layers.base import Layer, LayerPlan, Shape, Tensor
from bt_neuro.nn.layers.dense import specialize_dense
from bt_neuro.nn.opencl.specialize import Arrays, Emitter
from bt_neuro.nn.reference.layers import lstm_backward, lstm_forward
from bt_neuro.nn.reference.passes import Passes, window_by_window


@dataclass(frozen=True)
class LSTM(Layer):
    """Long short-term memory over the positions: tanh, gates by sigmoids (Hochreiter and Schmidhuber 1997).

    Parameters
    ----------
    units : size of the state and of the output
    return_sequences : output every position, not only the last one

    Notes
    -----
    As in Keras: one bias, gates in the order input, forget, cell, output, the forget gate's bias starts at 1.
    """

    units: int
    return_sequences: bool = False
    kind: ClassVar[str] = "lstm"
    reference: ClassVar[Passes] = window_by_window(lstm_forward, lstm_backward)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.units >= 1, "units must be 1 or more")

    def output_shape(self, shape: Shape) -> Shape:
        self.require_positions(shape)
        return (shape[0], self.units) if self.return_sequences else (self.units,)

    def parameters(self, shape: Shape) -> Sequence[Tensor]:
        u = self.units
        return (
            Tensor("kernel", (shape[1], 4 * u), fan=(shape[1], u)),
            Tensor("recurrent_kernel", (u, 4 * u), fan=(u, u)),
            Tensor("bias", (4 * u,), start=(0.0, 1.0, 0.0, 0.0)),
        )

    def emit(self, emitter: Emitter, plan: LayerPlan, at: Arrays) -> None:
        """Add the dense layer of all inputs, the recurrence, and the dense updates of both kernels."""
        (positions, channels), u = plan.input_shape, self.units
        rows = emitter.batch_size * positions
        inputs = specialize_dense(emitter, rows, channels, 4 * u, None)
        name = emitter.specialize(
            "lstm.cl",
            f"{positions}x{u}",
            POSITIONS=positions,
            UNITS=u,
            WIDTH=emitter.shape.width(u),
            SEQUENCES=int(self.return_sequences),
        )
        outputs = specialize_dense(emitter, rows, u, 4 * u, None, wants_dinp=False, has_bias=False)
        gates, dgates = emitter.scratch(4 * rows * u), emitter.scratch(4 * rows * u)
        # Many items turn the recurrent weights, behind dcell.
        turned_units = 0 if emitter.shape.work_items == 1 else 4 * u
        cell, before, dcell = (emitter.scratch(size * u) for size in (rows, rows, 1 + turned_units))
        turned = emitter.scratch(4 * u * channels)
        kernel, recurrent, bias = (
            plan.tensors[name].offset for name in ("kernel", "recurrent_kernel", "bias")
        )
        emitter.call_forward("dense_forward", inputs, gates, at.inp, kernel, bias, "shared")
        emitter.call_forward("lstm_forward", name, at.out, gates, cell, before, recurrent)
        # The last call runs first.
        arguments = at.dinp, dgates, turned, dgates, at.inp, kernel, bias
        emitter.call_backward("dense_backward", inputs, *arguments, "rates", "shared")
        arguments = *(dgates,) * 4, before, recurrent, recurrent
        emitter.call_backward("dense_backward", outputs, *arguments, "rates", "shared")
        emitter.call_backward("lstm_backward", name, dgates, at.dout, dcell, gates, cell, recurrent)
