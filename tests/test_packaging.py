"""What a user gets: the wheel, built from the sdist as pip would build it, holds what it must and no more."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder with both archives: `build` makes the sdist, and the wheel from that sdist alone."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist):
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        yield archive


def files(folder: str, *patterns: str) -> set[str]:
    """Paths of the checkout's files below `folder`, relative to the checkout."""
    return {
        path.relative_to(ROOT).as_posix() for pattern in patterns for path in (ROOT / folder).rglob(pattern)
    }


def test_wheel_holds_the_package_and_its_kernels(wheel):
    kernels = {f"bt_neuro/{name}" for name in files("kernels", "*.cl")}
    assert kernels
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == kernels | files(
        "bt_neuro", "*.py", "*.pyi", "py.typed", "*.csv", "*.js", "*.css", "*.html"
    )


def test_wheel_says_what_it_is(wheel):
    info = {Path(name).name: wheel.read(name).decode() for name in wheel.namelist() if ".dist-info/" in name}
    assert "bt-neuro = bt_neuro.__main__:main" in info["entry_points.txt"]
    assert "GNU GENERAL PUBLIC LICENSE" in info["LICENSE"]
    for line in ("Name: bt-neuro", "License-Expression: GPL-3.0-or-later", "Requires-Python: >=3.11"):
        assert line in info["METADATA"].splitlines()


def test_sdist_holds_what_the_tests_and_the_readme_need(dist):
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = files("kernels", "*.cl") | files("bt_neuro", "*.py", "*.pyi", "py.typed", "*.csv")
    wanted |= (
        files("data", "*.csv", "*.py")
        | files("strategies", "*.py")
        | files("tests", "*.py")
        | files("notebooks", "*.ipynb")
        | {"CITATION.cff", "LICENSE", "Makefile", "README.md", "SECURITY.md", "mkdocs.yml"}
    )
    assert wanted <= held
