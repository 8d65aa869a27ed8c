"""A network that learns one window at a time: the public face of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bt_neuro.errors import LayerError, NonFiniteError, did_you_mean
from bt_neuro.nn import storage
from bt_neuro.nn.config import to_config
from bt_neuro.nn.engine import Engine, NumpyEngine
from bt_neuro.nn.layer import Layer
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.losses import Loss, loss_of
from bt_neuro.nn.opencl.device import Device, choose
from bt_neuro.nn.opencl.program import Program
from bt_neuro.nn.opencl.runner import Runner
from bt_neuro.nn.optimizers import Optimizer, one_a_lane
from bt_neuro.nn.reference.network import Mode
from bt_neuro.nn.summary import layer_times, summary

Array = NDArray[np.floating]
_Both = tuple[Array, Array]  # outputs of learning and of predicting
_WINDOWS_A_LAUNCH = 1024  # bounds the memory of a launch, and how long Ctrl-C waits


class Network:
    """A network of layers on a device, learning by stochastic gradient descent, one window a step or many.

    Parameters
    ----------
    layers : first to last, such as ``[RunningBatchNorm(100), Dense(64, "tanh"), Dense(3, "sigmoid")]``
    inputs : numbers in one window
    optimizer : `Adam` (default, at its own 1e-4; `NeuroStrategy` passes 2e-4), `AdamW` or `SGD`; a sequence
        gives each lane its own, alike but for their learning rates
    loss : `MeanSquaredError` over the outputs (default), `CategoricalCrossentropy` or
        `CategoricalFocalCrossentropy`, which want a softmax at the end; or Keras's name of one, such as
        "categorical_crossentropy"
    seed : of the initial weights and of dropout; a sequence makes as many independent networks ("lanes"),
        which share each launch
    device : "auto", "cpu", "gpu", an index, part of a device's name, or "numpy"
    precision : "single" or "double"

    Attributes
    ----------
    n_inputs, n_outputs, n_parameters : sizes of one lane
    dtype : of its numbers, by its precision
    steps : learning steps so far

    Raises
    ------
    LayerError
        When layers, inputs, optimiser, loss, seed and precision are none, or do not go together; whatever
        takes windows or targets raises it where their shapes or numbers do not fit.
    NonFiniteError
        From whatever takes windows or targets, when one is not finite; nothing was run then.
    DeviceError
        When no device fits and works.

    Notes
    -----
    Results on one device are equal to the bit from run to run, one bar a launch or a thousand; between
    devices they agree within rounding.

    Examples
    --------
    >>> from bt_neuro import Adam, Dense, Network
    >>> network = Network([Dense(1, "tanh")], inputs=2, optimizer=Adam(0.01), device="numpy")
    >>> windows, targets = [[0.0, 1.0], [1.0, 0.0]], [[0.5], [-0.5]]
    >>> before = abs(network.predict(windows) - targets).max()
    >>> for _ in range(200):
    ...     _ = network.learn(windows, targets)
    >>> bool(abs(network.predict(windows) - targets).max() < before / 5)
    True
    """

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
        _check_arguments(inputs, seed, device)
        if precision not in ("single", "double"):
            raise LayerError(f"precision is {precision!r}: use single or double")
        self._single_lane, self.precision = not isinstance(seed, Sequence), precision
        self.seeds = tuple(int(s) for s in (seed if isinstance(seed, Sequence) else (seed,)))
        self.optimizers = one_a_lane(optimizer, len(self.seeds))  # one for all lanes, or one a lane
        self.layout = Layout(layers, inputs, self.optimizers[0], loss_of(loss))
        self._places = dict(self.layout.state())
        self.dtype: type[np.floating] = np.float64 if precision == "double" else np.float32
        self.n_inputs, self.n_outputs = self.layout.n_inputs, self.layout.n_outputs
        self.n_parameters = self.layout.n_parameters
        self.steps = 0
        block: Array = np.stack([self.layout.initial_block(s) for s in self.seeds]).astype(self.dtype)
        self._device = choose(device) if isinstance(device, str) and device != "numpy" else device
        self.device_name = str(self._device)
        self._engine = self._engine_for(1, block)  # the one that holds the state
        self._engines = {1: self._engine}  # by windows a step, made when asked for
        self._learns_otherwise = any(layer.learns_otherwise for layer in self.layout.layers)
        self._held: bytes | None = None  # the window whose activations are in place

    def _engine_for(self, rows: int, block: Array) -> Engine:
        if isinstance(self._device, str):
            return NumpyEngine(self.layout, block, self.seeds, rows)
        program = Program(self.layout, self._device.shape(double=self.precision == "double"), rows)
        return Runner(program, self._device, block, self.seeds)

    def _engine_with_state(self, rows: int) -> Engine:
        if rows != self._engine.rows:
            block = self._engine.read()
            if rows in self._engines:
                self._engines[rows].write(block)
            else:
                self._engines[rows] = self._engine_for(rows, block)
            self._engine, self._held = self._engines[rows], None
        return self._engine

    # -- what it is ------------------------------------------------------------------------------------------
    def __repr__(self) -> str:
        layers = ", ".join(map(str, self.layout.layers))
        size = f"inputs={self.n_inputs}, {self.n_parameters:,} parameters"
        return f"Network([{layers}], {size}, {self.device_name})"

    def __str__(self) -> str:
        self._held = None  # other activations will be in place
        table = summary(self.layout, self.device_name, layer_times(self.layout, self._engine_with_state(1)))
        return "\n".join(map(str, [table, *self.optimizers, self.layout.loss]))

    # -- what it does ----------------------------------------------------------------------------------------
    def predict(
        self,
        inputs: ArrayLike,
        *,
        update_statistics: bool = False,
        meanwhile: Callable[[], None] | None = None,
    ) -> Array:
        """Return the outputs for each window.

        Parameters
        ----------
        inputs : (steps, n_inputs), or one window
        update_statistics : let each window move the running statistics, as in a stream
        meanwhile : called once a launch while the device is at work; it must not use this network

        Returns
        -------
        (steps, n_outputs); one row less deep for one window, (lanes, ...) when there are several seeds
        """
        windows = self._windows(inputs)
        mode = Mode.PREDICT | (Mode.PREDICT_MOVES if update_statistics else 0)
        _, out = self._run(mode, windows[:0], np.empty((0, self.n_outputs)), windows, meanwhile=meanwhile)
        return self._shaped(out, np.ndim(inputs))

    def learn(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        update_statistics: bool = True,
        batch_size: int = 1,
    ) -> Array:
        """Learn from the windows in order; return the outputs each step started from, as `predict` does.

        Parameters
        ----------
        inputs, targets : (steps, n_inputs) and (steps, n_outputs), or one of each
        update_statistics : False means that the running statistics already hold these windows
        batch_size : windows that make one step together, by the mean of their gradients, for training on
            history; the last batch takes what is left. The first call with a size builds a program for it
        """
        windows, wanted = self._windows(inputs), self._targets(targets)
        mode = Mode.LEARN | (Mode.LEARN_MOVES if update_statistics else 0)
        if not isinstance(batch_size, Integral) or batch_size < 1:
            raise LayerError(f"batch_size is {batch_size!r}: give a whole number, 1 or more")
        out, _ = self._run(mode, windows, wanted, windows[:0], rows=int(batch_size))
        return self._shaped(out, np.ndim(inputs))

    def start_learning(self, inputs: ArrayLike, targets: ArrayLike) -> None:
        """Learn without moving the statistics, and return at once: what is asked of it next waits."""
        windows, wanted = self._windows(inputs), self._targets(targets)
        self._run(Mode.LEARN, windows, wanted, windows[:0], wait=False)

    def learn_then_predict(self, inputs: ArrayLike, targets: ArrayLike, next_inputs: ArrayLike) -> Array:
        """At each step learn one window, then predict the next: the arithmetic of one bar, in one launch.

        The prediction moves the running statistics, learning does not: they hold its window already. Where
        the window to learn is the one predicted just before, its activations are still in place, and the
        forward pass of learning is spared; the results are the same to the bit.

        Returns
        -------
        the predictions, shaped as `predict`'s
        """
        windows, wanted, following = self._windows(inputs), self._targets(targets), self._windows(next_inputs)
        mode = Mode.BOTH | Mode.PREDICT_MOVES
        if len(windows) > 1 and np.array_equal(windows[1:], following[:-1]):
            mode |= Mode.CHAINED
        _, out = self._run(mode, windows, wanted, following)
        return self._shaped(out, np.ndim(next_inputs))

    def _run(
        self,
        mode: int,
        learn: Array,
        targets: Array,
        predict: Array,
        *,
        rows: int = 1,
        **how: Any,  # `meanwhile` and `wait` of the engine's run
    ) -> _Both:
        steps, does_both = max(len(learn), len(predict)), mode & Mode.BOTH == Mode.BOTH
        if len(targets) != len(learn) or (does_both and len(predict) != len(learn)):
            counts = f"{len(learn)} windows to learn, {len(targets)} targets, {len(predict)} to predict"
            raise LayerError(f"{counts}: give as many of each")
        if not steps:
            return (np.empty((len(self.seeds), 0, self.n_outputs), self.dtype),) * 2
        self._engine_with_state(rows)
        size = max(_WINDOWS_A_LAUNCH // rows, 1) * rows
        if steps <= size:  # one live bar: every microsecond counts
            return self._launch(mode, learn, targets, predict, **how)
        parts = [slice(start, start + size) for start in range(0, steps, size)]
        results = [self._launch(mode, learn[part], targets[part], predict[part], **how) for part in parts]
        learned, predicted = (np.concatenate(outputs, axis=1) for outputs in zip(*results, strict=True))
        return learned, predicted

    def _launch(self, mode: int, learn: Array, targets: Array, predict: Array, **how: Any) -> _Both:
        if self._learns_otherwise:
            # A mask makes the learning pass differ from the prediction, so nothing of that can be kept.
            mode &= ~Mode.CHAINED
        elif len(learn) and not mode & Mode.LEARN_MOVES and learn[0].tobytes() == self._held:
            mode |= Mode.HELD
        first, steps = self.steps + 1, -(-len(learn) // self._engine.rows)
        rates = np.array([[one.rates(first + i) for i in range(steps)] for one in self.optimizers])
        try:
            return self._engine.run(mode, learn, targets, predict, rates, first, **how)
        finally:  # the device has done its part also where `meanwhile` failed
            self.steps += steps
            # Without a prediction that moved the statistics, activations in place belong to other statistics.
            moved = mode & Mode.PREDICT_MOVES and len(predict)
            self._held = predict[-1].tobytes() if moved else None

    def _windows(self, inputs: ArrayLike) -> Array:
        windows = np.asarray(inputs, self.dtype)
        if windows.ndim not in (1, 2) or windows.shape[-1] != self.n_inputs:
            raise LayerError(f"windows have shape {windows.shape}: give (steps, {self.n_inputs})")
        return _finite(windows.reshape(-1, self.n_inputs), "input")

    def _targets(self, targets: ArrayLike) -> Array:
        wanted = np.asarray(targets, self.dtype)
        if wanted.ndim not in (1, 2) or wanted.shape[-1] != self.n_outputs:
            raise LayerError(f"targets have shape {wanted.shape}: give (steps, {self.n_outputs})")
        return self.layout.loss.wanted(_finite(wanted.reshape(-1, self.n_outputs), "target"))

    def _shaped(self, out: Array, dimensions: int) -> Array:
        out = out if dimensions == 2 else out[:, 0]
        return out[0] if self._single_lane else out

    # -- what it holds ---------------------------------------------------------------------------------------
    def state(self) -> dict[str, Array]:
        """Return copies of all tensors by name, (lanes, ...): parameters, moments, running statistics."""
        block = self._engine.read()
        lanes = range(len(self.seeds))
        return {
            name: np.stack([placed.view(block[lane]) for lane in lanes])
            for name, placed in self._places.items()
        }

    def tensor(self, name: str) -> Array:
        """Return a copy of one tensor of `state`, (lanes, ...), without reading the others.

        Raises
        ------
        LayerError
            When there is none of that name.
        """
        if name not in self._places:
            raise LayerError(f"there is no tensor {name!r}.{did_you_mean(name, self._places)}")
        placed = self._places[name]
        part = self._engine.read(placed.offset, placed.tensor.size)
        return part.reshape(len(self.seeds), *placed.tensor.shape)

    def set_state(self, tensors: dict[str, Array], steps: int) -> None:
        """Set all tensors that `state` gives, and the number of learning steps behind them.

        Raises
        ------
        CheckpointError
            When one is missing, or of another shape.
        """
        storage.require_shapes(self.layout, len(self.seeds), tensors)
        block = np.zeros((len(self.seeds), self.layout.size), self.dtype)
        for name, placed in self._places.items():
            for lane, state in enumerate(block):
                placed.view(state)[...] = tensors[name][lane]
        self._engine.write(block)
        self.steps, self._held = steps, None

    def config(self) -> dict[str, Any]:
        """Return layers, optimiser, seeds and steps as plain JSON values."""
        configs = [to_config(optimizer) for optimizer in self.optimizers]
        return {
            "format": storage.FORMAT,
            "inputs": self.n_inputs,
            "layers": [to_config(layer) for layer in self.layout.layers],
            "optimizer": configs[0] if len(configs) == 1 else configs,
            "loss": to_config(self.layout.loss),
            "seeds": list(self.seeds),
            "single_lane": self._single_lane,
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

        `extra` arrays and what is `about` it, plain JSON values, travel with it.

        Raises
        ------
        CheckpointError
            When the file cannot be written.
        """
        storage.write(
            Path(path), {**self.state(), **(extra or {})}, {**(about or {}), "network": self.config()}
        )

    @classmethod
    def load(cls, path: str | Path, *, device: str | Device = "auto") -> Network:
        """Return the network a file holds, such as the ``model.safetensors`` of a run.

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


def _check_arguments(inputs: Any, seed: Any, device: Any) -> None:
    """Name what would else be a TypeError from somewhere below."""
    if not isinstance(inputs, Integral) or isinstance(inputs, bool):
        raise LayerError(f"inputs is {inputs!r}: give a whole number, those of one window")
    seeds = list(seed) if isinstance(seed, Sequence) else [seed]
    good = [isinstance(s, Integral) and not isinstance(s, bool) and int(s) >= 0 for s in seeds]
    if not good or not all(good):
        raise LayerError(f"seed is {seed!r}: give a whole number, 0 or more, or several")
    if not isinstance(device, str | Device):
        raise LayerError(f"device is {device!r}: give text, such as 'auto', 'numpy' or the index '0'")


def _finite(numbers: Array, what: str) -> Array:
    if 0 in np.isfinite(numbers).tobytes():  # a third of the time of isfinite(...).all()
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        raise NonFiniteError(
            f"{what} {column} of step {row} is {numbers[row, column]}; nothing was run; give finite numbers"
        )
    return numbers
