"""The NumPy network: gradients by central differences, random bits and statistics by their sources."""

from __future__ import annotations

import numpy as np
import pytest

from bt_neuro.nn.layers import Conv1D, Dense, Dropout, RunningBatchNorm, TransformerEncoder
from bt_neuro.nn.layers.base import ACTIVATIONS
from bt_neuro.nn.reference.activations import activate
from bt_neuro.nn.reference.layers import dropout_forward, dropout_key, philox
from bt_neuro.nn.reference.normalization import running_batch_norm_move
from bt_neuro.nn.reference.passes import Pass
from tests.helpers import GradientCheck, Sample, assert_close

LAYERS = {
    **{f"dense {a}": ([Dense(3, a)], 5) for a in ACTIVATIONS},
    **{f"batch norm {a}": ([RunningBatchNorm(7, a)], 6) for a in ACTIVATIONS},
    **{f"conv {a}": ([Conv1D(3, 2, 2, a)], 6) for a in ACTIVATIONS},
    "dense of one": ([Dense(1)], 1),
    "batch norm of window 2": ([RunningBatchNorm(2)], 5),
    "batch norm off": ([Dense(3), RunningBatchNorm(1), RunningBatchNorm(0)], 4),
    "conv with overlap and remainder": ([Conv1D(2, 3, 2)], 8),
    "conv with gaps": ([Conv1D(2, 2, 3)], 9),
    "conv on positions": ([Conv1D(3, 2, 2), Conv1D(2, 2, 1)], 8),
    "dropout": ([Dropout(0.4)], 9),
    "encoder": ([Conv1D(3, 2, 2), TransformerEncoder(1, 2, 2, 5)], 8),
    "encoder, two blocks, tanh": ([Conv1D(2, 2, 2), TransformerEncoder(2, 1, 3, activation="tanh")], 6),
    "encoder of one position": ([Conv1D(3, 4), TransformerEncoder(1, 3, 1, 2, "leaky_relu")], 4),
    "whole network": (
        [
            RunningBatchNorm(20, "tanh"),
            Conv1D(4, 3, 3),
            RunningBatchNorm(20, "sigmoid"),
            TransformerEncoder(2, 2, 2, activation="sigmoid"),
            Dropout(0.2),
            Dense(6),
            RunningBatchNorm(20, "tanh"),
            Dense(5, "leaky_relu"),
            Dense(3, "sigmoid"),
        ],
        18,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_agree_with_central_differences(name, rng):
    check = GradientCheck(Sample(*LAYERS[name], rng))
    check.check(check.gradients())


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_saturated_activations_are_exact_and_silent(activation):
    assert activate(np.float32([-200, 200]), activation).tolist() == [-1 if activation == "tanh" else 0, 1]


@pytest.mark.parametrize("name", ["dense tanh", "batch norm None", "whole network"])
def test_a_wrong_gradient_is_caught(name, rng):
    check = GradientCheck(Sample(*LAYERS[name], rng))
    for tensor, gradient in check.gradients().items():
        if np.linalg.norm(gradient) > 1e-3:
            with pytest.raises(AssertionError, match=f"{tensor}, random"):
                check.check_tensor(tensor, gradient * (1 + 1e-5))
        one_wrong = gradient.copy()
        one_wrong.flat[0] += 1e-4 * max(np.linalg.norm(gradient), 1e-3)
        with pytest.raises(AssertionError, match=tensor):
            check.check_tensor(tensor, one_wrong)
    with pytest.raises(AssertionError, match="inputs"):
        check.check({})


def test_the_published_gradient_of_batch_norm_is_caught(rng):
    check = GradientCheck(Sample([RunningBatchNorm(7, gradient="published")], 6, rng))
    with pytest.raises(AssertionError, match="inputs, random direction 0"):
        check.check(check.gradients())


def test_the_gradient_of_the_key_bias_is_zero(rng):
    layer = TransformerEncoder(1, 2, 2)
    check = GradientCheck(Sample([Conv1D(3, 2, 2), layer], 8, rng))
    query, key, value = check.gradients()["encoder_1.block0.qkv_bias"].reshape(3, -1)
    assert np.abs(key).max() < 1e-16  # softmax does not see a shift of all scores
    assert min(np.abs(query).max(), np.abs(value).max()) > 1e-4


@pytest.mark.parametrize(
    ("counter", "step", "key", "bits"),
    [
        (0x00000000, 0x00000000, 0x00000000, 0xFF1DAE59),
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0x2C3F628B),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0xDD7CE038),
    ],
)
def test_philox_gives_the_known_answers(counter, step, key, bits):
    """Those of Random123, kat_vectors, philox2x32 10: the first word of each."""
    assert int(philox(np.array([counter]), step, key)[0]) == bits


def masked(step, seed, layer):
    inputs = {"inp": np.ones(20_000)}
    return dropout_forward(Dropout(0.3), {}, inputs, Pass(False, step, dropout_key(seed, layer)))


def test_dropout_keeps_its_share_and_the_mean():
    out = masked(step=4, seed=1, layer=2)
    assert set(np.unique(out)) == {0.0, 1 / 0.7}
    assert abs(out.mean() - 1) < 0.02
    assert (masked(step=4, seed=1, layer=2) == out).all()
    for step, seed, layer in ((5, 1, 2), (4, 2, 2), (4, 1, 3)):
        differ = masked(step, seed, layer) != out
        assert 0.4 < differ.mean() < 0.44  # two independent masks differ at 2 x 0.3 x 0.7


def running_statistics(samples, window):
    """Return the exponential mean and variance after each sample, (steps, n) each."""
    mean = variance = np.zeros(samples.shape[1])
    rows = []
    for sample in samples:
        mean, variance = running_batch_norm_move(sample, mean, variance, window)
        rows.append((mean, variance))
    return (np.array(statistic) for statistic in zip(*rows, strict=True))


@pytest.mark.parametrize("window", [2, 10, 100])
def test_running_statistics_equal_their_closed_form(window, rng):
    samples = rng.normal(loc=3.0, size=(50, 4))
    means, variances = running_statistics(samples, window)
    keep = 1 - 1 / window
    ages = np.arange(50)[:, None] - np.arange(50)
    weights = np.where(ages >= 0, keep ** np.maximum(ages, 0), 0) / window
    assert_close(means, weights @ samples, "double", "mean")
    weights[:, 0] *= window  # the very first square is not divided
    assert_close(variances, weights @ (samples - means) ** 2, "double", "variance")


def test_statistics_join_the_moving_ones_where_the_article_says(rng):
    """Uniform numbers in [-1, 1], window 100: the mean after 120-130 samples, the variance after 310-320.

    The article reads both off a single curve. Here the error of 300 curves at once: joined is where what is
    left of the start sinks below the error that stays for ever, so that the eye no longer tells them apart.
    """
    samples = rng.uniform(-1, 1, size=(700, 300))
    means, variances = running_statistics(samples, 100)
    past = np.lib.stride_tricks.sliding_window_view(samples, 100, axis=0)
    assert 100 <= joined(means[99:] - past.mean(axis=-1)) <= 130
    assert 290 <= joined(variances[99:] - past.var(axis=-1)) <= 330


def joined(errors):
    squares = (errors**2).mean(axis=1)  # [i]: after 100 + i samples
    return 100 + int(np.argmax(squares < 2 * squares[-200:].mean()))
