"""What --json prints has the keys that the reference lists, no more and no fewer."""

import json
import re

import pytest
from command import bt_neuro
from paths import ROOT
from report_runs import SAMPLE

SMALL = [
    "--strategy",
    f"{ROOT / 'tests' / 'small.py'}:Small",
    "--device",
    "numpy",
    "--processes",
    "1",
    "--no-report",
]
CALLS = {
    "lookahead-check": ["lookahead-check", SAMPLE, "--to", "2024-01-08", "--cuts", "1", *SMALL],
    "warmup-check": ["warmup-check", SAMPLE, "--step", "40", "--starts", "1", "--span", "80", *SMALL],
    "runs list": ["runs", "list"],
    "check": ["check", SAMPLE],
    "bench": ["bench", "--device", "numpy", "--steps", "1"],
}


def documented(command):
    text = (
        (ROOT / "docs" / "reference" / "files.md")
        .read_text(encoding="utf-8")
        .partition("## What --json prints")[2]
    )
    (cell,) = re.findall(rf"^\| `{command}` \| (.*?)(?::.*)? \|$", text, re.MULTILINE)
    return set(re.findall(r"`([a-z_0-9]+)`", re.sub(r"\(.*?\)", "", cell)))


@pytest.mark.parametrize("command", CALLS)
def test_json_has_the_documented_keys(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = json.loads(bt_neuro(*CALLS[command], "--json").stdout)
    assert printed.pop("schema_version") == 1
    assert set(printed) == documented(command)
