"""Many folds, one report: what stands in the folder, and that nothing but the folds decides it."""

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from paths import ROOT
from report_runs import console_text
from small import Small
from typer.testing import CliRunner

from bt_neuro import Account, FoldError, NeuroError, NonFiniteError, StrategyError, walk_forward
from bt_neuro.cli import app
from bt_neuro.learning.fit import REHEARSED
from bt_neuro.metrics.predictions import PROBABILITIES, probabilities_of
from bt_neuro.metrics.seeds import MONEY
from bt_neuro.metrics.verdict import PROFIT
from bt_neuro.runs.saved_manifest import read_manifest
from bt_neuro.validation.fold_metrics import BETTER, sentence

SAMPLE = ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv"
SMALL = f"{ROOT / 'tests' / 'small.py'}:Small"
WINTER = {"end": "2024-02-16"}
LENGTHS = {"train": "300b", "test": "200b"}
OPTIONS = {"strategy": Small, "bars_options": WINTER, "jobs": 1, "report": False, **LENGTHS}
FILES = {
    *("baselines.csv", "predictions.csv", "equity.csv", "trades.csv"),
    *("outputs.npy", "model.safetensors"),
}


def run(out, **options):
    return walk_forward(SAMPLE, out=out, **{**OPTIONS, **options})


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return run(tmp_path_factory.mktemp("walk") / "run", report=True)


def assert_same_folds(one: Path, other: Path) -> None:
    """Compare all that folds wrote, to the bit; only the seconds they took may differ."""
    folds = [sorted(path.relative_to(folder) for path in folder.glob("folds/*/*")) for folder in (one, other)]
    assert folds[0] == folds[1]
    assert len(folds[0]) > 4
    tables = [Path(name) for name in FILES - {"model.safetensors"}]
    for name in folds[0] + tables:
        if name.name != "fold.json":
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    rows = [pd.read_csv(folder / "folds.csv").drop(columns="seconds") for folder in (one, other)]
    pd.testing.assert_frame_equal(*rows, check_exact=True)


# -- the folder ----------------------------------------------------------------------------------------------
def test_the_folder_holds_the_report_and_each_fold(result):
    names = {path.name for path in result.folder.iterdir()}
    assert names == {
        "run.json",
        "report.html",
        "folds.csv",
        "baselines.csv",
        "predictions.csv",
        "equity.csv",
        "trades.csv",
        "outputs.npy",
        "folds",
    }
    assert read_manifest(result.folder) == result.manifest
    assert result.manifest["status"] == "complete"
    for place in (result.folder / "folds").iterdir():
        assert {path.name for path in place.iterdir()} == FILES | {"fold.json"}


def test_a_row_a_fold_that_its_tables_add_up_to(result):
    for row in result.folds.itertuples():
        p = result.predictions[result.predictions["fold"] == row.fold]
        t = result.trades[result.trades["fold"] == row.fold]
        e = pd.read_csv(result.folder / "folds" / f"{row.fold:02d}" / "equity.csv")
        assert (row.scored_bars, row.signals) == ((p["label"] != "").sum(), p["hit"].notna().sum())
        assert row.hits == p["hit"].sum()
        assert (row.trades, row.test_bars, len(p)) == (len(t), len(e), len(e))
        assert row.return_pct == pytest.approx(100 * (e["equity"].iloc[-1] / 10_000 - 1))
        assert row.in_sample_bars == min(row.examples, REHEARSED)
        assert row.train_end < row.test_start


def test_every_bar_is_predicted_once_and_out_of_sample(result):
    p, folds = result.predictions, result.folds
    assert (np.diff(p["bar"]) == 1).all()
    assert len(p) == folds["test_bars"].sum()
    spans = folds.set_index("fold").loc[p["fold"]]
    assert (p["datetime"].to_numpy() > spans["train_end"].to_numpy()).all()
    assert (p["known_bar"] - p["bar"]).dropna().eq(1).all()


def test_the_account_goes_on_from_fold_to_fold(result):
    e, growth = result.equity, 1 + result.folds["return_pct"] / 100
    assert e["equity"].iloc[-1] == pytest.approx(10_000 * growth.prod())
    assert result.metrics["equity_end"] == pytest.approx(e["equity"].iloc[-1])
    ends = e.groupby("fold")["equity"].last()
    assert ends.to_numpy() == pytest.approx(10_000 * growth.cumprod())
    # each fold starts flat
    assert (e.groupby("fold")["position"].first() == 0).all()


