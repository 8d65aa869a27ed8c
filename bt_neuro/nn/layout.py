"""Where every number of a network lies: one flat block with named views, the same on every device.

    parameters | first moments | second moments | running statistics
    <-- size_parameters each --------------->

Each tensor starts at a multiple of 16 numbers, so that a vector load is aligned; the gaps stay 0. A kernel
program appends its scratch memory behind the block, which is no state and is never saved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import LayerError
from bt_neuro.nn.layer import Layer, Shape, Tensor
from bt_neuro.nn.losses import Loss, MeanSquaredError
from bt_neuro.nn.optimizers import SGD, Adam, Optimizer

ALIGNMENT = 16


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Placed:
    """A tensor and its offset in the block, in numbers."""

    tensor: Tensor
    offset: int

    def view(self, block: NDArray[np.floating]) -> NDArray[np.floating]:
        return block[self.offset : self.offset + self.tensor.size].reshape(self.tensor.shape)


@dataclass(frozen=True)
class LayerPlan:
    """A layer in its place: shapes of its inputs and outputs, its tensors by short name."""

    name: str
    index: int
    layer: Layer
    input_shape: Shape
    output_shape: Shape
    tensors: dict[str, Placed]

    def named(self) -> Iterator[tuple[str, Placed]]:
        """Yield ("dense_4.kernel", place) of each tensor."""
        return ((f"{self.name}.{name}", placed) for name, placed in self.tensors.items())


class Layout:
    """The plan of a network's memory.

    Parameters
    ----------
    layers : the layers, first to last
    n_inputs : numbers in one input window
    optimizer : says how many moments stand beside each parameter
    loss : what learning makes small
    """

    def __init__(
        self, layers: Sequence[Layer], n_inputs: int, optimizer: Optimizer, loss: Loss | None = None
    ) -> None:
        if not layers or n_inputs < 1:
            raise LayerError("a network needs at least one input and one layer")
        self.layers, self.n_inputs = tuple(layers), n_inputs
        self.optimizer, self.loss = optimizer, loss or MeanSquaredError()
        shapes: list[Shape] = [(n_inputs,)]
        for index, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise LayerError(f"layers() must give layers such as Dense(200, 'tanh'), not {layer!r}")
            try:
                shapes.append(layer.output_shape(shapes[-1]))
            except LayerError as error:
                raise LayerError(f"layer {index}, {error}") from error
        tensors: list[dict[str, Placed]] = [{} for _ in layers]
        end = self._place(0, tensors, [layer.parameters(s) for layer, s in zip(layers, shapes, strict=False)])
        self.size_parameters = end
        start = end * (1 + len(optimizer.moments))
        self.size = self._place(
            start, tensors, [layer.statistics(s) for layer, s in zip(layers, shapes, strict=False)]
        )
        self.plans = [
            LayerPlan(f"{layer.kind}_{i}", i, layer, shapes[i], shapes[i + 1], tensors[i])
            for i, layer in enumerate(layers)
        ]
        self.n_outputs = math.prod(shapes[-1])
        self._check_outputs()
        published = any(getattr(layer, "gradient", "exact") == "published" for layer in layers)
        if published and (type(optimizer) not in (Adam, SGD) or optimizer.global_clipnorm):
            raise LayerError(f"a published gradient goes with Adam or SGD, unclipped, not {optimizer}")

    def _check_outputs(self) -> None:
        """Refuse a softmax that is not last, and a loss that does not fit the outputs."""
        *others, last = (getattr(layer, "activation", None) == "softmax" for layer in self.layers)
        if any(others):
            raise LayerError(f"layer {others.index(True)}: a softmax can only end the last layer")
        if self.loss.needs_softmax and not last:
            end = f"end with Dense({self.n_outputs}, 'softmax'), not {self.layers[-1]}"
            raise LayerError(f"{self.loss} needs a softmax: {end}")
        if isinstance(self.loss.weights, tuple) and len(self.loss.weights) != self.n_outputs:
            raise LayerError(f"{self.loss}: give one weight for each of {self.n_outputs} outputs")

    @staticmethod
    def _place(end: int, placed: list[dict[str, Placed]], wanted: list[Sequence[Tensor]]) -> int:
        for names, tensors in zip(placed, wanted, strict=True):
            for tensor in tensors:
                names[tensor.name] = Placed(tensor, end)
                end += aligned(tensor.size)
        return end

    def parts(self, rows: int) -> Iterator[LayerPlan]:
        """Yield what is run, in order, where so many windows make one step."""
        for plan in self.plans:
            shape = plan.input_shape
            for layer in plan.layer.parts(rows):
                yield replace(plan, layer=layer, input_shape=shape)
                shape = plan.output_shape

    @property
    def n_parameters(self) -> int:
        return sum(placed.tensor.size for _, placed in self.parameters())

    def parameters(self) -> Iterator[tuple[str, Placed]]:
        """Yield name and place of everything the optimiser moves."""
        return ((name, placed) for name, placed in self._named() if placed.offset < self.size_parameters)

    def statistics(self) -> Iterator[tuple[str, Placed]]:
        return ((name, placed) for name, placed in self._named() if placed.offset >= self.size_parameters)

    def state(self) -> Iterator[tuple[str, Placed]]:
        """Yield everything a checkpoint holds: parameters, their moments, running statistics."""
        yield from self._named()
        for slot, moment in enumerate(self.optimizer.moments, start=1):
            for name, placed in self.parameters():
                yield f"{name}.{moment}", Placed(placed.tensor, placed.offset + slot * self.size_parameters)

    def _named(self) -> Iterator[tuple[str, Placed]]:
        for plan in self.plans:
            yield from plan.named()

    def initial_block(self, seed: int) -> NDArray[np.float64]:
        """Return the block before any learning: Glorot's uniform kernels, the tensors' own starts, zeros."""
        random = np.random.default_rng(seed)
        block = np.zeros(self.size)
        for _, placed in self._named():
            view, fan = placed.view(block), placed.tensor.fan
            if fan is None:
                view.reshape(np.size(placed.tensor.start), -1).T[...] = placed.tensor.start
            else:
                limit = math.sqrt(6 / sum(fan))
                view[...] = random.uniform(-limit, limit, size=view.shape)
        return block
