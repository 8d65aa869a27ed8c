"""A walk-forward over several files: each as if it were alone, scored and counted together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command import bt_neuro
from modes import random_hours
from small import Small

from bt_neuro import open_run, walk_forward
from bt_neuro.account.account import Account
from bt_neuro.errors import NeuroError
from bt_neuro.io import read_csv
from bt_neuro.validation.walk_forward_portfolio import walk_forward_portfolio

FOLDS = {"train": "150b", "test": "60b", "jobs": 1, "report": False}
PARAMETERS = {"features": "shape", "history_bars": 2}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for name, bars in (("A", random_hours(340)), ("B", random_hours(340, seed=2)[50:])):
        bars.to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.mark.slow
def test_each_file_is_tested_alone_and_all_are_scored_together(files, tmp_path):
    account = Account(cash=10_000.0, spread=2.0)
    options = {"strategy": Small, "parameters": PARAMETERS, **FOLDS}
    result = walk_forward_portfolio([files], account=account, out=tmp_path / "run", **options)
    parts = []
    for name in "AB":
        own = Account(cash=5_000.0, spread=2.0)
        alone = walk_forward(files / f"{name}.csv", account=own, out=tmp_path / name, **options)
        assert np.array_equal(result.instrument(name).outputs, alone.outputs)
        assert result.instrument(name).trades.equals(alone.trades)
        assert result.metrics["instruments"][name]["lift_pct"] == alone.metrics["lift_pct"]
        parts.append(alone)
    pooled, money = result.metrics["pooled"], result.metrics["account"]
    for key in ("signals", "hits", "scored_bars"):
        assert pooled[key] == sum(part.metrics[key] for part in parts), key
    hours = {time for part in parts for time in part.predictions["datetime"]}
    assert pooled["scored_hours"] <= len(hours) < pooled["scored_bars"]  # bars of an hour are drawn together
    assert money["equity_end"] == pytest.approx(sum(part.metrics["equity_end"] for part in parts))
    assert money["net"] == pytest.approx(sum(part.trades["net"].sum() for part in parts))
    assert result.equity["equity"].iloc[0] == pytest.approx(10_000.0, rel=0.01)
    opened = open_run(tmp_path / "run")
    assert str(opened).startswith("Out of sample, 2 instruments (A, B): ")


DEPOSITOR = """
from small import Small


class Depositor(Small):
    def decide(self, signal):
        if signal.bar == 200:
            self.broker.add_cash(1_000)
"""


def test_neither_deposits_nor_gaps_between_folds_are_a_return(files, tmp_path):
    (tmp_path / "depositor.py").write_text(DEPOSITOR)
    options = {
        "strategy": f"{tmp_path / 'depositor.py'}:Depositor",
        "parameters": {**PARAMETERS, "device": "numpy"},
    }
    account = Account(cash=10_000.0)
    run = walk_forward_portfolio(
        [files], account=account, out=tmp_path / "run", **FOLDS | {"step": "90b"}, **options
    )
    money = run.metrics["account"]
    assert money["deposits"] == run.equity["deposits"].sum() >= 2_000
    assert money["equity_end"] == 10_000 + money["deposits"]
    assert money["return_pct"] == pytest.approx(0, abs=1e-9)
    held, gaps = [], []
    for name in "AB":
        equity = read_csv(run.folder / name / "equity.csv")
        spans = equity.groupby("fold")["close"]
        held.append(100 * ((spans.last() / spans.first()).prod() - 1))
        gaps.append(equity["bar"].diff().max())
    assert max(gaps) > 1
    assert money["equal_hold_pct"] == pytest.approx(np.mean(held))


@pytest.mark.slow
def test_the_command_takes_several_files(files, tmp_path):
    words = ["walk-forward", files, "--train", "150b", "--test", "100b", "--jobs", "1", "--device", "numpy"]
    out = bt_neuro(*words, "--no-report", "--json", "--out", tmp_path / "run")
    assert out.exit_code == 0, out.output
    assert json.loads(out.stdout)["names"] == ["A", "B"]
    again = bt_neuro(*words, "--no-report", "--json", "--resume", tmp_path / "run")
    assert json.loads(again.stdout)["metrics"] == json.loads(out.stdout)["metrics"]
    other = bt_neuro(*words, "--size", "0.5", "--resume", tmp_path / "run")
    assert other.exit_code == 1
    assert "parameters.size must be 0.95" in other.stderr


@pytest.mark.slow
def test_a_run_that_was_interrupted_in_its_second_file_is_resumed(files, tmp_path):
    options = {"strategy": Small, "parameters": PARAMETERS, **FOLDS}
    whole = walk_forward_portfolio([files], out=tmp_path / "whole", **options)

    def stop(done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"interrupted in B: continue with --resume .*run$"):
        walk_forward_portfolio([files], out=tmp_path / "run", progress=stop, **options)
    with pytest.raises(NeuroError, match=r"files must be A, B, as .* got B, A"):
        walk_forward_portfolio([files / "B.csv", files / "A.csv"], resume=tmp_path / "run", **options)
    first = (tmp_path / "run" / "A" / "folds" / "01" / "outputs.npy").stat().st_mtime_ns
    resumed = walk_forward_portfolio([files], resume=tmp_path / "run", **options)
    assert (tmp_path / "run" / "A" / "folds" / "01" / "outputs.npy").stat().st_mtime_ns == first
    assert resumed.equity.equals(whole.equity)
    assert resumed.metrics["pooled"] == whole.metrics["pooled"]


@pytest.mark.slow
def test_the_command_names_the_folds_that_failed_and_runs_them_again(files, tmp_path):
    strategy, repaired = tmp_path / "breaks.py", tmp_path / "repaired"
    strategy.write_text(
        "from pathlib import Path\nfrom bt_neuro import Dense, NeuroStrategy\n"
        "class Breaks(NeuroStrategy):\n"
        "    def layers(self, inputs):\n        return [Dense(3, 'sigmoid')]\n"
        "    def decide(self, signal):\n"
        "        late = str(self.data.opened.datetime(0)) > '2024-01-12'\n"
        f"        if self.data._name == 'B' and late and not Path({str(repaired)!r}).exists(): 1 / 0\n"
    )
    words = ["walk-forward", files, "--train", "150b", "--test", "60b", "--jobs", "1", "--device", "numpy"]
    words += ["--strategy", strategy, "--no-report", "--json"]
    out = bt_neuro(*words, "--out", tmp_path / "run")
    assert out.exit_code == 1
    (name,) = json.loads(out.stdout)["failed"]
    assert name == "B/2"
    first, *_, last = out.stderr.splitlines()
    assert first == "Error: fold B/2: ZeroDivisionError: division by zero"
    assert last == f"Run the failed folds again with --resume {tmp_path / 'run'}"
    repaired.touch()
    out = bt_neuro(*words, "--resume", tmp_path / "run")
    assert (out.exit_code, json.loads(out.stdout)["failed"]) == (0, {}), out.output


def test_files_need_names_of_their_own(files):
    with pytest.raises(NeuroError, match="with names of their own, got A, A"):
        walk_forward_portfolio([files / "A.csv", files / "A.csv"])
