"""Averaged weights: their definition, their statistics, the same bits in all ways of running."""

import numpy as np
import pytest
from helpers import assert_same_bits

from bt_neuro import Adam, Dense, LayerError, Network
from bt_neuro.nn.layers import RunningBatchNorm

STEPS, INPUTS = 64, 20
LAYERS = [RunningBatchNorm(50, "tanh"), Dense(24, "tanh"), RunningBatchNorm(50), Dense(3, "sigmoid")]


def network(device, average=30, **options):
    return Network(LAYERS, INPUTS, optimizer=Adam(1e-2, average=average), device=device, seed=1, **options)


@pytest.fixture
def bars(rng):
    windows = rng.normal(size=(STEPS + 1, INPUTS)).astype(np.float32)
    return windows, rng.uniform(size=(STEPS + 1, 3)).astype(np.float32)


def averaged_by_hand(windows, targets, average, every=10):
    """Return the predictions of a second network, which gets the mean of the first one's weights."""
    learner, predictor = (network("numpy", None, precision="double") for _ in range(2))
    parameters = dict(learner.layout.parameters())
    mean, predictions = learner.state(), []
    for step, (window, target) in enumerate(zip(windows[:-1], targets[:-1], strict=True), start=1):
        learner.learn(window, target)
        if step % every == 0:
            weights, share = learner.state(), max(every / average, every / step)
            for name in parameters:
                mean[name] = mean[name] + share * (weights[name] - mean[name])
        predictor.set_state(predictor.state() | {name: mean[name] for name in parameters}, 0)
        predictions.append(predictor.predict(windows[step], update_statistics=True))
    return np.array(predictions)


def test_the_mean_of_the_weights_predicts_with_statistics_of_its_own(device, bars):
    windows, targets = bars
    outputs = network(device).learn_then_predict(windows[:-1], targets[:-1], windows[1:])
    assert outputs == pytest.approx(averaged_by_hand(windows, targets, 30), abs=2e-5)


def test_without_averages_it_would_predict_otherwise(bars):
    windows, targets = bars
    outputs = network("numpy", None).learn_then_predict(windows[:-1], targets[:-1], windows[1:])
    assert np.abs(outputs - averaged_by_hand(windows, targets, 30)).max() > 1e-2


def test_one_bar_a_launch_gives_the_bits_of_many(device, bars):
    windows, targets = bars
    many, single = network(device), network(device)
    outputs = many.learn_then_predict(windows[:-1], targets[:-1], windows[1:])
    one_by_one = [
        single.learn_then_predict(*bar) for bar in zip(windows[:-1], targets[:-1], windows[1:], strict=True)
    ]
    assert_same_bits(np.array(one_by_one), outputs)
    for name, tensor in many.state().items():
        assert_same_bits(single.state()[name], tensor, name)


def test_a_saved_network_continues_with_the_same_bits(best, bars, tmp_path):
    windows, targets = bars
    whole, first = network(best), network(best)
    outputs = whole.learn_then_predict(windows[:-1], targets[:-1], windows[1:])
    first.learn_then_predict(windows[:33], targets[:33], windows[1:34])
    first.save(tmp_path / "model.safetensors")
    second = Network.load(tmp_path / "model.safetensors", device=best)
    rest = second.learn_then_predict(windows[33:-1], targets[33:-1], windows[34:])
    assert_same_bits(rest, outputs[33:])


def test_history_moves_the_statistics_that_predict(best, bars):
    windows, targets = bars
    plain, averaged = network(best, None), network(best)
    for each in (plain, averaged):
        each.learn(windows, targets)
    name = "running_batch_norm_0.moving_mean"
    assert_same_bits(averaged.tensor(f"{name}.average"), plain.tensor(name))


@pytest.mark.parametrize("average", [9, 0, -1])
def test_an_average_over_too_few_steps_is_refused(average):
    with pytest.raises(LayerError, match="average must be None or an integer, 10 or more"):
        Adam(1e-3, average=average)


def test_batches_are_refused(bars):
    windows, targets = bars
    with pytest.raises(LayerError, match="batch_size must be 1 with averaged weights, got 8"):
        network("numpy").learn(windows, targets, batch_size=8)
