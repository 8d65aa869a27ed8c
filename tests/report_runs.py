"""A small real run with its report, for the tests of the report."""

from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path

from paths import ROOT
from small import Small

from bt_neuro import Result, backtest

SAMPLE = ROOT / "data" / "SYNTHETIC_EURUSD_H1.csv"
REAL = ROOT.parent / "shared" / "data" / "EURUSD_H1.csv"


def run_of(folder: Path, end: str = "2024-02-15") -> Result:
    """Run over some 800 bars, at a rate that makes for many signals, good and bad."""
    options = {"bars_options": {"end": end}, "parameters": {"learning_rate": 0.3}}
    return backtest(SAMPLE, strategy=Small, out=folder, **options)


def copied(run: Result, folder: Path) -> Result:
    """Return a copy of a run, to be damaged."""
    shutil.copytree(run.folder, folder)
    return Result(folder, deepcopy(run.manifest))
