"""The article's network in PyTorch: plain, for parity and as most would write it, and tuned by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from bt_neuro import RunningBatchNorm, TransformerEncoder
from bt_neuro.nn.reference.activations import LEAKY_SLOPE
from bt_neuro.nn.reference.passes import Array

WINDOW, EPSILON = RunningBatchNorm().window, RunningBatchNorm().epsilon
_ENCODER = TransformerEncoder()
BLOCKS, HEADS, KEY_DIM = _ENCODER.blocks, _ENCODER.num_heads, _ENCODER.key_dim
Statistics = list[tuple[Any, Any]]


class TorchNetwork:
    """The network by textbook operations; every gradient comes from automatic differentiation.

    Parameters
    ----------
    state : tensors by name as `Network.state` gives them, of one member; the statistics hold a sample already
    learning_rate : of Adam
    dtype : "float32" or "float64"
    """

    about = "as most would write it: torch.optim.Adam, mse_loss; stream keeps the prediction's graph"

    def __init__(self, state: dict[str, Array], learning_rate: float = 1e-4, dtype: str = "float32") -> None:
        import torch

        self.torch, self.dtype = torch, getattr(torch, dtype)
        moments = {f"{name}.{moment}" for name in state for moment in "mv"}
        tensors = {
            name: torch.tensor(value[0], dtype=self.dtype) for name, value in self.arranged(state).items()
            if name not in moments
        }  # fmt: skip
        self.parameters = {name: tensor for name, tensor in tensors.items() if ".moving_" not in name}
        self.statistics: Statistics = [
            (
                tensors[f"running_batch_norm_{i}.moving_mean"],
                tensors[f"running_batch_norm_{i}.moving_variance"],
            )
            for i in (0, 2, 5)
        ]
        self.optimizer = self.make_optimizer(learning_rate)

    def arranged(self, state: dict[str, Array]) -> dict[str, Array]:
        return state

    def make_optimizer(self, learning_rate: float) -> Any:
        for tensor in self.parameters.values():
            tensor.requires_grad_()
        return self.torch.optim.Adam(self.parameters.values(), lr=learning_rate)

    # -- the mathematics -------------------------------------------------------------------------------------
    def batch_norm(
        self, x: Any, place: tuple[Any, Any], layer: str, moves: bool
    ) -> tuple[Any, tuple[Any, Any]]:
        """Return the layer before its activation, and its statistics, part of the graph."""
        mean, variance = place
        if moves:
            mean = ((WINDOW - 1) * mean + x) / WINDOW
            variance = ((WINDOW - 1) * variance + (x - mean) ** 2) / WINDOW
        else:  # the statistics hold this sample already: no new value, only its share in the gradient
            mean = mean + (x - x.detach()) / WINDOW
            square = (x - mean) ** 2
            variance = variance + (square - square.detach()) / WINDOW
        xhat = (x - mean) / self.torch.sqrt(variance + EPSILON)
        p = self.parameters
        return p[f"{layer}.gamma"] * xhat + p[f"{layer}.beta"], (mean.detach(), variance.detach())

    def attention(self, qkv: Any) -> Any:
        """(20, 96) -> (20, 32); columns are (query key value, key_dim, heads)."""
        query, key, value = qkv.reshape(len(qkv), 3, KEY_DIM, HEADS).permute(1, 3, 0, 2)
        weights = self.torch.softmax(query @ key.transpose(1, 2) / KEY_DIM**0.5, dim=-1)
        return (weights @ value).permute(1, 2, 0).reshape(len(qkv), -1)

    def dense(self, x: Any, layer: str, join: str = ".") -> Any:
        return x @ self.parameters[f"{layer}{join}kernel"] + self.parameters[f"{layer}{join}bias"]

    def layer_norm(self, x: Any) -> Any:
        return self.torch.nn.functional.layer_norm(x, x.shape, eps=EPSILON)

    def outputs(self, window: Any, statistics: Statistics, moves: bool) -> tuple[Any, Statistics]:
        """Return the outputs, and the statistics with this window in them."""
        torch, first, second, third = self.torch, *statistics
        x, first = self.batch_norm(window, first, "running_batch_norm_0", moves)
        x = self.dense(torch.tanh(x).view(20, 12), "conv1d_1")
        x, second = self.batch_norm(x, second, "running_batch_norm_2", moves)
        x = torch.sigmoid(x)
        for b in range(BLOCKS):
            block = f"encoder_3.block{b}."
            context = self.attention(self.dense(x, f"{block}qkv", "_"))
            x = self.layer_norm(x + self.dense(context, f"{block}project", "_"))
            hidden = torch.nn.functional.leaky_relu(self.dense(x, f"{block}expand", "_"), LEAKY_SLOPE)
            x = self.layer_norm(x + self.dense(hidden, f"{block}contract", "_"))
        x = self.dense(torch.sigmoid(x).view(1, -1), "dense_4")
        x, third = self.batch_norm(x.view(-1), third, "running_batch_norm_5", moves)
        x = torch.tanh(self.dense(torch.tanh(x).view(1, -1), "dense_6"))
        return torch.sigmoid(self.dense(x, "dense_7")).view(-1), [first, second, third]

    def descend(self, out: Any, target: Array) -> None:
        """Take one step down the gradient of the mean squared error."""
        self.gradients(out, target)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def gradients(self, out: Any, target: Array) -> None:
        wanted = self.torch.as_tensor(target, dtype=self.dtype)
        self.torch.nn.functional.mse_loss(out, wanted).backward()

    def forward(self, window: Array, moves: bool) -> Any:
        """Return the outputs with their graph; `moves` keeps the statistics with this window in them."""
        inputs = self.torch.as_tensor(window, dtype=self.dtype)
        out, statistics = self.outputs(inputs, self.statistics, moves)
        if moves:
            self.statistics = statistics
        return out

    # -- the variant --------------------------------------------------------------------------------------
    def predict(self, window: Array) -> Array:
        with self.torch.no_grad():
            return self.forward(window, moves=True).numpy()

    def learn(self, window: Array, target: Array) -> Array:
        out = self.forward(window, moves=True)
        self.descend(out, target)
        return out.detach().numpy()

    def bar(self, earlier: Array, target: Array, window: Array) -> Array:
        self.descend(self.forward(earlier, moves=False), target)
        return self.predict(window)

    def begin(self, window: Array) -> Array:
        self._graph = self.forward(window, moves=True)
        return self._graph.detach().numpy()

    def stream(self, target: Array, window: Array) -> Array:
        self.descend(self._graph, target)
        return self.begin(window)


class TunedTorchNetwork(TorchNetwork):
    """The same, with fewer and larger operations."""

    about = "one thread, flat fused Adam, fused attention, addmm, lerp; stream keeps the prediction's graph"

    def arranged(self, state: dict[str, Array]) -> dict[str, Array]:
        """Put the numbers of a head side by side, where the fused attention wants them."""
        columns = np.arange(3 * KEY_DIM * HEADS).reshape(3, KEY_DIM, HEADS).transpose(0, 2, 1).ravel()
        rows = columns[: KEY_DIM * HEADS]
        moved = dict(state)
        for b in range(BLOCKS):
            block = f"encoder_3.block{b}."
            for name in ("qkv_kernel", "qkv_bias"):
                moved[block + name] = state[block + name][..., columns]
            moved[f"{block}project_kernel"] = state[f"{block}project_kernel"][:, rows]
        return moved

    def make_optimizer(self, learning_rate: float) -> Any:
        # One tensor for all parameters: the optimiser then costs one call instead of fifty.
        torch = self.torch
        torch.set_num_threads(1)
        flat = torch.cat([tensor.reshape(-1) for tensor in self.parameters.values()])
        self._slopes, end = torch.zeros_like(flat), 0
        for name, tensor in self.parameters.items():
            part = slice(end, end + tensor.numel())
            view = flat[part].view(tensor.shape).requires_grad_()
            view.grad, end = self._slopes[part].view(tensor.shape), part.stop
            self.parameters[name] = view
        owner = torch.nn.Parameter(flat)
        owner.grad = self._slopes
        return torch.optim.Adam([owner], lr=learning_rate, fused=True)

    def batch_norm(
        self, x: Any, place: tuple[Any, Any], layer: str, moves: bool
    ) -> tuple[Any, tuple[Any, Any]]:
        if not moves:
            return super().batch_norm(x, place, layer, moves)
        torch, p = self.torch, self.parameters
        mean = torch.lerp(place[0], x, 1 / WINDOW)
        centred = x - mean
        variance = torch.lerp(place[1], centred * centred, 1 / WINDOW)
        xhat = centred * torch.rsqrt(variance + EPSILON)
        out = torch.addcmul(p[f"{layer}.beta"], p[f"{layer}.gamma"], xhat)
        return out, (mean.detach(), variance.detach())

    def attention(self, qkv: Any) -> Any:
        query, key, value = qkv.view(len(qkv), 3, HEADS, KEY_DIM).permute(1, 2, 0, 3).unsqueeze(1).unbind(0)
        context = self.torch.nn.functional.scaled_dot_product_attention(query, key, value)
        return context.squeeze(0).transpose(0, 1).reshape(len(qkv), -1)

    def dense(self, x: Any, layer: str, join: str = ".") -> Any:
        p = self.parameters
        return self.torch.addmm(p[f"{layer}{join}bias"], x, p[f"{layer}{join}kernel"])

    def gradients(self, out: Any, target: Array) -> None:
        wanted = self.torch.as_tensor(target, dtype=self.dtype)
        out.backward((out.detach() - wanted) * (2 / out.numel()))

    def descend(self, out: Any, target: Array) -> None:
        self.gradients(out, target)
        self.optimizer.step()
        self._slopes.zero_()  # in place: each parameter's gradient is a view of it


class CompiledTorchNetwork(TunedTorchNetwork):
    """The tuned network with its forward and backward passes compiled."""

    about = "torch.compile of the tuned network's passes, the optimiser outside"

    def __init__(self, state: dict[str, Array], learning_rate: float = 1e-4) -> None:
        super().__init__(state, learning_rate)
        self.outputs = self.torch.compile(self.outputs, fullgraph=True)  # type: ignore[method-assign]
