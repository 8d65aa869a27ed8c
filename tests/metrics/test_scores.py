"""Scores of answers: every statistic against scipy, scikit-learn, or a case made by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, log_loss
from tables import make_tables, prediction_table

from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.baselines import Predictors, baseline_probabilities
from bt_neuro.metrics.bootstrap import block_bootstrap, block_length, interval_metrics
from bt_neuro.metrics.classification import (
    NETWORK,
    hit_rate_over_time,
    predictor_scores,
    side_metrics,
    signal_metrics,
    wilson_bounds,
)
from bt_neuro.metrics.portfolio import pooled_metrics
from bt_neuro.metrics.predictions import PROBABILITIES, network_signals, targets_of
from bt_neuro.metrics.shape_counters import visible_shapes
from bt_neuro.metrics.verdict import BETTER, WORSE, baseline_comparison


def outputs_of(predictions):
    """Return the probabilities as outputs of one network."""
    return predictions[PROBABILITIES].to_numpy()[:, None]


def scores_of(predictions, baselines, shapes=None):
    return predictor_scores(predictions, outputs_of(predictions), baselines, shapes)


def compared(tables, baselines):
    """Return the scores and the comparison of the network with its baselines."""
    shapes = visible_shapes(tables.bars, tables.predictions["bar"].to_numpy())
    scores = scores_of(tables.predictions, baselines, shapes)
    return scores, baseline_comparison(tables.predictions, scores, baselines)


@pytest.fixture(scope="module")
def tables():
    return make_tables(rows=800)


@pytest.fixture(scope="module")
def answers(tables):
    return tables.answered(baseline_probabilities)


@pytest.fixture(scope="module")
def scores(tables, answers):
    return scores_of(tables.predictions, answers)


@given(signals=st.integers(1, 10**6), part=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilson_is_scipys(signals, part, confidence):
    hits = round(part * signals)
    expected = stats.binomtest(hits, signals).proportion_ci(confidence, method="wilson")
    assert wilson_bounds(hits, signals, confidence) == pytest.approx(expected, abs=1e-12)


def test_wilson_without_signals():
    assert np.isnan(wilson_bounds([0], [0])).all()


def test_the_networks_counts_are_those_of_the_file(tables, scores):
    hit = tables.predictions["hit"].dropna()
    mine = scores[NETWORK]
    assert (mine["signals"], mine["hits"]) == (len(hit), hit.sum())
    assert mine["hit_rate_pct"] == pytest.approx(100 * hit.mean())
    assert mine["scored_bars"] == (tables.predictions["label"] != "").sum()
    assert mine["coverage_pct"] == pytest.approx(100 * len(hit) / mine["scored_bars"])


def test_probabilities_are_scored_as_scikit_learn_does(tables, answers, scores):
    p = tables.predictions
    one_class = ~p["label"].isin(["", "both"])  # scikit-learn knows no bar of two classes
    only = {name: answer[one_class] for name, answer in answers.items()}
    scores = scores_of(p[one_class].reset_index(drop=True), only)
    label = p["label"][one_class]
    for name, answer in {NETWORK: p[["p_none", "p_buy", "p_sell"]].to_numpy()[one_class], **only}.items():
        one_hot = targets_of(p[one_class])
        assert scores[name]["brier_score"] == pytest.approx(((answer - one_hot) ** 2).sum(axis=1).mean())
        assert scores[name]["mean_squared_error"] == pytest.approx(scores[name]["brier_score"] / 3)
        if (answer == 0).any():
            assert scores[name]["log_loss"] is None  # was sure, and wrong
        else:
            in_order = answer[:, [1, 0, 2]]  # scikit-learn sorts labels by name
            assert scores[name]["log_loss"] == pytest.approx(log_loss(label, in_order))


def test_a_bar_that_is_top_and_bottom_is_half_of_each():
    p = prediction_table([7], [[0.2, 0.5, 0.3]], [[0, 1, 1]])
    mine = scores_of(p, {})[NETWORK]
    assert (mine["hits"], mine["accuracy_pct"]) == (1, 100)
    assert mine["brier_score"] == pytest.approx(0.04 + 0 + 0.04)
    assert mine["mean_squared_error"] == pytest.approx((0.04 + 0.25 + 0.49) / 3)  # targets as the learner's
    assert mine["log_loss"] == pytest.approx(-(math.log(0.5) + math.log(0.3)) / 2)


def test_kappa_by_hand():
    #        bar   10      11      12      13      14     15      wing 1: bar 11 knows the label of bar 10
    labels = ["none", "none", "buy", "none", "buy", "buy"]
    said = ["none", "buy", "buy", "none", "none", "buy"]  # 4 of 6 right
    # commonest so far   none  none   none   none  none   none: right on 3 of 6
    # last label known   none  none   none   buy   none   buy:  right on 3 of 6 (bars 10, 11, 15)
    rows = np.eye(3)
    names = ["none", "buy", "sell"]
    p = prediction_table(
        np.arange(10, 16),
        [rows[names.index(name)] for name in said],
        [rows[names.index(name)] for name in labels],
    )
    mine = scores_of(p, {})[NETWORK]
    assert mine["accuracy_pct"] == pytest.approx(400 / 6)
    assert mine["kappa_majority"] == pytest.approx((4 / 6 - 3 / 6) / (1 - 3 / 6))
    assert mine["kappa_no_change"] == pytest.approx((4 / 6 - 3 / 6) / (1 - 3 / 6))


def test_kappas_reference_is_scikit_learns_dummy(tables):
    p = tables.predictions[:150]
    p = p[~p["label"].isin(["both", ""])].reset_index(drop=True)
    dummy, said = DummyClassifier(strategy="most_frequent"), []
    for bar in p["bar"]:
        seen = p["label"][p["known_bar"] <= bar]
        # A tie goes to the first class: none, buy, sell; scikit-learn's to the first by name.
        codes = seen.map({"none": 0, "buy": 1, "sell": 2})
        said.append(int(dummy.fit(np.zeros((len(seen), 1)), codes).predict([[0]])[0]) if len(seen) else 0)
    truth = p["label"].map({"none": 0, "buy": 1, "sell": 2})
    reference, accuracy = accuracy_score(truth, said), accuracy_score(truth, network_signals(p))
    kappa = scores_of(p, {})[NETWORK]["kappa_majority"]
    assert kappa == pytest.approx((accuracy - reference) / (1 - reference))


def test_no_knowledge_has_no_kappa(scores):
    assert scores["majority class"]["kappa_majority"] == pytest.approx(0)
    assert scores["shuffled signals"]["kappa_majority"] < 0.02


def test_nothing_scored_is_undefined_not_zero(tables, answers):
    p = tables.predictions.assign(label="", known_bar=np.nan, hit=np.nan)
    for figures in scores_of(p, answers).values():
        assert figures.pop("scored_bars") == figures.pop("signals") == figures.pop("hits") == 0
        assert set(figures.values()) == {None}
    assert hit_rate_over_time(p, answers).empty


def test_the_error_is_of_the_outputs():
    p = prediction_table([7], [[0.2, 0.5, 0.3]], [[0, 1, 1]])
    outputs = np.array([[[0.1, 0.9, 0.2], [0.3, 0.7, 0.4]]])  # of two networks: their mean
    mine = predictor_scores(p, outputs, {}, None)[NETWORK]
    assert mine["mean_squared_error"] == pytest.approx((0.2**2 + 0.2**2 + 0.7**2) / 3)


def test_signal_metrics_by_hand(tables):
    p = tables.predictions
    outputs = outputs_of(p)
    found = signal_metrics(p, outputs, window=50)
    known = p[p["label"] != ""].sort_values("known_bar", kind="stable")
    hit = known["hit"].dropna()
    assert found["window_hit_rate_pct"] == pytest.approx(100 * hit[-50:].mean())
    assert found["labels"] == {
        name: (known["label"] == name).sum() for name in ("none", "buy", "sell", "both")
    }
    for side in ("buy", "sell"):
        own = known[known["signal"] == side]
        fractals = known["label"].isin([side, "both"]).sum()
        assert found[side]["signals"] == len(own)
        assert found[side]["hits"] == own["hit"].sum()
        assert found[side]["recall_pct"] == pytest.approx(100 * own["hit"].sum() / fractals)
    # Fewer samples than the article's window of 10,000: plain means.
    errors = np.sqrt(((outputs[:, 0] - targets_of(p)) ** 2).mean(axis=1))
    assert found["error"] == pytest.approx(errors[p["label"] != ""].mean())
    assert found["forecast_pct"] == pytest.approx(100 * hit.mean())
    is_fractal = known["label"] != "none"
    assert found["undefine_pct"] == pytest.approx(100 * (known["signal"][is_fractal] == "none").mean())


def test_sides_without_signals_have_no_rate():
    none = {"buy": 0, "sell": 0}
    found = side_metrics(none, none, {"none": 1, "buy": 0, "sell": 0, "both": 0})
    assert found["buy"]["hit_rate_pct"] is found["sell"]["recall_pct"] is None


# The block bootstrap.


def means(columns):
    return columns[..., 0] / columns[..., 1]


def counted(series):
    return np.stack([series, np.ones(len(series))], axis=1)


def test_blocks_of_one_row_are_scipys_bootstrap(rng):
    series = rng.exponential(size=200)
    expected = stats.bootstrap((series,), np.mean, n_resamples=5_000, method="percentile", rng=1)
    found = block_bootstrap(counted(series), means, block=1, resamples=5_000)
    assert found.value == pytest.approx(series.mean())
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert found[1:] == pytest.approx(expected.confidence_interval, abs=0.04 * width)


def test_blocks_see_that_neighbours_are_alike(rng):
    n, memory = 5_000, 0.8
    shocks = rng.normal(size=n)
    series = np.zeros(n)
    for i in range(1, n):
        series[i] = memory * series[i - 1] + shocks[i]
    # The deviation of the mean of an autoregression of order one, for long series.
    true = 1 / (1 - memory) / math.sqrt(n)
    by_blocks = block_bootstrap(counted(series), means, block=100)
    by_rows = block_bootstrap(counted(series), means, block=1)
    deviation = (by_blocks.high - by_blocks.low) / (2 * stats.norm.ppf(0.975))
    assert deviation == pytest.approx(true, rel=0.15)
    assert by_blocks.high - by_blocks.low > 2 * (by_rows.high - by_rows.low)


@pytest.mark.parametrize("rows", [30, 65, 400])
def test_the_interval_holds_the_truth_as_often_as_it_says(rows, rng):
    held = 0
    for _ in range(1_000):
        found = block_bootstrap(counted(rng.normal(size=rows)), means, resamples=400)
        held += found.low < 0 < found.high
    assert 0.93 <= held / 1_000 <= 0.97


@pytest.mark.parametrize(
    ("rows", "events", "has_bounds"), [(29, None, False), (30, None, True), (400, 29, False)]
)
def test_few_rows_or_events_have_no_interval(rows, events, has_bounds, rng):
    found = block_bootstrap(counted(rng.normal(size=rows)), means, events=events)
    figures = interval_metrics("lift", found, "_pct", 100)
    assert figures["lift_pct"] == 100 * found.value
    assert (figures["lift_low_pct"] is not None, figures["lift_high_pct"] is not None) == (
        has_bounds,
        has_bounds,
    )


@pytest.mark.parametrize("signals", [5, 40])
def test_a_run_of_hits_has_no_interval_without_width(signals):
    """As many signals as hits, in 400 bars: all resamples are alike."""
    targets = np.eye(3)[np.arange(400) % 3]
    probabilities = np.tile([0.6, 0.3, 0.1], (400, 1))
    rows = np.flatnonzero(targets[:, 1])[:signals]
    probabilities[rows] = [0.1, 0.8, 0.1]
    table = prediction_table(np.arange(400), probabilities, targets)
    pooled = pooled_metrics([Predictors(table, probabilities[:, None], {}, np.zeros(400, int))])
    assert (pooled["hits"], pooled["hit_rate_pct"]) == (signals, 100)
    assert pooled["hit_rate_low_pct"] == pytest.approx(100 * float(wilson_bounds(signals, signals)[0]))
    assert (pooled["lift_low_pct"] is None) == (signals < 30)


def test_an_infinite_loss_has_no_interval(rng):
    series = counted(np.where(np.arange(100) == 7, np.inf, rng.normal(size=100)))
    found = interval_metrics("loss", block_bootstrap(series, means))
    assert found["loss_low"] is None
    assert found["loss_high"] is None


def test_the_draws_are_seeded_and_memory_bounded(monkeypatch, rng):
    series = counted(rng.normal(size=500))
    once = block_bootstrap(series, means, seed=3)
    assert block_bootstrap(series, means, seed=3) == once != block_bootstrap(series, means, seed=4)
    monkeypatch.setattr("bt_neuro.metrics.bootstrap._AT_ONCE", 100)  # many small draws
    assert block_bootstrap(series, means, seed=3) == pytest.approx(once, rel=0.5)


@pytest.mark.parametrize(("rows", "expected"), [(0, 1), (1, 1), (1000, 10), (83_207, 44)])
def test_block_length(rows, expected):
    assert block_length(rows) == expected


# The comparison with the best baseline.


def test_the_comparison_is_with_the_best_of_all(tables, answers):
    scores, found = compared(tables, answers)
    rivals = {name: one for name, one in scores.items() if name != NETWORK}
    best = min(rivals, key=lambda name: rivals[name]["brier_score"])
    assert found["best_baseline"] == best
    expected = scores[NETWORK]["brier_score"] - scores[best]["brier_score"]
    assert found["brier_difference"] == pytest.approx(expected)
    assert found["brier_difference_low"] < expected < found["brier_difference_high"]
    expected = scores[NETWORK]["log_loss"] - scores[best]["log_loss"]
    assert found["log_loss_difference"] == pytest.approx(expected)
    rates = {name: one["equal_coverage_hit_rate_pct"] for name, one in rivals.items()}
    assert found["best_baseline_hit_rate_pct"] == max(rates.values()) == rates[found["hit_rate_baseline"]]
    own = scores[NETWORK]["equal_coverage_hit_rate_pct"]
    assert found["difference_pct"] == pytest.approx(own - max(rates.values()))
    assert found["difference_low_pct"] < found["difference_pct"] < found["difference_high_pct"]


def test_at_equal_coverage_the_networks_most_confident_bars_count(tables, scores):
    """Its own signals are not always those, since "none" may be more probable still."""
    p = tables.predictions[tables.predictions["label"] != ""]
    confidence, targets = p[["p_buy", "p_sell"]].max(axis=1), targets_of(p)
    best = confidence.sort_values(ascending=False).index[: scores[NETWORK]["signals"]]
    side = 1 + (p["p_sell"] > p["p_buy"]).astype(int)
    hits = sum(targets[p.index.get_loc(row), side[row]] for row in best)
    assert scores[NETWORK]["equal_coverage_hit_rate_pct"] == pytest.approx(100 * hits / len(best))


def test_what_both_share_cancels(tables):
    own = tables.predictions[PROBABILITIES].to_numpy()
    _, found = compared(tables, {"same": own})
    for name in ("brier_difference", "log_loss_difference"):
        assert [found[f"{name}{end}"] for end in ("", "_low", "_high")] == [0, 0, 0]
    assert [found[f"difference_{name}pct"] for name in ("", "low_", "high_")] == [0, 0, 0]


def test_without_signals_or_scores_there_is_no_verdict(tables, answers):
    silent = tables.predictions.assign(signal="none", hit=np.nan)
    _, found = compared(replace(tables, predictions=silent), answers)
    assert found["brier_difference"] is not None
    assert found["hit_rate_baseline"] is found["difference_pct"] is None
    assert found["verdict"] == "too few signals: 0 of 30"
    unknown = tables.predictions.assign(label="", known_bar=np.nan, hit=np.nan)
    _, found = compared(replace(tables, predictions=unknown), answers)
    assert found["best_baseline"] is found["brier_difference"] is None


@pytest.mark.parametrize(("skill", "expected"), [(4.0, BETTER), (0.5, WORSE)])
def test_the_verdict_follows_skill(skill, expected):
    tables = make_tables(rows=1500, skill=skill)
    assert compared(tables, tables.answered(baseline_probabilities))[1]["verdict"] == expected


def test_the_shape_stands_beside_every_hit_rate(tables, answers):
    scores, _ = compared(tables, answers)
    for name, one in scores.items():
        if one["signals"]:
            assert one["lift_pct"] == pytest.approx(one["hit_rate_pct"] - one["base_rate_pct"]), name
    assert scores["visible shape"]["impossible_pct"] < 5 < scores["shuffled signals"]["impossible_pct"]
    assert abs(scores["visible shape"]["lift_pct"]) < 3


def test_hit_rate_over_time_is_pandas_rolling(tables, answers):
    p = tables.predictions[tables.predictions["label"] != ""]
    table = hit_rate_over_time(tables.predictions, answers, window=100)
    expected = p["hit"].rolling(100, min_periods=1).mean()[99:]
    assert table["hit_rate"].to_numpy() == pytest.approx(expected.to_numpy())
    assert table["bar"].tolist() == p["bar"][99:].tolist()
    assert (table["low"] < table["hit_rate"]).all()
    assert (table["hit_rate"] < table["high"]).all()
    signals, targets = signals_of(answers["softmax regression"]), targets_of(tables.predictions)
    hit = pd.Series(np.where(signals > 0, targets[np.arange(len(signals)), signals], np.nan))[: len(p)]
    rolled = hit.rolling(100, min_periods=1).mean()[99:]
    assert table["softmax regression"].to_numpy() == pytest.approx(rolled.to_numpy(), nan_ok=True)
