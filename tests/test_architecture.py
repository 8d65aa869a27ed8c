"""The rules between files: imports point one way, every kernel has header, twin and test.

Each checker is a function of a folder that returns its complaints, and is seen to fail on a planted fault.
"""

from __future__ import annotations

import ast
import graphlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import bt_neuro

ROOT = Path(__file__).parents[1]

# A module may import from the lines above its own. A module that is not named belongs to its package's line.
ORDER = (
    "errors",
    "files",
    "fields",
    "nn.optimizers",
    "nn.losses",
    "nn.layer",
    "nn.normalization",
    "nn.layers",
    "nn.config",
    "nn.layout",
    "nn.reference_activations",
    "nn.reference_norms",
    "nn.reference",
    "nn.reference_network",
    "nn.stamps",
    "nn.program",
    "nn.device",
    "nn.runner",
    "nn.engine",
    "nn.storage",
    "nn.summary",
    "nn.network",
    "nn",
    "article",
    "river",
    "bench",
    "market",
    "signals",
    "eras",
    "history",
    "lessons",
    "observed",
    "pending",
    "refusals",
    "learner",
    "checkpoint",
    "plugin",
    "evaluate.answers",
    "evaluate.softmax_regression",
    "evaluate.baselines",
    "evaluate.bootstrap",
    "evaluate.scores",
    "evaluate.calibration",
    "evaluate.drift",
    "evaluate.objectives",
    "report",  # draws the above; a run writes its report
    "evaluate",
    "evaluate.checks",
    "evaluate.walk_forward",
    "evaluate.tune",
    "evaluate.compare",
    "evaluate.pages",
    "bt_neuro",  # the public face, bt_neuro/__init__.py
    "cli",
    "__main__",
)
MAY_IMPORT = {"pyopencl": ("nn.device",), "backtrader": ("plugin", "evaluate")}
DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # packages named otherwise than what is installed
FORBIDDEN_IMPORTS = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib"} | {
    "socket", "ssl", "http", "ftplib", "smtplib", "urllib", "urllib3", "requests", "httpx", "aiohttp"
}  # fmt: skip
FORBIDDEN_BUILTINS = {"eval", "exec", "__import__"}
FORBIDDEN_METHODS = {"read_pickle", "to_pickle"}
KERNEL_HEADER = ("Shapes", "Launch", "Twin", "Source")


class Import(NamedTuple):
    """One import: the line of the importing module and the full dotted name of what it takes."""

    line: int
    name: str


def modules(root: Path) -> dict[str, ast.Module]:
    """Map each module's name, without the leading ``bt_neuro.``, to its syntax tree."""
    found = {}
    for path in sorted((root / "bt_neuro").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[1:]).removesuffix("__init__").rstrip(".") or "bt_neuro"
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def imports(tree: ast.Module) -> Iterator[Import]:
    """Yield every import of a module, those inside functions and TYPE_CHECKING too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            yield from (Import(node.lineno, f"{source}.{alias.name}") for alias in node.names)


def own_imports(tree: ast.Module, known: dict[str, ast.Module]) -> Iterator[Import]:
    """Yield the imports of the package's own modules, named as in `modules`."""
    found = {}  # a dictionary for its order: several names of one module make one import
    for line, name in imports(tree):
        if name.split(".")[0] == "bt_neuro":
            inner = name.removeprefix("bt_neuro").lstrip(".")
            while inner and inner not in known:  # the last part may be a function or a class
                inner = inner.rpartition(".")[0]
            found[Import(line, inner or "bt_neuro")] = None
    yield from found


def within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def place(module: str) -> int:
    """Return the line of a module in ORDER, its own or else its package's."""
    name = module
    while name and name not in ORDER:
        name = name.rpartition(".")[0]
    return ORDER.index(name) if name else -1


def complaints_about_layers(root: Path) -> list[str]:
    known, complaints = modules(root), []
    for module, tree in known.items():
        if place(module) < 0:
            complaints.append(f"{module} has no place in ORDER")
        for line, target in own_imports(tree, known):
            crosses = within(module, "market") and within(target, "nn")
            if place(target) > place(module) or crosses:
                complaints.append(f"{module}:{line} imports {target}")
    return complaints


