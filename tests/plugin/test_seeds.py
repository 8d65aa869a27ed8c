"""Several networks side by side in one launch: each as if alone, and the signal is their vote."""

import re
import signal as signals
from functools import partial
from itertools import count
from pathlib import Path

import backtrader as bt
import numpy as np
import pytest
from paths import SAMPLE
from small import Small

from bt_neuro import Account, CheckpointError, Signal, backtest
from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.predictions import PROBABILITIES, probabilities_of
from bt_neuro.metrics.seeds import MONEY
from bt_neuro.report.summary import summary_of

backtest = partial(backtest, report=False)  # the page takes as long as all the rest

JANUARY = {"end": "2024-01-31"}
SEEDS = 3


def run(out, bars_options=JANUARY, **options):
    parameters = {"seed": 5, **options.pop("parameters", {})}
    return backtest(
        SAMPLE, strategy=Small, out=out, bars_options=bars_options, parameters=parameters, **options
    )


def money_of(result, lane):
    return {name: result.metrics["seeds"][name]["each"][lane] for name in MONEY}


class Peeks(Small):
    def decide(self, signal):
        self.target(0.5 if self.network.n_parameters else 0.0)


class Fails(Small):
    def decide(self, signal):
        super().decide(signal)
        if self.p.seeds == 1 and signal.bar > 80:
            raise ValueError("nobody agrees with me")


class Interrupted(Small):
    def decide(self, signal):
        super().decide(signal)
        if self.p.seeds == 1 and signal.bar == 80:
            signals.raise_signal(signals.SIGINT)


class Journal(Small):
    """Keeps a file of its own."""

    params = (("file", "journal.txt"),)

    def start(self):
        super().start()
        with Path(self.p.file).open("w") as file:
            file.write(f"{self.p.seeds} networks")


class Remembers(Small):
    signals = count(1)  # of all runs

    def decide(self, signal):
        self.target(0.5 / next(self.signals))


class Own(Small):
    def _make_learner(self, checkpoint):
        return super()._make_learner(checkpoint)


class Epochs(Small):
    params = (("pretrain", "2024-01-01..2024-01-05"),)

    def notify_epoch(self, epochs):
        self.threshold = 0.5


class Stays(Small):
    """Bars by its own count, its results and its working orders."""

    def __init__(self):
        super().__init__()
        self.bars, self.hits, self.quick = 0, 0, bt.ind.EMA(self.data, period=5)

    def next(self):
        super().next()
        self.bars += 1
        if self.position and self.bars % 7 == 0:
            self.close()

    def decide(self, signal):
        self.hits += sum(bool(scored.is_hit) for scored in self.scored) * self.learner.label.delay_bars
        if self.data.close[0] > self.quick[0] or self.hits % 5 == 0:
            super().decide(signal)


@pytest.fixture(scope="module")
def vote(tmp_path_factory):
    return run(tmp_path_factory.mktemp("vote"), parameters={"seeds": SEEDS}, seed_money=True)


def test_each_network_says_what_it_says_alone(vote, tmp_path):
    votes = np.load(vote.folder / "outputs.npy").astype(float)
    for lane in range(SEEDS):
        alone = run(tmp_path / str(lane), parameters={"seed": 5 + lane})
        shown = [f"{p:.9g}" for p in probabilities_of(votes[:, lane]).ravel()]
        assert shown == [f"{p:.9g}" for p in alone.predictions[PROBABILITIES].to_numpy().ravel()]
        assert money_of(vote, lane) == {name: alone.metrics[name] for name in MONEY}


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
    returns = seeds["return_pct"]
    assert returns["low"] == min(returns["each"]) < returns["median"] < returns["high"]
    text = f"returned {returns['low']:+.1f} to {returns['high']:+.1f} % (median {returns['median']:+.1f} %)"
    assert text in vote.metrics["sentence"]
    table = next(table for table in summary_of(vote).tables if table.headings[0] == "network")
    assert [row[0] for row in table.rows] == ["1", "2", "3", "low", "median", "high", "vote"]
    column = table.headings.index("return, %")
    shown = [
        *returns["each"],
        *(returns[name] for name in ("low", "median", "high")),
        vote.metrics["return_pct"],
    ]
    assert [row[column] for row in table.rows] == [f"{value:+.1f}" for value in shown]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "options", "reason"),
    [
        (Peeks, {}, r"Peeks reads its network \(network.n_parameters must not be read in playback.\)"),
        (Fails, {}, "with seed 5 alone, the strategy fails: ValueError: nobody agrees with me"),
        (Interrupted, {}, "SIGINT has ended the playback"),
        (Remembers, {}, "played again, the vote itself does not give the same account"),
        (Own, {}, "Own makes a learner of its own"),
        (Epochs, {}, "Epochs overrides notify_epoch, and no epoch runs again"),
        (Small, {"seed_money": False}, "add --seed-money, which takes about as long as the run"),
    ],
)
def test_a_vote_says_why_the_money_of_its_networks_is_unknown(strategy, options, reason, tmp_path):
    given = {"bars_options": {"end": "2024-01-09"}, "parameters": {"seeds": 2, "seed": 5}, "seed_money": True}
    options = {**given, **options}
    result = backtest(SAMPLE, strategy=strategy, out=tmp_path / "run", **options)
    seeds = result.metrics["seeds"]
    assert re.fullmatch(reason, seeds["no_money"])
    assert not set(MONEY) & set(seeds)
    assert any(seeds["no_money"] in note for note in summary_of(result).notes)


def test_what_the_run_wrote_is_not_written_again(tmp_path):
    file = tmp_path / "journal.txt"
    options = {"bars_options": {"end": "2024-01-09"}, "parameters": {"seeds": 2, "file": str(file)}}
    result = backtest(SAMPLE, strategy=Journal, out=tmp_path / "run", seed_money=True, **options)
    assert result.metrics["seeds"]["no_money"] == f"Journal would write {file} again"
    assert file.read_text() == "2 networks"
    file.write_text("free again")


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"pretrain": "2024-01-04..2024-01-12", "eras": 2},
        {"timeframes": "H4"},
        {"inputs": str(SAMPLE)},
    ],
    ids=["alone", "pretrained", "timeframes", "inputs"],
)
def test_the_money_of_a_network_is_that_of_its_own_run(parameters, tmp_path):
    """A strategy with a count, an indicator and results of its own, whole and resumed."""
    options = {"strategy": Stays, "bars_options": JANUARY, "account": Account.of("forex", spread=12)}
    parameters = {"features": "shape", "learning_rate": 0.05, **parameters}
    votes = {"parameters": {**parameters, "seeds": 2, "seed": 5}, "seed_money": True}
    result = backtest(SAMPLE, out=tmp_path / "vote", **options, **votes)
    part = {**options, "bars_options": {"end": "2024-01-22"}}
    part = backtest(SAMPLE, out=tmp_path / "part", **part, **votes)
    whole = backtest(SAMPLE, out=tmp_path / "whole", **options, **votes, resume=part.folder)
    for lane in range(2):
        alone = backtest(
            SAMPLE, out=tmp_path / str(lane), **options, parameters={**parameters, "seed": 5 + lane}
        )
        assert alone.metrics["trades"] > 5
        expected = {name: alone.metrics[name] for name in MONEY}
        assert money_of(result, lane) == money_of(whole, lane) == expected


def test_one_network_has_no_spread(vote, tmp_path):
    result = run(tmp_path)
    assert result.metrics["seeds"] is None
    assert ["to trade each network alone" in summary_of(one).timing for one in (vote, result)] == [
        True,
        False,
    ]


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
