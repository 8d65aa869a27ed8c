"""The search for parameters: what it tries, what it keeps, what it must not see, and what it owes to luck."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from paths import ROOT
from typer.testing import CliRunner

from bt_neuro import NeuroError, NeuroStrategy, StrategyError, Tuning, tune, walk_forward
from bt_neuro.bars.reader import read_bars
from bt_neuro.cli import app
from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.metrics.sharpe import best_of_luck, probabilistic_sharpe_ratio, sharpe_ratio
from bt_neuro.metrics.trading import daily_returns, lost_at
from bt_neuro.validation.search_space import Choice, Range, combinations, parse_search
from bt_neuro.validation.tune_metrics import (
    daily_moments,
    luck_metrics,
    objective_metrics,
    trial_metrics,
    trials_table,
    tune_metrics,
)
from bt_neuro.validation.tune_study import TuneStudy

SAMPLE = ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv"
SMALL = f"{ROOT / 'tests' / 'small.py'}:Small"


# -- what may be chosen --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("learning_rate=1e-5..1e-2:log", Range(1e-5, 1e-2, log=True)),
        ("learning-rate=0..1", Range(0.0, 1.0)),  # a float by default
        ("history_bars=10..40", Range(10, 40)),
        ("history_bars=8..64:log", Range(8, 64, log=True)),
        ("wing=1,2,3", Choice((1, 2, 3))),
        ("precision=single,double", Choice(("single", "double"))),
        ("learning=True,False", Choice((True, False))),
        ("wing=1,2,2", Choice((1, 2))),
    ],
)
def test_a_search_is_understood(word, expected):
    (found,) = parse_search([word], NeuroStrategy).values()
    assert found == expected
    assert [type(value) for value in vars(found).values()] == [type(v) for v in vars(expected).values()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["learnig_rate=1..2"], "no parameter 'learnig_rate'. Did you mean learning_rate?"),
        (["wing"], "must have values, got 'wing'"),
        (["wing=1"], "wing must have several values, got 1. Give low..high or a,b,c"),
        (["wing=3..1"], "wing must go from the lower to the higher number, got 3..1"),
        (["wing=1..x"], "wing must be a range, got 1..x. Give low..high"),
        (["wing=1..2:lin"], "must be a range"),
        (["size=0..inf"], "must be a range"),
        (
            ["learning_rate=0..1:log"],
            "a log range must be positive, got 0..1:log. Start above 0, or drop :log",
        ),
        (["wing=1,2", "wing=3,4"], "wing must be searched once, got it twice"),
        (["seed=0..9"], "seed cannot be searched: the best of several seeds is luck"),
        ([], "There is nothing to search"),
        ({"wing": [[1], [2]]}, r"wing must be numbers, texts, True or False, got \[1\]"),
        ({"wing": 3}, "wing must have a range or a list, got 3"),
    ],
)
def test_a_search_without_sense_is_refused(words, message):
    with pytest.raises(StrategyError, match=message):
        parse_search(words, NeuroStrategy)


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.booleans())
def test_any_range_is_read_as_it_is_written(one, other, log):
    assume(one != other)
    written = Range(min(one, other), max(one, other), log)
    assert parse_search({"size": str(written)}, NeuroStrategy) == {"size": written}


# -- trials, chosen and kept; the work is a formula, which takes no time -------------------------------------
SPACE = parse_search(["learning_rate=1e-5..1e-1:log", "history_bars=5..50"], NeuroStrategy)
FEW = parse_search(["wing=1,2", "history_bars=5..6"], NeuroStrategy)
FIRST = {"learning_rate": 2e-4, "history_bars": 20, "wing": 1}


def closeness(number, parameters):
    """How near to a rate of 0.001 and 30 bars."""
    value = -abs(np.log10(parameters["learning_rate"]) + 3) - abs(parameters["history_bars"] - 30) / 10
    return {"sharpe_ratio": float(value), "daily": None}


def ran(folder, work=closeness, space=SPACE, trials=6, **options):
    """Return number, state and parameters of the trials after a run."""
    folder.mkdir(exist_ok=True)
    with TuneStudy.open(folder, options.pop("url", None), "tune", OBJECTIVES["sharpe"]) as study:
        study.run(space, work, n_trials=trials, seed=options.pop("seed", 0), first=FIRST, is_resumed=False)
        return [(trial.state.name, trial.params) for trial in study.trials("complete", "failed")]


@pytest.mark.slow
def test_the_same_seed_tries_the_same_and_another_one_does_not(tmp_path):
    once = ran(tmp_path / "a", trials=12)  # TPE looks back from the eleventh on
    assert ran(tmp_path / "b", trials=12) == once
    assert ran(tmp_path / "c", trials=2, seed=1) != once[:2]
    assert len({str(parameters) for _, parameters in once}) == 12


def test_the_first_trial_is_the_strategy_as_it_is(tmp_path):
    _, parameters = ran(tmp_path / "a", trials=1)[0]
    assert parameters == {"learning_rate": 2e-4, "history_bars": 20}
    far = parse_search(["learning_rate=0.01..0.1"], NeuroStrategy)
    _, parameters = ran(tmp_path / "b", lambda *_: {"sharpe_ratio": 1.0}, space=far, trials=1)[0]
    assert 0.01 <= parameters["learning_rate"] <= 0.1


@pytest.mark.slow
def test_the_search_closes_in_on_what_is_good(tmp_path):
    values = [closeness(0, parameters)["sharpe_ratio"] for _, parameters in ran(tmp_path, trials=20)]
    assert np.mean(values[12:]) > np.mean(values[:10])


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [0, 3])
def test_what_was_interrupted_goes_on_as_if_it_had_not_been(tmp_path, stop_at):
    def stops(number, parameters):
        if number == stop_at:
            raise KeyboardInterrupt
        return closeness(number, parameters)

    with pytest.raises(KeyboardInterrupt):
        ran(tmp_path / "a", stops)
    assert len(ran(tmp_path / "a", trials=1 + stop_at)) == 1 + stop_at
    assert ran(tmp_path / "a") == ran(tmp_path / "b")


def test_a_trial_that_fails_is_recorded_and_not_tried_again(tmp_path):
    def fails(number, parameters):
        if number in (1, 2):
            raise NeuroError("too hot")
        return closeness(number, parameters) if number != 3 else {"sharpe_ratio": None}

    assert [state for state, _ in ran(tmp_path, fails)] == [
        "COMPLETE",
        "FAIL",
        "FAIL",
        "FAIL",
        *["COMPLETE"] * 2,
    ]
    with TuneStudy.open(tmp_path, None, "tune", OBJECTIVES["sharpe"]) as study:
        assert [trial.user_attrs["error"] for trial in study.trials("failed")] == [
            "too hot", "too hot", "no Sharpe ratio: no signals, no trades, or too few days",
        ]  # fmt: skip
    assert len(ran(tmp_path, fails)) == 6  # nothing left to do


@pytest.mark.slow
def test_the_trial_of_a_killed_process_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("bt_neuro.validation.tune_study.SILENCE_S", 1)
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    dies = (
        "import os; from pathlib import Path; from test_tune import ran; "
        f"ran(Path('a'), lambda *_: os._exit(9), url={url!r})"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", dies], cwd=tmp_path, env=env).returncode == 9
    time.sleep(2)
    assert [state for state, _ in ran(tmp_path / "b", url=url, trials=1)] == ["COMPLETE"]
    with TuneStudy.open(tmp_path, url, "tune", OBJECTIVES["sharpe"]) as study:
        assert not study.trials("running")  # which would put off the test of the held-out bars


def test_few_combinations_are_tried_once_each(tmp_path):
    done = ran(tmp_path, lambda *_: {"sharpe_ratio": 1.0}, space=FEW, trials=30)
    assert [parameters for _, parameters in done] == combinations(FEW, 30)


def test_what_was_tried_before_costs_nothing_and_counts_once(tmp_path):
    worked = []

    def works(number, parameters):
        worked.append(parameters)
        return {"sharpe_ratio": float(parameters["history_bars"]), "daily": None}

    narrow = parse_search(["history_bars=5..17"], NeuroStrategy)
    done = ran(tmp_path, works, space=narrow, trials=12)
    assert len(done) == 12 > len(worked)
    assert len({str(one) for one in worked}) == len(worked)


def test_of_equal_trials_the_first_is_the_best(tmp_path):
    ran(tmp_path, lambda *_: {"sharpe_ratio": 1.0}, trials=3)
    with TuneStudy.open(tmp_path, None, "tune", OBJECTIVES["sharpe"]) as study:
        assert study.best.number == 0


def test_optuna_says_nothing_and_is_left_as_it_was(tmp_path, capfd):
    import optuna

    before = optuna.logging.get_verbosity()
    ran(tmp_path, lambda *_: {"sharpe_ratio": None}, trials=2)
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before == logging.INFO


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "Could not parse|storage cannot be used"),
        ("sqlite:////no/such/folder/tune.db", "unable to open database file"),
        ("nodatabase://host/db", "storage cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_used_is_named(tmp_path, url, message):
    with pytest.raises(NeuroError, match=message) as told:
        ran(tmp_path, url=url)
    assert "such as sqlite:///tune.db" in str(told.value)


def test_without_optuna_one_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(NeuroError, match=re.escape('pip install "bt-neuro[tune]"')):
        ran(tmp_path)


def equity_of(values, deposits=()):
    times = pd.date_range("2024-01-01", periods=len(values))
    paid = pd.Series(dict(deposits), dtype=float).reindex(range(len(values)), fill_value=0.0)
    return pd.DataFrame({"datetime": times, "equity": values, "deposits": paid}).astype({"equity": float})


# -- luck ----------------------------------------------------------------------------------------------------
def noise(trials, days, drift=0.0, seed=0):
    return np.random.default_rng(seed).normal(drift, 0.01, (trials, days))


def luck_of(returns, chosen):
    ratios = [sharpe_ratio(row) for row in returns]
    return luck_metrics(daily_moments(returns[chosen], 252.0), ratios, len(returns)), ratios


def test_the_deflated_sharpe_ratio_is_that_of_the_best_returns():
    returns = noise(20, 300)
    figures, ratios = luck_of(returns, 3)
    luck = best_of_luck(20, float(np.var(ratios, ddof=1)))
    expected = probabilistic_sharpe_ratio(returns[3], luck)
    assert figures["deflated_sharpe_ratio_pct"] == pytest.approx(100 * expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_many_random_walks_is_luck_and_a_planted_skill_is_not(seed):
    returns = noise(50, 750, seed=seed)
    best = int(np.argmax([sharpe_ratio(row) for row in returns]))
    assert luck_of(returns, best)[0]["deflated_sharpe_ratio_pct"] < 95
    alone = daily_moments(returns[best], 252.0)
    one_trial = luck_metrics(alone, [], 1)["deflated_sharpe_ratio_pct"]
    assert one_trial > 95  # which is why the number of trials must be told
    returns[7] += 0.004
    assert luck_of(returns, 7)[0]["deflated_sharpe_ratio_pct"] > 95


@given(st.integers(0, 10_000), st.floats(-0.002, 0.004))
def test_the_needed_ratio_and_the_deflated_one_agree(seed, drift):
    returns = noise(10, 300, drift, seed)
    best = int(np.argmax([sharpe_ratio(row) for row in returns]))
    figures, ratios = luck_of(returns, best)
    is_above = ratios[best] * 252**0.5 > figures["needed_sharpe_ratio"]
    assert is_above == (figures["deflated_sharpe_ratio_pct"] > 95)


@pytest.mark.parametrize(
    ("returns", "others"),
    [([0.01] * 40, [0.1, 0.2]), (noise(1, 29)[0], [0.1, 0.2]), (noise(1, 100)[0], [0.1])],
    ids=["flat", "too few days", "one ratio of two trials"],
)
def test_where_luck_cannot_be_told_it_is_not(returns, others):
    figures = luck_metrics(daily_moments(np.array(returns), 252.0), others, 2)
    assert set(figures.values()) == {None}


def test_the_objectives_by_hand():
    equity = equity_of([101.0, 99.0, 110.0, 115.0] + [110.0] * 26, deposits={3: 5.0})
    predictions = pd.DataFrame(
        [
            (0.2, 0.5, 0.3, "buy", 1),
            (0.0, 0.5, 0.5, "both", None),
            (0.2, 0.3, 0.5, "none", 0),
            (1, 0, 0, "", None),
        ],
        columns=["p_none", "p_buy", "p_sell", "label", "hit"],
    ).assign(signal=["buy", "none", "sell", "none"])  # fmt: skip
    figures = objective_metrics(predictions, equity, 100.0)
    total = 1.1 * 110 / 115
    assert figures["return_pct"] == pytest.approx(100 * (total - 1))
    assert figures["hit_rate_pct"] == 50
    assert figures["brier_score"] == pytest.approx((0.38 + 0 + 0.98) / 3)
    daily = [0.01, 99 / 101 - 1, 110 / 99 - 1, 0.0, 110 / 115 - 1, *[0.0] * 25]
    assert figures["sharpe_ratio"] == pytest.approx(sharpe_ratio(daily, 30 * 365.25 / 29))


@pytest.mark.parametrize(
    ("values", "ratios", "returns"),
    [
        ([100 + day % 3 for day in range(80)], [True, True], [True, True]),
        ([100 + day % 3 for day in range(58)], [False, False], [True, True]),
        ([*np.linspace(100, 400, 45), *[0.0] * 35], [True, False], [True, True]),
        ([*np.linspace(100, 400, 39), *[0.0] * 41], [False, False], [True, False]),
        ([*np.linspace(100, 400, 39), *[-5.0] * 41], [False, False], [True, False]),
    ],
    ids=["sound", "folds of 29 days", "ruin in the second fold", "nothing left", "debts left"],
)
def test_a_fold_without_money_or_of_few_days_has_no_ratio(values, ratios, returns):
    half = len(values) // 2
    equity = equity_of(values).assign(fold=np.repeat([1, 2], half))
    predictions = pd.DataFrame(
        {
            "p_none": 0.2,
            "p_buy": 0.5,
            "p_sell": 0.3,
            "signal": "buy",
            "label": "buy",
            "hit": 1,
            "fold": equity["fold"],
        }
    )
    lost = lost_at(equity)
    metrics = {**dict.fromkeys(("max_drawdown_pct", "trades", "signals", "start", "end")), "lost_at": lost}
    ran = SimpleNamespace(predictions=predictions, equity=equity, metrics=metrics)
    found = trial_metrics(ran, 100.0, "sharpe")
    assert [fold["sharpe_ratio"] is not None for fold in found["folds"]] == ratios
    assert [fold["return_pct"] is not None for fold in found["folds"]] == returns
    assert [fold["hit_rate_pct"] for fold in found["folds"]] == [100, 100]
    assert (found["sharpe_ratio"] is None) is (found["daily"] is None) is (lost is not None)
    assert found["lost_at"] == lost


@pytest.mark.slow
@pytest.mark.parametrize("ruined", [(0, 3, 4, 12), range(14)], ids=["some", "all"])
def test_a_trial_that_lost_all_its_money_is_the_worst(tmp_path, ruined):
    def works(number, parameters):
        lost = {
            "sharpe_ratio": None,
            "lost_at": "2024-01-03",
            "return_pct": 900.0,
            "daily": None,
            "folds": [],
        }
        return lost if number in ruined else closeness(number, parameters)

    done = ran(tmp_path, works, trials=14)
    assert [state for state, _ in done] == ["COMPLETE"] * 14
    with TuneStudy.open(tmp_path, None, "tune", OBJECTIVES["sharpe"]) as study:
        table = trials_table(study, "sharpe")
        assert table["trial"].tolist()[14 - len(ruined) :] == sorted(ruined)
        best = study.best
        assert best is None if len(ruined) == 14 else best.number == table["trial"].iloc[0]


# -- the whole, on bars --------------------------------------------------------------------------------------
HOW = {
    "search": ["learning_rate=1e-3..1e-1:log", "history_bars=3..900"],
    "strategy": SMALL,
    "train": "150b",
    "test": "80b",
    "holdout": "100b",
    "trials": 3,
    "objective": "brier_score",
    "jobs": 1,
    "bars_options": {"end": "2024-01-25"},
}


@pytest.fixture(scope="module")
def tuning(tmp_path_factory) -> Tuning:
    return tune(SAMPLE, out=tmp_path_factory.mktemp("tune"), **HOW)


@pytest.mark.slow
def test_the_best_trial_is_the_best_and_can_be_run_again(tuning, tmp_path):
    best, trials = tuning.metrics["best"], tuning.trials.set_index("trial")
    complete = trials[trials["state"] == "complete"]
    assert best["brier_score"] == pytest.approx(complete["brier_score"].min())
    again = walk_forward(
        SAMPLE,
        strategy=SMALL,
        parameters=tuning.best,
        train="150b",
        test="80b",
        jobs=1,
        out=tmp_path / "again",
        bars_options={"end": str(seen(tuning)["datetime"].iloc[-1])},
    )
    assert again.metrics["return_pct"] == pytest.approx(best["return_pct"])
    assert len(again.folds) == len(best["folds"]) == 2
    daily = daily_returns(again.equity, 10_000.0)
    assert best["daily"]["sharpe_ratio"] == pytest.approx(sharpe_ratio(daily))


@pytest.mark.slow
@pytest.mark.parametrize("report", [True, False])
def test_only_a_search_with_a_page_draws_that_of_the_held_out_bars(tuning, tmp_path, report):
    folder = (
        tuning.folder if report else tune(SAMPLE, out=tmp_path, report=False, **HOW | {"trials": 1}).folder
    )
    assert (folder / "report.html").exists() is report
    (place,) = (folder / "holdout").iterdir()
    assert (place / "report.html").exists() is report


def test_a_trial_that_cannot_run_is_told_with_its_parameters(tuning):
    failed = tuning.trials[tuning.trials["state"] == "fail"]
    assert len(failed) == tuning.metrics["failed"] > 0
    assert failed["error"].str.contains("a training part must have").all()
    assert (failed["history_bars"] > 80).all()


def seen(tuning):
    """Return the bars that the trials may see."""
    return read_bars(SAMPLE, **HOW["bars_options"]).frame.iloc[:-100]


def test_no_trial_sees_the_bars_that_are_held_out(tuning):
    last = seen(tuning)["datetime"].iloc[-1]
    for place in (tuning.folder / "trials").iterdir():
        manifest = json.loads((place / "run.json").read_text())
        assert pd.Timestamp(manifest["data"]["last"]) == last
    holdout = tuning.metrics["holdout"]
    assert pd.Timestamp(holdout["start"]) > last
    assert holdout["bars"] == 100
    (place,) = (tuning.folder / "holdout").iterdir()
    folds = pd.read_csv(place / "folds.csv")
    assert folds["train_bars"].tolist() == [150]
    assert pd.Timestamp(folds["train_end"][0]) == last


@pytest.mark.slow
def test_poisoned_bars_at_the_end_change_no_trial(tuning, tmp_path):
    lines = SAMPLE.read_text().splitlines(keepends=True)
    bars = len(seen(tuning)) + 1  # and the header
    perturbed = [re.sub(r"1\.(\d{5})", r"2.\1", line) for line in lines[bars:]]
    assert perturbed[0] != lines[bars]
    (tmp_path / "perturbed.csv").write_text("".join(lines[:bars] + perturbed))
    other = tune(tmp_path / "perturbed.csv", out=tmp_path / "out", **HOW)
    # An error names its file, and the files differ.
    pd.testing.assert_frame_equal(*(one.trials.drop(columns=["seconds", "error"]) for one in (tuning, other)))
    assert other.metrics["holdout"] != tuning.metrics["holdout"]


def test_the_sentence_says_what_luck_explains_and_that_the_folds_are_used_up(tuning):
    text = str(tuning)
    assert re.match(
        r"SYNTHETIC_EURUSD_H1\.csv, 2024-\d\d-\d\d to 2024-\d\d-\d\d, \d trials? on 2 folds "
        r"\(\d more failed\): the best Brier score is 0\.\d{4}, with learning_rate=[\d.e-]+, history_bars=\d+"
        r"\. Verdict: too few days or trials to judge luck\.",
        text,
    ), text
    assert "so they are no longer out of sample; on the held-out bars from 2024-01-" in text


@pytest.mark.slow
def test_a_search_goes_on_and_keeps_what_is_done(tuning, tmp_path):
    def interrupt(done, total):
        if done > 2:  # of two folds a trial
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"[12] of 3 trials are done: continue with --resume"):
        tune(SAMPLE, out=tmp_path, progress=interrupt, **HOW)
    manifest = json.loads((tmp_path / "run.json").read_text())
    assert (manifest["status"], manifest["metrics"]["holdout"]) == ("interrupted", None)
    assert manifest["metrics"]["sentence"].endswith(
        "and the held-out bars are tested at the end of the search."
    )
    assert [place.name for place in (tmp_path / "trials").iterdir()] == ["000"]

    with pytest.raises(NeuroError, match=r"options.train must be 150b, .*, got 140b"):
        tune(SAMPLE, resume=tmp_path, **{**HOW, "train": "140b"})

    result = tune(SAMPLE, resume=tmp_path, **HOW)
    assert result.best == tuning.best
    assert sorted(result.trials["brier_score"].dropna()) == sorted(tuning.trials["brier_score"].dropna())
    assert result.metrics["holdout"] == tuning.metrics["holdout"]


@pytest.mark.slow
def test_a_search_killed_before_its_first_trial_goes_on(tuning, tmp_path):
    manifest = tuning.manifest | {"status": "running"}
    del manifest["sha256"]
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(NeuroError, match=r"must hold study\.db, got none"):  # the trials are lost
        tune(SAMPLE, resume=tmp_path, **HOW)
    for later in ("study", "metrics", "rows"):
        del manifest[later]
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    assert tune(SAMPLE, resume=tmp_path, **HOW).best == tuning.best


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "sharp"}, "There is no objective 'sharp'. Did you mean sharpe?"),
        ({"trials": 0}, "trials must be 1 or more, got 0"),
        ({"parameters": {"history_bars": 4}}, "history_bars must be fixed or searched, got both"),
        ({"holdout": "9000b"}, "too few to hold out 9000b"),
        ({"holdout": "9999Y"}, "too few to hold out 9999Y"),
        ({"holdout": "some"}, "A length must be .*, got 'some'"),
        ({"train": "9000b"}, "too few for train 9000b"),
        ({"resume": "nowhere"}, "nowhere is no run folder"),
        ({"resume": "nowhere", "out": "somewhere"}, "not both"),
        (
            {"search": ["history_bars=900..990"], "trials": 2},
            "All trials failed. First error: .*a training part must have",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NeuroError, match=message):
        tune(SAMPLE, **{**HOW, "holdout": "0", **options})


def test_a_second_look_at_the_held_out_bars_is_counted(tmp_path):
    """More trials, another best: the bars at the end are no longer unseen by whoever reads both reports."""
    with TuneStudy.open(tmp_path, None, "tune", OBJECTIVES["sharpe"]) as study:
        folds = [{"fold": 1, "sharpe_ratio": 1.0}]
        figures = {"start": "2024-01-01", "end": "2024-01-02", "folds": folds, "daily": None}
        work = lambda number, _: {**figures, "sharpe_ratio": float(number)}  # noqa: E731
        study.run(SPACE, work, n_trials=2, seed=0, first=FIRST, is_resumed=False)
        held = {
            "sharpe_ratio": 0.5,
            "hit_rate_pct": None,
            "return_pct": 1.0,
            "has_costs": False,
            "money_verdict": "no skill in money",
        }
        for trial in (0, 1):
            study.keep_holdout(trial, {"start": "2024-01-03", "end": "2024-01-05", **held})
        metrics = tune_metrics(study, "sharpe", True, "x.csv")
    assert metrics["sentence"].endswith(
        "the best returned +1.0 % without any costs, with a Sharpe ratio of 0.50 and no signals: no skill in "
        "money (these bars were tested 2 times)."
    )


# -- the command ---------------------------------------------------------------------------------------------
WORDS = [
    "tune", SAMPLE, "--to", "2024-01-20", "--strategy", SMALL, "--device", "numpy", "--jobs", "1",
    "--train", "120b", "--test", "100b", "--holdout", "0", "--search", "wing=1,2", "--objective", "hit_rate",
]  # fmt: skip


@pytest.mark.slow
def test_the_command_prints_the_sentence_the_table_and_the_folder(tmp_path):
    out = CliRunner().invoke(app, [str(word) for word in [*WORDS, "--out", tmp_path]])
    assert out.exit_code == 0, out.output
    lines = out.stdout.splitlines()
    metrics = json.loads((tmp_path / "run.json").read_text())["metrics"]
    assert lines[0] == metrics["sentence"]
    assert lines[0].endswith("no longer out of sample, and no bars were held out.")
    assert lines[3].split()[:3] == ["trial", "wing", "Sharpe"]
    assert lines[4].split()[:2] == [str(metrics["best"]["trial"]), str(metrics["best"]["parameters"]["wing"])]
    assert "Another wing is another label" in out.stdout
    assert lines[-1] == f"Written to {tmp_path}"
    assert out.stderr == ""

    again = CliRunner().invoke(app, [str(word) for word in [*WORDS, "--resume", tmp_path, "--json"]])
    assert json.loads(again.stdout)["metrics"] == metrics


def test_a_mistake_ends_with_a_remedy():
    out = CliRunner().invoke(app, ["tune", str(SAMPLE), "--search", "learning_rat=1..2"])
    assert (out.exit_code, out.stdout) == (1, "")
    assert out.stderr == "Error: NeuroStrategy has no parameter 'learning_rat'. Did you mean learning_rate?\n"


# -- several processes ---------------------------------------------------------------------------------------
def started(*words):
    command = [sys.executable, "-m", "bt_neuro", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


MANY = [*WORDS[:-4], "--search", "learning_rate=1e-3..1e-1:log", "--objective", "brier_score"]


@pytest.mark.slow
def test_two_processes_on_one_storage_share_the_trials(tmp_path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    both = [
        started(*MANY, "--trials", 8, "--storage", url, "--study", "ours", "--out", tmp_path / name)
        for name in "ab"
    ]
    for process in both:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    places = [{place.name for place in (tmp_path / name / "trials").iterdir()} for name in "ab"]
    assert places[0].isdisjoint(places[1])
    assert min(map(len, places)) >= 1
    assert 8 <= sum(map(len, places)) <= 9  # both may begin the last one


@pytest.mark.slow
def test_a_killed_search_goes_on_with_the_same_trials(tmp_path):
    process = started(*MANY, "--trials", 4, "--out", tmp_path / "killed")
    while not (tmp_path / "killed" / "trials" / "002").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    goes_on = started(*MANY, "--trials", 4, "--resume", tmp_path / "killed")
    whole = started(*MANY, "--trials", 4, "--out", tmp_path / "whole")
    for one in (goes_on, whole):
        _, said = one.communicate(timeout=300)
        assert one.returncode == 0, said
    tables = [pd.read_csv(tmp_path / name / "trials.csv") for name in ("killed", "whole")]
    columns = ["learning_rate", "brier_score", "return_pct"]
    pd.testing.assert_frame_equal(*(table[columns] for table in tables))
