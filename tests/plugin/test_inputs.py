"""Inputs: the shape of other feeds joins the features, as it was known when the learned bar closed."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from command import bt_neuro
from modes import random_hours
from small import Small

from bt_neuro import backtest, lookahead_check, open_run
from bt_neuro.bars.resample import resample_bars
from bt_neuro.errors import NeuroError, StrategyError
from bt_neuro.learning.visible_shape import FEATURES, VisibleShape
from bt_neuro.runs.portfolio import portfolio
from bt_neuro.runs.repeat import repeat
from bt_neuro.runs.stream import stream

PARAMETERS = {"features": "shape", "history_bars": 2}
HOURS = random_hours(24 * 8)
OTHER = random_hours(24 * 8, seed=3)[5:]
DAYS = resample_bars(random_hours(24 * 8, seed=4), pd.Timedelta(hours=1), pd.Timedelta(days=1))


@pytest.fixture
def files(tmp_path):
    for name, bars in (("EURO", HOURS), ("DXY", OTHER), ("VIX", DAYS)):
        bars.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def inputs(files):
    return {**PARAMETERS, "inputs": f"{files / 'DXY.csv'},{files / 'VIX.csv'}"}


@pytest.mark.slow
def test_inputs_are_those_of_the_last_closed_bar(files):
    parameters = {**inputs(files), "device": "numpy"}
    run = backtest(files / "EURO.csv", parameters=parameters, out=files / "run", report=False)
    shape = VisibleShape()
    rows = [shape.update(*row) for row in DAYS[["open", "high", "low", "close", "volume", "datetime"]].values]
    first = run.predictions["bar"].iloc[0] - 1  # of the features: those of the first window
    assert first == 24 * 2 - 1
    assert run.features.shape[1] == 3 * len(FEATURES)
    for bar, row in enumerate(run.features, start=first):
        closed = (HOURS["datetime"][bar] + pd.Timedelta(hours=1) - HOURS["datetime"][0]) // pd.Timedelta(
            days=1
        )
        np.testing.assert_array_equal(row[2 * len(FEATURES) :], np.float32(rows[closed - 1]))
    assert list(run.manifest["inputs"]) == [str(files / "DXY.csv"), str(files / "VIX.csv")]
    assert repeat(files / "run", out=files / "again").differs == ()
    DAYS[1:].to_csv(files / "VIX.csv", index=False)
    with pytest.raises(NeuroError, match=r"VIX.csv has changed"):
        repeat(files / "run", out=files / "third")


@pytest.mark.slow
def test_a_run_with_inputs_resumes_to_the_bit(files):
    options = {"strategy": Small, "parameters": inputs(files), "report": False}
    whole = backtest(files / "EURO.csv", **options, out=files / "whole")
    (files / "part").mkdir()
    HOURS[:120].to_csv(files / "part" / "EURO.csv", index=False)
    backtest(files / "part" / "EURO.csv", **options, out=files / "first")
    resumed = backtest(files / "EURO.csv", **options, out=files / "second", resume=files / "first")
    assert np.array_equal(resumed.outputs, whole.outputs)
    assert resumed.equity.equals(whole.equity)
    assert resumed.trades.equals(whole.trades)


def test_a_portfolio_takes_inputs(files):
    both = portfolio(
        [files / "EURO.csv", files / "DXY.csv"],
        strategy=Small,
        parameters={**PARAMETERS, "inputs": str(files / "VIX.csv")},
        out=files / "run",
        report=False,
    )
    alone = backtest(
        files / "EURO.csv",
        strategy=Small,
        parameters={**PARAMETERS, "inputs": str(files / "VIX.csv")},
        out=files / "alone",
        report=False,
    )
    assert np.array_equal(both.instrument("EURO").outputs, alone.outputs)
    assert len(both.equity) == len(HOURS)


def test_inputs_are_checked_for_look_ahead(files):
    result = lookahead_check(files / "EURO.csv", strategy=Small, parameters=inputs(files), cuts=2)
    assert result.passed, result
    assert result.file == "EURO.csv, DXY.csv, VIX.csv"


def test_what_cannot_have_inputs_is_refused(files):
    with pytest.raises(NeuroError, match="A stream must have no inputs"):
        stream(iter(()), print, parameters=inputs(files), out=files / "live")
    with pytest.raises(StrategyError, match="must be names of other feeds, got 'GOLD'"):
        lookahead_check(
            files / "EURO.csv",
            strategy=Small,
            parameters={**PARAMETERS, "inputs": "GOLD"},
            inputs=[files / "DXY.csv"],
        )


def test_the_command_takes_inputs(files):
    words = ["backtest", files / "EURO.csv", "--input", files / "DXY.csv", "--input", files / "VIX.csv"]
    out = bt_neuro(*words, "--device", "numpy", "--no-report", "--out", files / "run", "--json")
    assert out.exit_code == 0, out.output
    names = json.loads(out.stdout)["network"]["features"]
    assert [name for name in names if name.startswith(("DXY_", "VIX_"))] == names[len(FEATURES) :]


def test_the_folder_of_a_check_names_the_bars_as_they_were_checked(files):
    (files / "days").mkdir()
    HOURS.assign(symbol="EURUSD").to_csv(files / "EURO.csv", index=False)
    DAYS.to_csv(files / "days" / "EURO.csv", index=False)
    words = ["lookahead-check", files / "EURO.csv", "--input", files / "DXY.csv"]
    words += ["--input", files / "days" / "EURO.csv", "--symbol", "EURUSD", "--resample", "H4"]
    words += ["--param", "history_bars=2", "--cuts", "1", "--device", "numpy", "--processes", "1"]
    out = bt_neuro(*words, "--no-report", "--out", files / "run")
    assert out.exit_code == 0, out.output
    data = open_run(files / "run").manifest["data"]
    assert {name: one["bars"] for name, one in data.items()} == {
        "EURO": len(HOURS) // 4,
        "DXY": len(OTHER),
        str(files / "days" / "EURO.csv"): len(DAYS),
    }
