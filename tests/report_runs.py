"""A small real run with its report, for the tests of the report."""

from __future__ import annotations

import io
import shutil
from copy import deepcopy
from pathlib import Path

from paths import ROOT
from rich.console import Console
from small import Small

from bt_neuro import Result, backtest
from bt_neuro.report.console import render

SAMPLE = ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv"
REAL = ROOT.parent / "shared" / "data" / "EURUSD_H1.csv"


def run_of(folder: Path, end: str = "2024-02-15") -> Result:
    """Run over some 800 bars, with many signals, good and bad."""
    options = {"bars_options": {"end": end}, "parameters": {"learning_rate": 0.05, "features": "shape"}}
    return backtest(SAMPLE, strategy=Small, out=folder, **options)


def console_text(run) -> str:
    """Return what the command line prints of a run."""
    console = Console(file=io.StringIO(), width=240, markup=False, highlight=False)
    for part in render(run):
        console.print(part, soft_wrap=isinstance(part, str))
    return console.file.getvalue()


def copied(run: Result, folder: Path) -> Result:
    """Return a copy of a run, to be damaged."""
    shutil.copytree(run.folder, folder)
    return Result(folder, deepcopy(run.manifest))
