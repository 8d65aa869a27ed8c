"""Every kernel has a header, a twin in the NumPy reference and a test.

The checker returns its complaints, and is seen to fail on planted faults.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT

KERNEL_HEADER = ("Shapes", "Launch", "Twin", "Source")


def complaints_about_kernels(root: Path) -> list[str]:
    files = [*(root / "bt_neuro/nn/reference").glob("*.py"), *(root / "bt_neuro/nn").glob("*engine.py")]
    twins = {path.name: names_in(path) for path in files}
    others = [path for path in sorted((root / "tests").rglob("*.py")) if path.name != Path(__file__).name]
    tests = "\n".join(path.read_text(encoding="utf-8") for path in others)
    complaints = []
    for path in sorted((root / "kernels").glob("*.cl")):
        source = path.read_text(encoding="utf-8")
        header = re.match(r"(//.*\n)*", source).group()
        faults = []
        if not header.startswith(f"// {path.name} - "):
            faults.append(f"does not begin with '// {path.name} - '")
        if path.name != "common.cl":  # types and small helpers, no layer
            faults += faults_of_header(header, twins)
        for name in passes(source):
            if not any(name in names for names in twins.values()):
                faults.append(f"{name} has no twin in nn/reference/")
            if not re.search(rf"\b(?:test_)?{name}\b", tests):
                faults.append(f"{name} is in no test")
        complaints += [f"{path.name}: {fault}" for fault in faults]
    return complaints


def passes(source: str) -> list[str]:
    """Return the forward and backward functions that a kernel file defines: such lines are not indented."""
    return re.findall(r"^(?!//)\S.*?\b([a-z]\w*_(?:forward|backward))\b", source, re.MULTILINE)


def names_in(path: Path) -> set[str]:
    """Return the names of all functions and classes that a file defines."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def faults_of_header(header: str, twins: dict[str, set[str]]) -> Iterator[str]:
    if not re.search("[=:]", header.partition("Shapes")[0]):
        yield "no formula, and no steps, in the header"
    yield from (f"no {word} in the header" for word in KERNEL_HEADER if word not in header)
    for file, names in re.findall(r"(\w+\.py): ([\w.]+(?:,\s(?://\s+)?[\w.]+)*)", header):
        for name in re.split(r",\s(?://\s+)?|\.", names):
            if name not in twins.get(file, ()):
                yield f"its twin {name} is not in {file}"


def test_every_kernel_keeps_the_rules():
    assert complaints_about_kernels(ROOT) == []


def test_there_are_kernels_to_check():
    kernels = [path.read_text(encoding="utf-8") for path in (ROOT / "kernels").glob("*.cl")]
    assert {"dense_forward", "dense_backward"} <= {name for source in kernels for name in passes(source)}


# Negative controls: a small tree that keeps every rule, and one fault planted in it at a time.

HEADER = (
    "// dense.cl - fully connected layer.   out = w inp\n"
    "// Shapes   inp (n)\n// Launch   one work-group\n"
    "// Twin     reference/layers.py: dense_forward     Source  a book\n"
)
SOUND_TREE = {
    "bt_neuro/nn/reference/layers.py": "def dense_forward(): ...\n",
    "bt_neuro/nn/reference/normalization.py": "",
    "kernels/dense.cl": HEADER + "void dense_forward() {}\n",
    "tests/nn/test_kernels.py": "dense_forward kernels_backward\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in SOUND_TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_a_sound_tree_passes(tree):
    assert complaints_about_kernels(tree) == []


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("kernels/dense.cl", HEADER.replace("dense.cl", "x.cl"),
         "dense.cl: does not begin with '// dense.cl - '"),
        ("kernels/dense.cl", HEADER.replace("=", ""),
         "dense.cl: no formula, and no steps, in the header"),
        ("kernels/dense.cl", HEADER.replace("Shapes", "="),
         "dense.cl: no Shapes in the header"),
        ("kernels/dense.cl", HEADER.replace("dense_forward", "dense_backward"),
         "dense.cl: its twin dense_backward is not in layers.py"),
        ("kernels/dense.cl", HEADER.replace("layers.py", "normalization.py"),
         "dense.cl: its twin dense_forward is not in normalization.py"),
        ("kernels/dense.cl", HEADER + "FUNCTION NAMED(kernels_backward)(int n) {",
         "dense.cl: kernels_backward has no twin in nn/reference/"),
        ("tests/nn/test_kernels.py", "", "dense.cl: dense_forward is in no test"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_named(file, text, complaint, tree):
    (tree / file).write_text(text, encoding="utf-8")
    assert complaints_about_kernels(tree) == [complaint]
