"""What the README and the documentation pages say is run here, their links and names are checked."""

from __future__ import annotations

import ast
import re

import pytest
from pages import FENCE, GENERATED, PAGES, blocks, run_page
from paths import ROOT

import bt_neuro
from bt_neuro.runs import columns
from bt_neuro.runs.results import KINDS

README = (ROOT / "README.md").read_text(encoding="utf-8")
MKDOCS = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_every_block_of_a_page_runs(page, tmp_path):
    run_page(page, tmp_path)


@every_page
def test_commands_stand_in_blocks_that_run(page):
    rest = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert not re.search(r"^(    |\t).*\b(bt-neuro [a-z]|python \S+\.py|pip install)", rest, re.MULTILINE)


@every_page
def test_python_in_pages_is_python_and_imports_what_there_is(page):
    for block in blocks(page):
        if block.kind == "python":
            for node in ast.walk(ast.parse(block.text)):
                if isinstance(node, ast.ImportFrom) and node.module == "bt_neuro":
                    assert all(hasattr(bt_neuro, alias.name) for alias in node.names), block


@every_page
def test_links_lead_somewhere_and_stay_on_the_site(page):
    links = re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8"))
    links = [link for link in links if not link.endswith(GENERATED)]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing
    if (ROOT / "docs") in page.parents:
        outside = [link for link in links if (ROOT / "docs") not in (page.parent / link).resolve().parents]
        assert not outside


def test_the_navigation_names_every_page():
    named = {line.rpartition(": ")[2] for line in MKDOCS.splitlines() if line.strip().endswith(".md")}
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if (ROOT / "docs") in page.parents}
    assert named - {f"reference/{GENERATED}"} == pages - {f"reference/{GENERATED}"}


def test_the_reference_has_every_public_name():
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    shown = {name.rpartition(".")[2] for name in re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE)}
    names = {name for name in bt_neuro._MODULE if not name.endswith("Error")}  # errors.md shows that module
    assert names <= shown


def test_every_kind_of_run_and_every_column_of_its_tables_is_documented():
    page = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    tables = [value for name, value in vars(columns).items() if name.isupper() and name[0] != "_"]
    names = {column for table in tables if isinstance(table, dict) for column in table}
    assert {"bar", "expert"} < names
    assert {*KINDS, *names} <= set(re.findall(r"`([^`\s]+)`", page))


def test_both_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"^ *make (\w+)", README, re.MULTILINE)
    assert commands == ["demo", "test"]
    for command in commands:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
