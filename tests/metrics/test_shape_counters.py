"""The visible shape and its counters, against a slow computation in whole points."""

import numpy as np
import pandas as pd
import pytest
from fractal_targets import fractal_targets
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import SHARED
from tables import make_tables, prediction_table

from bt_neuro.bars.reader import read_bars
from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.predictions import DelayedLabels, brier_scores, log_losses, targets_of
from bt_neuro.metrics.shape_counters import is_possible, shape_counters, visible_shapes

SHARES = {"none": [1, 0, 0], "buy": [0, 1, 0], "sell": [0, 0, 1], "both": [0, 0.5, 0.5]}


def slow_shapes(bars, wing, point=1e-5):
    """Return the number of each bar's shape, from whole points and without floating point."""
    points = (bars[["high", "low", "close"]] / point).round().astype(int)
    before = points.shift(1).rolling(wing)
    higher, lower = points["high"] > before["high"].max(), points["low"] < before["low"].min()
    size = points["high"] - points["low"]
    fifth = (5 * (points["close"] - points["low"]) // size.where(size > 0, 1)).clip(upper=4)
    return ((2 * higher + lower) * 5 + fifth.where(size > 0, 2)).to_numpy()


def slow_counters(predictions, shapes):
    """Return the counters' probabilities, counted again for each bar."""
    p, rows = predictions.assign(shape=shapes), []
    for bar, shape in zip(p["bar"], p["shape"], strict=True):
        known = p[(p["known_bar"] <= bar) & (p["shape"] == shape)]["label"].value_counts()
        counts = sum((n * np.array(SHARES[label]) for label, n in known.items()), np.ones(3))
        rows.append(counts / counts.sum())
    return np.array(rows)


@pytest.mark.parametrize("wing", [1, 2, 3])
def test_counters_equal_the_slow_computation(wing):
    tables = make_tables(seed=wing, rows=600, wing=wing)
    tables.predictions.loc[[5, 50, 51], ["label", "known_bar"]] = ["", np.nan]  # never known
    shapes = visible_shapes(tables.bars, tables.predictions["bar"].to_numpy(), wing)
    assert (shapes == slow_shapes(tables.bars, wing)[tables.predictions["bar"]]).all()
    expected = slow_counters(tables.predictions, shapes)
    assert np.abs(shape_counters(DelayedLabels.of(tables.predictions), shapes) - expected).max() < 1e-12


@pytest.mark.parametrize("wing", [1, 2, 3])
def test_a_label_never_holds_an_impossible_signal(wing):
    tables = make_tables(rows=600, wing=wing)
    shapes = visible_shapes(tables.bars, tables.predictions["bar"].to_numpy(), wing)
    _, buy, sell = targets_of(tables.predictions).T.astype(bool)
    assert not (buy & ~is_possible(np.ones(len(buy), int), shapes)).any()
    assert not (sell & ~is_possible(np.full(len(buy), 2), shapes)).any()
    assert buy.any()
    assert sell.any()
    assert is_possible(np.zeros(len(buy), int), shapes).all()


def test_the_fifths_begin_at_the_low_and_a_bar_without_a_range_is_in_the_middle():
    closes = np.array([1.10000, 1.10019, 1.10020, 1.10040, 1.10060, 1.10080, 1.10100])
    bars = pd.DataFrame({"high": 1.101, "low": 1.1, "close": closes})
    assert (visible_shapes(bars, np.arange(7)) % 5).tolist() == [0, 0, 1, 2, 3, 4, 4]
    flat = pd.DataFrame({"high": [1.1], "low": [1.1], "close": [1.1]})
    assert visible_shapes(flat, np.array([0])).tolist() == [2]


@settings(max_examples=20)
@given(seed=st.integers(0, 5), row=st.integers(0, 119), wing=st.integers(1, 3))
def test_counters_do_not_depend_on_later_bars(seed, row, wing):
    tables = make_tables(seed, rows=120, wing=wing)
    p, bars = tables.predictions, tables.bars

    def evaluated():
        shapes = visible_shapes(bars, p["bar"].to_numpy(), wing)
        return shape_counters(DelayedLabels.of(p), shapes)[: row + 1]

    before = evaluated()
    p.loc[p["known_bar"] > p["bar"][row], "label"] = "sell"
    bars.iloc[p["bar"][row] + 1 :, 1:] *= 7
    assert (evaluated() == before).all()


@pytest.mark.parametrize(
    ("file", "start", "bars", "four", "twenty"),
    [
        ("EURUSD_H1.csv", "2010-01-01", 30_000, (54.1, 11.3, 0.406, 0.591), (69.6, 43.8, 0.336, 0.519)),
        ("portfolio/USDJPY_H1.csv", None, None, (51.7, 43.9, 0.401, 0.581), (71.0, 43.6, 0.322, 0.499)),
        ("portfolio/XAUUSD_H1.csv", None, None, (51.5, 57.7, 0.396, 0.578), (70.8, 44.1, 0.326, 0.506)),
    ],
)
def test_counters_on_real_bars(file, start, bars, four, twenty):
    """Hit rate and coverage in per cent, Brier score and log loss, as docs/explanation/scores.md has them."""
    if not (SHARED / file).exists():
        pytest.skip(f"{file} is not here")
    frame = read_bars(SHARED / file, start=start).frame[:bars]
    rows = np.arange(60, len(frame))
    targets = np.nan_to_num(fractal_targets(frame["high"], frame["low"]))[rows].astype(float)
    predictions = prediction_table(rows, np.ones((len(rows), 3)) / 3, targets)
    every = visible_shapes(frame, rows)
    scored = targets.any(axis=1)
    for shapes, expected in ((every // 5, four), (every, twenty)):
        assert shapes.max() < 20
        p = shape_counters(DelayedLabels.of(predictions), shapes)[scored]
        signals = signals_of(p)
        hits = targets[scored][np.arange(len(p)), signals] * (signals > 0)
        found = (
            100 * hits.sum() / (signals > 0).sum(),
            100 * (signals > 0).mean(),
            brier_scores(p, targets[scored]).mean(),
            log_losses(p, targets[scored]).mean(),
        )
        assert found[:2] == pytest.approx(expected[:2], abs=0.06)
        assert found[2:] == pytest.approx(expected[2:], abs=6e-4)
