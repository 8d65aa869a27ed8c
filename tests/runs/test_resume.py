"""A run that was cut in two is one run: predictions, weights, statistics and figures, to the bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from brackets import Brackets
from modes import random_hours, run_modes
from paths import ROOT
from remembers import Forgets, Remembers, Side
from small import Small
from typer.testing import CliRunner

from bt_neuro import (
    Account,
    BarsFeed,
    CheckpointError,
    ConfirmedLabel,
    Dense,
    Dropout,
    FractalLabel,
    HitRate,
    ModelCheckpoint,
    Network,
    NeuroStrategy,
    RunningBatchNorm,
    StrategyError,
    backtest,
)
from bt_neuro.cli import app
from bt_neuro.learning.checkpoint import Checkpoint

backtest = partial(backtest, report=False)  # the page takes as long as all the rest

ALL = 450
BARS = random_hours(ALL)
FIGURES = """hit_rate_pct mean_squared_error brier_score window_hit_rate_pct labels error forecast_pct
    undefine_pct baselines predicted_bars bars verdict""".split()  # noqa: SIM905
TABLES = (
    "predictions.csv",
    "features.npy",
    "outputs.npy",
    "model.safetensors",
)  # that one long run would have


class WithDropout(Small):
    params = (("wing", 2), ("seed", 5))

    def layers(self, inputs):
        return [RunningBatchNorm(50, "tanh"), Dense(16, "tanh"), Dropout(0.3), Dense(3, "sigmoid")]


class Late:
    """A label that tells some bars late, others early and a third never: rows wait for one another."""

    classes = ("none", "buy", "sell")
    delay_bars = 4

    def update(self, bar, high, low, close):
        answers = {0: [(bar - 2, (1.0, 0.0, 0.0))], 1: [(bar - 1, (0.0, 1.0, 0.0))], 2: []}
        return [ConfirmedLabel(*answer) for answer in answers[bar % 3] if answer[0] >= 0]

    def state(self):
        return {}

    def restore(self, state):
        pass


class WithLateLabels(Small):
    def label(self):
        return Late()


def write(bars, path):
    bars.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of bars, cut where asked."""
    folder = tmp_path_factory.mktemp("bars")

    def cut(count=ALL):
        path = folder / f"{count}.csv"
        return path if path.exists() else write(BARS[:count], path)

    return cut


@pytest.fixture(scope="module")
def first(files, tmp_path_factory):
    return backtest(files(300), strategy=Small, out=tmp_path_factory.mktemp("first")).folder


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    return backtest(files(), strategy=Small, out=tmp_path_factory.mktemp("whole"))


def assert_one_run(whole, resumed):
    for name in TABLES:
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), f"{name} differs"


# -- to the bit ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("strategy", "cut"), [(Small, 81), (WithDropout, 350), (WithLateLabels, ALL - 2)])
def test_a_run_cut_in_two_is_one_run(strategy, cut, files, tmp_path):
    whole = backtest(files(), strategy=strategy, out=tmp_path / "whole")
    backtest(files(cut), strategy=strategy, out=tmp_path / "first")
    resumed = backtest(files(), strategy=strategy, out=tmp_path / "second", resume=tmp_path / "first")
    assert_one_run(whole.folder, resumed.folder)
    for name in FIGURES:
        assert resumed.metrics[name] == whole.metrics[name], name


@pytest.mark.slow
def test_ten_random_cuts_on_each_runtime(runtime, rng, files, tmp_path):
    check_random_cuts(10, str(runtime.index), rng, files, tmp_path)


@pytest.mark.slow
def test_ten_random_cuts_on_numpy(rng, files, tmp_path):
    check_random_cuts(10, "numpy", rng, files, tmp_path)


def check_random_cuts(cuts, device, rng, files, tmp_path):
    options = {"strategy": WithDropout, "parameters": {"device": device}}
    whole = backtest(files(), out=tmp_path / "whole", **options)
    for cut in rng.integers(82, len(BARS), cuts).tolist():
        first = backtest(files(cut), out=tmp_path / f"first{cut}", **options)
        second = backtest(files(), out=tmp_path / f"second{cut}", resume=first.folder, **options)
        assert_one_run(whole.folder, second.folder)


