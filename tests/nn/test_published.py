"""RunningBatchNorm as the article publishes it, against the article's own kernels written out once more.

`ArticleNeuron` transcribes BatchFeedForward, CalcHiddenGradientBatch, UpdateBatchOptionsAdam and
UpdateBatchOptionsMomentum of Gizlyk, "Neural networks made easy (Part 13)", number by number: its layout of
7 or 9 options, its gradients uphill, its NaN. It shares nothing with the engine.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from bt_neuro import SGD, Adam, AdamW, Dense, LayerError, Network, RunningBatchNorm
from tests.helpers import assert_same_bits

STEPS, N = 1000, 12
RATE, MOMENTUM = 1e-3, 0.9
MAX_GRADIENT, MAX_WEIGHT = 1.0, 1000.0


class ArticleNeuron:
    """One neuron of CNeuronBatchNormOCL: its options are mean, variance, xhat, gamma, beta and moments."""

    # The slips.
    POWER = 3 // 2  # whole numbers in OpenCL C; 1.5 is meant
    PRODUCT = staticmethod(lambda mean, inp: mean * inp)  # inp - mean is meant
    SECOND = 5  # where the second moments are read; 7 is meant

    def __init__(self, batch: int, activation: str | None, adam: bool) -> None:
        self.batch, self.activation, self.adam = batch, activation, adam
        self.options = [0.0] * (9 if adam else 7)

    def feed_forward(self, inp: float) -> float:
        o, batch = self.options, self.batch
        self.inp = inp
        mean = (o[0] * (batch - 1) + inp) / batch
        delta = inp - mean
        variance = o[1] * (batch - 1) + delta**2
        if o[1] > 0:
            variance /= batch
        if o[3] == 0:
            o[3] = 1
        o[:3] = mean, variance, delta / math.sqrt(variance + 1e-6)
        out = o[3] * o[2] + o[4]
        self.out = math.tanh(out) if self.activation == "tanh" else out
        return self.out

    def before_activation(self, gradient: float) -> float:
        return gradient * (1 - self.out**2) if self.activation == "tanh" else gradient

    def hidden_gradient(self, g: float) -> float:
        o, batch, inp = self.options, self.batch, self.inp
        gnx = g * o[3]
        temp = 1 / math.sqrt(o[1] + 1e-6)
        gmu = -temp * gnx
        gvar = self.PRODUCT(o[0], inp) / (2 * (o[1] + 1e-6) ** self.POWER) * gnx
        gx = temp * gnx + gmu / batch + gvar * 2 * inp / batch * ((batch - 1) / batch) ** 2
        return min(max(gx, -MAX_GRADIENT), MAX_GRADIENT)

    def update(self, g: float) -> None:
        o = self.options
        gradients = (g * o[2], g)
        if not self.adam:
            for k in (0, 1):
                o[5 + k] = RATE * gradients[k] + MOMENTUM * o[5 + k]
                o[3 + k] = min(max(o[3 + k] + o[5 + k], -MAX_WEIGHT), MAX_WEIGHT)
            return
        b1, b2 = 0.9, 0.999
        mt = [b1 * o[5 + k] + (1 - b1) * gradients[k] for k in (0, 1)]
        vt = [b2 * o[self.SECOND + k] + (1 - b2) * gradients[k] ** 2 for k in (0, 1)]
        if min(vt) + 1e-8 < 0:  # the root is NaN, and so are both deltas to the article
            return
        for k in (0, 1):
            delta = RATE * mt[k] / math.sqrt(vt[k] + 1e-8)
            o[3 + k] = min(max(o[3 + k] + delta, -MAX_WEIGHT), MAX_WEIGHT)
        o[5:] = *mt, *vt


def article_run(windows, targets, adam):
    """Return the outputs of two such layers, one upon the other, before each step."""
    lower = [ArticleNeuron(100, None, adam) for _ in range(N)]
    upper = [ArticleNeuron(20, "tanh", adam) for _ in range(N)]
    rows = []
    for window, target in zip(windows, targets, strict=True):
        rows.append([b.feed_forward(a.feed_forward(x)) for a, b, x in zip(lower, upper, window, strict=True)])
        for a, b, wanted in zip(lower, upper, target, strict=True):
            gradient = b.before_activation(2 / N * (wanted - b.out))
            below = b.hidden_gradient(gradient)
            b.update(gradient)
            a.update(below)
    return np.array(rows), np.array([[n.options[:5] for n in layer] for layer in (lower, upper)])


def data_of(scales):
    rng = np.random.default_rng(20210517)
    means = np.tile([0.0, 0.3, -2.0], N // 3)
    return rng.normal(means, scales, size=(STEPS, N)), rng.uniform(-1, 1, size=(STEPS, N))


# Features as they come in: large and small, some far from 0, where the slips show.
DATA = data_of(np.logspace(-3, 2, N))
OPTIMIZERS = {"adam": Adam(RATE), "momentum": SGD(RATE, momentum=MOMENTUM)}
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


def difference(optimizer, device, precision="double", gradient="published", data=DATA):
    """Return the largest difference from the article's outputs, and from its gamma and beta at the end."""
    outputs, options = article_run(*data, adam=isinstance(optimizer, Adam))
    layers = [RunningBatchNorm(100, gradient=gradient), RunningBatchNorm(20, "tanh", gradient=gradient)]
    network = Network(layers, N, optimizer=optimizer, device=device, precision=precision)
    found = network.learn(*data)
    moved = [
        [network.tensor(f"running_batch_norm_{i}.{name}")[0] for name in ("gamma", "beta")] for i in (0, 1)
    ]
    return max(np.abs(found - outputs).max(), np.abs(np.array(moved) - options[..., 3:].swapaxes(1, 2)).max())