def test_the_summary_counts_all_folds_together(result):
    m, rows = result.metrics, result.folds
    assert m["hit_rate_pct"] == pytest.approx(100 * rows["hits"].sum() / rows["signals"].sum())
    in_sample = rows["in_sample_hits"].sum() / rows["in_sample_signals"].sum()
    assert m["hit_rate_of_in_sample_pct"] == pytest.approx(m["hit_rate_pct"] / in_sample)
    better = (rows["brier_score"] < rows["best_baseline_brier_score"]).sum()
    assert (m["folds_better"], m["folds"]) == (better, len(rows))
    assert str(result) == m["sentence"]
    assert result.metrics["sentence"].startswith("SYNTHETIC_EURUSD_H1.csv, 2024-01-")
    assert f"{len(rows)} folds of 200b after 300b of training (rolling window, retrain fold)" in m["sentence"]


@pytest.mark.slow
def test_several_networks_vote_in_each_fold_and_fare_alone_as_alone(tmp_path):
    options = {"bars_options": {"end": "2024-02-01"}}  # one fold
    vote = run(tmp_path / "vote", parameters={"seeds": 2, "seed": 3}, **options)
    votes = np.load(vote.folder / "outputs.npy").astype(float)
    said = vote.predictions
    mean = np.mean([probabilities_of(votes[:, lane]) for lane in range(2)], axis=0)
    np.testing.assert_allclose(said[PROBABILITIES], mean, atol=1e-9)
    for lane, rate in enumerate(vote.metrics["seeds"]["hit_rate_pct"]["each"]):
        alone = run(tmp_path / str(lane), parameters={"seed": 3 + lane}, **options)
        shown = [f"{p:.9g}" for p in probabilities_of(votes[:, lane]).ravel()]
        assert shown == [f"{p:.9g}" for p in alone.predictions[PROBABILITIES].to_numpy().ravel()]
        assert rate == pytest.approx(alone.metrics["hit_rate_pct"])
    assert "the vote of 2 networks" in console_text(vote)


def test_no_skill_is_said(tmp_path):
    blind = run(tmp_path / "run", parameters={"learning_rate": 0.0})
    assert blind.metrics["sentence"].endswith("This shows no skill.")


@pytest.mark.parametrize(
    ("changed", "end"),
    [
        ({"verdict": BETTER, "money_verdict": PROFIT}, " This shows skill: the profit is more than luck."),
        (
            {"verdict": BETTER, "money_verdict": "no skill in money"},
            " The signals show skill; no skill in money.",
        ),
        ({"verdict": "not clearly better", "money_verdict": PROFIT}, " This shows no skill."),
    ],
)
def test_signals_alone_are_no_skill(result, changed, end):
    options = {"test": "200b", "train": "300b", "retrain": "fold", "window": "rolling"}
    assert sentence(result.metrics | changed, "x.csv", options, 0).endswith(end)


@pytest.mark.slow
# -- ways to retrain -----------------------------------------------------------------------------------------
def test_one_network_that_goes_through_all_folds(tmp_path, result):
    continued = run(tmp_path / "continued", retrain="continue")
    frozen = run(tmp_path / "frozen", retrain="never")
    anew, *others = (
        r.predictions[r.predictions["fold"] == 1][["p_buy", "p_sell"]].to_numpy()
        for r in (result, continued, frozen)
    )
    assert np.array_equal(others[0], anew)  # the same start, also learning bar by bar
    assert not np.array_equal(others[1], anew)
    assert frozen.folds["examples"].notna().sum() == continued.folds["examples"].notna().sum() == 1
    # money goes on too: a position may be held over the end of a part
    assert continued.folds["equity_start"].tolist()[1:] == continued.folds["equity_end"].tolist()[:-1]
    models = [path.parent.name for path in continued.folder.glob("folds/*/model.safetensors")]
    assert models == ["03"]


def test_no_learning_in_test_parts(tmp_path, result):
    still = run(tmp_path / "run", learning=False)
    assert not np.array_equal(still.predictions["p_buy"], result.predictions["p_buy"])
    assert still.manifest["parameters"]["learning"] is False
    assert still.folds["examples"].tolist() == result.folds["examples"].tolist()


