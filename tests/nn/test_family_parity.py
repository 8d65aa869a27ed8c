"""Every row of the family against PyTorch's automatic differentiation in float64, alone and in batches.

The two share the descriptions and the weights, nothing else: no gradient here is written by hand.
"""

from __future__ import annotations

import numpy as np
import pytest

from bt_neuro import BatchNormalization, Network
from tests.family import FAMILY
from tests.helpers import Sample

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'bt-neuro[parity]'")
F = torch.nn.functional
TOLERANCE = 1e-10
ACTIVATE = {
    None: lambda z: z,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "leaky_relu": lambda z: F.leaky_relu(z, 0.01),
    "gelu": F.gelu,
    "softmax": lambda z: torch.softmax(z, -1),
}


def spatial(x):
    """Return (batch_size, channels, positions); a flat input is one channel."""
    return x[:, None, :] if x.ndim == 2 else x.transpose(1, 2)


def dense(layer, p, x, batch_size):
    return x.reshape(batch_size, -1) @ p["kernel"] + p["bias"]


def conv1d(layer, p, x, batch_size):
    x = spatial(x)
    kernel = p["kernel"].reshape(layer.kernel_size, x.shape[1], layer.filters).permute(2, 1, 0)
    return F.conv1d(x, kernel, p["bias"], stride=layer.strides).transpose(1, 2)


def pooling(layer, p, x, batch_size):
    pool = F.max_pool1d if type(layer).__name__ == "MaxPooling1D" else F.avg_pool1d
    return pool(x.transpose(1, 2), layer.pool_size, layer.step_size).transpose(1, 2)


def lstm(layer, p, x, batch_size):
    module = torch.nn.LSTM(x.shape[2], layer.units, batch_first=True, dtype=torch.float64)
    names = {"weight_ih_l0": p["kernel"].T, "weight_hh_l0": p["recurrent_kernel"].T, "bias_ih_l0": p["bias"]}
    names["bias_hh_l0"] = torch.zeros_like(p["bias"])
    out, _ = torch.func.functional_call(module, names, (x,))
    return out if layer.return_sequences else out[:, -1]


def encoder(layer, p, x, batch_size):
    for b in range(layer.blocks):

        def project(name, x, b=b):
            return x @ p[f"block{b}.{name}_kernel"] + p[f"block{b}.{name}_bias"]

        qkv = project("qkv", x).reshape(batch_size, x.shape[1], 3, layer.key_dim, layer.num_heads)
        query, key, value = qkv.permute(2, 0, 4, 1, 3)
        context = F.scaled_dot_product_attention(query, key, value).permute(0, 2, 3, 1).flatten(2)
        x = F.layer_norm(x + project("project", context), x.shape[1:], eps=layer.epsilon)
        hidden = F.leaky_relu(project("expand", x), 0.01)
        x = F.layer_norm(x + project("contract", hidden), x.shape[1:], eps=layer.epsilon)
    return x


def normalized(layer, p, x, batch_size):
    """By the batch, or by running averages of which the sample is a share."""
    per_channel = getattr(layer, "per_channel", False)
    momentum = layer.momentum if isinstance(layer, BatchNormalization) else 1 - 1 / layer.window
    flat = x.reshape(-1, x.shape[-1]) if per_channel else x.reshape(batch_size, -1)
    mean, variance = (p[f"moving_{name}"].reshape(-1) for name in ("mean", "variance"))
    share = 1.0 if batch_size > 1 else 1 - momentum
    used_mean = (1 - share) * mean + share * flat.mean(0)
    used = (1 - share) * variance + share * ((flat - used_mean) ** 2).mean(0)
    xhat = (flat - used_mean) / torch.sqrt(used + layer.epsilon)
    return scaled(p, xhat).reshape(x.shape)


def layer_normalization(layer, p, x, batch_size):
    return scaled(p, F.layer_norm(x, x.shape[-1:], eps=layer.epsilon))


def scaled(p, xhat):
    return xhat * p.get("gamma", torch.ones(1)).reshape(-1) + p.get("beta", torch.zeros(1)).reshape(-1)


def reshape(layer, p, x, batch_size):
    return x.reshape(batch_size, *layer.target_shape)


LAYERS = {
    "activation": lambda layer, p, x, batch_size: x,
    "dense": dense, "conv1d": conv1d, "pooling": pooling, "lstm": lstm, "encoder": encoder,
    "reshape": reshape, "running_batch_norm": normalized, "batch_normalization": normalized,
    "layer_normalization": layer_normalization,
}  # fmt: skip


