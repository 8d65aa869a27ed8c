"""A whole backtest and its folder: every file, every figure that can be counted again."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from fractal_targets import fractal_targets
from paths import ROOT
from safetensors import safe_open
from small import Small

from bt_neuro import (
    Account,
    BarsError,
    BarsFeed,
    HitRate,
    NeuroError,
    NonFiniteError,
    StrategyError,
    backtest,
    open_run,
    read_bars,
)
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.metrics.verdict import BETTER
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.recording import PredictionTable
from bt_neuro.runs.saved_manifest import read_manifest

SAMPLE = ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv"
REAL = ROOT.parent / "shared" / "data" / "EURUSD_H1.csv"
MONTHS = {"end": "2024-03-31"}
TABLES = {
    *("predictions.csv", "trades.csv", "equity.csv", "baselines.csv"),
    *("features.npy", "outputs.npy", "statistics.npy"),
}
FILES = TABLES | {"run.json", "report.html", "model.safetensors"}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return backtest(SAMPLE, strategy=Small, out=tmp_path_factory.mktemp("run"), bars_options=MONTHS)


@pytest.fixture(scope="module")
def bars():
    return read_bars(SAMPLE, **MONTHS).frame


def test_the_folder_holds_all_files_and_nothing_else(result):
    assert {path.name for path in result.folder.iterdir()} == FILES
    assert read_manifest(result.folder) == result.manifest
    assert result.manifest["status"] == "complete"


def test_predictions_tell_the_truth_about_every_bar(result, bars):
    p = result.predictions
    assert tuple(p.columns) == PredictionTable.header
    assert p["bar"].tolist() == list(range(p["bar"].iloc[0], len(bars)))
    assert (p["datetime"].to_numpy() == bars["datetime"].to_numpy()[p["bar"]]).all()
    assert np.allclose(p[["p_none", "p_buy", "p_sell"]].sum(axis=1), 1, atol=1e-8)

    targets = fractal_targets(bars["high"].to_numpy(), bars["low"].to_numpy(), 1)[p["bar"]]
    names = {(1, 0, 0): "none", (0, 1, 0): "buy", (0, 0, 1): "sell", (0, 1, 1): "both"}
    expected = [names[tuple(t.astype(int))] for t in targets[:-1]]
    assert p["label"].tolist() == [*expected, ""]  # the last one is not known yet
    assert (p["known_bar"][:-1] == p["bar"][:-1] + 1).all()
    told = p[:-1][p["signal"][:-1] != "none"]
    assert (
        told["hit"]
        == [s == lab or lab == "both" for s, lab in zip(told["signal"], told["label"], strict=True)]
    ).all()
    assert p["hit"].notna().sum() == len(told)


def test_metrics_count_the_rows(result):
    m, p, e, t = result.metrics, result.predictions, result.equity, result.trades
    hits = p["hit"].dropna()
    assert (m["signals"], m["hits"]) == (len(hits), int(hits.sum()))
    assert m["hit_rate_pct"] == pytest.approx(100 * hits.mean())
    assert m["hit_rate_low_pct"] < m["hit_rate_pct"] < m["hit_rate_high_pct"]
    assert (m["predicted_bars"], m["scored_bars"]) == (len(p), len(p) - 1)
    assert (m["bars"], len(t)) == (len(e), m["trades"])
    assert m["return_pct"] == pytest.approx(100 * (e["equity"].iloc[-1] / 10_000 - 1))
    drawdown = 1 - e["equity"] / e["equity"].cummax()
    assert m["max_drawdown_pct"] == pytest.approx(100 * drawdown.max())
    assert m["max_drawdown_trough"] == str(e["datetime"][drawdown.idxmax()])
    assert m["exposure_pct"] == pytest.approx(100 * (e["position"] != 0).mean())
    first = p["bar"].iloc[0]
    assert m["buy_and_hold_return_pct"] == pytest.approx(100 * (e["close"].iloc[-1] / e["close"][first] - 1))
    assert m["win_rate_pct"] == pytest.approx(100 * (t["net"] > 0).mean())
    assert m["profit_after_costs"] == pytest.approx(m["profit_before_costs"] - m["costs"])
    years = (e["datetime"].iloc[-1] - e["datetime"].iloc[0]).total_seconds() / (365.25 * 86_400)
    daily = e.set_index("datetime")["equity"].resample("D").last().dropna()
    returns = daily.pct_change().fillna(daily.iloc[0] / 10_000 - 1)
    assert m["sharpe_ratio_daily_annualised"] == pytest.approx(
        returns.mean() / returns.std() * math.sqrt(len(returns) / years)
    )


def test_every_key_and_file_of_a_run_is_documented(result):
    page = (ROOT / "docs" / "reference" / "files.md").read_text()
    words = set(re.findall(r"`([^`\s]+)`", page))
    keys = {*result.manifest, *result.metrics, *result.manifest["data"], *result.manifest["time"]}
    keys |= {*result.metrics["buy"], *result.metrics["step_time"], *result.manifest["network"]}
    keys = {re.sub(r"(bars)_(low|high)$", r"\1", key) for key in keys}
    assert keys <= words
    assert {path.name for path in result.folder.iterdir()} <= words | {"run.json"}
    for table in ("predictions", "equity", "trades"):
        assert set(getattr(result, table).columns) <= words


def test_the_analyzer_gives_the_metrics_of_the_run(result, bars):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=bars))
    cerebro.addstrategy(Small)
    cerebro.addanalyzer(HitRate)
    found = cerebro.run()[0].analyzers.hitrate.get_analysis()
    for name, value in found.items():
        assert result.metrics[name] == pytest.approx(value), name


def test_outputs_are_those_of_the_probabilities(result):
    outputs = result.outputs
    assert outputs.shape == (len(result.predictions), 1, 3)
    p = outputs[:, 0] / outputs[:, 0].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, result.predictions[["p_none", "p_buy", "p_sell"]], atol=1e-7)


def test_trades_add_up_to_the_account(result):
    t, m = result.trades, result.metrics
    open_position = result.equity["position"].iloc[-1]
    signs = np.where(t["side"] == "long", 1, -1)
    assert np.allclose(t["gross"], signs * t["size"] * (t["exit_price"] - t["entry_price"]), atol=1e-6)
    assert np.allclose(t["net"], t["gross"] - t["costs"], atol=1e-6)
    assert (t["costs"] > 0).all()  # the file has a spread column
    assert bool(open_position) == bool(m["open_trades"])


def test_class_frequencies_can_be_computed_by_hand(result, bars):
    p = result.predictions[:-1]
    targets = fractal_targets(bars["high"].to_numpy(), bars["low"].to_numpy(), 1)[p["bar"]]
    scored = result.metrics["baselines"]["class frequencies"]
    assert scored["scored_bars"] == len(p)
    best_constant = ((targets - targets.mean(axis=0)) ** 2).mean()
    assert best_constant <= scored["mean_squared_error"] < best_constant + 0.01
    assert scored["signals"] == 0


def test_impossible_signals_can_be_counted_by_hand(result, bars):
    p = result.predictions[:-1]
    higher = (bars["high"].diff() > 0)[p["bar"]].to_numpy()
    lower = (bars["low"].diff() < 0)[p["bar"]].to_numpy()
    impossible = ((p["signal"] == "sell") & ~higher) | ((p["signal"] == "buy") & ~lower)
    expected = 100 * impossible.sum() / (p["signal"] != "none").sum()
    assert result.metrics["impossible_pct"] == pytest.approx(expected)
    shapes = result.read_table("baselines.csv", {})["shape"][: len(p)]
    assert (shapes // 10 == higher).all()
    assert (shapes // 5 % 2 == lower).all()


def test_the_features_are_those_of_the_bars_that_were_taken(result, bars):
    features, history = np.load(result.folder / "features.npy"), Small.params.history_bars
    first = result.predictions["bar"][0] - history + 1
    assert features.shape == (len(bars) - first, 12)
    np.testing.assert_allclose(features[:, 0], (bars["close"] - bars["open"])[first:], atol=1e-7)


def test_the_running_statistics_are_looked_at_every_100_bars(result):
    features, statistics = (np.load(result.folder / f"{name}.npy") for name in ("features", "statistics"))
    first, history = result.predictions["bar"][0], Small.params.history_bars
    bars = statistics[:, 0].astype(int)
    assert list(bars) == list(range(100, result.metrics["bars"], 100))
    mean, newest = np.zeros(12), features[history - 1 :].astype(float)
    for row in newest[: bars[-1] - first + 1]:
        mean = (99 * mean + row) / 100
    np.testing.assert_allclose(statistics[-1, 1:13], mean, rtol=1e-4)


def test_the_model_holds_all_that_goes_on(result):
    with safe_open(result.folder / "model.safetensors", framework="numpy") as file:
        names, about = set(file.keys()), json.loads(file.metadata()["bt-neuro"])
    assert {"learner.history", "learner.pending_windows", "dense_1.kernel", "dense_1.kernel.m"} <= names
    assert about["data"]["sha256"] == result.manifest["data"]["sha256"]
    assert about["learner"]["last_bar"] == result.metrics["bars"] - 1


@pytest.mark.slow
def test_two_runs_are_equal_to_the_bit(result, tmp_path):
    again = backtest(SAMPLE, strategy=Small, out=tmp_path, bars_options=MONTHS)
    for name in FILES - {"run.json", "report.html"}:  # these tell the time
        assert (again.folder / name).read_bytes() == (result.folder / name).read_bytes(), name


@pytest.mark.slow
def test_a_strategy_is_called_at_its_times_and_runs_as_without(result, tmp_path):
    class Timed(Small):  # in the loop that other strategies need not
        def start(self):
            super().start()
            self.add_timer(bt.timer.SESSION_START)

        def notify_timer(self, timer, when, *args, **kwargs):
            called.append(when.date())

    called = []
    again = backtest(SAMPLE, strategy=Timed, out=tmp_path, bars_options=MONTHS)
    closings = result.equity["datetime"] + pd.Timedelta(hours=1)  # backtrader's clock
    assert called == closings.dt.date.unique().tolist()
    for name in TABLES:
        assert (again.folder / name).read_bytes() == (result.folder / name).read_bytes(), name
    then, now = (Checkpoint.read(run.folder).network.tensors for run in (result, again))
    assert all(np.array_equal(tensor, now[name]) for name, tensor in then.items())


@pytest.mark.slow
def test_costs_are_what_lies_between_gross_and_net(tmp_path):
    free = backtest(
        SAMPLE, strategy=Small, out=tmp_path / "a", bars_options=MONTHS, account=Account(spread=0)
    )
    dear = backtest(
        SAMPLE,
        strategy=Small,
        out=tmp_path / "b",
        bars_options=MONTHS,
        account=Account(spread=20, commission=1e-4, slippage=5),
    )
    assert free.metrics["costs"] == 0
    assert free.metrics["return_pct"] > dear.metrics["return_pct"]
    assert free.metrics["signals"] == dear.metrics["signals"]  # money does not touch the network
    opens = read_bars(SAMPLE, **MONTHS).frame["open"]
    slipped = dear.trades["entry_price"] - opens[dear.trades["entry_bar"]].to_numpy()
    assert (slipped.abs() <= 5e-5 + 1e-12).all()
    assert (free.trades["exit_price"] == opens[free.trades["exit_bar"]].to_numpy()).all()
    trade = dear.trades.iloc[0]
    each_side = [price * 1e-4 + 10e-5 for price in (trade["entry_price"], trade["exit_price"])]
    assert trade["costs"] == pytest.approx(trade["size"] * sum(each_side))


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"path": "missing.csv"}, BarsError, "missing.csv"),
        ({"bars_options": {"end": "2024-01-03"}}, BarsError, "too few"),
        ({"parameters": {"wong": 1}}, StrategyError, "no parameter 'wong'. Did you mean wing"),
    ],
)
def test_what_cannot_run_leaves_no_folder(tmp_path, arguments, error, complaint):
    out = tmp_path / "out"
    arguments = {"path": SAMPLE, "strategy": Small, "out": out, **arguments}
    with pytest.raises(error, match=complaint):
        backtest(**arguments)
    assert not out.exists()


def test_a_run_that_fails_in_the_middle_says_so(tmp_path):
    class Breaks(Small):
        def next(self):
            super().next()
            if len(self) == 300:
                raise NonFiniteError("bar 299: planted")

    with pytest.raises(NonFiniteError):
        backtest(SAMPLE, strategy=Breaks, out=tmp_path)
    manifest = json.loads((tmp_path / "run.json").read_text())
    assert (manifest["status"], manifest["error"]) == ("failed", "bar 299: planted")
    result = open_run(tmp_path)
    assert len(result.equity) == 299  # all rows are kept
    assert len(result.outputs) == len(result.predictions) + 1  # the last bar waits for its label
    assert len(result.features) == len(result.outputs) + manifest["parameters"]["history_bars"] - 1
    assert not (tmp_path / "model.safetensors").exists()


def test_a_run_that_its_strategy_ends_says_so(tmp_path):
    class Ends(Small):
        def decide(self, signal):
            if signal.bar == 200:
                self.env.runstop()

    result = backtest(SAMPLE, strategy=Ends, out=tmp_path, bars_options=MONTHS, report=False)
    assert (result.manifest["status"], result.manifest["stopped_by"]) == ("interrupted", "strategy")
    assert "201 bars (interrupted before the end)" in str(result)


def test_where_nothing_ran_only_what_is_in_the_folder_is_removed(tmp_path, monkeypatch):
    class Divides(Small):
        def prenext(self):
            return 1 / 0

    (real := tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(real)
    for out in (tmp_path / "link", "."):
        with pytest.raises(ZeroDivisionError):
            backtest(SAMPLE, strategy=Divides, out=out, bars_options=MONTHS)
        assert not list(real.iterdir())


def test_runs_of_the_same_second_have_folders_of_their_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    one, two = (RunFolder.create(None, "same", "backtest", {}).path for _ in range(2))
    assert two.name == f"{one.name}-2" or one.name != two.name[:-2]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NeuroError, match=r"cannot write a run to .*Give another --out"):
        backtest(SAMPLE, strategy=Small, out=tmp_path / "file" / "run")


def test_who_may_read_a_run_may_read_its_network(result):
    assert (result.folder / "model.safetensors").stat().st_mode == (result.folder / "run.json").stat().st_mode


@pytest.mark.parametrize("size", [math.nan, math.inf])
def test_a_parameter_that_is_no_number_is_refused_by_name(tmp_path, size):
    with pytest.raises(StrategyError, match=f"size must be a number, 0 or more, got {size}"):
        backtest(SAMPLE, strategy=Small, parameters={"size": size}, out=tmp_path / "run", bars_options=MONTHS)


def test_a_folder_with_something_in_it_is_not_touched(tmp_path):
    (tmp_path / "mine.txt").write_text("dear")
    with pytest.raises(NeuroError, match="must be empty"):
        backtest(SAMPLE, strategy=Small, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_leaves_a_valid_partial_folder(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
from small import Small
from bt_neuro import backtest
print(backtest({str(SAMPLE)!r}, strategy=Small, out={str(tmp_path)!r}))
"""
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    predictions = tmp_path / "predictions.csv"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (predictions.exists() and predictions.stat().st_size > 20_000):
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 0
    assert "interrupted before the end" in said
    manifest = json.loads((tmp_path / "run.json").read_text())
    assert manifest["status"] == "interrupted"
    assert {path.name for path in tmp_path.iterdir()} == FILES
    done = manifest["metrics"]["bars"]
    assert 100 < done < 6000
    assert len(pd.read_csv(tmp_path / "equity.csv")) == done
    assert pd.read_csv(predictions)["bar"].iloc[-1] == done - 1


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason=f"needs the real bars at {REAL}")
def test_the_default_on_real_bars_is_as_good_as_published_and_no_better(tmp_path):
    m = backtest(REAL, out=tmp_path).metrics
    assert m["bars"] == 83_260
    assert m["brier_score"] < 0.335
    assert m["hit_rate_pct"] > 70
    assert m["coverage_pct"] > 38
    for name in ("class frequencies", "visible shape"):
        assert m["brier_score"] < m["baselines"][name]["brier_score"]
    assert m["best_baseline"] == "softmax regression"
    assert m["verdict"] != BETTER  # docs/explanation/scores.md says so
