"""Figures of a search against its table."""

import numpy as np
import pandas as pd
import pytest

from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.report.search_figures import importance_figure, luck_figure, parallel_figure

NAMES = ["rate", "kind"]
N = 30


@pytest.fixture
def trials():
    rate = np.geomspace(1e-5, 1e-1, N)
    failed = pd.DataFrame({"trial": [N], "state": ["failed"], "rate": [1.0], "kind": ["a"]})
    done = {"trial": range(N), "state": "complete", "rate": rate, "kind": ["a", "b", "c"] * (N // 3)}
    ratios = {"sharpe_ratio": np.log10(rate), "brier_score": -np.log10(rate)}
    return pd.concat([pd.DataFrame({**done, **ratios}), failed], ignore_index=True)


def drawn(plot):
    return {item.label.value: item.renderers[0].data_source.data for item in plot.above[0].items}


def test_importance_names_what_matters_first_and_what_chance_would_do(trials):
    data = drawn(importance_figure(trials, NAMES, OBJECTIVES["sharpe"]))["explained alone"]
    share, chance = (dict(zip(data["name"], data[key], strict=True)) for key in ("share", "chance"))
    assert data["name"][-1] == "rate"  # drawn from below
    assert share["rate"] > 0.9 > chance["rate"]
    assert share["kind"] < chance["kind"]
    assert importance_figure(trials[:9], NAMES, OBJECTIVES["sharpe"]) is None


@pytest.mark.parametrize("objective", ["sharpe", "brier_score"])
def test_the_best_tenth_has_lines_of_its_own(trials, objective):
    data = drawn(parallel_figure(trials, NAMES, OBJECTIVES[objective]))
    assert sorted(data["best tenth"]["trial"]) == [27, 28, 29]
    assert len(data["other trials"]["trial"]) == N - 3
    for line in data["other trials"]["xs"]:
        objective_at, kind_at, rate_at = line
        assert 0 <= min(line) <= max(line) <= 1
        assert kind_at in (0, 0.5, 1)
        expected = rate_at if objective == "sharpe" else 1 - rate_at  # the rate's axis is logarithmic
        assert objective_at == pytest.approx(expected)


def test_luck_stands_beside_the_trials(trials):
    metrics = {"best": {"sharpe_ratio": -1.0}, "luck_sharpe_ratio": 0.5, "needed_sharpe_ratio": 2.0}
    data = drawn(luck_figure(trials, metrics))
    assert sum(data["trials"]["top"]) == N
    assert list(data) == ["trials", "best trial -1.00", "best of luck 0.50", "needed 2.00"]
    assert luck_figure(trials, metrics | {"luck_sharpe_ratio": None}) is None
