"""Kills at any moment: of a stream with a source that sends again what was not answered, and of runs over a file.

BT_NEURO_KILLS=100 kills a stream as often, and a third of it each of backtest, walk-forward, tune and compare.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pandas as pd
import pytest
from modes import random_hours
from paths import ROOT

from bt_neuro.bars.limits import Limits
from bt_neuro.runs.saved_manifest import read_manifest
from bt_neuro.runs.stream import stream

KILLS = int(os.environ.get("BT_NEURO_KILLS", "10"))
BRACKETS = f"{ROOT / 'tests' / 'brackets.py'}:Brackets"
STRATEGY = ("--device", "numpy", "--strategy", BRACKETS)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals"),
]


def lines_of(frame):
    columns = ["datetime", "open", "high", "low", "close", "volume", "spread"]
    return [
        json.dumps(
            {"id": f"m{number}", **dict(zip(columns, [str(row[0]), *map(float, row[1:])], strict=True))}
        )
        for number, row in enumerate(frame[columns].itertuples(index=False))
    ]


class Source:
    """Sends bars to streams that are killed, each bar until it is answered.

    Attributes
    ----------
    answers : answers by their number, in the order of their first arrival
    doubled : numbers that were answered twice in one version or two
    """

    def __init__(self, lines, folder, symbols=()):
        self.lines, self.folder = lines, folder
        self.begin = ["--symbols", ",".join(symbols)] if symbols else []
        self.key = "row" if symbols else "bar"
        self.answers, self.doubled, self.ready, self.said = {}, [], 0, b""

    def live(self, seconds, *, once_ready=False):
        """Start a stream and kill it so many seconds later; None lets it end. Return its exit code."""
        self.answers = dict(sorted(self.answers.items()))
        first = len(self.answers)
        words = (
            ["--resume", self.folder, "--tell-from", first]
            if self.folder.exists()
            else ["--out", self.folder, *self.begin]
        )
        command = [sys.executable, "-m", "bt_neuro", "stream", "--device", "numpy", "--max-ahead", 0, *words]
        command += ["--strategy", BRACKETS]
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said = []

        def kill():
            while once_ready and (line := process.stderr.readline()):
                said.append(line)
                if b'"ready"' in line:
                    break
            time.sleep(seconds)
            process.kill()

        if seconds is not None:
            threading.Thread(target=kill).start()
        writer = threading.Thread(target=self._write, args=(process.stdin, self.lines[first:]))
        writer.start()
        for line in process.stdout:
            if not line.endswith(b"\n"):
                break
            self._take(json.loads(line))
        code = process.wait()
        writer.join()
        self.said = b"".join([*said, process.stderr.read()])
        self.ready += b'"ready"' in self.said
        process.stderr.close()
        process.stdout.close()
        return code

    @staticmethod
    def _write(pipe, lines):
        try:
            for line in lines:
                os.write(pipe.fileno(), line.encode() + b"\n")
        except OSError:
            pass
        pipe.close()

    def _take(self, answer):
        if self.key not in answer:
            assert "ignored" in answer, answer
        elif answer[self.key] in self.answers:
            self.doubled.append(answer[self.key])
        else:
            self.answers[answer[self.key]] = answer

    def live_through(self, kills, chance):
        """Be killed so often, then end; assert that nothing came twice."""
        for number in range(kills):
            once_ready = number % 3 > 0
            code = self.live(chance.uniform(0.0, 1.0 if once_ready else 3.0), once_ready=once_ready)
            assert code in (-signal.SIGKILL, 0), self.said.decode()
        assert self.live(None) == 0, self.said.decode()
        assert self.doubled == []


def test_a_killed_stream_loses_and_doubles_nothing(tmp_path):
    """Bars, signals, orders, fills and the account are those of a stream that was not killed."""
    from brackets import Brackets

    lines, whole = lines_of(random_hours(250 * KILLS)), []
    limits = Limits(max_ahead_hours=0.0)  # many kills need bars of years to come
    stream(lines, whole.append, strategy=Brackets, out=tmp_path / "whole", limits=limits)
    source = Source(lines, tmp_path / "live")
    source.live_through(KILLS, random.Random(8))
    for answer, expected in zip(source.answers.values(), json.loads(json.dumps(whole)), strict=True):
        assert answer == expected
    assert sum(len(one["fills"]) for one in whole) > 10 * KILLS
    for name in ("bars.csv", "predictions.csv", "equity.csv", "trades.csv", "features.npy", "outputs.npy"):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert source.ready >= KILLS // 2


def test_a_killed_stream_of_several_instruments_loses_and_doubles_nothing(tmp_path):
    """So are their one account and its tables."""
    from brackets import Brackets

    kills, symbols = max(KILLS // 3, 2), ("EURUSD", "GBPUSD")
    frames = [random_hours(80 * kills, seed=number) for number in range(2)]
    pairs = zip(*(lines_of(frame) for frame in frames), strict=True)
    lines = [
        json.dumps({"symbol": symbol, **json.loads(line)})
        for pair in pairs
        for symbol, line in zip(symbols, pair, strict=True)
    ]
    whole, limits = [], Limits(max_ahead_hours=0.0)
    folders = tmp_path / "whole", tmp_path / "live"
    stream(lines, whole.append, strategy=Brackets, out=folders[0], limits=limits, symbols=symbols)
    source = Source(lines, folders[1], symbols)
    source.live_through(kills, random.Random(9))
    assert list(source.answers.values()) == json.loads(json.dumps(whole))
    assert sum(len(one["fills"]) for one in whole) > 10 * kills
    tables = [
        path.relative_to(folders[0]) for kind in ("csv", "npy") for path in folders[0].rglob(f"*.{kind}")
    ]
    assert len(tables) == 2 + 2 * 6
    for name in tables:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    assert source.ready >= kills // 3


WALK = ("--train", "300b", "--test", "200b", "--jobs", 1)
SEARCH = (
    "--holdout",
    0,
    "--trials",
    2,
    "--search",
    "learning_rate=1e-3..1e-1:log",
    "--objective",
    "brier_score",
)
STUDY = (
    "--seeds",
    1,
    "--eras",
    2,
    "--grid",
    "1e-3",
    "--history",
    "110b",
    "--test",
    "110b",
    "--to",
    "2024-01-19",
)
KINDS = {
    "backtest": ("--checkpoint-every", 200, *STRATEGY),
    "walk-forward": (*WALK, *STRATEGY),
    "tune": (*WALK, *SEARCH, *STRATEGY),
    "compare": STUDY,
}


def start(kind, bars, folder, before):
    """Start a run: in place of the one before that was killed, a backtest in a folder of its own."""
    words = ["--out", folder] if before is None or kind == "backtest" else ["--resume", before]
    words += ["--resume", before] if before is not None and kind == "backtest" else []
    command = [sys.executable, "-m", "bt_neuro", kind, bars, "--no-report", *KINDS[kind], *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment, **pipes)


def end(process, folder):
    """Return whether a run ended by itself, or was complete when it was killed."""
    _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said.decode()
    has_manifest = process.returncode != 0 and (folder / "run.json").exists()
    return process.returncode == 0 or (has_manifest and read_manifest(folder)["status"] == "complete")


def content(folder):
    """Return what a run wrote: tables, model, metrics; without seconds."""
    found = {
        path.name: path.read_bytes() for kind in ("*.npy", "*.safetensors") for path in folder.glob(kind)
    }
    for path in folder.glob("*.csv"):
        table = pd.read_csv(path)
        if path.name == "trials.csv":  # a trial that was lost leaves its number unused
            table["trial"] = table["trial"].rank()
        found[path.name] = table.drop(columns=[name for name in table if name.endswith("seconds")]).to_csv()
    return found | {"metrics": without_times(read_manifest(folder)["metrics"])}


def without_times(values):
    if isinstance(values, dict):
        return {
            name: without_times(value)
            for name, value in values.items()
            if name not in ("step_time", "trial") and not name.endswith("seconds")
        }
    return [without_times(value) for value in values] if isinstance(values, list) else values


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_at_any_moment_is_finished_by_resume(kind, tmp_path):
    """Killed up to three times, also after the last bar; all that it wrote is that of one long run."""
    bars, whole, chance = tmp_path / "bars.csv", tmp_path / "whole", random.Random(6)
    random_hours(3000 if kind == "backtest" else 760).to_csv(bars, index=False)
    begun = time.perf_counter()
    assert end(start(kind, bars, whole, None), whole)
    seconds, expected, kills, runs = time.perf_counter() - begun, content(whole), 0, 0
    while kills < max(KILLS // 3, 2):
        before, is_done, runs = None, False, runs + 1
        for attempt in range(4):
            folder = tmp_path / f"{runs}-{attempt if kind == 'backtest' else 0}"
            begun, process = time.perf_counter(), start(kind, bars, folder, before)
            with suppress(subprocess.TimeoutExpired):
                process.wait(None if attempt == 3 else chance.uniform(0.2, 1.0) * seconds)
                seconds = time.perf_counter() - begun  # the machine may have become faster
            process.kill()
            if is_done := end(process, folder):
                break
            kills += 1
            if (folder / ("model.safetensors" if kind == "backtest" else "run.json")).exists():
                before = folder
        assert is_done
        found = content(folder)
        assert found.keys() == expected.keys()
        assert [name for name in found if found[name] != expected[name]] == []
    print(f"{kind}: {runs} runs with {kills} kills are as the one without")
