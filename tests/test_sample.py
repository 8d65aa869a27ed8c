"""The sample in data/: what its script writes, and what it claims to be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from paths import DATA

from bt_neuro.bars.reader import Bars, read_bars

SAMPLE = DATA / "SYNTHETIC_EURUSD_H1.csv"


@pytest.fixture(scope="module")
def bars() -> Bars:
    return read_bars(SAMPLE)


def test_the_script_writes_the_file_byte_for_byte(tmp_path: Path) -> None:
    script = tmp_path / "make_sample.py"
    script.write_bytes((DATA / "make_sample.py").read_bytes())
    subprocess.run([sys.executable, script], check=True, capture_output=True)
    assert (tmp_path / SAMPLE.name).read_bytes() == SAMPLE.read_bytes()


def test_it_is_a_metatrader_5_export_without_a_flaw(bars: Bars) -> None:
    assert (bars.format, len(bars), bars.point) == ("MetaTrader 5 export", 6_000, 1e-5)
    assert bars.timeframe == pd.Timedelta(hours=1)
    assert bars.notes == ("Columns not used: <VOL>.",)
    assert (bars.gaps.count, bars.gaps.weekends) == (0, 50)
    assert b"\r\n" in SAMPLE.read_bytes()


def test_nights_are_quieter_than_new_york(bars: Bars) -> None:
    hour = bars.frame["datetime"].dt.hour
    spread = bars.frame["high"] - bars.frame["low"]
    for activity in (spread, bars.frame["volume"]):
        by_hour = activity.groupby(hour).mean()
        assert by_hour[16] > 2 * by_hour[5]


def test_volatility_clusters_and_direction_does_not(bars: Bars) -> None:
    returns = np.diff(np.log(bars.frame["close"]))
    day = 24
    noise = 3 / np.sqrt(len(returns))
    assert np.corrcoef(np.abs(returns[:-day]), np.abs(returns[day:]))[0, 1] > 0.15
    assert abs(np.corrcoef(returns[:-1], returns[1:])[0, 1]) < noise


def test_the_readme_says_that_it_is_synthetic() -> None:
    text = (DATA / "README.md").read_text(encoding="utf-8")
    assert "not market data" in text
    assert SAMPLE.name in text
