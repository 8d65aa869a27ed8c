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

    def live(self, seconds):
        """Start a stream and kill it after so many seconds; None lets it end. Return its exit code."""
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
        if seconds is not None:
            killer = threading.Timer(seconds, process.kill)
            killer.start()
        writer = threading.Thread(target=self._write, args=(process.stdin, self.lines[first:]))
        writer.start()
        for line in process.stdout:
            if not line.endswith(b"\n"):
                break
            self._take(json.loads(line))
        code = process.wait()
        writer.join()
        self.ready += b'"ready"' in process.stderr.read()
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
    for _ in range(KILLS):
        assert source.live(chance.uniform(0.2, 3.0)) in (-signal.SIGKILL, 0)
    assert source.live(None) == 0
    assert source.doubled == []
    for answer, expected in zip(source.answers.values(), json.loads(json.dumps(whole)), strict=True):
        assert answer == expected
    assert sum(len(one["fills"]) for one in whole) > 10 * KILLS
    for name in ("bars.csv", "predictions.csv", "equity.csv", "trades.csv", "features.npy", "outputs.npy"):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert source.ready > KILLS / 3
