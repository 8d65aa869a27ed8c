"""The documentation site: built strictly, and readable without the network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

pytestmark = pytest.mark.slow
ASSETS = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?https?:|<link\b[^>]*\brel=\"?stylesheet[^>]*https?:"
)


@pytest.fixture
def project(tmp_path):
    """The files of the site, in a folder of their own."""
    pytest.importorskip("zensical", reason="the extra docs is not installed: make docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for folder in ("bt_neuro", "strategies"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    page = tmp_path / "docs" / "reference" / "command-line.md"
    typer = [sys.executable, "-m", "typer", "bt_neuro.cli", "utils", "docs", "--name", "bt-neuro"]
    subprocess.run([*typer, "--output", str(page)], check=True, capture_output=True, cwd=ROOT)
    return tmp_path


def build(project: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_the_site_builds_and_loads_nothing_from_elsewhere(project):
    done = build(project)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((project / "site").rglob("*.html"))
    assert len(pages) > 25
    for page in pages:
        assert not ASSETS.search(page.read_text(encoding="utf-8")), page
    assert "TrendOnly" in (project / "site" / "how-to" / "gallery.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "fault", ["[gone](gone.md)", "[gone](glossary.md#gone)", "::: bt_neuro.nn.network.Gone"]
)
def test_a_broken_link_or_name_is_an_error(project, fault):
    with (project / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{fault}\n")
    assert build(project).returncode != 0
