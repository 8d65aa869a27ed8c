"""Kills at any moment: of a stream with a source that sends again what was not answered, and of runs over a file.

BT_NEURO_KILLS=100 kills a stream as often; the default is a tenth of it.
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

import pytest
from modes import random_hours
from paths import ROOT

from bt_neuro.runs.stream import stream

KILLS = int(os.environ.get("BT_NEURO_KILLS", "10"))
BRACKETS = f"{ROOT / 'tests' / 'brackets.py'}:Brackets"
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
    answers : answers by bar, in the order of their first arrival
    doubled : numbers of bars that were answered twice in one version or two
    """

    def __init__(self, lines, folder, chance):
        self.lines, self.folder, self.chance = lines, folder, chance
        self.answers, self.doubled, self.ready = {}, [], 0

    def live(self, seconds, *, once_ready=False):
        """Start a stream and kill it so many seconds later; None lets it end. Return its exit code."""
        self.answers = dict(sorted(self.answers.items()))
        first = len(self.answers)
        words = (
            ["--resume", self.folder, "--tell-from", first]
            if self.folder.exists()
            else ["--out", self.folder]
        )
        command = [sys.executable, "-m", "bt_neuro", "stream", "--device", "numpy", *words]
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
            if once_ready:
                said.append(process.stderr.readline())
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
        self.ready += b'"ready"' in b"".join([*said, process.stderr.read()])
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
        if "bar" not in answer:
            assert "ignored" in answer, answer
        elif answer["bar"] in self.answers:
            self.doubled.append(answer["bar"])
        else:
            self.answers[answer["bar"]] = answer


def test_a_killed_stream_loses_and_doubles_nothing(tmp_path):
    """Bars, signals, orders, fills and the account are those of a stream that was not killed."""
    from brackets import Brackets

    lines, whole = lines_of(random_hours(400 * KILLS)), []
    stream(lines, whole.append, strategy=Brackets, out=tmp_path / "whole")
    chance = random.Random(8)
    source = Source(lines, tmp_path / "live", chance)
    for number in range(KILLS):
        once_ready = number % 3 > 0
        code = source.live(chance.uniform(0.0, 1.0 if once_ready else 3.0), once_ready=once_ready)
        assert code in (-signal.SIGKILL, 0)
    assert source.live(None) == 0
    assert source.doubled == []
    for answer, expected in zip(source.answers.values(), json.loads(json.dumps(whole)), strict=True):
        assert answer == expected
    assert sum(len(one["fills"]) for one in whole) > 10 * KILLS
    for name in ("bars.csv", "predictions.csv", "equity.csv", "trades.csv", "features.npy", "outputs.npy"):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert source.ready >= KILLS // 2


def test_a_killed_backtest_is_finished_by_resume(tmp_path):
    """Also one that was killed after its last bar; tables, metrics and account are those of one long run."""
    random_hours(3000).to_csv(tmp_path / "bars.csv", index=False)

    def start(folder, *words):
        command = [sys.executable, "-m", "bt_neuro", "backtest", tmp_path / "bars.csv", "--no-report"]
        command += [
            "--device",
            "numpy",
            "--strategy",
            BRACKETS,
            "--checkpoint-every",
            200,
            "--out",
            folder,
            *words,
        ]
        return subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def end(process):
        _, said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said.decode()
        return process.returncode == 0

    begun = time.perf_counter()
    assert end(start(tmp_path / "whole"))
    seconds, chance = time.perf_counter() - begun, random.Random(6)
    for number in range(max(KILLS // 3, 2)):
        killed, resumed = tmp_path / f"killed{number}", tmp_path / f"resumed{number}"
        process = start(killed)
        time.sleep(chance.uniform(0.3, 1.0) * seconds)
        process.kill()
        is_done = end(process)
        if not is_done:
            has_model = (killed / "model.safetensors").exists()
            assert end(start(resumed, *(("--resume", killed) if has_model else ())))
        folder = killed if is_done else resumed
        for name in (
            "predictions.csv",
            "equity.csv",
            "trades.csv",
            "features.npy",
            "outputs.npy",
            "model.safetensors",
        ):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
