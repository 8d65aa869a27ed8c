"""The benchmark: plain JSON of every way; a peer is timed only if its outputs are ours."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from benchmarks import peers
from bt_neuro import Adam, Network, article_layers
from bt_neuro.errors import DeviceError
from bt_neuro.nn import bench
from bt_neuro.nn.opencl.device import choose


def first_device():
    try:
        return str(choose().index)
    except DeviceError as error:
        return pytest.skip(str(error))


def network_of(learning_rate: float) -> Network:
    return Network(article_layers(), 240, optimizer=Adam(learning_rate), device="numpy")


def numpy_peer(state, learning_rate: float) -> bench.OwnVariant:
    network = network_of(learning_rate)
    network.set_state(state, 0)
    return bench.OwnVariant(network)


class NotANumber(bench.OwnVariant):
    def predict(self, window):
        return super().predict(window) * np.nan


def missing(state, learning_rate):
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


def broken(state, learning_rate):
    raise RuntimeError("no compiler\nmore lines")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numpy", "opencl"])
def test_it_measures_every_way_and_gives_json(kind):
    result = bench.run_bench(first_device() if kind == "opencl" else kind, steps=5)
    assert json.loads(json.dumps(result)) == result
    rows = {row["name"]: row for row in result["rows"]}
    assert list(rows) == [bench.OURS, bench.MANY]
    for row in rows.values():
        assert row["status"] == "measured"
        for way in bench.WAYS:
            assert 0 < row[way]["min_us"] <= row[way]["median_us"]
    assert [rows[bench.OURS][way]["ratio"] for way in bench.WAYS] == [1.0] * 4
    assert result["call_us"] > 0
    assert result["build_s"] > 0
    table = bench.render(result)
    assert all(name in table for name in (*rows, *bench.WAYS, result["device"]))


def admitted(factories):
    result = bench.run_bench(
        "numpy", steps=1, admit=lambda network, bars: peers.admit(factories, network, bars)
    )
    return {row["name"]: row for row in result["rows"]}, result


def test_only_a_sound_peer_is_timed():
    rows, result = admitted(
        {
            "sound": numpy_peer,
            "twice the step": lambda state, rate: numpy_peer(state, 2 * rate),
            "not a number": lambda state, rate: NotANumber(network_of(rate)),
            "missing": missing,
            "broken": broken,
        }
    )
    assert rows["sound"]["status"] == "measured"
    assert rows["sound"]["largest_difference"] == 0
    assert rows["twice the step"]["status"].startswith("wrong: its outputs differ from ours by ")
    assert rows["not a number"]["status"].startswith("wrong: ")
    assert rows["missing"]["status"] == "not installed: pip install 'bt-neuro[peers]'"
    assert rows["broken"]["status"] == "failed: no compiler"
    untimed = [row for row in rows.values() if "predict" not in row]
    assert [row["name"] for row in untimed] == ["twice the step", "not a number", "missing", "broken"]
    assert all(row["status"] in bench.render(result) for row in untimed)
    assert peers.fastest(result) == "no peer was measured"


def test_a_peer_that_compiles_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(peers, "PATIENCE_S", 1e-3)
    rows, _ = admitted({"slow": numpy_peer})
    assert rows["slow"]["status"] == "failed: not ready after 0 s"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_the_cores_are_given_back():
    before = os.sched_getaffinity(0)
    with bench.one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


def test_bars_slide_and_look_standardised():
    bars = bench.Bars.make(2000)
    assert np.array_equal(bars.windows[1:, :-12], bars.windows[:-1, 12:])
    assert abs(bars.windows.mean()) < 0.1
    assert abs(bars.windows.std() - 1) < 0.1
    assert np.array_equal(bars.targets.sum(axis=1), np.ones(2000))
