"""A network that learns one window at a time: the public face of the engine."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bt_neuro.errors import LayerError
from bt_neuro.nn.network_state import NetworkState
from bt_neuro.nn.reference.passes import Array, Mode
from bt_neuro.nn.validation import require_finite_outputs, targets_of, windows_of

_WINDOWS_A_LAUNCH = 1024  # bounds the memory of a launch, and the time until Ctrl-C works


class StateCopy(NamedTuple):
    """Copy of a network's state on its device; `Network.tensor` reads from it."""

    state: Any
    steps: int


class Network(NetworkState):
    """A network of layers on a device, learning by stochastic gradient descent, one window per step or many.

    Parameters
    ----------
    layers : first to last, such as ``[RunningBatchNorm(100), Dense(64, "tanh"), Dense(3, "sigmoid")]``
    inputs : numbers in one window
    optimizer : `Adam` (default, at its own 1e-4; `NeuroStrategy` passes 2e-4), `AdamW` or `SGD`; a sequence
        gives each member its own, alike but for their learning rates
    loss : `MeanSquaredError` over the outputs (default), `CategoricalCrossentropy` or
        `CategoricalFocalCrossentropy`, which need a softmax at the end; or Keras's name of one, such as
        "categorical_crossentropy"
    seed : of the initial weights and of dropout; a sequence makes as many independent networks ("members"),
        which share each launch
    device : "auto", "cpu", "gpu", an index, part of a device's name, or "numpy"
    precision : "single" or "double"

    Attributes
    ----------
    n_inputs, n_outputs, n_parameters : sizes of one member
    dtype : of its numbers, by its precision
    steps : learning steps so far
    before_use : function called before a method reads or changes the state, or None; `RunAhead` sets it

    Raises
    ------
    LayerError
        When layers, inputs, optimiser, loss, seed or precision is invalid, or they do not go together; every
        method that takes windows or targets raises it where shapes do not fit.
    NonFiniteError
        From every method that takes windows or targets, when a number is not finite, or larger than 1e15;
        nothing was run then. And where an output is not finite, but for those of `send`.
    DeviceError
        When no device fits and works.

    Notes
    -----
    A window is flat, or (bars, features). Results on one device are equal to the bit from run to run, one
    bar a launch or a thousand. Between devices they agree within rounding at first; learning lets that grow,
    to 2e-5 in 500 bars of the article's network. Calls from several threads run one after another. A copied
    or unpickled network carries its state and its device's name, and chooses that device when first used.

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

    def predict(
        self,
        inputs: ArrayLike,
        *,
        update_statistics: bool = False,
    ) -> Array:
        """Return the outputs for each window.

        Parameters
        ----------
        inputs : (steps, n_inputs), or one window
        update_statistics : let each window move the running statistics, as in a stream

        Returns
        -------
        (steps, n_outputs), or (n_outputs,) for one window; (members, ...) when there are several seeds
        """
        windows, is_one = windows_of(inputs, self.n_inputs, self.dtype)
        mode = Mode.PREDICT | (Mode.PREDICT_MOVES if update_statistics else 0)
        nothing = np.empty((0, self.n_outputs))
        _, outputs = self._run(mode, windows[:0], nothing, windows)
        return self._shaped(outputs, is_one)

    def learn(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        *,
        update_statistics: bool = True,
        batch_size: int = 1,
        return_loss: bool = False,
    ) -> Any:
        """Learn from the windows in order; return the outputs each step started from, as `predict` does.

        Parameters
        ----------
        inputs, targets : (steps, n_inputs) and (steps, n_outputs), or one of each
        update_statistics : False means that the running statistics already hold these windows
        batch_size : windows that make one step together, by the mean of their gradients; the last batch
            takes the rest. The first call with a size builds a program for it
        return_loss : return (outputs, losses), the loss of each window before its step
        """
        windows, is_one = windows_of(inputs, self.n_inputs, self.dtype)
        weighted = targets_of(targets, self.layout, self.dtype)
        mode = Mode.LEARN | (Mode.LEARN_MOVES if update_statistics else 0)
        if not isinstance(batch_size, Integral) or batch_size < 1:
            raise LayerError(f"batch_size must be an integer, 1 or more, got {batch_size!r}.")
        if self._averages and batch_size > 1:
            raise LayerError(f"batch_size must be 1 with averaged weights, got {batch_size}. Drop average.")
        follow = windows[:0]
        if self._averages and update_statistics:  # those that predict move when they predict
            mode, follow = mode | Mode.PREDICT | Mode.PREDICT_MOVES, windows
        outputs, _ = self._run(mode, windows, weighted, follow, batch_size=int(batch_size))
        if return_loss:
            losses = self.layout.loss.value(outputs, weighted)
            return self._shaped(outputs, is_one), self._shaped(losses, is_one)
        return self._shaped(outputs, is_one)

    def learn_then_predict(self, inputs: ArrayLike, targets: ArrayLike, next_inputs: ArrayLike) -> Array:
        """At each step learn one window, then predict the next: the arithmetic of one bar, in one launch.

        The prediction moves the running statistics, learning does not: they hold its window already. Where
        the window to learn is the one predicted just before, learning reuses its activations; the results
        are bit-identical. With averaged weights, predicting and learning have separate statistics.

        Returns
        -------
        the predictions, shaped as `predict`'s
        """
        windows, _ = windows_of(inputs, self.n_inputs, self.dtype)
        weighted = targets_of(targets, self.layout, self.dtype)
        following, is_one = windows_of(next_inputs, self.n_inputs, self.dtype)
        mode = self._mode_of_both(windows, following)
        _, outputs = self._run(mode, windows, weighted, following)
        return self._shaped(outputs, is_one)

    def send(self, inputs: Array, targets: Array, next_inputs: Array) -> Callable[[], Array]:
        """Start `learn_then_predict` of up to 1,024 steps and return at once; the next call follows in order.

        Parameters
        ----------
        inputs, targets : (steps, n_inputs) and (steps, n_outputs); with none nothing is learned
        next_inputs : (steps, n_inputs); with none nothing is predicted

        Returns
        -------
        a function that waits and returns the predictions, (members, steps, n_outputs); to be called once
        """
        windows, _ = windows_of(inputs, self.n_inputs, self.dtype)
        weighted = targets_of(targets, self.layout, self.dtype)
        following, _ = windows_of(next_inputs, self.n_inputs, self.dtype)
        mode = self._mode_of_both(windows, following)
        with self._lock:
            self._settle()
            receive = self._send(mode, windows, weighted, following, 1)
            self._engines.current.flush()
        return lambda: receive()[1]

    def copy_state(self, over: StateCopy | None = None) -> StateCopy:
        """Return a copy of the state after all that was sent, on the device; for `restore_state`.

        Parameters
        ----------
        over : an earlier copy that is no longer needed: its memory is used
        """
        with self._lock:
            self._settle()
            return StateCopy(self._engines.current.copy(over and over.state), self._steps)

    def restore_state(self, copy: StateCopy) -> None:
        """Set the state to that of a copy."""
        with self._lock:
            self._settle()
            self._engines.current.restore(copy.state)
            self._steps, self._reusable = copy.steps, None

    @staticmethod
    def _mode_of_both(windows: Array, following: Array) -> int:
        mode = Mode.LEARN if len(windows) else 0
        if len(following):
            mode |= Mode.PREDICT | Mode.PREDICT_MOVES
        if len(windows) > 1 and np.array_equal(windows[1:], following[:-1]):
            mode |= Mode.SLIDING
        return mode

    def _run(
        self, mode: int, learn: Array, targets: Array, predict: Array, *, batch_size: int = 1
    ) -> tuple[Array, Array]:
        """Run in launches of bounded size."""
        steps, does_both = max(len(learn), len(predict)), mode & Mode.BOTH == Mode.BOTH
        if len(targets) != len(learn) or (does_both and len(predict) != len(learn)):
            counts = f"{len(learn)} windows to learn, {len(targets)} targets, {len(predict)} to predict"
            raise LayerError(f"windows and targets must be equally many, got {counts}.")
        if not steps:
            return (np.empty((len(self.seeds), 0, self.n_outputs), self.dtype),) * 2
        size = max(_WINDOWS_A_LAUNCH // batch_size, 1) * batch_size
        with self._lock:
            self._settle()
            if steps <= size:  # one live bar: every microsecond counts
                return self._outputs(0, mode, learn, targets, predict, batch_size)
            parts = [slice(start, start + size) for start in range(0, steps, size)]
            results = [
                self._outputs(part.start, mode, learn[part], targets[part], predict[part], batch_size)
                for part in parts
            ]
        learned, predicted = (np.concatenate(outputs, axis=1) for outputs in zip(*results, strict=True))
        return learned, predicted

    def _outputs(self, first_step: int, *launch: Any) -> tuple[Array, Array]:
        outputs = self._send(*launch)()
        require_finite_outputs(*outputs, first_step)
        return outputs

    def _send(
        self, mode: int, learn: Array, targets: Array, predict: Array, batch_size: int
    ) -> Callable[[], tuple[Array, Array]]:
        previous, engine = self._engines.current, self._engines.of(batch_size)
        if self._averages and mode & Mode.LEARN:
            # The network that learns has activations and statistics of its own.
            mode = mode & ~Mode.SLIDING | Mode.LEARN_MOVES
        elif not self._can_reuse:
            mode &= ~Mode.SLIDING
        elif len(learn) and engine is previous and not mode & Mode.LEARN_MOVES:
            mode |= Mode.REUSE if learn[0].tobytes() == self._reusable else 0
        first, steps = self._steps + 1, -(-len(learn) // batch_size)
        rates = np.empty((len(self.optimizers), steps, 4))
        for member, optimizer in enumerate(self.optimizers):
            for i in range(steps):
                rates[member, i] = optimizer.rates(first + i)  # an array of lists takes twice the time
        launch = engine.send(mode, learn, targets, predict, rates, first)
        self._steps += steps
        # Without a prediction that moved the statistics, activations in place belong to other statistics.
        moved = mode & Mode.PREDICT_MOVES and len(predict)
        self._reusable = predict[-1].tobytes() if moved else None
        return launch.receive

    def _shaped(self, outputs: Array, is_one: bool) -> Array:
        outputs = outputs[:, 0] if is_one else outputs
        return outputs[0] if self._is_single else outputs
