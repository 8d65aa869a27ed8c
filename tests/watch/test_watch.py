"""The page of a run at work, in a real Chromium; /healthz."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from chromium import chromium
from modes import random_hours
from paths import ROOT
from small import Small

from bt_neuro import NeuroError, backtest
from bt_neuro.runs.stream import stream
from bt_neuro.watch.tail import read_health, read_state

BARS = random_hours(300)
LINES = [
    ",".join(map(str, row))
    for row in BARS[["datetime", "open", "high", "low", "close"]].itertuples(index=False)
]
COUNTS = """() => Object.fromEntries(["bars", "signals", "fills", "equity"].map((name) => {
    const columns = Bokeh.documents[0].get_model_by_name(name).data
    return [name, (columns.get?.("time") ?? columns["time"]).length]
}))"""

HEALTH = """() => Bokeh.documents[0].get_model_by_name("health").text"""


class Running:
    """A stream in a thread, whose lines the test gives."""

    def __init__(self, folder):
        self.lines, self.told = queue.Queue(), []
        self.thread = threading.Thread(
            target=stream,
            args=(iter(self.lines.get, None), self.told.append),
            kwargs={"strategy": Small, "out": folder, "event": self.on_event},
        )
        self.ready = threading.Event()
        self.thread.start()
        assert self.ready.wait(30)

    def on_event(self, values):
        self.ready.set()

    def give(self, lines):
        wanted = len(self.told) + len(lines)
        for line in lines:
            self.lines.put(line)
        while len(self.told) < wanted:
            assert self.thread.is_alive()

    def end(self):
        self.lines.put(None)
        self.thread.join(30)


@pytest.fixture
def running(tmp_path):
    ran = Running(tmp_path / "live")
    yield ran
    ran.end()


def test_state_of_a_stream_at_work_and_after(running, tmp_path):
    folder = tmp_path / "live"
    running.give(LINES[:200])
    state = read_state(folder, most=150)
    assert (state.health["is_alive"], state.health["status"]) == (True, "running")
    assert [bar["time"] for bar in state.bars] == [str(time) for time in BARS["datetime"][50:200]]
    assert state.bars[-1]["close"] == BARS["close"][199]
    assert len(state.equity) == 150
    fills = [fill for one in running.told[50:200] for fill in one["fills"]]
    assert [fill["price"] for fill in state.fills] == [fill["price"] for fill in fills] != []
    running.end()
    assert (read_health(folder)["is_alive"], read_health(folder)["status"]) == (False, "complete")


def test_state_of_a_backtest(tmp_path):
    BARS.to_csv(tmp_path / "bars.csv", index=False)
    result = backtest(tmp_path / "bars.csv", strategy=Small, out=tmp_path / "run", report=False)
    state = read_state(result.folder, most=1000)
    assert len(state.equity) == len(state.bars) == 300
    assert len(state.fills) == 2 * len(result.trades)
    assert len(state.signals) == (result.predictions["signal"] != "none").sum()
    assert state.health["recent_hit_rate_pct"] == pytest.approx(result.metrics["hit_rate_pct"])


def test_a_damaged_health_is_named(tmp_path):
    stream(LINES[:40], lambda values: None, strategy=Small, out=tmp_path / "live")
    for text in ("", "[]", "{}", '{"written": 5}', '{"written": "yesterday"}'):
        (tmp_path / "live" / "health.json").write_text(text)
        with pytest.raises(NeuroError, match=r"health\.json is damaged"):
            read_health(tmp_path / "live")


@pytest.mark.slow
def test_the_page_follows_a_stream(running, tmp_path):
    running.give(LINES[:150])
    command = [sys.executable, "-m", "bt_neuro", "watch", tmp_path / "live", "--port", "0", "--no-open"]
    server = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}healthz") as reply:
            assert json.load(reply)["is_alive"]
        with chromium() as browser:
            page, errors, asked = browser.new_page(), [], []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(address)
            page.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
            assert page.evaluate(COUNTS) | {"signals": 0, "fills": 0} == {
                "bars": 150, "equity": 150, "signals": 0, "fills": 0,
            }  # fmt: skip
            running.give(LINES[150:])
            signals = sum(one["signal"] in ("buy", "sell") for one in running.told)
            fills = sum(len(one["fills"]) for one in running.told)
            arrived = f"(c => c.bars === 300 && c.signals === {signals} && c.fills === {fills})(({COUNTS})())"
            page.wait_for_function(arrived, timeout=10_000)
            assert "at work" in page.evaluate(HEALTH)
            assert errors == []
            assert all(url.startswith((address, address.replace("http", "ws"))) for url in asked), asked
            running.end()
            page.wait_for_function(f"({HEALTH})().includes('complete')", timeout=10_000)
        manifest = json.loads((tmp_path / "live" / "run.json").read_text())
        del manifest["manifest_sha256"]
        (tmp_path / "live" / "run.json").write_text(json.dumps({**manifest, "status": "running"}))
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"{address}healthz")
    finally:
        server.terminate()
        assert server.wait(20) == 0
        server.stdout.close()