# -- what is refused -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"train": "60b"}, FoldError, r"a training part must have 65 bars, .* to warm up, got 60"),
        (
            {"embargo_bars": 300},
            FoldError,
            "embargo_bars must be below the training part, 300 bars, got 300",
        ),
        ({"train": "9Y", "test": "1Y"}, FoldError, "are too few for train 9Y"),
        ({"retrain": "refresh"}, FoldError, "retrain must be fold, continue or never, got 'refresh'"),
        ({"retrain": "continue", "step": "250b"}, FoldError, "step must equal test"),
        ({"retrain": "continue", "learning": False}, FoldError, "got learning off. Use retrain never"),
        ({"parameters": {"wong": 1}}, StrategyError, "no parameter 'wong'. Did you mean wing"),
        ({"parameters": {"learning": False}}, StrategyError, "Use the option learning"),
        ({"parameters": {"wing": 0}}, StrategyError, "fold 1, as all others: wing must be an integer"),
        ({"eras": 0}, StrategyError, "fold 1, as all others: eras must be an integer"),
        ({"strategy": "gone.py"}, StrategyError, "strategy file gone.py does not exist"),
        pytest.param(
            {"cluster": "tcp://127.0.0.1:9"},
            NeuroError,
            "No Dask scheduler with workers answers at tcp",
            marks=pytest.mark.slow,  # needs Dask
        ),
    ],
)
def test_what_cannot_run_leaves_no_folder(tmp_path, monkeypatch, options, error, complaint):
    monkeypatch.setattr("bt_neuro.validation.cluster.CLUSTER_TIMEOUT_S", 0.5)
    with pytest.raises(error, match=complaint):
        run(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


class Breaks(Small):
    """Fails in the second and the third test part, in two ways."""

    def next(self):
        super().next()
        time = str(self.data.opened.datetime(0))
        if self.signal is None:
            return
        if time == "2024-02-06 05:00:00":
            raise NonFiniteError("planted")
        if time == "2024-02-14 05:00:00":
            raise ZeroDivisionError("planted too")


def test_folds_that_fail_do_not_lose_the_others(tmp_path):
    broken = run(tmp_path / "run", strategy=Breaks)
    assert broken.failed == {"2": "planted", "3": "ZeroDivisionError: planted too"}
    assert broken.folds["fold"].tolist() == [1]
    assert broken.manifest["status"] == "failed"
    assert "1 fold of 200b" in str(broken)
    assert ", 2 more not finished" in str(broken)


# -- going on ------------------------------------------------------------------------------------------------
def test_finished_folds_are_kept(tmp_path, result):
    broken = run(tmp_path / "run", strategy=Breaks)
    kept = broken.folder / "folds" / "01" / "fold.json"
    before = kept.stat()
    again = walk_forward(SAMPLE, resume=broken.folder, **{**OPTIONS, "strategy": Breaks})
    assert again.failed == broken.failed
    after = kept.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("retrain", ["fold", "continue"])
def test_a_fold_that_was_being_written_is_run_again(tmp_path, result, retrain):
    whole = result if retrain == "fold" else run(tmp_path / "whole", retrain=retrain)
    folder = tmp_path / "run"
    shutil.copytree(whole.folder, folder)
    half = folder / "folds" / ".02.partial"
    (folder / "folds" / "02").rename(half)
    (half / "predictions.csv").write_text("bar,da")
    kept = (folder / "folds" / "01").stat().st_ino
    again = walk_forward(SAMPLE, resume=folder, **{**OPTIONS, "retrain": retrain})
    assert_same_folds(again.folder, whole.folder)
    assert not half.exists()
    assert (folder / "folds" / "01").stat().st_ino == kept


def test_a_finished_fold_does_not_fail_with_the_others_of_its_network(tmp_path):
    options = {"strategy": Breaks, "retrain": "continue"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Breaks, "next", Small.next)
        whole = run(tmp_path / "run", **options)
    shutil.rmtree(whole.folder / "folds" / "03")
    again = walk_forward(SAMPLE, resume=whole.folder, **{**OPTIONS, **options})
    assert again.failed == {"3": "planted"}
    assert again.folds["fold"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"train": "250b"}, "options.train must be 300b, .*, got 250b"),
        ({"train": "24M", "test": "6M"}, "options.train must be 300b, .*, got 24M"),
        ({"eras": 2}, "parameters.eras must be 1, .*, got 2"),
        ({"parameters": {"seed": 4}}, "parameters.seed must be 0, .*, got 4"),
        ({"account": Account(spread=1.0)}, "account.spread must be None, .*, got 1.0"),
        ({"bars_options": {"end": "2024-02-15"}}, "data.options.end must be 2024-02-16"),
        ({"strategy": Breaks}, "strategy must be small:Small, .*, got "),
    ],
)
def test_another_run_is_no_resumption(result, options, complaint):
    with pytest.raises(NeuroError, match=complaint):
        walk_forward(SAMPLE, resume=result.folder, **{**OPTIONS, **options})


