"""The bridge to Redis, with a real server on loopback: every answer exactly once under kills of each part."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from modes import random_hours
from paths import ROOT

from bt_neuro.runs.stream import stream

redis = pytest.importorskip("redis", reason="needs the package redis")
KILLS = int(os.environ.get("BT_NEURO_KILLS", "10"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("redis-server") is None, reason="needs redis-server: apt-get install redis-server"
    ),
]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """A Redis server that writes each change to its disk, and can be killed."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        self.start()

    def start(self):
        words = ["--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder, "--appendonly", "yes"]
        words += ["--appendfsync", "always", "--save", "", "--logfile", self.folder / "log"]
        self.process = subprocess.Popen(["redis-server", *map(str, words)])
        self.client = redis.Redis(port=self.port)
        for _ in range(200):
            try:
                self.client.ping()
                return
            except redis.RedisError:  # not up, or still loading
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def kill(self):
        self.client.close()
        self.process.kill()
        self.process.wait()


COLUMNS = ["datetime", "open", "high", "low", "close", "volume", "spread"]


def one_market():
    return [",".join(map(str, row)) for row in random_hours(1000)[COLUMNS].itertuples(index=False)]


def several(symbols):
    frames = [random_hours(200, seed=number)[COLUMNS] for number in range(len(symbols))]
    return [
        json.dumps({"symbol": symbol, **dict(zip(COLUMNS, [str(row[0]), *map(float, row[1:])], strict=True))})
        for rows in zip(*(frame.itertuples(index=False) for frame in frames), strict=True)
        for symbol, row in zip(symbols, rows, strict=True)
    ]


@pytest.mark.parametrize(
    ("symbols", "kills"), [(None, KILLS), (("A", "B"), max(KILLS // 5, 2))], ids=["one", "several"]
)
def test_every_answer_is_there_once(symbols, kills, tmp_path):
    from small import Small

    lines, whole, chance = several(symbols) if symbols else one_market(), [], random.Random(5)
    stream(lines, whole.append, strategy=Small, out=tmp_path / "whole", symbols=symbols)
    server = Server(tmp_path / "redis")
    try:
        for line in lines:
            server.client.xadd("bars", {"line": line})
        options = ["--", "--device", "numpy", "--strategy", f"{ROOT / 'tests' / 'small.py'}:Small"]
        command = [sys.executable, ROOT / "examples" / "redis_bridge.py", "--folder", tmp_path / "live"]
        options += ["--symbols", ",".join(symbols)] if symbols else []
        command += ["--url", f"redis://127.0.0.1:{server.port}", *options]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        for number in range(kills + 1):
            bridge = subprocess.Popen(
                list(map(str, command)),
                cwd=ROOT,
                env=environment,
                start_new_session=True,
                stderr=subprocess.DEVNULL,
            )
            if number == kills:
                until = time.monotonic() + 120
                while server.client.xlen("answers") < len(lines) and time.monotonic() < until:
                    time.sleep(0.1)
            else:
                time.sleep(chance.uniform(0.5, 3.0))
            if number % 3 == 1:
                server.kill()
                time.sleep(0.1)
                server.start()
            os.killpg(bridge.pid, signal.SIGKILL)  # the bridge and its stream
            bridge.wait()
        found = [json.loads(fields[b"answer"]) for _, fields in server.client.xrange("answers")]
        assert found == json.loads(json.dumps(whole))
        assert (
            server.client.xinfo_groups("bars")[0]["pending"] <= 1
        )  # the last one, killed before it was acknowledged
    finally:
        server.kill()
