"""NumPy engine: the walk through the layers of the reference, forward, backward, one update.

It defines the network, is the oracle of the kernels' tests, and runs where there is no OpenCL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bt_neuro.nn.layers.base import LayerPlan
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.optimizers import AVERAGE_EVERY
from bt_neuro.nn.reference import training
from bt_neuro.nn.reference.layers import dropout_key
from bt_neuro.nn.reference.normalization import published_adam_step
from bt_neuro.nn.reference.passes import Array, Mode, Pass, Saved


class ReferenceNetwork:
    """One network on a flat state (see `Layout`), in the state's own precision.

    Parameters
    ----------
    layout, state : the network and its numbers
    seed : of dropout
    batch_size : windows that make one learning step
    """

    def __init__(self, layout: Layout, state: Array, seed: int, batch_size: int = 1) -> None:
        self.layout, self.state, self.seed, self.batch_size = layout, state, seed, batch_size
        self.parts: list[tuple[LayerPlan, Saved]] = [(part, {}) for part in layout.parts(batch_size)]
        self._skipped, self._out = 0, np.empty((0, 0), state.dtype)
        # Views of each part's tensors, by the slot's offset; parameters and moments, the gradient, flat.
        self._tensors = {
            base: [
                {name: placed.view(state[base:]) for name, placed in part.tensors.items()}
                for part, _ in self.parts
            ]
            for base in {0, layout.predicting}
        }
        n, slots = layout.size_parameters, range(1 + len(layout.optimizer.moments))
        self._slots = [state[slot * layout.slot :][:n] for slot in slots]
        self._gradient = np.zeros(n, state.dtype)
        self._gradients = [  # views of it
            {name: place.view(self._gradient) for name, place in part.tensors.items() if place.offset < n}
            for part, _ in self.parts
        ]

    def forward(self, windows: Array, *, moves: bool, step: int | None = None) -> Array:
        """Return the outputs (windows, n_outputs) of windows (windows, n_inputs), or of one window.

        A step learns; without one the parameters and statistics that predict are used.
        """
        base = self.layout.predicting if step is None else 0
        out = windows.astype(self.state.dtype, copy=False).reshape(-1, self.layout.n_inputs)
        for (part, saved), tensors in zip(self.parts, self._tensors[base], strict=True):
            if part.index + 1 != self._skipped:
                saved["inp"] = out.reshape(len(out), *part.input_shape)
                forward, _ = part.layer.reference
                this = Pass(moves, step, dropout_key(self.seed, part.index))
                saved["out"] = forward(part.layer, tensors, saved, this)
            out = saved["out"]
        self._out = out.reshape(len(out), -1)
        return self._out

    def backward(self, targets: Array) -> Array:
        """Return the inputs' gradient, and set the parameters'; targets as the loss weights them."""
        loss, out = self.layout.loss, self._out
        parts = list(zip(self.parts, self._tensors[0], self._gradients, strict=True))
        loss_backward = getattr(training, f"{loss.kernel}_backward")
        dout = loss_backward(out, targets.astype(out.dtype, copy=False).reshape(out.shape), loss.gamma)
        if loss.needs_softmax:
            parts = parts[:-1]  # that gradient is the one before the softmax
        for (part, saved), tensors, gradients in reversed(parts):
            if part.index + 1 == self._skipped:
                dout = np.zeros_like(saved["inp"])
                for gradient in gradients.values():
                    gradient[...] = 0
            else:
                _, backward = part.layer.reference
                dout = backward(part.layer, tensors, saved, dout.reshape(saved["out"].shape), gradients)
        return dout

    def gradients(self) -> dict[str, Array]:
        """Return every parameter's gradient by name; the next step overwrites them."""
        return {
            f"{part.name}.{name}": gradient
            for (part, _), gradients in zip(self.parts, self._gradients, strict=True)
            for name, gradient in gradients.items()
        }

    def run(
        self, mode: int, learn: Array, targets: Array, predict: Array, rates: Array, first_step: int
    ) -> tuple[Array, Array]:
        """Run the passes in the order of network.cl; return outputs (windows, n_outputs) of both kinds."""
        outputs = np.zeros((2, max(len(learn), len(predict)), self.layout.n_outputs), self.state.dtype)
        self._skipped = mode // Mode.SKIPPED
        for i, first in enumerate(range(0, outputs.shape[1], self.batch_size)):
            batch = slice(first, first + self.batch_size)
            if mode & Mode.LEARN:
                if not mode & (Mode.SLIDING if i else Mode.REUSE):
                    self.forward(learn[batch], moves=bool(mode & Mode.LEARN_MOVES), step=first_step + i)
                outputs[0, batch] = self._out
                self.backward(targets[batch])
                self._step(rates[i])
                self._average(first_step + i)
            if mode & Mode.PREDICT:
                outputs[1, batch] = self.forward(predict[batch], moves=bool(mode & Mode.PREDICT_MOVES))
        return outputs[0, : len(learn)], outputs[1, : len(predict)]

    def _step(self, rates: Array) -> None:
        """Move all parameters in one go: a call of NumPy's costs more than the numbers of a small layer."""
        optimizer, n = self.layout.optimizer, self.layout.size_parameters
        apart = [part for part, _ in self.parts if self._is_apart(part)]
        places = [place for part in apart for place in part.tensors.values() if place.offset < n]
        views = [place.view(slot) for place in places for slot in self._slots]
        before = [view.copy() for view in views]
        slopes = {place: place.view(self._gradient).flatten() for place in places}
        parameters, *moments = self._slots
        gradient = training.clipped(self._gradient, optimizer)
        training.optimizer_step(optimizer, parameters, gradient, moments, rates.tolist())
        for view, numbers in zip(views, before, strict=True):
            view[...] = numbers
        for part in apart:
            if part.index + 1 != self._skipped:
                pair = [part.tensors[name] for name in ("gamma", "beta")]
                slots = [[place.view(slot).reshape(-1) for slot in self._slots] for place in pair]
                published_adam_step(slots, [slopes[place] for place in pair], optimizer, rates[3])

    def _is_apart(self, part: LayerPlan) -> bool:
        return part.index + 1 == self._skipped or part.layer.has_own_step(self.layout.optimizer)

    def _average(self, step: int) -> None:
        """Move the averaged parameters after a learning step, every few steps."""
        layout = self.layout
        if layout.optimizer.average is not None and step % AVERAGE_EVERY == 0:
            parameters, averaged = (
                self.state[base:][: layout.size_parameters] for base in (0, layout.predicting)
            )
            training.average_weights(averaged, parameters, layout.optimizer.average, step)


