"""Threshold sweep and reliability: against loops by hand and scikit-learn; drift against planted changes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from tables import make_tables, prediction_table

from bt_neuro.metrics.calibration import calibration_error, reliability_curve, threshold_sweep
from bt_neuro.metrics.classification import wilson_bounds
from bt_neuro.metrics.drift import error_changes
from bt_neuro.metrics.predictions import targets_of


@pytest.fixture(scope="module")
def predictions():
    return make_tables(rows=800).predictions


def test_the_sweep_keeps_what_is_as_sure_or_surer(predictions):
    table = threshold_sweep(predictions, [0.0, 0.4, 0.6, 0.99])
    told = predictions[predictions["hit"].notna()]
    confidence = told[["p_none", "p_buy", "p_sell"]].max(axis=1)
    for _, row in table.iterrows():
        kept = told[confidence >= row["threshold"]]
        assert (row["signals"], row["hits"]) == (len(kept), kept["hit"].sum())
        assert row["kept"] == pytest.approx(len(kept) / len(told))
        if len(kept):
            assert row["hit_rate"] == pytest.approx(kept["hit"].mean())
            interval = wilson_bounds(int(kept["hit"].sum()), len(kept))
            assert (row["low"], row["high"]) == pytest.approx(interval)
    assert table["signals"].iloc[0] == len(told)
    assert table.iloc[-1][["signals", "hits"]].tolist() == [0, 0]
    assert table.iloc[-1][["hit_rate", "low", "high"]].isna().all()


def test_a_threshold_that_is_met_keeps_the_signal():
    p = prediction_table([5], [[0.3, 0.6, 0.1]], [[0, 1, 0]])
    assert threshold_sweep(p, [0.6, 0.61])["signals"].tolist() == [1, 0]


def test_the_reliability_curve_is_scikit_learns(predictions):
    curve = reliability_curve(predictions, bins=8)
    scored = predictions[predictions["label"] != ""]
    for index, name in enumerate(("none", "buy", "sell")):
        mine = curve[curve["name"] == name]
        p = scored[f"p_{name}"].to_numpy()
        happened, predicted = calibration_curve(targets_of(scored)[:, index], p, n_bins=8)
        assert mine["happened"].to_numpy() == pytest.approx(happened)
        assert mine["predicted"].to_numpy() == pytest.approx(predicted)
        assert mine["bars"].sum() == len(scored)
        assert ((mine["low"] <= mine["happened"]) & (mine["happened"] <= mine["high"])).all()


def test_honest_probabilities_lie_on_the_diagonal(rng):
    p = rng.dirichlet([1, 1, 1], 20_000)
    drawn = np.eye(3)[[rng.choice(3, p=row) for row in p]]
    honest = reliability_curve(prediction_table(np.arange(len(p)), p, drawn))
    assert calibration_error(honest) < 0.01
    sure = p**3 / (p**3).sum(axis=1, keepdims=True)  # the same order, too sure of it
    assert calibration_error(reliability_curve(prediction_table(np.arange(len(p)), sure, drawn))) > 0.1


def test_the_calibration_error_by_hand():
    curve = pd.DataFrame({"predicted": [0.2, 0.7], "happened": [0.1, 0.9], "bars": [30, 10]})
    assert calibration_error(curve) == pytest.approx((30 * 0.1 + 10 * 0.2) / 40)


@pytest.mark.parametrize("function", [threshold_sweep, reliability_curve, error_changes])
def test_nothing_scored_is_no_figure(predictions, function):
    table = function(predictions.assign(label="", known_bar=np.nan, hit=np.nan))
    assert not table.get("bars", pd.Series(dtype=int)).sum()
    assert not table.get("signals", pd.Series(dtype=int)).sum()


def market(rng, levels, rows=3000):
    """Return predictions of a network that gives the truth this probability, market after market."""
    truth = np.eye(3)[rng.integers(0, 3, rows * len(levels))]
    p = np.repeat(levels, rows)[:, None] + rng.normal(0, 0.03, (len(truth), 1))
    return prediction_table(np.arange(50, 50 + len(truth)), truth * p + (1 - truth) * (1 - p) / 2, truth)


def test_changes_of_the_error_are_found_where_they_are(rng):
    table = error_changes(market(rng, [0.6, 0.3, 0.6]))
    assert len(table) >= 2
    for at in (3050, 6050):
        assert (table["bar"] - at).abs().min() < 300, table
    first = table.iloc[(table["bar"] - 3050).abs().argmin()]
    assert first["before"] == pytest.approx(1.5 * 0.4**2, rel=0.1)
    assert first["after"] > first["before"]
    assert (table["found_bar"] > table["bar"]).all()


def test_a_steady_error_has_no_change(rng):
    assert error_changes(market(rng, [0.5, 0.5])).empty
