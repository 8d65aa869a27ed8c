"""A permutation test over several files: one coin for each hour, and means of the figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import bt_neuro
from modes import random_hours
from small import Small

from bt_neuro import NeuroError, open_run, read_bars
from bt_neuro.validation.permutation import permutation_test
from bt_neuro.validation.permutation_portfolio import permutation_test_portfolio
from bt_neuro.validation.surrogates import surrogate

OPTIONS = {"n": 3, "jobs": 1, "report": False, "strategy": Small}
PARAMETERS = {"features": "shape", "history_bars": 2}


@pytest.fixture
def files(tmp_path):
    """B is A from its 50th bar on: the same market, which begins later."""
    folder = tmp_path / "bars"
    folder.mkdir()
    bars = random_hours(260)
    bars.to_csv(folder / "A.csv", index=False)
    bars[50:].to_csv(folder / "B.csv", index=False)
    return folder


def test_bars_of_an_hour_are_mirrored_together(files):
    first, second = (read_bars(files / f"{name}.csv") for name in "AB")
    times = first.frame["datetime"].to_numpy("datetime64[us]")
    whole = surrogate(first, "sign", 1)
    part = surrogate(second, "sign", 1, coin_times=times)
    np.testing.assert_allclose(
        np.diff(np.log(part.frame["close"])), np.diff(np.log(whole.frame["close"]))[50:], atol=2e-4
    )
    apart = surrogate(second, "sign", 1)
    assert not np.allclose(
        np.diff(np.log(apart.frame["close"])), np.diff(np.log(whole.frame["close"]))[50:], atol=2e-4
    )


def numbers(figure):
    """Value and surrogates of a figure, NaN where undefined."""
    return np.array([figure["value"], *figure["surrogates"]], float)


@pytest.mark.slow
def test_figures_are_means_of_the_files(files, tmp_path):
    test = permutation_test_portfolio([files], **OPTIONS, parameters=PARAMETERS, out=tmp_path / "run")
    parts = [open_run(tmp_path / "run" / name) for name in "AB"]
    alone = permutation_test(files / "A.csv", **OPTIONS, parameters=PARAMETERS, out=tmp_path / "alone")
    assert parts[0].figures["lift_pct"] == alone.figures["lift_pct"]
    for name, figure in test.figures.items():
        each, (value, *others) = [numbers(part.figures[name]) for part in parts], numbers(figure)
        np.testing.assert_allclose([value, *others], np.mean(each, axis=0), err_msg=name)
        assert figure["p_value"] == (1 + sum(not other < value for other in others)) / 4
    assert str(test).startswith("2 files: On 3 mirrored markets")
    assert open_run(test.folder).surrogates["number"].tolist() == [0, 1, 2, 3]
    more = permutation_test_portfolio(
        [files], **{**OPTIONS, "n": 4}, parameters=PARAMETERS, resume=tmp_path / "run"
    )
    assert more.figures["lift_pct"]["surrogates"][:3] == test.figures["lift_pct"]["surrogates"]
    assert len(more.figures["lift_pct"]["surrogates"]) == 4
    with pytest.raises(NeuroError, match=r"n must be 4 or more, as .*A has 4 surrogates, got 3"):
        permutation_test_portfolio([files], **OPTIONS, parameters=PARAMETERS, resume=tmp_path / "run")
    assert open_run(tmp_path / "run").manifest == more.manifest


@pytest.mark.slow
def test_the_command_takes_a_folder(files, tmp_path):
    words = ["permutation-test", files, "--n", "1", "--jobs", "1", "--device", "numpy", "--scores-only"]
    out = bt_neuro(*words, "--json", "--out", tmp_path / "run")
    assert out.exit_code == 0, out.output
    assert json.loads(out.stdout)["data"]["file"] == "A.csv, B.csv"
    assert "A.csv, B.csv" in Path(tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_other_kinds_are_refused(files):
    with pytest.raises(NeuroError, match="kind must be sign with several files, got 'hour'"):
        permutation_test_portfolio([files], kind="hour")
