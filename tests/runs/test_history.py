"""Finished runs: their list, side by side, run again."""

import json
import shutil
from datetime import date, time

import numpy as np
import pytest
from command import bt_neuro
from paths import ROOT
from test_portfolio import write

from bt_neuro import Account, NeuroError, backtest, open_run, read_bars
from bt_neuro.metrics.trading import money_metrics
from bt_neuro.plugin.loading import load_strategy
from bt_neuro.report.side_by_side import curves_of
from bt_neuro.runs.listing import list_runs
from bt_neuro.runs.repeat import repeat

SAMPLE = str(ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv")
SMALL = f"{ROOT / 'tests' / 'small.py'}:Small"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of two runs that differ in the wing, and a damaged one."""
    folder = tmp_path_factory.mktemp("runs")
    for wing in (1, 2):
        words = ["--to", "2024-01-31", "--strategy", SMALL, "--param", f"wing={wing}", "--no-report"]
        assert bt_neuro("backtest", SAMPLE, *words, "--out", folder / f"wing-{wing}").exit_code == 0
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.json").write_text("{")
    return folder


def test_the_list_has_the_figures_of_the_manifests_and_names_a_damaged_one(folder):
    rows = {row["run"]: row for row in list_runs(folder)}
    assert len(rows) == 3
    manifest = json.loads((folder / "wing-1" / "run.json").read_text())
    row = rows[str(folder / "wing-1")]
    assert (row["status"], row["return_pct"]) == ("complete", manifest["metrics"]["return_pct"])
    assert "cannot be read" in rows[str(folder / "damaged")]["problem"]
    out = bt_neuro("runs", "list", "--in", folder)
    assert (out.exit_code, out.stdout.count("wing-")) == (0, 2)
    listed = json.loads(bt_neuro("runs", "list", "--in", folder, "--json").stdout)
    assert listed == {"schema_version": 1, "runs": list_runs(folder)}


def test_two_runs_stand_side_by_side_and_their_differences_are_named(folder, tmp_path):
    words = ["runs", "compare", folder / "wing-1", folder / "wing-2", "--out", tmp_path / "both.html"]
    found = json.loads(bt_neuro(*words, "--json").stdout)
    assert found["tables"]["Settings that differ"][1:] == [["parameters.wing", "1", "2"]]
    metrics = [open_run(folder / f"wing-{wing}").metrics for wing in (1, 2)]
    figures = {name: texts for name, *texts in found["tables"]["Figures, differences in bold"][1:]}
    assert figures["Hit Rate [%]"] == [f"{m['hit_rate_pct']:.2f}" for m in metrics]
    assert figures["Hit Rate [%], 95 % interval"][0].startswith(f"{metrics[0]['hit_rate_low_pct']:.2f} to")
    assert "Settings that differ" in (tmp_path / "both.html").read_text()


def test_accounts_stand_side_by_side_from_the_money_that_each_began_with(folder, tmp_path):
    copy = shutil.copytree(folder / "wing-1", tmp_path / "copy")
    table = open_run(copy).equity
    table["equity"] += 5_000 + 100  # a gain at the first bar, then a deposit
    table.loc[0, "equity"] -= 5_000
    table.loc[1, "deposits"] = 5_000
    table.to_csv(copy / "equity.csv", index=False)
    manifest = json.loads((copy / "run.json").read_text())
    del manifest["manifest_sha256"], manifest["sha256"]
    (copy / "run.json").write_text(json.dumps(manifest))
    run = open_run(copy)
    (_, grown), _ = curves_of([run, open_run(folder / "wing-2")]).values()
    metrics = money_metrics(run.equity, run.trades, read_bars(SAMPLE).frame, Account(), 1e-5, None)
    assert (grown[0], grown[-1]) == pytest.approx((1.0, metrics["return_pct"]))


def test_one_run_is_no_comparison(folder):
    out = bt_neuro("runs", "compare", folder / "wing-1")
    assert (out.exit_code, out.stdout) == (1, "")
    assert "two runs or more, got 1" in out.stderr


@pytest.mark.slow
def test_a_repeated_run_has_the_same_bits(folder, tmp_path):
    out = bt_neuro("repeat", folder / "wing-2", "--out", tmp_path / "again", "--json")
    found = json.loads(out.stdout)
    assert (out.exit_code, found["is_identical"], found["differs"]) == (0, True, [])


@pytest.mark.slow
def test_a_bit_that_differs_is_found(folder, tmp_path):
    copy = shutil.copytree(folder / "wing-1", tmp_path / "copy")
    outputs = np.load(copy / "outputs.npy")
    outputs[3, 0, 0] = np.nextafter(outputs[3, 0, 0], np.float32(1))
    np.save(copy / "outputs.npy", outputs)
    out = bt_neuro("repeat", copy, "--out", tmp_path / "again")
    assert (out.exit_code, out.stdout.splitlines()[0]) == (3, "Not bit-identical: outputs.npy differ.")


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--shared"]], ids=["one each", "shared"])
def test_a_repeated_portfolio_has_the_same_bits(more, tmp_path):
    write(tmp_path, "AB")
    words = ["backtest", tmp_path, "--spread", 3, "--from", "2024-01-02", "--strategy", SMALL, "--no-report"]
    assert bt_neuro(*words, *more, "--out", tmp_path / "run").exit_code == 0
    out = bt_neuro("repeat", tmp_path / "run", "--out", tmp_path / "again", "--json")
    found = json.loads(out.stdout)
    assert (out.exit_code, found["is_identical"], found["differs"]) == (0, True, [])
    outputs = np.load(tmp_path / "run" / "B" / "outputs.npy")
    outputs[3, 0, 0] = np.nextafter(outputs[3, 0, 0], np.float32(1))
    np.save(tmp_path / "run" / "B" / "outputs.npy", outputs)
    out = bt_neuro("repeat", tmp_path / "run", "--out", tmp_path / "other")
    assert (out.exit_code, out.stdout.splitlines()[0]) == (3, "Not bit-identical: B/outputs.npy differ.")
    with (tmp_path / "B.csv").open("a") as file:
        file.write("2024-12-01 00:00:00,1,1,1,1,1,1\n")
    out = bt_neuro("repeat", tmp_path / "run")
    assert out.exit_code == 1
    assert "B.csv has changed since" in out.stderr


TUPLES = """
from datetime import date, time
from small import Small
class Mine(Small):
    params = (("sizes", (0.5, (1, 2))), ("days", [1, 2]), ("at", time(9)), ("opens", {"EU": 8}))
    def decide(self, signal):
        assert type(self.p.sizes) is tuple and sum(self.p.sizes[1]) + self.p.days[0] > 3
        assert self.p.at.hour == 9 and self.p.opens["EU"] == 8
        self.target(self.p.sizes[0] * (signal.is_buy - signal.is_sell))
"""


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, ""),
        ({"sizes": (0.2, (4, 5)), "days": [7]}, ""),
        ({"at": time(9, 30)}, r"at must be a plain value .* got datetime\.time\(9, 30\)\. Call backtest"),
        ({"days": [1, date(2024, 1, 2)]}, r"days must be a plain value .* got \[1, datetime\.date"),
    ],
)
def test_parameters_of_a_repeated_run_have_their_types(parameters, message, tmp_path):
    (tmp_path / "mine.py").write_text(TUPLES)
    options = {"bars_options": {"end": date(2024, 1, 20)}, "report": False}
    strategy = load_strategy(str(tmp_path / "mine.py"))
    run = backtest(SAMPLE, strategy=strategy, parameters=parameters, out=tmp_path / "run", **options)
    if message:
        with pytest.raises(NeuroError, match=message):
            repeat(run.folder, out=tmp_path / "again")
    else:
        assert repeat(run.folder, out=tmp_path / "again").is_identical


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "tune"}, "must be a complete backtest"),
        ({"status": "failed"}, "must be a complete backtest"),
        ({"strategy_sha256": "0"}, r"small\.py has changed since the run"),
        ({"strategy_file": None}, "was not run from a file"),
    ],
)
def test_what_cannot_be_repeated_is_refused(folder, tmp_path, changed, message):
    copy = shutil.copytree(folder / "wing-1", tmp_path / "copy")
    manifest = json.loads((copy / "run.json").read_text()) | changed
    del manifest["manifest_sha256"]
    (copy / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(NeuroError, match=message):
        repeat(copy, out=tmp_path / "again")