@pytest.mark.slow
def test_three_runs_in_a_row_are_one_run(whole, files, tmp_path):
    last = backtest(files(200), strategy=Small, out=tmp_path / "0").folder
    for number, count in enumerate((201, 400, ALL), start=1):
        last = backtest(files(count), strategy=Small, out=tmp_path / str(number), resume=last).folder
    assert_one_run(whole.folder, last)


@pytest.mark.slow
@pytest.mark.parametrize("count", [250, 256])  # 256 bars fill the blocks of the fingerprint
def test_a_last_row_that_was_still_forming_keeps_its_prices(count, files, tmp_path):
    """Most files end with a bar that grows until the next one opens; then also in the third run."""
    forming = BARS.copy()
    row = forming.index[count - 1]
    open_ = forming.loc[row, "open"]
    forming.loc[row, ["high", "low", "close", "volume"]] = [open_, open_, open_, 1]
    run = partial(backtest, strategy=Small)
    first = run(write(forming[:count], tmp_path / "forming.csv"), out=tmp_path / "first")
    second = run(files(count + 50), out=tmp_path / "second", resume=first.folder)
    third = run(files(), out=tmp_path / "third", resume=second.folder)
    whole = run(write(forming, tmp_path / "whole.csv"), out=tmp_path / "whole")
    note = f"The bar of {forming.datetime[row]} was still forming when learned; its prices of that time are kept."
    assert not any("forming" in said for said in first.manifest["data"]["notes"])
    for resumed in (second, third):
        assert note in resumed.manifest["data"]["notes"]
    for name in TABLES[:-1]:
        assert (whole.folder / name).read_bytes() == (third.folder / name).read_bytes(), f"{name} differs"


def test_a_checkpoint_is_the_same_before_and_after_the_feed_has_ended(first, files, tmp_path):
    within = backtest(files(300), strategy=Small, out=tmp_path / "within", checkpoint_every=300)
    assert_one_run(first, within.folder)


def test_the_folder_that_is_resumed_is_not_touched(first, files, tmp_path):
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    backtest(files(), strategy=Small, out=tmp_path / "second", resume=first)
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before


