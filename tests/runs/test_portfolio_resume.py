"""A portfolio that was cut in two is one run: tables, networks and figures, to the byte."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from brackets import Brackets
from command import bt_neuro
from modes import random_hours
from paths import ROOT
from small import HigherClose, Small
from test_portfolio import ROWS

from bt_neuro import Account, CheckpointError, StrategyError, backtest, read_bars
from bt_neuro import portfolio as run_portfolio
from bt_neuro.learning.checkpoint import Checkpoint

portfolio = partial(run_portfolio, report=False)
PARAMETERS = {"history_bars": 2, "features": "shape"}
FILES = ("*.csv", "*.npy", "*.safetensors")


def write(folder, names, count=420):
    """Bars of instruments: B begins late, C ends early, D comes every four hours, F has a gap."""
    folder.mkdir(exist_ok=True)
    for name in names:
        bars = random_hours(420, seed=ord(name))[ROWS[name]]
        if name == "F":
            bars = bars.drop(bars.index[100:180])
        bars = bars[bars["datetime"] < random_hours(420)["datetime"][0] + np.timedelta64(count, "h")]
        bars.to_csv(folder / f"{name}.csv", index=False)
    return folder


def assert_one_run(whole, resumed):
    found, expected = (
        {p.relative_to(run): p for kind in FILES for p in run.rglob(kind)} for run in (resumed, whole)
    )
    assert found.keys() == expected.keys()
    assert [str(name) for name in found if found[name].read_bytes() != expected[name].read_bytes()] == []


class Stopped(Brackets):
    """Fails at a bar of A, with orders at work and attributes of its own."""

    params = (("at", None),)

    def decide(self, signal):
        super().decide(signal)
        if self.data._name == "A" and signal.bar == self.p.at:
            raise StrategyError("stopped here")


class LateLabels(Stopped):
    def label(self):
        return HigherClose()


def cut_and_resumed(bars, tmp_path, at, strategy=Stopped, **options):
    """Return the metrics of a run, and those of one that failed and was resumed; their files are the same."""
    options = {"checkpoint_every": 40, "strategy": strategy, **options}
    parameters = options.pop("parameters", PARAMETERS)
    whole = portfolio([bars], parameters=parameters, out=tmp_path / "whole", **options)
    with pytest.raises(StrategyError, match="stopped here"):
        portfolio([bars], parameters={**parameters, "at": at}, out=tmp_path / "cut", **options)
    options |= {"parameters": parameters, "resume": tmp_path / "cut"}
    resumed = portfolio([bars], out=tmp_path / "resumed", **options)
    assert_one_run(whole.folder, resumed.folder)
    assert resumed.metrics == whole.metrics
    assert len(whole.instrument("A").trades) > 3
    return resumed


@pytest.mark.parametrize("shared", [False, True], ids=["one each", "shared"])
def test_a_portfolio_that_failed_is_resumed(shared, tmp_path):
    bars = write(tmp_path / "bars", "AC", 90)
    resumed = cut_and_resumed(bars, tmp_path, 70, shared=shared)
    assert resumed.manifest["resumed"]["last_bars"] == {"A": 39, "C": 39}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "more", "shared"),
    [
        (Stopped, {}, False),
        (LateLabels, {"features": "article", "seeds": 2}, False),
        (LateLabels, {"inputs": "dollar.csv"}, True),
    ],
    ids=["one each", "votes, late labels", "shared, input, late labels"],
)
def test_instruments_with_other_starts_and_ends_are_resumed(strategy, more, shared, tmp_path):
    bars = write(tmp_path / "bars", "ABCDF")
    if "inputs" in more:
        random_hours(420, seed=1).to_csv(tmp_path / "dollar.csv", index=False)
        more = {"inputs": str(tmp_path / "dollar.csv")}
    options = {"account": Account(spread=2.0, leverage=30.0), "parameters": {**PARAMETERS, **more}}
    cut_and_resumed(bars, tmp_path, 333, strategy, shared=shared, **options)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True], ids=["one each", "shared"])
def test_a_device_resumes_to_the_bit(runtime, shared, tmp_path):
    bars = write(tmp_path / "bars", "ABC", 300)
    parameters = {**PARAMETERS, "device": str(runtime.index)}
    cut_and_resumed(bars, tmp_path, 222, parameters=parameters, shared=shared)


class Interrupted(Brackets):
    """Gets a Ctrl-C at a bar of A."""

    params = (("at", None),)

    def decide(self, given):
        super().decide(given)
        if self.data._name == "A" and given.bar == self.p.at:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("shared", [False, True], ids=["one each", "shared"])
def test_a_run_that_was_interrupted_in_a_launch_goes_on(shared, tmp_path, launches):
    bars = write(tmp_path / "bars", "AF", 190)
    run = partial(portfolio, [bars], strategy=Interrupted, shared=shared)
    whole = run(parameters=PARAMETERS, out=tmp_path / "whole")
    first = run(parameters={**PARAMETERS, "at": 135}, out=tmp_path / "first")
    assert first.manifest["status"] == "interrupted"
    launches.clear()
    resumed = run(parameters=PARAMETERS, out=tmp_path / "resumed", resume=first.folder)
    assert max(launches) > 10
    assert_one_run(whole.folder, resumed.folder)


@pytest.mark.slow
@pytest.mark.parametrize(("names", "shared"), [("ABCD", False), ("ABC", True)], ids=["one each", "shared"])
def test_files_that_have_grown_continue_a_run_that_ended(names, shared, tmp_path):
    shorter, longer = write(tmp_path / "shorter", names, 250), write(tmp_path / "longer", names)
    run = partial(portfolio, strategy=Brackets, parameters=PARAMETERS, shared=shared)
    whole = run([longer], out=tmp_path / "whole")
    first = run([shorter], out=tmp_path / "first")
    resumed = run([longer], out=tmp_path / "resumed", resume=first.folder)
    assert resumed.metrics == whole.metrics
    for name in names:
        assert resumed.instrument(name).trades.equals(whole.instrument(name).trades)
        assert np.array_equal(resumed.instrument(name).outputs, whole.instrument(name).outputs)
    with pytest.raises(CheckpointError, match="it has learned all bars of these files"):
        run([longer], out=tmp_path / "again", resume=resumed.folder)
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True], ids=["one each", "shared"])
def test_last_rows_that_were_still_forming_keep_their_prices(shared, tmp_path):
    run = partial(portfolio, strategy=Brackets, parameters=PARAMETERS, shared=shared)
    whole = run([write(tmp_path / "bars", "AF", 120)], out=tmp_path / "whole")
    grown = read_bars(tmp_path / "bars" / "A.csv").frame.copy()
    write(tmp_path / "shorter", "AF", 100)
    first = run([tmp_path / "shorter"], out=tmp_path / "first")
    last = grown.index[99]
    grown.loc[last, ["high", "close"]] = grown.loc[last, "high"] + 0.001
    grown.to_csv(tmp_path / "bars" / "A.csv", index=False)
    resumed = run([tmp_path / "bars"], out=tmp_path / "resumed", resume=first.folder)
    assert resumed.metrics == whole.metrics
    assert "was still forming" in resumed.manifest["data"]["A"]["notes"][-1]


@pytest.mark.slow
def test_a_shared_network_does_not_learn_earlier_bars_later(tmp_path):
    """A ended a day before C did: its next bars would have been learned before the last ones of C."""
    bars = write(tmp_path / "bars", "AC", 200)
    write(tmp_path / "bars", "A", 176)
    run = partial(portfolio, strategy=Small, parameters=PARAMETERS, shared=True)
    first = run([bars], out=tmp_path / "first")
    with pytest.raises(
        CheckpointError, match=r"new bars of A must close after 2024-01-09 08:00:00.*got 2024-01-08 09"
    ):
        run([write(bars, "AC", 220)], out=tmp_path / "again", resume=first.folder)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("words", [[], ["--shared"]], ids=["one each", "shared"])
def test_killed_at_any_moment_it_goes_on_to_the_same_end(words, tmp_path, rng):
    bars = write(tmp_path / "bars", "AC", 280)
    strategy = f"{ROOT / 'tests' / 'brackets.py'}:Brackets"
    command = ["backtest", bars, "--device", "numpy", "--strategy", strategy, "--no-report"]
    command += ["--param", "features=shape", "--checkpoint-every", 15, *words]
    assert bt_neuro(*command, "--out", tmp_path / "whole").exit_code == 0
    resumable, kills = None, 0
    for attempt in range(2):
        out = tmp_path / f"killed{attempt}"
        more = [] if resumable is None else ["--resume", resumable]
        process = subprocess.Popen(
            list(map(str, [sys.executable, "-m", "bt_neuro", *command, *more, "--out", out])),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not list(out.rglob("*.safetensors")) and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.4))
        process.kill()
        kills += process.wait() != 0
        resumable = out
    assert kills
    done = bt_neuro(*command, "--out", tmp_path / "done", "--resume", resumable)
    assert done.exit_code == 0, done.output
    assert_one_run(tmp_path / "whole", tmp_path / "done")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    bars = write(folder / "bars", "AC", 100)
    return portfolio([bars], strategy=Small, parameters=PARAMETERS, out=folder / "run")


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_a_portfolio_that_broke_off_after_its_last_bar_is_scored(status, first, tmp_path):
    killed = shutil.copytree(first.folder, tmp_path / "killed")
    manifest = json.loads((killed / "run.json").read_text())
    del manifest["metrics"], manifest["time"], manifest["manifest_sha256"]
    (killed / "run.json").write_text(json.dumps({**manifest, "status": status}))
    bars = write(tmp_path / "bars", "AC", 100)
    scored = portfolio([bars], strategy=Small, parameters=PARAMETERS, resume=killed, out=tmp_path / "scored")
    assert_one_run(first.folder, scored.folder)
    assert scored.metrics == first.metrics


class Reads(Small):
    def decide(self, signal):
        self.last = self.network.steps


def changed(folder):
    bars = read_bars(folder / "C.csv").frame.copy()
    bars.loc[50, "close"] += 1e-5
    bars.to_csv(folder / "C.csv", index=False)
    return [folder]


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            lambda folder: [folder / "C.csv", folder / "A.csv"],
            {},
            "instruments must be .'A', 'C'., got .'C', 'A'.",
        ),
        (None, {"shared": True}, "shared must be False, got True"),
        (None, {"strategy": Reads}, "learner.network must not be read up to bar 99"),
        (None, {"parameters": {**PARAMETERS, "wing": 2}}, "wing, the label's delay must be 1, got 2"),
        (None, {"parameters": {**PARAMETERS, "seed": 5}}, "seed must be 0, got 5"),
        (changed, {}, "C/model.safetensors: bars 0 to 99 are not those"),
        (lambda folder: [write(folder, "AC", 90)], {}, "A must reach bar 99, got 89"),
    ],
    ids=["order", "shared", "network", "label", "seed", "bars", "shorter"],
)
def test_what_cannot_be_resumed_is_named_and_leaves_no_folder(files, options, message, first, tmp_path):
    folder = write(tmp_path / "bars", "AC", 110)
    options = {"strategy": Small, "parameters": PARAMETERS, **options}
    with pytest.raises((CheckpointError, StrategyError), match=message):
        portfolio(files(folder) if files else [folder], out=tmp_path / "run", resume=first.folder, **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_run_that_is_stopped_before_its_first_new_bar_leaves_no_folder(first, tmp_path):
    class Signalled(Small):
        def decide(self, given):
            if given.bar == 50 and self.data._name == "A":
                signal.raise_signal(signal.SIGTERM)

    bars = write(tmp_path / "bars", "AC", 110)
    run = partial(portfolio, [bars], strategy=Signalled, parameters=PARAMETERS, out=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt, match="interrupted before the first new bar"):
        run(resume=first.folder)
    assert not (tmp_path / "run").exists()
    stopped = run()
    whole = portfolio([bars], strategy=Small, parameters=PARAMETERS, out=tmp_path / "whole")
    resumed = portfolio(
        [bars], strategy=Small, parameters=PARAMETERS, out=tmp_path / "go", resume=stopped.folder
    )
    assert stopped.manifest["stopped_by"] == "SIGTERM"
    assert_one_run(whole.folder, resumed.folder)  # its account too: all bars are traded again


@pytest.mark.slow
def test_only_a_portfolio_with_networks_in_single_precision_is_resumed(first, tmp_path):
    bars = write(tmp_path / "bars", "AC", 110)
    alone = backtest(bars / "A.csv", strategy=Small, out=tmp_path / "alone", report=False)
    double = portfolio(
        [bars], strategy=Small, parameters={**PARAMETERS, "precision": "double"}, out=tmp_path / "double"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "run.json").write_bytes((first.folder / "run.json").read_bytes())
    for run, message in (
        (alone.folder, "it must hold a portfolio, got a backtest"),
        (first.folder / "A" / "model.safetensors", "it must be the folder of a run"),
        (empty, "it must hold a model.safetensors with bars, got none"),
        (double.folder, "precision must be single, got double"),
    ):
        write(bars, "AC", 120)
        with pytest.raises(CheckpointError, match=message):
            portfolio([bars], strategy=Small, out=tmp_path / "run", resume=run)


def test_a_shared_checkpoint_holds_the_bars_of_each(tmp_path):
    bars = write(tmp_path / "bars", "AB", 160)
    run = portfolio([bars], strategy=Small, parameters=PARAMETERS, shared=True, out=tmp_path / "run")
    saved = Checkpoint.read_shared(run.folder / "model.safetensors")
    assert {name: one.last_bar for name, one in saved.items()} == {"A": 159, "B": 9}
