"""A network's layers, optimiser and numbers: described, read, set, copied, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bt_neuro.errors import CheckpointError, LayerError, did_you_mean
from bt_neuro.nn import storage, summary
from bt_neuro.nn.config import to_config
from bt_neuro.nn.engines import Engines
from bt_neuro.nn.layers import Layer
from bt_neuro.nn.layers.base import Placed
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.losses import Loss, loss_of
from bt_neuro.nn.opencl.device import Device
from bt_neuro.nn.optimizers import CosineDecay, Optimizer, optimizers_of
from bt_neuro.nn.reference.passes import Array
from bt_neuro.nn.validation import require_arguments, seeds_of


class NetworkState:
    """Base of `Network`: everything but learning and predicting."""

    def __init__(
        self,
        layers: Sequence[Layer],
        inputs: int,
        *,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        loss: str | Loss = "mean_squared_error",
        seed: int | Sequence[int] = 0,
        device: str | Device = "auto",
        precision: str = "single",
    ) -> None:
        require_arguments(inputs, device, precision)
        self.seeds, self._is_single = seeds_of(seed)
        self.precision = precision
        self.optimizers = optimizers_of(optimizer, len(self.seeds))  # one for all members, or one for each
        self.layout = Layout(layers, int(inputs), self.optimizers[0], loss_of(loss))
        self.n_inputs, self.n_outputs = self.layout.n_inputs, self.layout.n_outputs
        self.n_parameters = self.layout.n_parameters
        self._steps = 0
        self._engines = Engines(self.layout, self.seeds, precision, device)
        self._engines.of(1)  # so that a device that cannot build the program is an error here
        self.dtype = self._engines.dtype
        self._places = dict(self.layout.tensors())
        self._averages = self.layout.optimizer.average is not None
        self._can_reuse = not any(layer.differs_when_learning for layer in layers)
        self._reusable: bytes | None = None  # the window whose activations are in place
        self._lock = RLock()
        self.before_use: Callable[[], object] | None = None

    # -- description -----------------------------------------------------------------------------------------
    @property
    def device_name(self) -> str:
        return str(self._engines.device)

    @property
    def steps(self) -> int:
        """Learning steps so far."""
        self._settle()
        return self._steps

    @property
    def learning_rate(self) -> float | CosineDecay | list[float | CosineDecay]:
        """Learning rate of the optimiser, a list where members have their own; it may be set at any time."""
        rates = [optimizer.learning_rate for optimizer in self.optimizers]
        return rates[0] if len(rates) == 1 else rates

    @learning_rate.setter
    def learning_rate(self, rate: float | CosineDecay | Sequence[float | CosineDecay]) -> None:
        self._settle()
        rates = list(rate) if isinstance(rate, Sequence) else [rate]
        optimizers = [replace(self.optimizers[0], learning_rate=each) for each in rates]
        self.optimizers = optimizers_of(
            optimizers if isinstance(rate, Sequence) else optimizers[0], len(self.seeds)
        )

    def __repr__(self) -> str:
        layers = ", ".join(map(str, self.layout.layers))
        size = f"inputs={self.n_inputs}, {self.n_parameters:,} parameters"
        return f"Network([{layers}], {size}, {self.device_name})"

    def __str__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """Return a table of the layers, their outputs and parameters; then optimiser and loss."""
        return "\n".join(map(str, [summary.table(self.layout), *self.optimizers, self.layout.loss]))

    def profile(self) -> str:
        """Measure the layers; return their table with microseconds. The state stays as it is."""
        with self._lock:
            self._settle()
            self._reusable = None  # other activations will be in place
            times = summary.layer_times(self.layout, self._engines.of(1))
        head = f"us to learn and predict a window, many at a call, on {self.device_name}"
        return f"{head}\n{summary.table(self.layout, times)}"

    # -- state -----------------------------------------------------------------------------------------------
    def state(self) -> dict[str, Array]:
        """Return copies of all tensors by name, (members, ...): parameters, moments, running statistics."""
        with self._lock:
            self._settle()
            state = self._engines.current.read()
        # With one member the tensors are views of the block just read, which is quicker than two hundred copies.
        return {name: np.ascontiguousarray(_columns(state, placed)) for name, placed in self._places.items()}

    def tensor(self, name: str, copy: Any = None) -> Array:
        """Return a copy of one tensor of `state`, (members, ...), without reading the others.

        Parameters
        ----------
        name : of the tensor
        copy : read it from a copy of the state, see `Network.copy_state`

        Raises
        ------
        LayerError
            When there is none of that name.
        """
        return self.tensors([name], copy)[0]

    def tensors(self, names: Sequence[str], copy: Any = None) -> list[Array]:
        """Return some tensors as `tensor` does, in one read, which is quick where they lie side by side."""
        places = [self._place(name) for name in names]
        first = min(placed.offset for placed in places)
        end = max(placed.offset + placed.tensor.size for placed in places)
        with self._lock:
            if copy is None:
                self._settle()
            numbers = self._engines.current.read(first, end - first, copy and copy.state)
        return [_columns(numbers, placed, first).copy() for placed in places]

    def set_tensor(self, name: str, value: ArrayLike) -> None:
        """Set one tensor of `state`: (members, ...), or the value for all members.

        Raises
        ------
        LayerError
            When there is none of that name, or the value has another shape or is not finite.
        """
        placed = self._place(name)
        numbers = np.asarray(value, self.dtype)
        shape = (len(self.seeds), *placed.tensor.shape)
        if numbers.shape not in (shape, shape[1:]) or not np.isfinite(numbers).all():
            raise LayerError(f"{name} must be {shape} finite numbers, got {numbers.shape}. Give all of them.")
        with self._lock:
            self._settle()
            state = self._engines.current.read()
            for own, numbers_of_member in zip(state, np.broadcast_to(numbers, shape), strict=True):
                placed.view(own)[...] = numbers_of_member
            self._engines.current.write(state)
            self._reusable = None

    def set_state(self, tensors: dict[str, Array], steps: int) -> None:
        """Set all tensors that `state` gives, and the number of learning steps behind them.

        Raises
        ------
        CheckpointError
            When one is missing, or of another shape.
        """
        storage.require_shapes(self.layout, len(self.seeds), tensors)
        state = np.zeros((len(self.seeds), self.layout.size), self.dtype)
        for name, placed in self._places.items():
            for own, tensor in zip(state, tensors[name], strict=True):
                placed.view(own)[...] = tensor
        with self._lock:
            self._settle()
            self._engines.current.write(state)
            self._steps, self._reusable = steps, None

    def config(self) -> dict[str, Any]:
        """Return layers, optimiser, seeds and steps as plain JSON values."""
        optimizers = [to_config(optimizer) for optimizer in self.optimizers]
        return {
            "format": storage.FORMAT,
            "inputs": self.n_inputs,
            "layers": [to_config(layer) for layer in self.layout.layers],
            "optimizer": optimizers[0] if len(optimizers) == 1 else optimizers,
            "loss": to_config(self.layout.loss),
            "seeds": list(self.seeds),
            "single_member": self._is_single,
            "precision": self.precision,
            "steps": self.steps,
        }

    def save(
        self,
        path: str | Path,
        *,
        extra: dict[str, NDArray[Any]] | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        """Write a safetensors file, whole or not at all.

        Parameters
        ----------
        path : of the file, such as "model.safetensors"
        extra : more arrays to travel with the network
        about : more plain JSON values

        Raises
        ------
        CheckpointError
            When the file cannot be written, or a number is not finite; an old file stays as it is.
        """
        tensors = self.state()
        try:
            storage.require_numbers(self.layout, tensors, self.dtype)
        except CheckpointError as error:
            raise CheckpointError(
                f"{path} was not written; a file that was there is unchanged: {error}"
            ) from error
        values = {**(about or {}), "network": self.config()}
        storage.write(Path(path), {**tensors, **(extra or {})}, values)

    @classmethod
    def load(cls, path: str | Path, *, device: str | Device = "auto") -> Self:
        """Return the network of a file, such as the ``model.safetensors`` of a run.

        Raises
        ------
        CheckpointError
            When the file is missing, damaged, of another kind or newer than this version.

        Examples
        --------
        >>> import tempfile
        >>> from bt_neuro import Dense, Network
        >>> path = f"{tempfile.mkdtemp()}/model.safetensors"
        >>> Network([Dense(1, "tanh")], inputs=2, device="numpy").save(path)
        >>> Network.load(path, device="numpy").predict([0.0, 0.0]).tolist()
        [0.0]
        """
        saved = storage.SavedNetwork.read(Path(path))
        network = cls(
            saved.layers,
            saved.inputs,
            optimizer=saved.optimizer,
            loss=saved.loss,
            seed=saved.seed,
            device=device,
            precision=saved.precision,
        )
        network.set_state(saved.tensors, saved.steps)
        return network

    def _settle(self) -> None:
        if self.before_use is not None:
            self.before_use()

    def _place(self, name: str) -> Placed:
        if name not in self._places:
            raise LayerError(f"there is no tensor {name!r}.{did_you_mean(name, self._places)}")
        return self._places[name]

    # -- copies: the engines' state travels, not their device ------------------------------------------------
    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            self._settle()
            left = dict.fromkeys(("_lock", "_reusable", "before_use"))
            return {**vars(self), "_engines": copy(self._engines), **left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=RLock())


def _columns(state: Array, placed: Placed, first: int = 0) -> Array:
    """Return one tensor, (members, ...), from columns of the state, of which the leftmost has the number `first`."""
    start = placed.offset - first
    return state[:, start : start + placed.tensor.size].reshape(-1, *placed.tensor.shape)