@pytest.mark.parametrize("strategy", [Small, Brackets])
def test_the_account_continues_with_the_same_settings(strategy, files, tmp_path):
    whole = backtest(files(), strategy=strategy, out=tmp_path / "whole")
    backtest(files(300), strategy=strategy, out=tmp_path / "first")
    resumed = backtest(files(), strategy=strategy, out=tmp_path / "second", resume=tmp_path / "first")
    for name in ("equity.csv", "trades.csv"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    for name in ("orders", "reconciliation", "return_pct"):
        assert resumed.metrics[name] == whole.metrics[name]


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_a_run_that_broke_off_after_its_last_bar_is_scored(status, whole, files, tmp_path):
    killed = tmp_path / "killed"
    shutil.copytree(whole.folder, killed)
    manifest = json.loads((killed / "run.json").read_text())
    del manifest["metrics"], manifest["time"], manifest["manifest_sha256"]
    (killed / "run.json").write_text(json.dumps({**manifest, "status": status}))
    scored = backtest(files(), strategy=Small, out=tmp_path / "scored", resume=killed)
    assert_one_run(whole.folder, scored.folder)
    for name in (*FIGURES, "return_pct", "reconciliation", "trades"):
        assert scored.metrics[name] == whole.metrics[name], name


def test_the_account_starts_flat_with_other_settings_and_the_run_says_so(first, files, tmp_path):
    resumed = backtest(
        files(), strategy=Small, out=tmp_path / "second", resume=first, account=Account(spread=3)
    )
    equity = resumed.equity
    assert equity["bar"].tolist() == list(range(300, len(BARS)))
    assert (equity["position"].iloc[0], equity["equity"].iloc[0]) == (0, 10_000)
    assert f"Resumed at {BARS['datetime'][300]} with a flat account" in str(resumed)
    assert resumed.manifest["resumed"]["last_bar"] == 299
    assert resumed.metrics["buy_and_hold_return_pct"] == pytest.approx(
        100 * (BARS["close"].iloc[-1] / BARS["close"][300] - 1)
    )


def test_a_bare_model_goes_on_and_scores_only_what_it_can_show(first, whole, files, tmp_path):
    whole = whole.predictions
    (tmp_path / "bare").mkdir()
    model = shutil.copy(first / "model.safetensors", tmp_path / "bare" / "my.safetensors")
    resumed = backtest(files(), strategy=Small, out=tmp_path / "second", resume=model)
    expected = whole[whole["bar"] >= 299].reset_index(drop=True)  # the first one whose label was not known
    pd.testing.assert_frame_equal(resumed.predictions, expected)
    assert "from here on" in resumed.manifest["resumed"]["predictions"]
    m = resumed.metrics
    assert m["scored_bars"] == m["baselines"]["visible shape"]["scored_bars"] == len(expected) - 1
    assert m["signals"] == (expected["signal"][:-1] != "none").sum()


class LongWaits(Small):
    params = (("wing", 6), ("history_bars", 4))


@pytest.mark.parametrize(
    ("strategy", "parameters"), [(LongWaits, {}), (LongWaits, {"seeds": 2}), (WithLateLabels, {"seeds": 2})]
)
def test_a_bare_model_brings_the_rows_of_bars_that_wait(strategy, parameters, files, tmp_path):
    """Though a label takes longer than a window, and bars that are scored wait behind others."""
    run = partial(backtest, strategy=strategy, parameters=parameters)
    run(files(300), out=tmp_path / "first")
    (tmp_path / "bare").mkdir()
    model = shutil.copy(tmp_path / "first" / "model.safetensors", tmp_path / "bare")
    whole, resumed = run(files(), out=tmp_path / "whole"), run(files(), out=tmp_path / "second", resume=model)
    expected = whole.predictions[whole.predictions["bar"] >= resumed.predictions["bar"].iloc[0]]
    pd.testing.assert_frame_equal(resumed.predictions, expected.reset_index(drop=True))


@pytest.mark.parametrize("strategy", [Small, LongWaits, WithLateLabels])
def test_the_baselines_of_a_bare_model_train_on_its_bars_too(strategy, files, tmp_path):
    """Else a trained network stands beside untrained ones; also in a run that resumes that of the bare model."""
    run = partial(backtest, strategy=strategy)
    run(files(300), out=tmp_path / "first")
    (tmp_path / "bare").mkdir()
    model = shutil.copy(tmp_path / "first" / "model.safetensors", tmp_path / "bare")
    whole = run(files(), out=tmp_path / "whole").read_table("baselines.csv", {})
    run(files(400), out=tmp_path / "second", resume=model)
    for name, resume in (("from the model", model), ("from its run", tmp_path / "second")):
        resumed = run(files(), out=tmp_path / name, resume=resume)
        found, trained = resumed.read_table("baselines.csv", {}), ~whole.columns.str.startswith("shuffled")
        expected = whole[whole["bar"] >= found["bar"].iloc[0]].reset_index(drop=True)
        pd.testing.assert_frame_equal(found.loc[:, trained], expected.loc[:, trained])
        windows, bars = (np.load(tmp_path / one / "features.npy") for one in (name, "whole"))
        np.testing.assert_array_equal(windows, bars)


def test_a_script_s_own_checkpoint_goes_on_in_a_backtest(whole, files, tmp_path):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=BARS[:300]))
    cerebro.addstrategy(Small)
    cerebro.addanalyzer(ModelCheckpoint, path=tmp_path / "own.safetensors")
    cerebro.run()
    resumed = backtest(files(), strategy=Small, out=tmp_path / "second", resume=tmp_path / "own.safetensors")
    expected = whole.predictions[whole.predictions["bar"] >= 300].reset_index(drop=True)
    pd.testing.assert_frame_equal(resumed.predictions, expected)


