"""Skill in signals, each figure by a slow loop or by hand; verdicts on predictors whose skill is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import make_tables

from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.predictions import (
    PROBABILITIES,
    DelayedLabels,
    brier_scores,
    is_hit,
    log_losses,
    targets_of,
)
from bt_neuro.metrics.shape_counters import is_possible, shape_counters, visible_shapes
from bt_neuro.metrics.skill import hit_rate_difference, hits_at_coverage, mean_difference, shape_metrics
from bt_neuro.metrics.verdict import BETTER, UNCLEAR, WORSE, verdict

EXACT = {"rel": 1e-12, "abs": 1e-12}


@pytest.fixture(scope="module")
def tables():
    return make_tables(rows=3_000)


def scored(tables):
    """Return shapes, targets and the rows whose label is known."""
    shapes = visible_shapes(tables.bars, tables.predictions["bar"].to_numpy())
    targets = targets_of(tables.predictions)
    known = targets.any(axis=1)
    return shapes[known], targets[known], known


def test_scores_of_rows_by_hand():
    p = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    targets = np.array([[0.0, 1, 1], [1, 0, 0]])
    assert brier_scores(p, targets) == pytest.approx([0.375, 2.0])
    assert log_losses(p, targets) == pytest.approx([-np.log(0.25), np.inf])


def test_the_base_rate_is_what_signals_dealt_within_a_shape_would_hit(tables):
    shapes, targets, _ = scored(tables)
    signals = np.random.default_rng(0).integers(0, 3, len(targets))
    frame = pd.DataFrame({"shape": shapes, "signal": signals})
    expected = sum(
        targets[frame["shape"] == row.shape, row.signal].mean() for row in frame.itertuples() if row.signal
    )
    found, n = shape_metrics(signals, targets, shapes), (signals > 0).sum()
    assert found["base_rate_pct"] == pytest.approx(100 * expected / n, **EXACT)
    hit_rate = 100 * is_hit(signals, targets).sum() / n
    assert found["lift_pct"] == pytest.approx(hit_rate - found["base_rate_pct"], **EXACT)
    impossible = (signals > 0) & ~is_possible(signals, shapes)
    assert found["impossible_pct"] == pytest.approx(100 * impossible.sum() / n, **EXACT)


def test_labels_that_the_shape_rules_out_are_no_fractals(tables):
    shapes, targets, _ = scored(tables)
    signals, other = np.ones(len(targets), int), np.roll(targets, 1, axis=0)
    assert shape_metrics(signals, targets, shapes)["impossible_pct"] > 50
    assert shape_metrics(signals, other, shapes)["impossible_pct"] is None


def test_the_shape_alone_has_hits_and_no_lift(tables):
    """Dealt at random within a shape, signals keep their base rate; those that see the label have lift."""
    shapes, targets, known = scored(tables)
    counters = shape_counters(DelayedLabels.of(tables.predictions[known]), shapes)
    found = shape_metrics(signals_of(counters), targets, shapes)
    assert found["base_rate_pct"] > 50
    assert found["impossible_pct"] < 5  # before the first labels anything is possible
    assert found["lift_low_pct"] < 0 < found["lift_high_pct"]
    seeing = shape_metrics(signals_of(counters + 0.3 * targets), targets, shapes)
    assert seeing["lift_low_pct"] > 5


def test_without_signals_there_is_no_rate(tables):
    shapes, targets, _ = scored(tables)
    silent = np.zeros(len(targets), int)
    assert set(shape_metrics(silent, targets, shapes).values()) == {None}
    hits = hits_at_coverage(np.ones((len(targets), 3)) / 3, targets, 0)
    assert hits.sum() == 0
    assert hit_rate_difference(hits, hits) is None


@pytest.mark.slow
@settings(max_examples=50)
@given(n=st.integers(0, 40), seed=st.integers(0, 99), levels=st.sampled_from([2, 5, 1000]))
def test_the_most_confident_bars_signal_and_equal_ones_share(n, seed, levels):
    rng = np.random.default_rng(seed)
    p = rng.integers(1, levels + 1, (40, 3)) / levels
    targets = np.eye(3)[rng.integers(0, 3, 40)]
    found = hits_at_coverage(p, targets, n)
    assert found[:, 1].sum() == pytest.approx(n)
    expected = np.zeros(2)
    orders = 400
    for _ in range(orders):  # of equal bars any may come first
        order = np.lexsort([rng.random(40), -p[:, 1:].max(axis=1)])[:n]
        for row in order:
            _, buy, sell = p[row]
            _, is_buy, is_sell = targets[row]
            hit = is_buy if buy > sell else is_sell if sell > buy else (is_buy + is_sell) / 2
            expected += [hit / orders, 1 / orders]
    assert found.sum(axis=0) == pytest.approx(expected, abs=0.8)


def test_differences_are_paired(tables):
    """Two predictors that share their luck differ by less than each by itself is uncertain."""
    p = tables.predictions[PROBABILITIES].to_numpy()
    _, targets, known = scored(tables)
    worse = 0.9 * p[known] + 0.1 / 3
    one, other = brier_scores(p[known], targets), brier_scores(worse, targets)
    found = mean_difference(one, other)
    assert found.value == pytest.approx(one.mean() - other.mean(), **EXACT)
    assert found.high - found.low < 0.3 * (
        mean_difference(one, 0 * one).high - mean_difference(one, 0 * one).low
    )
    same = hits_at_coverage(p[known], targets, 500)
    assert hit_rate_difference(same, same) == (0, 0, 0)


@pytest.mark.parametrize(("knowledge", "expected"), [(0.25, BETTER), (0.0, UNCLEAR), (-0.25, WORSE)], ids=str)
def test_verdicts_on_predictors_whose_skill_is_known(tables, knowledge, expected):
    """The counters, with a part of the truth mixed in, or taken out."""
    shapes, targets, known = scored(tables)
    counters = shape_counters(DelayedLabels.of(tables.predictions[known]), shapes)
    p = np.clip(counters + knowledge * (targets - 1 / 3), 1e-6, 1)
    p /= p.sum(axis=1, keepdims=True)
    n = int((signals_of(p) > 0).sum())
    brier = mean_difference(brier_scores(p, targets), brier_scores(counters, targets))
    hits = hit_rate_difference(hits_at_coverage(p, targets, n), hits_at_coverage(counters, targets, n))
    assert verdict(n, brier, hits) == expected


def test_noise_beside_the_best_baseline_is_seldom_better():
    called = 0
    for seed in range(20):
        tables = make_tables(seed, rows=1_000)
        shapes, targets, known = scored(tables)
        counters = shape_counters(DelayedLabels.of(tables.predictions[known]), shapes)
        noise = counters * np.random.default_rng(seed).uniform(0.98, 1.02, counters.shape)
        p = noise / noise.sum(axis=1, keepdims=True)
        n = int((signals_of(p) > 0).sum())
        brier = mean_difference(brier_scores(p, targets), brier_scores(counters, targets))
        hits = hit_rate_difference(hits_at_coverage(p, targets, n), hits_at_coverage(counters, targets, n))
        called += verdict(n, brier, hits) == BETTER
    assert called <= 1