class Outputs(NamedTuple):
    """Outputs of a finished run."""

    learned: Array
    predicted: Array

    def receive(self) -> tuple[Array, Array]:
        return self.learned, self.predicted


class NumpyEngine:
    """Reference networks, one a member, with the methods of `Runner`."""

    def __init__(self, layout: Layout, state: Array, seeds: Sequence[int], batch_size: int = 1) -> None:
        self.batch_size, self.can_skip = batch_size, True
        self._members = [
            ReferenceNetwork(layout, own.copy(), seed, batch_size)
            for own, seed in zip(state, seeds, strict=True)
        ]

    def send(self, mode: int, *numbers: Any) -> Outputs:
        learn, targets, predict, rates, first_step = numbers
        by_member = np.broadcast_to(rates, (len(self._members), *rates.shape[1:]))
        calls = zip(self._members, by_member, strict=True)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # `Network` looks at the outputs
            outputs = [member.run(mode, learn, targets, predict, own, first_step) for member, own in calls]
        learned, predicted = zip(*outputs, strict=True)
        return Outputs(np.stack(learned), np.stack(predicted))

    def run(self, mode: int, *numbers: Any) -> tuple[Array, Array]:
        return self.send(mode, *numbers).receive()

    def flush(self) -> None:
        pass

    def copy(self, over: Array | None = None) -> Array:
        return self.read()

    def restore(self, copy: Array) -> None:
        self.write(copy)

    def read(self, first: int = 0, size: int | None = None, copy: Array | None = None) -> Array:
        end = None if size is None else first + size
        states = [member.state for member in self._members] if copy is None else copy
        return np.stack([state[first:end] for state in states])

    def write(self, state: Array) -> None:
        for member, own in zip(self._members, state, strict=True):
            member.state[...] = own
