"""Several networks side by side in one launch: each as if alone, and the signal is their vote."""

from functools import partial

import numpy as np
import pytest
from paths import SAMPLE
from small import Small

from bt_neuro import CheckpointError, Signal, backtest
from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.predictions import PROBABILITIES, probabilities_of

backtest = partial(backtest, report=False)  # the page takes as long as all the rest

JANUARY = {"end": "2024-01-31"}
SEEDS = 3


def run(out, bars_options=JANUARY, **options):
    parameters = {"seed": 5, **options.pop("parameters", {})}
    return backtest(
        SAMPLE, strategy=Small, out=out, bars_options=bars_options, parameters=parameters, **options
    )


@pytest.fixture(scope="module")
def vote(tmp_path_factory):
    return run(tmp_path_factory.mktemp("vote"), parameters={"seeds": SEEDS})


def test_each_network_says_what_it_says_alone(vote, tmp_path):
    votes = np.load(vote.folder / "outputs.npy").astype(float)
    for lane in range(SEEDS):
        alone = run(tmp_path / str(lane), parameters={"seed": 5 + lane}).predictions
        shown = [f"{p:.9g}" for p in probabilities_of(votes[:, lane]).ravel()]
        assert shown == [f"{p:.9g}" for p in alone[PROBABILITIES].to_numpy().ravel()]


def test_the_signal_is_the_mean_of_their_probabilities(vote):
    votes, told = np.load(vote.folder / "outputs.npy").astype(float), vote.predictions
    mean = np.mean([probabilities_of(votes[:, lane]) for lane in range(SEEDS)], axis=0)
    np.testing.assert_allclose(told[PROBABILITIES], mean, atol=1e-9)
    assert list(told["signal"]) == [("none", "buy", "sell")[name] for name in signals_of(mean)]


def test_the_spread_over_seeds_is_reported(vote):
    seeds = vote.metrics["seeds"]
    rates = seeds["hit_rate_pct"]
    assert seeds["networks"] == len(rates["each"]) == SEEDS
    assert rates["low"] <= rates["median"] <= rates["high"]
    assert rates["median"] == np.median(rates["each"])


def test_one_network_has_no_spread(tmp_path):
    assert run(tmp_path).metrics["seeds"] is None


def test_a_vote_that_is_resumed_goes_on_to_the_bit(vote, tmp_path):
    part = run(tmp_path / "part", {"end": "2024-01-17"}, parameters={"seeds": SEEDS})
    whole = run(tmp_path / "whole", resume=part.folder)
    for name in ("predictions.csv", "outputs.npy", "features.npy"):
        assert (whole.folder / name).read_bytes() == (vote.folder / name).read_bytes(), name


def test_another_number_of_networks_cannot_go_on(tmp_path):
    part = run(tmp_path / "part", {"end": "2024-01-17"}, parameters={"seeds": 2})
    with pytest.raises(CheckpointError, match="seeds must be 2, got 3"):
        run(tmp_path / "whole", resume=part.folder, parameters={"seeds": 3})
    assert not (tmp_path / "whole").exists()


def test_a_tie_among_votes_is_none():
    assert Signal.of(0, [0.2, 0.6, 0.2, 0.2, 0.2, 0.6]).name == "none"
    assert Signal.of(0, [0.2, 0.6, 0.2, 0.2, 0.5, 0.6]).name == "buy"