@run_modes
def test_any_way_backtrader_runs_can_go_on(mode, tmp_path):
    """In a script too: the param resume, the analyzer ModelCheckpoint, indicators of backtrader."""

    class WithSlope(Small):
        def features(self):
            return {**super().features(), "slope": bt.ind.ROC(period=20), "mean": bt.ind.EMA(period=9)}

    def run(count, name, **params):
        cerebro = bt.Cerebro(stdstats=False, **mode)
        cerebro.adddata(BarsFeed(bars=BARS[:count]))
        cerebro.addstrategy(WithSlope, **params)
        cerebro.addanalyzer(HitRate)
        cerebro.addanalyzer(ModelCheckpoint, path=tmp_path / name)
        return cerebro.run()[0].analyzers.hitrate.get_analysis()

    whole = run(300, "whole.safetensors")
    run(150, "cut.safetensors")
    assert run(300, "cut.safetensors", resume=tmp_path / "cut.safetensors") == whole
    assert (tmp_path / "cut.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_the_seed_is_the_checkpoints(files, tmp_path):
    backtest(files(300), strategy=WithDropout, parameters={"seed": 9}, out=tmp_path / "first")
    whole = backtest(files(), strategy=WithDropout, parameters={"seed": 9}, out=tmp_path / "whole")
    second = backtest(files(), strategy=WithDropout, out=tmp_path / "second", resume=tmp_path / "first")
    assert_one_run(whole.folder, second.folder)
    assert second.manifest["parameters"]["seed"] == 9


@pytest.mark.slow
def test_a_model_can_be_put_to_work_without_learning(first, files, tmp_path):
    words = ["backtest", files(), "--strategy", f"{ROOT / 'tests' / 'small.py'}:Small", "--device", "numpy"]
    words += ["--resume", first, "--no-learning", "--out", tmp_path / "second"]
    said = CliRunner().invoke(app, list(map(str, words)))
    assert said.exit_code == 0, said.output
    models = [run / "model.safetensors" for run in (first, tmp_path / "second")]
    then, now = (Network.load(model, device="numpy") for model in models)
    assert then.steps == now.steps
    before, after = then.state(), now.state()
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {"running_batch_norm_0.moving_mean", "running_batch_norm_0.moving_variance"}


# -- what is refused -----------------------------------------------------------------------------------------
def other_features(self):
    return {**NeuroStrategy.features(self), "slope": bt.ind.ROC(period=3)}


def other_period(self):
    features = NeuroStrategy.features(self)
    return {**features, "rsi": bt.ind.RSI(period=7)}


def slower_features(self):
    features = NeuroStrategy.features(self)
    return {**features, "rsi": bt.ind.ROC(period=350)}


def changed(bar, column="close", by=1e-5):
    bars = BARS.copy()
    bars.loc[bar, column] += by
    return bars


def wider(self, inputs):
    return [RunningBatchNorm(100, "tanh"), Dense(9, "tanh"), Dense(3, "sigmoid")]


SAME = BARS
REFUSED = {  # params, methods and bars of a run that would go on, and what it is told
    "wing": ({"wing": 2}, {}, SAME, "wing, the label's delay must be 1, got 2"),
    "window": ({"history_bars": 5}, {}, SAME, "history_bars must be 4, got 5"),
    "rate": ({"learning_rate": 0.02}, {}, SAME, r"optimizer must be Adam\(.*=0.01, .* got Adam\(.*=0.02"),
    "seed": ({"seed": 5}, {}, SAME, "seed must be 0, got 5. Leave seed out"),
    "precision": ({"precision": "double"}, {}, SAME, "precision must be single, got double"),
    "features": (
        {},
        {"features": other_features},
        SAME,
        r"features must be .*'macd_signal'\], got .*'slope'\]",
    ),
    "period": (
        {},
        {"features": other_period},
        SAME,
        "rsi of bar 299 must be .*, got .*Give the same formulas",
    ),
    "warm-up": ({}, {"features": slower_features}, SAME, "the features must begin by bar 299, got 350"),
    "layers": ({}, {"layers": lambda self, inputs: [Dense(3, "sigmoid")]}, SAME, "layers must be 3, got 1"),
    "layer": ({}, {"layers": wider}, SAME, r"layer 1 must be Dense\(units=8, .*, got Dense\(units=9"),
    "label": ({}, {"label": lambda self: Late()}, SAME, "label must be FractalLabel, got Late"),
    "begin": (
        {},
        {},
        changed(0, "datetime", pd.Timedelta(-1, "h")),
        "the bars must begin at 2024-01-01 00:00:00, got",
    ),
    "an early bar": (
        {},
        {},
        changed(10),
        "bars 0 to 255 are not those .*, got another up to 2024-01-11 15:00:00",
    ),
    "a late bar": ({}, {}, changed(270), "bars 256 to 299 are not those"),
    "the last bar": ({}, {}, changed(299, "volume", 1), "bars 256 to 299 are not those"),
    "a bar less": ({}, {}, BARS.drop(index=5), "bars 0 to 255 are not those"),
    "too short": (
        {},
        {},
        BARS[:200],
        "must reach bar 299, 2024-01-13 11:00:00, got 200 bars up to",
    ),
}


@pytest.mark.parametrize("difference", REFUSED)
def test_another_strategy_or_other_bars_are_refused_by_name(difference, first):
    params, methods, bars, complaint = REFUSED[difference]
    learned = []
    strategy = type("Changed", (Small,), {**methods, "decide": lambda self, signal: learned.append(signal)})
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=bars))
    cerebro.addstrategy(strategy, resume=first, **params)
    with pytest.raises(CheckpointError, match=f"cannot resume .*model.safetensors: .*{complaint}"):
        cerebro.run()
    assert not learned


