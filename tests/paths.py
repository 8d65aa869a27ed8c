"""Places that tests read from."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
DATA = ROOT / "data"
SAMPLE = DATA / "SYNTHETIC_EURUSD_H1.csv"
SHARED = ROOT.parent / "shared" / "data"  # real bars, which the repository does not hold
