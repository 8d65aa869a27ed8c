"""Races between work-items in the GPU's form, as the simulator Oclgrind reports them.

A processor's runtime runs the items of a group one after another up to each barrier, so a missing barrier seldom
shows there. Oclgrind is asked for in a process of its own, where it is the only runtime.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bt_neuro import Dense
from bt_neuro.nn.opencl.device import choose
from bt_neuro.nn.opencl.program import Program
from bt_neuro.nn.opencl.runner import Runner
from tests.family import FAMILY, Row
from tests.helpers import Sample, assert_close

OCLGRIND = Path("/usr/lib/oclgrind/liboclgrind-rt-icd.so")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not OCLGRIND.exists(), reason="needs Oclgrind: apt-get install oclgrind"),
]
# One activation is enough: they differ in macros that touch one number.
NETWORKS = {
    name: row
    for name, row in FAMILY.items()
    if name.endswith("tanh") or not name.startswith(("dense", "convolution "))
} | {"dense, wide": Row([Dense(70, "tanh"), Dense(65), Dense(2), Dense(1), Dense(33)], 9)}


def learn(name: str, batch_size: int, right: str = "", wrong: str = "") -> None:
    """Learn on Oclgrind, last a batch that is not full, and compare with the twin; or with a fault planted."""
    row, device = NETWORKS[name], replace(choose("Oclgrind"), is_gpu=True)
    rng, steps = np.random.default_rng(1), batch_size + 1
    sample = Sample(row.layers, row.inputs, rng, row.optimizer, steps, loss=row.loss, batch_size=batch_size)
    program = Program(sample.layout, device.shape(double=True), batch_size)
    assert right in program.source, right
    program.source = program.source.replace(right, wrong) if right else program.source
    found = sample.learn(Runner(program, device, sample.state[None], (5,)))[0]
    if not right:
        assert_close(found, sample.learn(sample.reference()), "double, Adam", name)


def races(folder: Path, **options) -> str:
    """Return what Oclgrind reports while the networks of these names `learn`."""
    log, vendors = folder / "log", folder / "oclgrind.icd"
    vendors.write_text(f"{OCLGRIND}\n")
    oclgrind = {"OCL_ICD_VENDORS": str(folder), "OCLGRIND_DATA_RACES": "1", "OCLGRIND_LOG": str(log)}
    words = [sys.executable, "-m", "tests.nn.test_races", json.dumps(options)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(words, env=os.environ | oclgrind, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == options["names"]
    return log.read_text()


@pytest.mark.parametrize("batch_size", [1, 4])
def test_items_never_race(batch_size, tmp_path):
    assert races(tmp_path, names=list(NETWORKS), batch_size=batch_size) == ""


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("dense, wide", "rates);\n    SYNC;", "rates);"),  # dense_items.cl, of sums of 32 rows
        ("dense, wide", "= sum;\n    }\n    SYNC;\n", "= sum;\n    }\n"),
        ("dense, wide", "= sum;\n  }\n  SYNC;\n", "= sum;\n  }\n"),  # of a row in slices
        ("encoder", "= partial;\n  SYNC;", "= partial;"),  # common.cl
        ("encoder", "dq[c];\n  }\n  SYNC;", "dq[c];\n  }"),  # attention_items.cl
        ("lstm", "from[r * columns + c];\n  }\n  SYNC;", "from[r * columns + c];\n  }"),  # transpose.cl
    ],
)
def test_a_missing_barrier_is_reported(name, right, wrong, tmp_path):
    assert "data race" in races(tmp_path, names=[name], batch_size=1, right=right, wrong=wrong)


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    for name in options.pop("names"):
        learn(name, **options)
        print(name)
