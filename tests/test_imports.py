"""The rules of imports, held by import-linter, ruff and deptry, are seen to fail on planted faults."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

import bt_neuro

TOOLS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the package with its settings, to plant faults in."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "bt_neuro", folder / "bt_neuro", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run(tool: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOOLS / tool, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(folder), "PATH": str(TOOLS), "COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tool", "arguments", "file", "fault", "message"),
    [
        pytest.param("lint-imports", [], "learning/learner.py", "import bt_neuro.plugin.strategy",
                     r"bt_neuro\.learning\.learner -> bt_neuro\.plugin\.strategy", id="upwards"),
        pytest.param("lint-imports", [], "bars/reader.py", "def f():\n    import bt_neuro.nn.network",
                     r"bt_neuro\.bars\.reader -> bt_neuro\.nn\.network", id="sideways, in a function"),
        pytest.param("lint-imports", [], "nn/layers/dense.py", "import bt_neuro.nn.opencl.device",
                     r"bt_neuro\.nn\.layers\.dense -> bt_neuro\.nn\.opencl\.device", id="upwards in nn"),
        pytest.param("lint-imports", [], "learning/learner.py", "import backtrader",
                     r"bt_neuro\.learning\.learner -> backtrader", id="backtrader"),
        pytest.param("ruff", ["check", "--no-cache"], "nn/network.py", "import pyopencl as cl\ncl.Context",
                     "TID251", id="pyopencl"),
        pytest.param("ruff", ["check", "--no-cache"], "nn/network.py", "import urllib\nurllib.x",
                     "TID251", id="network access"),
        pytest.param("ruff", ["check", "--no-cache"], "io.py", "import pickle\npickle.loads(b'')", "S301",
                     id="pickle"),
        pytest.param("ruff", ["check", "--no-cache"], "io.py", "eval('1')", "S307", id="eval"),
        pytest.param("ruff", ["check", "--no-cache"], "io.py", "from . import errors\nerrors.x", "TID252",
                     id="relative import"),
        pytest.param("deptry", ["."], "io.py", "import requests\nrequests.get", "DEP001.*requests",
                     id="undeclared dependency"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_named(tool, arguments, file, fault, message, tree):
    path = tree / "bt_neuro" / file
    sound = path.read_text(encoding="utf-8")
    path.write_text(f"{sound}\n{fault}\n", encoding="utf-8")
    try:
        found = run(tool, *arguments, folder=tree)
    finally:
        path.write_text(sound, encoding="utf-8")
    assert found.returncode != 0
    assert re.search(message, found.stdout + found.stderr)


@pytest.mark.parametrize(
    ("tool", "arguments"), [("lint-imports", []), ("ruff", ["check"]), ("deptry", ["."])]
)
def test_the_package_keeps_the_rules(tool, arguments):
    found = run(tool, *arguments, folder=ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


def test_public_names_are_sorted_and_importable():
    assert bt_neuro.__all__ == sorted(set(bt_neuro.__all__))
    for name in bt_neuro.__all__:
        assert getattr(bt_neuro, name) is not None, name


def test_the_face_for_type_checkers_has_the_same_names():
    stub = (ROOT / "bt_neuro" / "__init__.pyi").read_text(encoding="utf-8")
    names = set(re.findall(r"(?: as |import )(\w+)$", stub, re.MULTILINE))
    assert names == {*bt_neuro._MODULE, *bt_neuro._NAMESPACES}


@pytest.mark.parametrize(
    ("namespace", "name"),
    [("layers", "Dense"), ("optimizers", "Adam"), ("losses", "MeanSquaredError"), ("labels", "FractalLabel"),
     ("analyzers", "ModelCheckpoint"), ("features", "shape_features"), ("models", "article_layers"),
     ("results", "WalkForward"), ("errors", "BarsError")],
)  # fmt: skip
def test_namespaces_hold_the_other_names(namespace, name):
    as_attribute = getattr(getattr(bt_neuro, namespace), name)
    imported = getattr(importlib.import_module(f"bt_neuro.{namespace}"), name)
    assert as_attribute is imported is not None