@optimizers
def test_the_reference_is_the_article_s(optimizer):
    assert difference(optimizer, "numpy") < 1e-12


@optimizers
def test_the_kernels_are_the_article_s(optimizer, device):
    assert difference(optimizer, device) < 1e-12


@optimizers
def test_the_kernels_in_single_precision_are_the_article_s(optimizer, device):
    """Where a neuron's inputs are about as large as they vary.

    A float32 at 2 with a deviation of 0.001 has lost three digits before it is normalised.
    """
    assert difference(optimizer, device, "single", data=data_of(np.ones(N))) < 2e-6


@optimizers
def test_the_exact_gradient_is_another(optimizer):
    assert difference(optimizer, "numpy", gradient="exact") > 1e-2


@pytest.mark.parametrize(
    ("slip", "mended"), [("POWER", 1.5), ("PRODUCT", lambda mean, inp: inp - mean), ("SECOND", 7)]
)
def test_each_slip_shows(slip, mended, monkeypatch):
    monkeypatch.setattr(ArticleNeuron, slip, staticmethod(mended) if callable(mended) else mended)
    assert difference(OPTIMIZERS["adam"], "numpy") > 1e-5


def test_adam_as_published_soon_stands_still():
    """Its NaN: docs/explanation/normalisation.md says how soon in the article's network."""
    network = Network(
        [RunningBatchNorm(20, "tanh", gradient="published")], N, optimizer=Adam(RATE), device="numpy"
    )
    network.learn(DATA[0][:100], DATA[1][:100])
    moved = network.tensor("running_batch_norm_0.gamma")
    assert (moved != 1).all()
    network.learn(DATA[0][100:400], DATA[1][100:400])
    assert_same_bits(network.tensor("running_batch_norm_0.gamma"), moved)


def test_a_profile_times_a_network_as_published():
    """Leaving a layer out must leave its own step out too."""
    network = Network(
        [RunningBatchNorm(20, gradient="published"), Dense(2)], N, optimizer=Adam(), device="numpy"
    )
    assert "running_batch_norm_0" in network.profile()


@pytest.mark.parametrize("optimizer", [AdamW(), Adam(global_clipnorm=1.0), SGD(global_clipnorm=1.0)])
def test_what_the_article_has_not_is_refused(optimizer):
    with pytest.raises(LayerError, match="goes with Adam or SGD, unclipped, not "):
        Network([RunningBatchNorm(10, gradient="published")], 3, optimizer=optimizer, device="numpy")


def test_a_learning_rate_a_lane_reaches_the_article_s_step(best):
    layers, (windows, targets) = [RunningBatchNorm(20, "tanh", gradient="published")], DATA
    rates = [Adam(1e-2), Adam(1e-4)]
    members = Network(layers, N, optimizer=rates, seed=(0, 0), device=best).learn(windows[:50], targets[:50])
    for member, optimizer in zip(members, rates, strict=True):
        alone = Network(layers, N, optimizer=optimizer, device=best)
        assert_same_bits(member, alone.learn(windows[:50], targets[:50]))
