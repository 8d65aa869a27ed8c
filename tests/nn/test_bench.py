"""The benchmark: every variant is checked before it is timed, and its answer is plain JSON."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import bt_neuro.bench.run as bench
from bt_neuro.bench import render, run_bench
from bt_neuro.bench.own_peer import OwnPeer, article_network
from bt_neuro.bench.peer import Bars, Start
from bt_neuro.errors import DeviceError
from bt_neuro.nn.opencl.device import choose


def first_device():
    try:
        return str(choose().index)
    except DeviceError as error:
        return pytest.skip(str(error))


def numpy_peer(start: Start, learning_rate: float | None = None) -> OwnPeer:
    return OwnPeer(start, article_network("numpy", learning_rate or start.learning_rate), "numpy", "")


class NotANumber(OwnPeer):
    def predict(self, window):
        return super().predict(window) * np.nan


def missing(start: Start):
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


def broken(start: Start):
    raise RuntimeError("no compiler\nmore lines")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numpy", "opencl"])
def test_it_measures_every_way_and_gives_json(kind):
    result = run_bench(first_device() if kind == "opencl" else kind, steps=5, peers=False)
    assert json.loads(json.dumps(result)) == result
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == [bench.OURS, bench.MANY, "NumPy reference"]
    for row in rows.values():
        assert row["status"] == "measured"
        for way in bench.WAYS:
            assert 0 < row[way]["min_us"] <= row[way]["median_us"]
    assert [rows[bench.OURS][way]["ratio"] for way in bench.WAYS] == [1.0] * 4
    assert result["call_us"] > 0
    assert result["build_s"] > 0
    table = render(result)
    assert all(name in table for name in (*rows, *bench.WAYS, result["device"]))


def test_only_a_sound_peer_is_timed(monkeypatch):
    faults = {
        "sound": numpy_peer,
        "twice the step": lambda start: numpy_peer(start, 2 * start.learning_rate),
        "not a number": lambda start: NotANumber(start, article_network("numpy", 1e-4), "nan", ""),
        "missing": missing,
        "broken": broken,
    }
    monkeypatch.setattr(bench, "PEERS", faults)
    result = run_bench("numpy", steps=1)
    rows = {row["name"]: row for row in result["rows"]}
    assert rows["sound"]["status"] == "measured"
    assert rows["sound"]["largest_difference"] == 0
    assert rows["twice the step"]["status"].startswith("wrong: its outputs differ from ours by ")
    assert rows["not a number"]["status"].startswith("wrong: ")
    assert rows["missing"]["status"] == "not installed: pip install 'bt-neuro[peers]'"
    assert rows["broken"]["status"] == "failed: no compiler"
    untimed = [row for row in rows.values() if "predict" not in row]
    assert [row["name"] for row in untimed] == ["twice the step", "not a number", "missing", "broken"]
    assert all(row["status"] in render(result) for row in untimed)


def test_a_peer_that_compiles_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(bench, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(bench, "PEERS", {"slow": numpy_peer})
    status = {row["name"]: row["status"] for row in run_bench("numpy", steps=1)["rows"]}
    assert status["slow"] == "failed: not ready after 0 s"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_the_cores_are_given_back():
    before = os.sched_getaffinity(0)
    with bench._one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


def test_bars_slide_and_look_standardised():
    bars = Bars.make(2000)
    assert np.array_equal(bars.windows[1:, :-12], bars.windows[:-1, 12:])
    assert abs(bars.windows.mean()) < 0.1
    assert abs(bars.windows.std() - 1) < 0.1
    assert np.array_equal(bars.targets.sum(axis=1), np.ones(2000))
