"""The article's network against PyTorch's automatic differentiation in float64.

The two share the description of the network and nothing else: no gradient of `TorchNetwork` is written by
hand. Inputs are standardised features, half of them persistent as indicators are; the statistics hold 200
bars, as a warm-up leaves them.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.torch_peer import TorchNetwork
from bt_neuro import Adam, Network, RunningBatchNorm, article_layers
from bt_neuro.nn.bench import Bars
from bt_neuro.nn.numpy_engine import ReferenceNetwork
from bt_neuro.nn.reference import layers as reference
from bt_neuro.nn.reference import normalization as reference_norms
from bt_neuro.nn.reference.passes import window_by_window

pytestmark = pytest.mark.slow
STEPS = 50
DEFAULT_RATE, ARTICLE_RATE = 1e-4, 1e-3
SINGLE, DOUBLE = 2e-6, 1e-10
# Steps ten times as long carry rounding further: PyTorch in float32 is 0.5e-6 to 10e-6 off there, by seed.
SINGLE_AT_ARTICLE_RATE = 2e-5


@pytest.fixture(scope="module", autouse=True)
def _torch():
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'bt-neuro[parity]'")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine more of them wait for each other
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def bars():
    return Bars.make(200 + STEPS + 1, seed=2)


@pytest.fixture(scope="module")
def start(bars):
    """Weights of seed 1 and statistics of 200 bars, in float64, which float32 can hold exactly."""
    network = Network(article_layers(), 240, seed=1, device="numpy")
    network.predict(bars.windows[:200], update_statistics=True)
    return {name: tensor.astype(np.float64) for name, tensor in network.state().items()}


def torch_outputs(start, bars, way, rate):
    network = TorchNetwork(start, rate, "float64")
    w, t = bars.windows[200:], bars.targets[200:]
    if way == "history":
        return np.array([network.learn(w[i], t[i]) for i in range(STEPS)])
    network.begin(w[0])
    return np.array([network.stream(t[i], w[i + 1]) for i in range(STEPS)])


def our_outputs(start, bars, way, rate, device, precision="single"):
    network = Network(article_layers(), 240, optimizer=Adam(rate), device=device, precision=precision)
    network.set_state(start, 0)
    w, t = bars.windows[200:], bars.targets[200:]
    if way == "history":
        return network.learn(w[:STEPS], t[:STEPS])
    network.predict(w[0], update_statistics=True)
    return network.learn_then_predict(w[:STEPS], t[:STEPS], w[1 : STEPS + 1])


def assert_outputs_agree(ours, theirs, tolerance):
    assert ours.shape == theirs.shape == (STEPS, 3)
    assert np.ptp(theirs, axis=0).min() > 0.01, "the outputs hardly move: nothing is tested"
    difference = np.abs(ours - theirs).max(axis=1)
    assert difference.max() <= tolerance, f"{difference.max():.2e} at step {difference.argmax()}"


def gradients_of_both(start, bars):
    """Return {name: (ours, theirs)} of the second learning step, all in float64."""
    theirs = TorchNetwork(start, DEFAULT_RATE, "float64")
    ours = Network(article_layers(), 240, optimizer=Adam(DEFAULT_RATE), device="numpy", precision="double")
    ours.set_state(start, 0)
    (first, second), (target, other) = bars.windows[200:202], bars.targets[200:202]
    theirs.learn(first, target)
    theirs.gradients(theirs.forward(second, moves=True), other)
    ours.learn(first, target)
    layout = ours.layout
    tensors, state = ours.state(), np.zeros(layout.size)
    for name, placed in layout.tensors():
        placed.view(state)[...] = tensors[name][0]
    network = ReferenceNetwork(layout, state, seed=0)
    network.forward(second, moves=True)
    network.backward(other)
    gradients = network.gradients()
    return {
        name: (gradients[name].reshape(placed.tensor.shape), theirs.parameters[name].grad.numpy())
        for name, placed in layout.parameters()
    }


def assert_gradients_agree(start, bars):
    both = gradients_of_both(start, bars)
    assert len(both) == 54
    for name, (ours, theirs) in both.items():
        assert np.abs(theirs).max() > 1e-7, f"{name}: no gradient, nothing is tested"
        assert np.abs(ours - theirs).max() <= DOUBLE, name


@pytest.mark.parametrize(
    ("rate", "tolerance"), [(DEFAULT_RATE, SINGLE), (ARTICLE_RATE, SINGLE_AT_ARTICLE_RATE)]
)
@pytest.mark.parametrize("way", ["stream", "history"])
def test_kernels_in_float32_agree(device, way, rate, tolerance, start, bars):
    assert_outputs_agree(
        our_outputs(start, bars, way, rate, device), torch_outputs(start, bars, way, rate), tolerance
    )


@pytest.mark.parametrize("rate", [DEFAULT_RATE, ARTICLE_RATE])
@pytest.mark.parametrize("way", ["stream", "history"])
def test_reference_in_float64_agrees(way, rate, start, bars):
    ours = our_outputs(start, bars, way, rate, "numpy", "double")
    assert_outputs_agree(ours, torch_outputs(start, bars, way, rate), DOUBLE)


def test_every_gradient_of_the_reference_agrees(start, bars):
    assert_gradients_agree(start, bars)


def wrong_batch_norm(layer, t, s, dout, d):
    """Leave the sample's own part in the variance out."""
    dy = dout * reference_norms.activation_slope(s["out"], layer.activation)
    dinp = dy * t["gamma"] * (1 - 1 / layer.window) / np.sqrt(t["moving_variance"] + layer.epsilon)
    d["gamma"][...], d["beta"][...] = dy * s["xhat"], dy
    return dinp


def wrong_layer_norm(dout, out, rate):
    return (dout - dout.mean()) * rate


@pytest.mark.parametrize(
    ("home", "function", "fault"),
    [
        (
            RunningBatchNorm,
            "reference",
            window_by_window(reference_norms.running_batch_norm_forward, wrong_batch_norm),
        ),
        (reference, "residual_norm_backward", wrong_layer_norm),
    ],
    ids=["batch norm", "layer norm"],
)
def test_a_wrong_gradient_is_seen(home, function, fault, start, bars, monkeypatch):
    monkeypatch.setattr(home, function, fault)
    with pytest.raises(AssertionError, match="_"):
        assert_gradients_agree(start, bars)
    for precision, tolerance in (("single", SINGLE), ("double", DOUBLE)):
        ours = our_outputs(start, bars, "stream", DEFAULT_RATE, "numpy", precision)
        with pytest.raises(AssertionError, match="at step"):
            assert_outputs_agree(ours, torch_outputs(start, bars, "stream", DEFAULT_RATE), tolerance)
