"""The permutation test: a market's own figures are its backtest's, and p finds what is there, and no more."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hourly import Hourly, SmallHourly
from paths import ROOT, SAMPLE
from planted import planted_bars
from small import Small
from typer.testing import CliRunner

from bt_neuro import Account, NeuroError, StrategyError, backtest, open_run, permutation_test, read_bars
from bt_neuro.cli import app
from bt_neuro.metrics.verdict import PROFIT
from bt_neuro.report.console import render
from bt_neuro.runs.saved_manifest import read_manifest
from bt_neuro.validation import surrogate_task
from bt_neuro.validation.permutation import compared, sentence
from bt_neuro.validation.surrogate_task import MONEY, SCORES
from bt_neuro.validation.surrogates import KINDS, surrogate

SMALL = f"{ROOT / 'tests' / 'small.py'}:Small"
NAN, INF = float("nan"), float("inf")
WINTER = {"end": "2024-02-16"}
OPTIONS = {"strategy": Small, "bars_options": WINTER, "n": 3, "jobs": 1, "report": False}


class Wider(Small):
    """Further features, another label, two networks."""

    params = (("wing", 2), ("seeds", 2))

    def features(self):
        features = super().features()
        return {**features, "twice": features["rsi"] * 2}


class Threshold(Small):
    """Its own way to trade."""

    def decide(self, signal):
        if signal.is_buy and signal.confidence > 0.4:
            self.target(0.5)
        elif self.position and any(scored.is_hit is False for scored in self.scored):
            self.close()


class Peeks(Small):
    """Trades by a weight of its network."""

    def decide(self, signal):
        state = self.network.state()
        self.target(float(np.sign(state["layer3.bias"].sum() if "layer3.bias" in state else 1.0)) * 0.5)


class Waits(Small):
    """Does something of its own on each bar."""

    def next(self):
        super().next()


def run(out, **options):
    return permutation_test(SAMPLE, out=out, **{**OPTIONS, **options})


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return run(tmp_path_factory.mktemp("permutation") / "run", report=True)


# -- the market's own figures --------------------------------------------------------------------------------
SLOW = [pytest.param(strategy, marks=pytest.mark.slow) for strategy in (Small, Wider, Peeks, Waits)]


@pytest.mark.parametrize("strategy", [Threshold, *SLOW], ids=lambda s: s.__name__)
def test_the_markets_figures_are_those_of_its_backtest(strategy, tmp_path):
    test = run(tmp_path / "test", strategy=strategy, n=1)
    m = backtest(SAMPLE, strategy=strategy, bars_options=WINTER, out=tmp_path / "run", report=False).metrics
    found = {name: figure["value"] for name, figure in test.figures.items()}
    assert found["brier_lead"] == pytest.approx(
        -m["brier_difference"], abs=1e-8
    )  # of nine digits in the file
    assert found["lift_pct"] == pytest.approx(m["lift_pct"], abs=1e-8)
    assert found["hit_rate_lead_pct"] == pytest.approx(m["difference_pct"], abs=1e-6)
    assert {name: found[name] for name in MONEY} == {name: m[name] for name in MONEY}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [Threshold, *SLOW[:2]], ids=lambda s: s.__name__)
def test_long_launches_change_no_figure(strategy, tmp_path, monkeypatch):
    fast = run(tmp_path / "fast", strategy=strategy, n=1)
    monkeypatch.setattr(surrogate_task, "feature_rows", lambda *_: None)
    slow = run(tmp_path / "slow", strategy=strategy, n=1)
    for name, figure in fast.figures.items():
        assert figure["value"] == pytest.approx(slow.figures[name]["value"], abs=1e-6), name
        assert figure["surrogates"] == pytest.approx(slow.figures[name]["surrogates"], abs=1e-6), name
    assert all(fast.figures[name] == slow.figures[name] for name in MONEY)


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "is_slow"), [(Threshold, False), (Peeks, True), (Waits, True)])
def test_what_needs_its_network_runs_bar_by_bar(strategy, is_slow, tmp_path, monkeypatch):
    calls, real = [], surrogate_task._bar_by_bar
    monkeypatch.setattr(surrogate_task, "_bar_by_bar", lambda *given: calls.append(1) or real(*given))
    run(tmp_path / "run", strategy=strategy, n=1)
    assert bool(calls) is is_slow


@pytest.mark.slow
def test_a_span_that_is_learned_first_is_learned_on_each_surrogate(tmp_path):
    span = {"pretrain": ("2024-01-03", "2024-01-20"), "eras": 2}
    test = run(tmp_path / "test", parameters=span, n=1)
    m = backtest(
        SAMPLE, strategy=Small, parameters=span, bars_options=WINTER, out=tmp_path / "run", report=False
    ).metrics
    assert test.figures["lift_pct"]["value"] == pytest.approx(m["lift_pct"])
    assert test.figures["return_pct"]["value"] == m["return_pct"]


def test_a_return_before_costs_is_that_of_a_run_without_costs(tmp_path):
    costly, free = (
        backtest(
            SAMPLE, strategy=Small, account=account, bars_options=WINTER, out=tmp_path / name, report=False
        ).metrics
        for name, account in (("costly", Account(spread=20)), ("free", Account(spread=0)))
    )
    assert costly["return_pct"] < costly["return_before_costs_pct"] - 0.02
    assert costly["return_before_costs_pct"] == pytest.approx(free["return_pct"], abs=0.01)


# -- p -------------------------------------------------------------------------------------------------------
def test_p_counts_the_surrogates_at_least_as_good(result):
    assert list(result.figures) == [*SCORES, *MONEY]
    table = result.surrogates
    assert table["number"].tolist() == [0, 1, 2, 3]
    for name, figure in result.figures.items():
        assert [figure["value"], *figure["surrogates"]] == pytest.approx(table[name].tolist(), rel=1e-12)
        as_good = sum(other >= figure["value"] for other in figure["surrogates"])
        assert figure["p_value"] == (1 + as_good) / 4


@pytest.mark.parametrize(
    ("p", "n", "kind", "expected"),
    [
        (
            0.62,
            99,
            "sign",
            "99 mirrored markets * 61 times (p = 0.62): no evidence that the strategy knows direction.",
        ),
        (
            0.05,
            19,
            "sign",
            "19 mirrored markets * 0 times (p = 0.05): evidence that the strategy knows direction.",
        ),
        (
            0.02,
            99,
            "bars",
            "99 bar-shuffled markets * once (p = 0.02): evidence that the strategy uses order.",
        ),
    ],
)
def test_the_sentence(p, n, kind, expected):
    found = sentence({"lift_pct": {"surrogates": [0.0] * n, "p_value": p}}, kind)
    assert found == f"On {expected.replace('*', 'the lift over the visible half was as good')}"


@pytest.mark.parametrize(
    ("kind", "claim"), [("sign", "gains from direction or drift"), ("hour", "uses order")]
)
def test_the_sentence_of_a_return_claims_no_direction(kind, claim):
    """An account that is always long in a rising market has the smallest p too."""
    found = sentence({MONEY[0]: {"surrogates": [0.0] * 19, "p_value": 0.05}}, kind)
    assert found.endswith(f": evidence that the strategy {claim}.")


@pytest.mark.parametrize(
    ("market", "surrogates", "p"),
    [
        (1.0, [0.0, 0.0, 0.0], 0.25),
        (1.0, [0.0, NAN, 0.0], 0.5),
        (NAN, [-1.0, -1.0, NAN], 1.0),
        (-INF, [-1.0, -INF, -1.0], 1.0),
        (-1.0, [-INF, -INF, -INF], 0.25),
    ],
)
def test_an_undefined_figure_counts_against_the_strategy(market, surrogates, p):
    figure = compared(dict(enumerate([{"lift": one} for one in (market, *surrogates)])), 3, ["lift"])["lift"]
    assert figure["p_value"] == p
    assert [figure["value"], *figure["surrogates"]] == [
        one if np.isfinite(one) else None for one in (market, *surrogates)
    ]


class Rests(Small):
    """Never trades."""

    def decide(self, signal):
        pass


def test_an_account_that_never_trades_has_no_small_p(tmp_path):
    test = run(tmp_path / "run", strategy=Rests, report=True)
    assert test.figures[MONEY[2]] == {"value": None, "surrogates": [None] * 3, "p_value": 1.0}
    assert run(None, strategy=Rests, resume=test.folder).figures == test.figures
    assert open_run(test.folder).surrogates[MONEY[2]].isna().all()


def planted_file(tmp_path, bars, probability=0.7):
    path = tmp_path / "planted.csv"
    planted_bars(0, bars, probability).to_csv(path, index=False, float_format="%.5f")
    return path


@pytest.mark.slow
def test_a_planted_direction_is_found(tmp_path):
    """Bars that rise in some hours and fall in the others."""
    path = planted_file(tmp_path, 1_000, probability=0.95)
    test = permutation_test(path, strategy=SmallHourly, jobs=1, out=tmp_path / "run", report=False)
    assert test.figures["lift_pct"]["p_value"] == 0.05
    assert test.figures["return_before_costs_pct"]["p_value"] == 0.05
    assert str(test).endswith(": evidence that the strategy gains from direction or drift.")


@pytest.mark.slow
def test_the_default_earns_from_a_planted_direction(tmp_path):
    path = planted_file(tmp_path, 30_000)
    test = permutation_test(path, out=tmp_path / "run", report=False)
    assert test.figures["return_before_costs_pct"]["p_value"] == 0.05
    result = backtest(path, out=tmp_path / "one", report=False)
    assert result.metrics["money_verdict"] == PROFIT


@pytest.mark.slow
def test_a_network_that_sees_the_hour_beats_the_counters_which_do_not(tmp_path):
    path = planted_file(tmp_path, 30_000)
    test = permutation_test(path, strategy=Hourly, scores_only=True, out=tmp_path / "run", report=False)
    assert test.figures["brier_lead_over_shape"]["p_value"] == 0.05
    assert test.figures["lift_pct"]["p_value"] == 0.05


@pytest.mark.slow
def test_a_market_without_direction_is_seldom_called_one(tmp_path):
    """Twenty coin-mirrored files of 6,000 bars."""
    found = {"lift_pct": 0, "return_pct": 0}
    for seed in range(20):
        path = tmp_path / f"{seed}.csv"
        surrogate(read_bars(SAMPLE), "sign", 1, seed=100 + seed).frame.to_csv(
            path, index=False, float_format="%.5f"
        )
        test = permutation_test(
            path, strategy=Small, parameters={"device": "auto"}, out=tmp_path / f"run{seed}", report=False
        )
        for name in found:
            found[name] += test.figures[name]["p_value"] <= 0.05
    assert max(found.values()) <= 3


# -- the folder ----------------------------------------------------------------------------------------------
def test_the_folder_and_the_page(result):
    assert {path.name for path in result.folder.iterdir()} == {"run.json", "report.html", "surrogates.csv"}
    assert read_manifest(result.folder) == result.manifest
    page = (result.folder / "report.html").read_text()
    assert str(result) in page
    assert "Return before costs, %" in page
    assert "This market among its surrogates" in page
    again = open_run(result.folder)
    assert again.figures == result.figures
    shown = "\n".join(map(str, render(again)))
    assert str(result) in shown


def test_scores_alone_have_no_account(tmp_path):
    test = run(tmp_path / "run", scores_only=True)
    assert set(test.figures) == set(SCORES)
    assert set(test.surrogates) == {"number", *SCORES}


@pytest.mark.slow
def test_any_number_of_jobs_gives_the_same(result, tmp_path):
    two = run(tmp_path / "two", jobs=2)
    assert (two.folder / "surrogates.csv").read_bytes() == (result.folder / "surrogates.csv").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_runs(kind, tmp_path):
    test = run(tmp_path / "run", kind=kind, scores_only=True, n=1)
    assert test.manifest["options"]["kind"] == kind


@pytest.mark.slow
def test_more_surrogates_and_what_was_finished_is_kept(result, tmp_path, monkeypatch):
    numbers, real = [], surrogate_task.run_surrogate_task

    def counted(task):
        numbers.append(task.number)
        return real(task)

    monkeypatch.setattr("bt_neuro.validation.permutation.run_surrogate_task", counted)
    first = run(tmp_path / "run", n=1)
    assert numbers == [0, 1]
    more = run(None, resume=first.folder, n=3)
    assert numbers == [0, 1, 2, 3]
    assert more.figures == result.figures


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_a_test_that_was_ended_goes_on(ending, result, tmp_path):
    words = ["--n", "3", "--strategy", SMALL, "--to", WINTER["end"], "--device", "numpy", "--jobs", "1"]
    command = [sys.executable, "-m", "bt_neuro", "permutation-test", str(SAMPLE), *words]
    process = subprocess.Popen([*command, "--out", tmp_path / "run"], stderr=subprocess.PIPE, text=True)
    table, until = tmp_path / "run" / "surrogates.csv", time.monotonic() + 120
    while not table.exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, ending)
    error = process.communicate(timeout=60)[1]
    done = len(pd.read_csv(table))
    if ending == signal.SIGINT:
        assert process.returncode == 130
        assert re.search(rf"interrupted; {done} of 4 runs are finished: continue with --resume", error), error
    rest = subprocess.run(
        [*command, "--resume", tmp_path / "run"], capture_output=True, text=True, check=True
    )
    assert str(result) in rest.stdout
    assert open_run(tmp_path / "run").figures == result.figures


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n": 0}, NeuroError, "n must be 1 or more, got 0"),
        ({"kind": "sing"}, NeuroError, "kind must be one of sign, hour, bars, got 'sing'. Did you mean"),
        ({"parameters": {"resume": "x"}}, NeuroError, "resume must not be a parameter"),
        ({"parameters": {"wong": 2}}, StrategyError, "no parameter 'wong'"),
    ],
)
def test_errors_name_the_remedy(options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        run(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_test_is_resumed_with_the_same_settings(result):
    with pytest.raises(NeuroError, match=r"options.kind must be sign, .* got hour"):
        run(None, resume=result.folder, kind="hour")
    with pytest.raises(NeuroError, match=r"parameters.wing must be 1"):
        run(None, resume=result.folder, parameters={"wing": 2})


def test_a_smaller_number_does_not_choose_another_p(result):
    with pytest.raises(NeuroError, match=r"n must be 3 or more, as .* has 3 surrogates, got 2\. Give 3 "):
        run(None, resume=result.folder, n=2)
    assert read_manifest(result.folder) == result.manifest


def test_the_command_prints_figures_as_json(result, tmp_path):
    words = ["--n", "3", "--strategy", SMALL, "--to", WINTER["end"], "--device", "numpy", "--json"]
    ran = CliRunner().invoke(
        app, ["permutation-test", str(SAMPLE), *words, "--jobs", "1", "--out", str(tmp_path / "run")]
    )
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["figures"] == result.figures
