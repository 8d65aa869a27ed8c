"""What the README and the examples say is run here."""

import ast
import re

import pytest
from paths import ROOT

import bt_neuro
from bt_neuro import backtest
from bt_neuro.plugin.loading import load_strategy

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]


def test_the_readmes_strategy_runs(tmp_path):
    subclass, _ = BLOCKS
    (tmp_path / "mine.py").write_text(subclass)
    result = backtest(
        ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv",
        strategy=load_strategy(f"{tmp_path / 'mine.py'}:TrendOnly"),
        parameters={"threshold": 0.4, "device": "numpy"},
        out=tmp_path / "run",
        bars_options={"end": "2024-01-31"},
    )
    assert result.metrics["bars"] > 400


def test_the_readmes_script_runs_in_ten_lines(monkeypatch, capsys):
    _, script = BLOCKS
    assert len([line for line in script.splitlines() if line]) <= 10
    monkeypatch.chdir(ROOT)
    script = script.replace("wing=2", 'wing=2, device="numpy"')
    exec(compile(script, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_pages_is_python_and_imports_what_there_is(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "bt_neuro":
                assert all(hasattr(bt_neuro, alias.name) for alias in node.names), block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_both_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"^ +make (\w+)", README, re.MULTILINE)
    assert commands == ["demo", "test"]
    for command in commands:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
