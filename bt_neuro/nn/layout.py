"""Layout of a network's state: one flat array with named tensors, the same on every device.

    parameters, running statistics | first moments | second moments | averaged parameters and statistics
    <------------ slot -----------><---- slot -----><---- slot -----><-------------- slot ------------->

A slot is as long as parameters and statistics, so that a moment or an average lies a multiple of `slot`
behind its parameter. Each tensor starts at a multiple of 16 numbers, so that a vector load is aligned; the
gaps stay 0. A kernel program appends its scratch memory behind the state; it is never saved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import LayerError
from bt_neuro.nn.layers.base import Layer, LayerPlan, Placed, Shape, Tensor
from bt_neuro.nn.losses import Loss, MeanSquaredError
from bt_neuro.nn.opencl.specialize import aligned
from bt_neuro.nn.optimizers import AVERAGE, Optimizer


class Layout:
    """Shapes and offsets of a network of layers.

    Parameters
    ----------
    layers : the layers, first to last
    n_inputs : numbers in one input window
    optimizer : gives the moments that stand beside each parameter
    loss : `MeanSquaredError` by default

    Raises
    ------
    LayerError
        When layers, optimiser and loss do not fit each other.
    """

    def __init__(
        self, layers: Sequence[Layer], n_inputs: int, optimizer: Optimizer, loss: Loss | None = None
    ) -> None:
        if not layers or n_inputs < 1:
            raise LayerError("a network must have at least one input and one layer")
        self.layers, self.n_inputs = tuple(layers), n_inputs
        self.optimizer, self.loss = optimizer, loss or MeanSquaredError()
        shapes: list[Shape] = [(n_inputs,)]
        for index, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise LayerError(f"each layer must be one such as Dense(200, 'tanh'), got {layer!r}.")
            try:
                shapes.append(layer.output_shape(shapes[-1]))
            except LayerError as error:
                raise LayerError(f"layer {index}, {error}") from error
            layer.require_optimizer(optimizer)
        placed: list[dict[str, Placed]] = [{} for _ in layers]
        own = list(zip(layers, shapes, strict=False))
        self.size_parameters = _place(0, placed, [layer.parameters(shape) for layer, shape in own])
        self.slot = _place(self.size_parameters, placed, [layer.statistics(shape) for layer, shape in own])
        self.size = self.slot * (1 + len(optimizer.slots))
        self.plans = [
            LayerPlan(f"{layer.kind}_{i}", i, layer, shapes[i], shapes[i + 1], placed[i])
            for i, layer in enumerate(layers)
        ]
        self.n_outputs = math.prod(shapes[-1])
        self._require_outputs()

    def _require_outputs(self) -> None:
        *others, last = (getattr(layer, "activation", None) == "softmax" for layer in self.layers)
        if any(others):
            raise LayerError(f"layer {others.index(True)}: only the last layer may have a softmax.")
        if self.loss.needs_softmax and not last:
            end = f"end with Dense({self.n_outputs}, 'softmax'), not {self.layers[-1]}"
            raise LayerError(f"{self.loss} needs a softmax: {end}")
        if isinstance(self.loss.weights, tuple) and len(self.loss.weights) != self.n_outputs:
            raise LayerError(f"{self.loss} must have one weight for each of {self.n_outputs} outputs.")

    def parts(self, batch_size: int) -> Iterator[LayerPlan]:
        """Yield the layers that run, in order, for this batch size."""
        for plan in self.plans:
            shape = plan.input_shape
            for layer in plan.layer.parts(batch_size):
                yield replace(plan, layer=layer, input_shape=shape)
                shape = plan.output_shape

    @property
    def n_parameters(self) -> int:
        return sum(placed.tensor.size for _, placed in self.parameters())

    def parameters(self) -> Iterator[tuple[str, Placed]]:
        """Yield name and place of each tensor that the optimiser moves."""
        return ((name, placed) for name, placed in self._named() if placed.offset < self.size_parameters)

    def tensors(self) -> Iterator[tuple[str, Placed]]:
        """Yield name and place of the whole state: parameters, running statistics, moments."""
        yield from self._named()
        for number, slot in enumerate(self.optimizer.slots, start=1):
            for name, placed in self._named() if slot == AVERAGE else self.parameters():
                yield f"{name}.{slot}", Placed(placed.tensor, placed.offset + number * self.slot)

    @property
    def predicting(self) -> int:
        """Offset of the parameters and statistics that predict: 0, or that of the averaged ones."""
        return 0 if self.optimizer.average is None else self.size - self.slot

    def _named(self) -> Iterator[tuple[str, Placed]]:
        for plan in self.plans:
            yield from plan.named()

    def initial_state(self, seed: int) -> NDArray[np.float64]:
        """Return the state before any learning: Glorot's uniform kernels, the tensors' own starts, zeros."""
        random = np.random.default_rng(seed)
        state = np.zeros(self.size)
        for _, placed in self._named():
            view, fan = placed.view(state), placed.tensor.fan
            if fan is None:
                view.reshape(np.size(placed.tensor.start), -1).T[...] = placed.tensor.start
            else:
                limit = math.sqrt(6 / sum(fan))
                view[...] = random.uniform(-limit, limit, size=view.shape)
        state[self.predicting :][: self.slot] = state[: self.slot]
        return state


def _place(end: int, placed: list[dict[str, Placed]], tensors: list[Sequence[Tensor]]) -> int:
    """Place each layer's tensors behind one another; return where they end."""
    for names, owned in zip(placed, tensors, strict=True):
        for tensor in owned:
            names[tensor.name] = Placed(tensor, end)
            end += aligned(tensor.size)
    return end