def complaints_about_cycles(root: Path) -> list[str]:
    known = modules(root)
    graph = {module: {name for _, name in own_imports(tree, known)} for module, tree in known.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def complaints_about_imports(root: Path) -> list[str]:
    """Relative imports, which the other checkers do not read, and packages out of their place."""
    complaints = []
    for module, tree in modules(root).items():
        for line, name in imports(tree):
            package = name.split(".")[0]
            homes = MAY_IMPORT.get(package, (module,))
            misplaced = not any(within(module, home) for home in homes)
            if not package or package in FORBIDDEN_IMPORTS or misplaced:
                complaints.append(f"{module}:{line} imports {name}")
    return complaints


def complaints_about_dependencies(root: Path) -> list[str]:
    """Packages that neither a plain install nor an extra would bring."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [
        *project["dependencies"],
        *(line for name in extras if name != "dev" for line in extras[name]),
    ]
    known = {"bt_neuro", *sys.stdlib_module_names} | {re.match(r"[\w-]+", line).group() for line in declared}
    complaints = []
    for module, tree in modules(root).items():
        packages = {name.split(".")[0] for _, name in imports(tree)} - {""}
        missing = {DISTRIBUTIONS.get(package, package) for package in packages} - known
        complaints += [f"{module} needs {name}, which is no dependency" for name in sorted(missing)]
    return complaints


def complaints_about_calls(root: Path) -> list[str]:
    complaints = []
    for module, tree in modules(root).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                builtin, method = getattr(node.func, "id", ""), getattr(node.func, "attr", "")
                unpickles = any(word.arg == "allow_pickle" for word in node.keywords)
                if builtin in FORBIDDEN_BUILTINS or method in FORBIDDEN_METHODS or unpickles:
                    complaints.append(f"{module}:{node.lineno} calls {builtin or method}")
    return complaints


def complaints_about_kernels(root: Path) -> list[str]:
    files = sorted((root / "bt_neuro/nn").glob("reference*.py"))
    twins = {path.name: names_in(path) for path in files}
    others = [path for path in sorted((root / "tests").glob("*.py")) if path.name != Path(__file__).name]
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
                faults.append(f"{name} has no twin in reference.py or beside it")
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
    for file, names in re.findall(r"(reference\w*\.py): ([\w.]+(?:,\s(?://\s+)?[\w.]+)*)", header):
        for name in re.split(r",\s(?://\s+)?|\.", names):
            if name not in twins.get(file, ()):
                yield f"its twin {name} is not in {file}"


CHECKERS = [
    complaints_about_layers,
    complaints_about_cycles,
    complaints_about_imports,
    complaints_about_dependencies,
    complaints_about_calls,
    complaints_about_kernels,
]


@pytest.mark.parametrize("checker", CHECKERS)
def test_the_rules_hold(checker):
    assert checker(ROOT) == []


def test_there_is_something_to_check():
    assert {"errors", "nn.device", "market.bars", "learner", "cli", "bt_neuro"} <= modules(ROOT).keys()
    kernels = [path.read_text(encoding="utf-8") for path in (ROOT / "kernels").glob("*.cl")]
    assert {"dense_forward", "dense_backward"} <= {name for source in kernels for name in passes(source)}


def test_public_names_are_sorted_and_importable():
    assert bt_neuro.__all__ == sorted(set(bt_neuro.__all__))
    for name in bt_neuro.__all__:
        assert getattr(bt_neuro, name) is not None, name


# Negative controls: a small tree that keeps every rule, and one fault planted in it at a time.

HEADER = (
    "// dense.cl - fully connected layer.   out = w inp\n"
    "// Shapes   inp (n)\n// Launch   one work-group\n"
    "// Twin     reference.py: dense_forward     Source  a book\n"
)
SOUND_TREE = {
    "bt_neuro/__init__.py": "from bt_neuro.learner import Learner\n",
    "bt_neuro/errors.py": "",
    "bt_neuro/nn/__init__.py": "",
    "bt_neuro/nn/reference.py": "from bt_neuro import errors\ndef dense_forward(): ...\n",
    "bt_neuro/nn/device.py": "import pyopencl\n",
    "bt_neuro/market/bars.py": "from bt_neuro.errors import BarsError\n",
    "bt_neuro/learner.py": "from bt_neuro.nn import device\nclass Learner: ...\n",
    "bt_neuro/plugin/strategy.py": "import backtrader as bt\nfrom bt_neuro.learner import Learner\n",
    "bt_neuro/cli.py": "def app():\n    from bt_neuro.plugin.strategy import bt\n",
    "kernels/dense.cl": HEADER + "void dense_forward() {}\n",
    "pyproject.toml": "[project]\ndependencies = ['backtrader>=1', 'pyopencl']\n"
    "[project.optional-dependencies]\nparity = []\npeers = ['jax==1.*']\n",
    "tests/test_kernels.py": "dense_forward kernels_backward\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in SOUND_TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_sound_tree_passes(checker, tree):
    assert checker(tree) == []


@pytest.mark.parametrize(
    ("checker", "file", "text", "complaint"),
    [
        (complaints_about_layers, "bt_neuro/errors.py", "import bt_neuro.cli", "errors:1 imports cli"),
        (complaints_about_layers, "bt_neuro/nn/reference.py", "def f():\n from bt_neuro.nn import device",
         "nn.reference:2 imports nn.device"),
        (complaints_about_layers, "bt_neuro/nn/device.py", "from bt_neuro.market.bars import read_bars",
         "nn.device:1 imports market.bars"),
        (complaints_about_layers, "bt_neuro/market/bars.py", "from bt_neuro.nn.device import launch",
         "market.bars:1 imports nn.device"),
        (complaints_about_layers, "bt_neuro/learner.py", "from bt_neuro import Learner",
         "learner:1 imports bt_neuro"),
        (complaints_about_layers, "bt_neuro/utils.py", "", "utils has no place in ORDER"),
        (complaints_about_cycles, "bt_neuro/market/fractals.py",
         "from bt_neuro.market import fractals", "market.fractals -> market.fractals"),
        (complaints_about_imports, "bt_neuro/learner.py", "import backtrader.feeds",
         "learner:1 imports backtrader.feeds"),
        (complaints_about_imports, "bt_neuro/nn/network.py", "from pyopencl import array",
         "nn.network:1 imports pyopencl.array"),
        (complaints_about_imports, "bt_neuro/learner.py", "from . import errors",
         "learner:1 imports ..errors"),
        (complaints_about_imports, "bt_neuro/learner.py", "import pickle", "learner:1 imports pickle"),
        (complaints_about_imports, "bt_neuro/cli.py", "from urllib.request import urlopen",
         "cli:1 imports urllib.request.urlopen"),
        (complaints_about_dependencies, "bt_neuro/learner.py", "def f():\n import jax, numpy.linalg, json",
         "learner needs numpy, which is no dependency"),
        (complaints_about_calls, "bt_neuro/cli.py", "eval('1')", "cli:1 calls eval"),
        (complaints_about_calls, "bt_neuro/learner.py", "np.load(f, allow_pickle=True)",
         "learner:1 calls load"),
        (complaints_about_kernels, "kernels/dense.cl", HEADER.replace("dense.cl", "x.cl"),
         "dense.cl: does not begin with '// dense.cl - '"),
        (complaints_about_kernels, "kernels/dense.cl", HEADER.replace("=", ""),
         "dense.cl: no formula, and no steps, in the header"),
        (complaints_about_kernels, "kernels/dense.cl", HEADER.replace("Shapes", "="),
         "dense.cl: no Shapes in the header"),
        (complaints_about_kernels, "kernels/dense.cl", HEADER.replace("dense_forward", "dense_backward"),
         "dense.cl: its twin dense_backward is not in reference.py"),
        (complaints_about_kernels, "kernels/dense.cl", HEADER.replace("reference.py", "reference_norms.py"),
         "dense.cl: its twin dense_forward is not in reference_norms.py"),
        (complaints_about_kernels, "kernels/dense.cl", HEADER + "FUNCTION NAMED(kernels_backward)(int n) {",
         "dense.cl: kernels_backward has no twin in reference.py or beside it"),
        (complaints_about_kernels, "tests/test_kernels.py", "", "dense.cl: dense_forward is in no test"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_named(checker, file, text, complaint, tree):
    (tree / file).write_text(text, encoding="utf-8")
    assert checker(tree) == [complaint]