@pytest.mark.parametrize(
    ("count", "complaint"),
    [
        (300, "nothing new: .* up to bar 299, the last one of"),
        (299, "learned up to bar 299, but .* ends at bar 298"),
    ],
)
def test_a_file_without_new_bars_is_refused_and_leaves_no_folder(count, complaint, first, files, tmp_path):
    with pytest.raises(CheckpointError, match=complaint):
        backtest(files(count), strategy=Small, out=tmp_path / "second", resume=first)
    assert not (tmp_path / "second").exists()


def test_other_bars_leave_no_folder(first, tmp_path):
    path = write(changed(100), tmp_path / "bars.csv")
    with pytest.raises(CheckpointError, match="bars 0 to 255 are not those"):
        backtest(path, strategy=Small, out=tmp_path / "second", resume=first)
    assert not (tmp_path / "second").exists()


def test_a_network_without_bars_cannot_be_resumed(tmp_path, files):
    Network([Dense(3, "sigmoid")], 4, device="numpy").save(tmp_path / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"must hold the state of a run, got a network alone\. Use Network\.load"
    ):
        backtest(files(), strategy=Small, out=tmp_path / "second", resume=tmp_path)


@pytest.mark.parametrize(
    ("damage", "change"),
    [
        ("predictions.csv", lambda content: content[: len(content) // 2]),
        ("features.npy", lambda content: content[: len(content) // 2]),
        ("features.npy", lambda content: content.replace(b"}", b" ", 1)),  # a TokenError of NumPy
    ],
    ids=["half a table", "half an array", "an array with half a header"],
)
def test_tables_of_another_run_are_refused(damage, change, first, files, tmp_path):
    copy = shutil.copytree(first, tmp_path / "copy")
    (copy / damage).write_bytes(change((copy / damage).read_bytes()))
    with pytest.raises(CheckpointError, match=damage):
        backtest(files(), strategy=Small, out=tmp_path / "second", resume=copy)
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("first", [90, 130, 200])
def test_attributes_of_all_kinds_are_those_of_one_run(files, tmp_path, first):
    Remembers.ended.clear()
    backtest(files(260), strategy=Remembers, out=tmp_path / "whole")
    begun = backtest(files(first), strategy=Remembers, out=tmp_path / "first")
    backtest(files(260), strategy=Remembers, out=tmp_path / "second", resume=begun.folder)
    whole, resumed = (Remembers.ended[place].remembered() for place in (0, 2))
    assert whole[0] is Side.LONG
    assert resumed == whole
    assert list(Side) == [Side.FLAT, Side.LONG]
    assert [side.value for side in Side] == ["flat", "long"]


def test_an_attribute_that_was_not_saved_is_named_when_the_run_goes_on(files, tmp_path):
    begun = backtest(files(200), strategy=Forgets, out=tmp_path / "first")
    with pytest.warns(UserWarning, match=r"Forgets\.") as warned:
        backtest(files(260), strategy=Forgets, out=tmp_path / "second", resume=begun.folder)
    assert [str(one.message).partition(":")[0] for one in warned] == [
        "Forgets.left is not saved (Decimal)",
        "Forgets.odd is None",
    ]


# -- the analyzer --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("strategy", "analyzers", "error", "complaint"),
    [
        (bt.Strategy, [(ModelCheckpoint, {})], StrategyError, "needs a NeuroStrategy .*got Strategy"),
        (Small, [(ModelCheckpoint, {}), (HitRate, {})], StrategyError, "must be added after HitRate"),
        (Small, [(ModelCheckpoint, {"every_bars": 0})], StrategyError, "every_bars must be an integer"),
        (
            Small,
            [(ModelCheckpoint, {"path": "gone/m.safetensors"})],
            CheckpointError,
            "the folder must exist",
        ),
        (
            type("Deaf", (Small,), {"prenext": lambda self: None}),
            [(ModelCheckpoint, {})],
            StrategyError,
            r"prenext\(\) and next\(\) of Deaf must call .* 34 bars, got 1",
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_says_why(strategy, analyzers, error, complaint, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=BARS[:100]))
    cerebro.addstrategy(strategy)
    for analyzer, params in analyzers:
        cerebro.addanalyzer(analyzer, **params)
    with pytest.raises(error, match=complaint):
        cerebro.run()
    assert not list(tmp_path.iterdir())


def test_checkpoints_come_every_so_many_bars_and_at_the_end(tmp_path):
    class Watched(Small):
        def next(self):
            super().next()
            path = tmp_path / "model.safetensors"
            seen.append(Checkpoint.read(path).last_bar if path.exists() else None)

    seen = []
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=BARS[:230]))
    cerebro.addstrategy(Watched)
    cerebro.addanalyzer(ModelCheckpoint, path=tmp_path / "model.safetensors", every_bars=100)
    (ran,) = cerebro.run()
    assert list(dict.fromkeys(seen)) == [None, 99, 199]
    assert ran.analyzers.modelcheckpoint.get_analysis() == {"checkpoints": 3, "last_bar": 229}
    assert Checkpoint.read(tmp_path).last_bar == 229
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_label_whose_state_is_no_json_says_so(tmp_path):
    class Sets(FractalLabel):
        def state(self):
            return {"seen": {1, 2}}

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(BarsFeed(bars=BARS[:60]))
    cerebro.addstrategy(type("Odd", (Small,), {"label": lambda self: Sets()}))
    cerebro.addanalyzer(ModelCheckpoint, path=tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="must be plain JSON values"):
        cerebro.run()


# -- killed --------------------------------------------------------------------------------------------------
def started(bars, out):
    """Run a backtest that checkpoints every 100 bars, in a process of its own."""
    words = [sys.executable, "-m", "bt_neuro", "backtest", bars, "--device", "numpy", "--out", out]
    words += ["--strategy", f"{ROOT / 'tests' / 'small.py'}:Small", "--checkpoint-every", "100"]
    return subprocess.Popen(
        list(map(str, words)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(path, run):
    while not path.exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.002)


class Signalled(Brackets):
    """Gets SIGTERM at a moment of bar 191, the last of a day."""

    params = (("moment", None),)

    def __init__(self):
        super().__init__()
        self.add_timer(bt.timer.SESSION_START, cheat=True)

    def at(self, moment):
        if self.p.moment == moment and len(self.data) == 192:
            signal.raise_signal(signal.SIGTERM)

    def notify_timer(self, *_):
        self.at("before the broker")

    def next(self):
        self.at("after the broker")
        super().next()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_signal_at_any_moment_of_a_bar_ends_the_run_after_it(files, tmp_path):
    run = partial(backtest, files(240), strategy=Signalled)
    whole = run(out=tmp_path / "whole")
    for moment in ("before the broker", "after the broker"):
        first = run(out=tmp_path / moment, parameters={"moment": moment})
        assert (len(first.equity), first.manifest["stopped_by"]) == (192, "SIGTERM")
        resumed = run(out=tmp_path / f"{moment}, resumed", resume=first.folder)
        assert_one_run(whole.folder, resumed.folder)
        for name in ("equity.csv", "trades.csv"):
            assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


def test_the_account_of_a_run_stopped_inside_a_bar_is_not_continued(files, tmp_path):
    """`runstop` of a timer: the broker has had the bar, the network has not."""

    class Stops(Signalled):
        def at(self, moment):
            if self.p.moment == moment and len(self.data) == 192:
                self.env.runstop()

    run = partial(backtest, files(240), strategy=Stops)
    first = run(out=tmp_path / "first", parameters={"moment": "before the broker"})
    resumed = run(out=tmp_path / "second", resume=first.folder)
    assert "flat" in resumed.manifest["resumed"]["account"]
    assert resumed.equity["bar"].tolist() == list(range(191, 240))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_is_whole_and_can_go_on(sent, code, tmp_path):
    bars = random_hours(20_000)
    path = write(bars, tmp_path / "bars.csv")
    run = started(path, tmp_path / "first")
    wait_for(tmp_path / "first" / "model.safetensors", run)
    run.send_signal(sent)
    said, complained = run.communicate(timeout=60)
    assert run.returncode == code, complained
    assert "interrupted before the end" in said
    manifest = json.loads((tmp_path / "first" / "run.json").read_text())
    assert (manifest["status"], manifest["stopped_by"]) == ("interrupted", sent.name)
    last = Checkpoint.read(tmp_path / "first").last_bar
    assert last == manifest["metrics"]["bars"] - 1
    shorter = write(bars[: last + 200], tmp_path / "shorter.csv")
    whole = backtest(shorter, strategy=Small, out=tmp_path / "whole")
    resumed = backtest(shorter, strategy=Small, out=tmp_path / "second", resume=tmp_path / "first")
    assert_one_run(whole.folder, resumed.folder)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_killed_at_25_moments_it_goes_on_to_the_same_end(rng, tmp_path):
    bars = write(random_hours(3000), tmp_path / "bars.csv")
    begun = time.monotonic()
    whole = started(bars, tmp_path / "whole")
    wait_for(tmp_path / "whole" / "model.safetensors", whole)
    to_first = time.monotonic() - begun
    whole.communicate()
    to_end = time.monotonic() - begun
    for number, moment in enumerate(rng.uniform(0, to_end - to_first, 25)):
        out = tmp_path / f"killed{number}"
        run = started(bars, out)
        wait_for(out / "model.safetensors", run)
        time.sleep(moment)
        run.kill()
        run.communicate()
        last = Checkpoint.read(out).last_bar
        assert last == 2999 or (last + 1) % 100 == 0
        if last < 2999:
            out = backtest(bars, strategy=Small, out=tmp_path / f"resumed{number}", resume=out).folder
        assert_one_run(tmp_path / "whole", out)