def test_other_bars_are_no_resumption(tmp_path, result):
    other = tmp_path / SAMPLE.name
    header, first, rest = SAMPLE.read_text().split("\n", 2)
    other.write_text("\n".join([header, f"{first}0", rest]))  # the last number is the spread
    with pytest.raises(NeuroError, match=r"data\.sha256 must be"):
        walk_forward(other, resume=result.folder, **OPTIONS)


def test_a_run_of_another_kind_is_no_resumption(tmp_path):
    (tmp_path / "run.json").write_text(
        json.dumps({"schema_version": 1, "kind": "backtest", "status": "complete", "started": ""})
    )
    with pytest.raises(NeuroError, match="must hold a walk-forward, got a backtest"):
        walk_forward(SAMPLE, resume=tmp_path, **{**OPTIONS, "train": "24M", "test": "6M"})


def test_some_folder_is_no_resumption(tmp_path):
    with pytest.raises(NeuroError, match="is no run folder"):
        walk_forward(SAMPLE, resume=tmp_path, **OPTIONS)


# -- the command ---------------------------------------------------------------------------------------------
COMMAND = ["walk-forward", SAMPLE, "--to", "2024-02-16", "--train", "300b", "--test", "200b", "--jobs", "1"]


def bt_neuro(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
@pytest.mark.parametrize("retrain", ["fold", "continue"])
def test_the_networks_of_a_vote_are_traded_alone(retrain, tmp_path):
    options = {"retrain": retrain, "account": Account.of("forex", spread=12), "train": "200b"}
    parameters = {"features": "shape", "learning_rate": 0.05, "seed": 3}
    votes = run(tmp_path / "votes", parameters={**parameters, "seeds": 2}, seed_money=True, **options).metrics
    for number in range(2):
        alone = run(tmp_path / str(number), parameters={**parameters, "seed": 3 + number}, **options).metrics
        assert alone["trades"] > 20
        for name in MONEY:  # None where there are too few days
            expected = alone[name] if alone[name] is None else pytest.approx(alone[name], rel=1e-6)
            assert votes["seeds"][name]["each"][number] == expected, name
    assert "Traded alone, the 2 networks returned" in votes["sentence"]


@pytest.mark.slow
def test_the_command_prints_its_sentence_first_and_a_line_a_fold(tmp_path, result):
    out = bt_neuro(*COMMAND, "--strategy", SMALL, "--device", "numpy", "--out", tmp_path)
    assert out.exit_code == 0, out.output
    lines = out.stdout.splitlines()
    assert lines[0] == str(result)
    assert [line.split()[0] for line in lines if re.match(r"\d+ +\d{4}-", line)] == ["1", "2", "3"]
    assert out.stderr == ""
    assert_same_folds(tmp_path, result.folder)


@pytest.mark.slow
def test_the_command_names_what_failed_and_exits_1(tmp_path):
    strategy = tmp_path / "breaks.py"
    strategy.write_text(
        "from bt_neuro import Dense, NeuroStrategy\n"
        "class Breaks(NeuroStrategy):\n"
        "    def layers(self, inputs):\n        return [Dense(3, 'sigmoid')]\n"
        "    def decide(self, signal):\n"
        "        if len(self) == 450 and self.data.datetime.date(0).month == 2: 1 / 0\n"
    )
    out = bt_neuro(*COMMAND, "--strategy", strategy, "--device", "numpy", "--out", tmp_path / "run", "--json")
    assert out.exit_code == 1
    reason = "ZeroDivisionError: division by zero"
    line = f"{strategy}:6, in decide: if len(self) == 450 and self.data.datetime.date(0).month == 2: 1 / 0"
    assert json.loads(out.stdout)["failed"] == {"2": f"{reason}\n{line}"}
    assert out.stderr.splitlines() == [
        f"Error: fold 2: {reason}",
        line,
        f"Run the failed folds again with --resume {tmp_path / 'run'}",
    ]


def test_the_page_shows_the_folds_side_by_side(result):
    page = result.folder / "report.html"
    text = page.read_text(encoding="utf-8").replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")
    for part in re.split(r"(?<=\.) (?=[A-Z])", result.metrics["sentence"]):
        assert part in html.unescape(text)
    assert all(f'data-target="folds-{figure}"' in text for figure in (0, 1))
    page.unlink()
    out = bt_neuro("report", result.folder, "--no-open")
    assert (out.exit_code, page.exists()) == (0, True), out.output
