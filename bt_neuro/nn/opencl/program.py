"""Kernel source of a network: constants, specialised kernel files, and the layers' calls in their order."""

from __future__ import annotations

import math

from bt_neuro.nn.layout import Layout
from bt_neuro.nn.opencl.specialize import Arrays, Emitter, KernelShape, included
from bt_neuro.nn.optimizers import AVERAGE_EVERY, SGD, AdamW

_COMMON = ("common.cl", "activation.cl", "random.cl", "optimizer.cl", "transpose.cl")


class Program:
    """The kernel source of one network for one kernel shape.

    Parameters
    ----------
    layout : the network
    shape : how kernels are cut for the device
    batch_size : windows that make one learning step; they pass through the layers together

    Attributes
    ----------
    source : OpenCL C, complete
    size : numbers of one member: its state and the scratch behind it
    """

    def __init__(self, layout: Layout, shape: KernelShape, batch_size: int = 1) -> None:
        self.layout, self.shape, self.batch_size = layout, shape, batch_size
        emitter = self._emitter = Emitter(shape, batch_size, layout.size)
        first, last = self._emit_layers()
        loss, name = layout.loss, f"{layout.n_outputs}"
        macros = {"GAMMA": float(loss.gamma), "FOCAL": int(loss.gamma > 0)}
        emitter.specialize("loss.cl", name, N=layout.n_outputs, **macros)
        dout = last.dout
        if loss.needs_softmax:  # its gradient is the one before the softmax
            emitter.backward.pop()
            dout = last.dinp
        emitter.call_backward(f"{loss.kernel}_backward", name, dout, last.out, "target", "batch")
        gradients = 0
        if layout.optimizer.global_clipnorm is not None:
            gradients = emitter.scratch(layout.size_parameters)
            emitter.backward.insert(0, "optimizer_steps(net, rates, shared);")
        self.size = emitter.size
        self.source = self._assemble(first.inp, last.out, gradients)

    def _emit_layers(self) -> tuple[Arrays, Arrays]:
        """Emit the layers, the outputs of one being the inputs of the next; return first and last arrays."""
        emitter = self._emitter
        inputs = self.batch_size * self.layout.n_inputs
        first = at = Arrays(-1, -1, emitter.scratch(inputs), emitter.scratch(inputs))
        for part in self.layout.parts(self.batch_size):
            size = self.batch_size * math.prod(part.output_shape)
            at = Arrays(at.out, at.dout, emitter.scratch(size), emitter.scratch(size))
            # A barrier behind a condition takes PoCL minutes to build, so many items leave nothing out.
            emitter.condition = f"if (skipped != {part.index + 1}) " if self.shape.work_items == 1 else ""
            part.layer.emit(emitter, part, at)
        emitter.condition = ""
        return Arrays(first.out, first.dout, first.out, first.dout), at

    def _assemble(self, inputs: int, outputs: int, gradients: int) -> str:
        optimizer, emitter = self.layout.optimizer, self._emitter
        constants = {
            "DOUBLE": int(self.shape.double),
            "VECTOR": self.shape.vector,
            "WORK_ITEMS": self.shape.work_items,
            "SHARED": emitter.shared,
            "BATCH_SIZE": self.batch_size,
            "OPTIMIZER_ADAM": int(not isinstance(optimizer, SGD)),
            "DECAYS": int(isinstance(optimizer, AdamW)),
            "GATHERS": int(optimizer.global_clipnorm is not None),
            "CLIP_NORM": float(optimizer.global_clipnorm or 0),
            "AT_GRADIENTS": gradients,
            "BETA_1": getattr(optimizer, "beta_1", 0.0),
            "BETA_2": getattr(optimizer, "beta_2", 0.0),
            "SIZE_PARAMETERS": self.layout.size_parameters,
            "SLOT": self.layout.slot,
            "AVERAGE": optimizer.average or 0,
            "AVERAGE_EVERY": AVERAGE_EVERY,
            "PREDICTING": self.layout.predicting,
            "NETWORK_SIZE": self.size,
            "N_INPUTS": self.layout.n_inputs,
            "N_OUTPUTS": self.layout.n_outputs,
            "AT_OUTPUTS": outputs,
        }
        # A batch that is not full is filled by windows of zeros, whose gradient is 0.
        window = "window[i]" if self.batch_size == 1 else "i < batch * N_INPUTS ? window[i] : 0"
        return "\n".join(
            [
                *(f"#define {name} {value}" for name, value in constants.items()),
                *map(included, _COMMON),
                *emitter.texts,
                "FUNCTION network_forward(global real* net, global real* tensors, global const real* window,",
                "    const int batch, const int moves, const int learns, const uint step, const uint seed,",
                "    const int skipped, local real* shared) {",
                f"  FOR_ITEMS(i, BATCH_SIZE * N_INPUTS) net[{inputs} + i] = {window};",
                "  SYNC;",
                *(f"  {call}" for call in emitter.forward),
                "}",
                "FUNCTION network_backward(global real* net, global const real* target, const int batch,",
                "    const rates_t rates, const int skipped, local real* shared) {",
                *(f"  {call}" for call in reversed(emitter.backward)),
                "}",
                included("network.cl"),
            ]
        )