def loss_of(out, targets, loss):
    if not loss.needs_softmax:
        return F.mse_loss(out, targets)
    return -(targets * (1 - out) ** loss.gamma * torch.log(out)).sum(1).mean()


def gradients_of_both(row, batch_size, rng):
    sample = Sample(row.layers, row.inputs, rng, loss=row.loss, batch_size=batch_size)
    state, last = sample.warm_state(), slice(-batch_size, None)
    places = dict(sample.layout.tensors())
    p = {
        plan.name: {
            short: torch.tensor(placed.view(state), requires_grad=f"{plan.name}.{short}" in parameters)
            for short, placed in plan.tensors.items()
        }
        for parameters in [dict(sample.layout.parameters())]
        for plan in sample.layout.plans
    }
    x = torch.tensor(sample.windows[last])
    for plan in sample.layout.plans:
        x = LAYERS[plan.layer.kind](plan.layer, p[plan.name], x, batch_size)
        x = ACTIVATE[getattr(plan.layer, "activation", None)](x)
    out = x.reshape(batch_size, -1)
    loss_of(out, torch.tensor(sample.targets[last]), row.loss).backward()
    twin = sample.reference(state)
    ours = twin.forward(sample.windows[last], moves=True, step=1)
    twin.backward(sample.targets[last])
    gradients = twin.gradients()
    found = {name: gradients[name].reshape(places[name].tensor.shape) for name in gradients}
    theirs = {name: p[name.split(".")[0]][name.split(".", 1)[1]].grad.numpy() for name in found}
    return {name: (found[name], theirs[name]) for name in found} | {"outputs": (ours, out.detach().numpy())}


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("name", [name for name in FAMILY if name != "dropout"])
def test_outputs_and_gradients_agree(name, batch_size, rng):
    if "published" in name and batch_size == 1:
        pytest.skip("it is no gradient of the loss")
    both = gradients_of_both(FAMILY[name], batch_size, rng)
    for tensor, (ours, theirs) in both.items():
        assert np.abs(ours - theirs).max() <= TOLERANCE, tensor


# -- PyTorch's own layer -------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", ["numpy", "opencl"])
@pytest.mark.parametrize("positions", [1, 5])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_normalization_is_batch_norm_1d(place, positions, affine, rng, request):
    """Training and eval: values, gradients, running statistics over three batches, in double precision."""
    device = place if place == "numpy" else request.getfixturevalue("best")
    from bt_neuro import SGD, Dense, Reshape

    channels, batch, rate = 6, 8, 0.5
    ours = BatchNormalization(momentum=0.9, epsilon=1e-5, center=affine, scale=affine)
    layers = [Dense(positions * channels), Reshape((positions, channels)), ours]
    network = Network(layers, 7, optimizer=SGD(rate), seed=1, device=device, precision="double")
    theirs = torch.nn.BatchNorm1d(channels, eps=1e-5, momentum=0.1, affine=affine, dtype=torch.float64)
    state = network.state()
    kernel = torch.tensor(state["dense_0.kernel"][0], requires_grad=True)
    bias = torch.tensor(state["dense_0.bias"][0], requires_grad=True)
    moved = [kernel, bias, *theirs.parameters()]

    def forward(x):
        z = (torch.tensor(x) @ kernel + bias).reshape(len(x), positions, channels)
        return theirs(z.transpose(1, 2)).transpose(1, 2).reshape(len(x), -1)

    for _ in range(3):
        x, y = rng.normal(size=(batch, 7)), rng.normal(size=(batch, positions * channels))
        out = forward(x)
        F.mse_loss(out, torch.tensor(y)).backward()
        np.testing.assert_allclose(network.learn(x, y, batch_size=batch), out.detach(), atol=1e-6)
        with torch.no_grad():
            for parameter in moved:
                parameter -= rate * parameter.grad
                parameter.grad = None
        state = {name: tensor[0] for name, tensor in network.state().items()}
        for name, tensor in (("dense_0.kernel", kernel), ("dense_0.bias", bias)):
            np.testing.assert_allclose(state[name], tensor.detach(), atol=1e-6)
        for name, tensor in (("mean", theirs.running_mean), ("variance", theirs.running_var)):
            np.testing.assert_allclose(state[f"batch_normalization_2.moving_{name}"], tensor, atol=1e-6)
        if affine:
            np.testing.assert_allclose(
                state["batch_normalization_2.gamma"], theirs.weight.detach(), atol=1e-6
            )
            np.testing.assert_allclose(state["batch_normalization_2.beta"], theirs.bias.detach(), atol=1e-6)
    theirs.eval()
    x = rng.normal(size=(4, 7))
    np.testing.assert_allclose(network.predict(x), forward(x).detach(), atol=1e-6)
