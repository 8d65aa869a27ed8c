"""The article's network in JAX: one jitted call a bar, buffers donated, one thread."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np

from bt_neuro import Adam, RunningBatchNorm, TransformerEncoder
from bt_neuro.nn.reference.activations import LEAKY_SLOPE
from bt_neuro.nn.reference.passes import Array

WINDOW, EPSILON = RunningBatchNorm().window, RunningBatchNorm().epsilon
_ENCODER = TransformerEncoder()
BLOCKS, HEADS, KEY_DIM = _ENCODER.blocks, _ENCODER.num_heads, _ENCODER.key_dim
FLAGS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class JaxNetwork:
    """Every way of the variant is one compiled call that gives its buffers to the next.

    `stream` compiles the backward pass of the last prediction and the next forward pass into one call: what
    the gradient needs of a prediction leaves that call and enters the next.
    """

    about = "one jitted call a bar, donated buffers; stream hands the prediction's residuals to the next call"

    def __init__(self, state: dict[str, Array], learning_rate: float) -> None:
        # Read once, when the CPU client starts; it needs no restoring.
        os.environ.setdefault("XLA_FLAGS", FLAGS)
        import jax

        self._jax, self._optimizer, self._steps = jax, Adam(learning_rate), 0
        tensors = {name: jax.numpy.asarray(value[0], np.float32) for name, value in state.items()}
        parameters = {name: t for name, t in tensors.items() if f"{name}.m" in tensors}
        zeros = partial(jax.tree.map, jax.numpy.zeros_like, parameters)
        self._state = parameters, zeros(), zeros()
        self._statistics = [
            (
                tensors[f"running_batch_norm_{i}.moving_mean"],
                tensors[f"running_batch_norm_{i}.moving_variance"],
            )
            for i in (0, 2, 5)
        ]
        self._predict = jax.jit(partial(self._outputs, moves=True), donate_argnums=1)
        self._learn = jax.jit(partial(self._learned, moves=True), donate_argnums=(0, 1))
        self._bar = jax.jit(self._learned_then_predicted, donate_argnums=(0, 1))
        self._begin = jax.jit(self._predicted_to_learn, donate_argnums=1)
        self._stream = jax.jit(self._learned_last_then_predicted, donate_argnums=(0, 1, 2, 3))

    # -- the mathematics -------------------------------------------------------------------------------------
    def _outputs(self, p: Any, statistics: Any, window: Any, *, moves: bool) -> tuple[Any, Any]:
        jax, np_ = self._jax, self._jax.numpy
        constant, moved = jax.lax.stop_gradient, []

        def dense(x: Any, layer: str) -> Any:
            return x @ p[f"{layer}kernel"] + p[f"{layer}bias"]

        def layer_norm(x: Any) -> Any:
            x = x - x.mean()
            return x * jax.lax.rsqrt((x * x).mean() + EPSILON)

        def batch_norm(x: Any, place: Any, layer: str) -> Any:
            mean = place[0] + (x - (place[0] if moves else constant(x))) / WINDOW
            centred = x - mean
            square = centred * centred
            variance = place[1] + (square - (place[1] if moves else constant(square))) / WINDOW
            moved.append((constant(mean), constant(variance)))
            return p[f"{layer}.gamma"] * (centred * jax.lax.rsqrt(variance + EPSILON)) + p[f"{layer}.beta"]

        x = np_.tanh(batch_norm(window, statistics[0], "running_batch_norm_0")).reshape(20, 12)
        x = jax.nn.sigmoid(batch_norm(dense(x, "conv1d_1."), statistics[1], "running_batch_norm_2"))
        for b in range(BLOCKS):
            block = f"encoder_3.block{b}."
            qkv = dense(x, f"{block}qkv_").reshape(len(x), 3, KEY_DIM, HEADS)
            query, key, value = qkv.transpose(1, 3, 0, 2)
            weights = jax.nn.softmax(query @ key.transpose(0, 2, 1) / KEY_DIM**0.5, axis=-1)
            context = (weights @ value).transpose(1, 2, 0).reshape(len(x), -1)
            x = layer_norm(x + dense(context, f"{block}project_"))
            hidden = dense(x, f"{block}expand_")
            hidden = np_.where(hidden >= 0, hidden, LEAKY_SLOPE * hidden)
            x = layer_norm(x + dense(hidden, f"{block}contract_"))
        x = dense(jax.nn.sigmoid(x).ravel(), "dense_4.")
        x = np_.tanh(batch_norm(x, statistics[2], "running_batch_norm_5"))
        x = np_.tanh(dense(x, "dense_6."))
        return jax.nn.sigmoid(dense(x, "dense_7.")), moved if moves else statistics

    def _descended(self, state: Any, gradients: Any, rates: Any) -> Any:
        np_, tree = self._jax.numpy, self._jax.tree
        parameters, m, v = state
        m = tree.map(lambda m, g: self._optimizer.beta_1 * m + g, m, gradients)
        v = tree.map(lambda v, g: self._optimizer.beta_2 * v + g * g, v, gradients)
        moved = tree.map(lambda p, m, v: p - rates[0] * m / (np_.sqrt(v) + rates[1]), parameters, m, v)
        return moved, m, v

    def _forward(self, p: Any, statistics: Any, window: Any, moves: bool) -> tuple[Any, Any, Any]:
        return self._jax.vjp(lambda p: self._outputs(p, statistics, window, moves=moves), p, has_aux=True)

    def _learned(
        self, state: Any, statistics: Any, window: Any, target: Any, rates: Any, *, moves: bool
    ) -> tuple[Any, Any, Any]:
        out, backward, statistics = self._forward(state[0], statistics, window, moves)
        (gradients,) = backward((out - target) * (2 / 3))
        return self._descended(state, gradients, rates), statistics, out

    def _learned_then_predicted(
        self, state: Any, statistics: Any, earlier: Any, target: Any, rates: Any, window: Any
    ) -> tuple[Any, Any, Any]:
        state, statistics, _ = self._learned(state, statistics, earlier, target, rates, moves=False)
        out, statistics = self._outputs(state[0], statistics, window, moves=True)
        return state, statistics, out

    def _predicted_to_learn(self, p: Any, statistics: Any, window: Any) -> tuple[Any, Any, Any]:
        """Return outputs, statistics, and what the backward pass needs besides the parameters themselves."""
        out, backward, statistics = self._forward(p, statistics, window, True)
        residuals, self._structure = self._jax.tree.flatten(backward)
        own = self._jax.tree.leaves(p)
        # Handing a parameter on as a residual too would copy it.
        self._sources = [next((i for i, q in enumerate(own) if q is r), None) for r in residuals]
        kept = [r for r, source in zip(residuals, self._sources, strict=True) if source is None]
        return out, statistics, kept

    def _learned_last_then_predicted(
        self, state: Any, statistics: Any, kept: Any, out: Any, target: Any, rates: Any, window: Any
    ) -> tuple[Any, Any, Any, Any]:
        own, rest = self._jax.tree.leaves(state[0]), iter(kept)
        residuals = [next(rest) if source is None else own[source] for source in self._sources]
        backward = self._jax.tree.unflatten(self._structure, residuals)
        (gradients,) = backward((out - target) * (2 / 3))
        state = self._descended(state, gradients, rates)
        out, statistics, kept = self._predicted_to_learn(state[0], statistics, window)
        return state, statistics, kept, out

    # -- the variant --------------------------------------------------------------------------------------
    def _rates(self) -> Array:
        self._steps += 1
        return np.array(self._optimizer.rates(self._steps), np.float32)

    def predict(self, window: Array) -> Array:
        out, self._statistics = self._predict(self._state[0], self._statistics, window)
        return np.asarray(out)

    def learn(self, window: Array, target: Array) -> Array:
        self._state, self._statistics, out = self._learn(
            self._state, self._statistics, window, target, self._rates()
        )
        return np.asarray(out)

    def bar(self, earlier: Array, target: Array, window: Array) -> Array:
        self._state, self._statistics, out = self._bar(
            self._state, self._statistics, earlier, target, self._rates(), window
        )
        return np.asarray(out)

    def begin(self, window: Array) -> Array:
        self._out, self._statistics, self._kept = self._begin(self._state[0], self._statistics, window)
        return np.array(self._out)

    def stream(self, target: Array, window: Array) -> Array:
        self._state, self._statistics, self._kept, self._out = self._stream(
            self._state, self._statistics, self._kept, self._out, target, self._rates(), window
        )
        return np.array(self._out)  # a copy: the next call takes the buffer over
