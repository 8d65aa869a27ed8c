"""The baselines: each against another way to compute it, and none knows more than the network did."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import FEATURES, HISTORY, make_tables

from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics import softmax_regression as regression
from bt_neuro.metrics.baselines import baseline_probabilities, baseline_table, table_probabilities
from bt_neuro.metrics.predictions import DelayedLabels, targets_of
from bt_neuro.metrics.shape_counters import shape_counters, visible_shapes
from bt_neuro.metrics.softmax_regression import softmax_regression, standardised


@pytest.fixture(scope="module")
def tables():
    return make_tables()


@pytest.fixture(scope="module")
def answers(tables):
    return tables.answered(baseline_probabilities)


def test_every_answer_is_a_probability_for_every_row(tables, answers):
    for name, answer in answers.items():
        assert answer.shape == (len(tables.predictions), 3), name
        assert np.allclose(answer.sum(axis=1), 1), name
        assert (answer >= 0).all(), name


def test_class_frequencies_and_the_commonest_class_count_what_was_known(tables, answers):
    p = tables.predictions
    shares = {"none": [1, 0, 0], "buy": [0, 1, 0], "sell": [0, 0, 1], "both": [0, 0.5, 0.5]}
    for row in (0, 1, 2, 7, 100, len(p) - 1):
        seen = p[p["known_bar"] <= p["bar"][row]]["label"]
        counts = sum((np.array(shares[label]) for label in seen), np.zeros(3))
        assert answers["class frequencies"][row] == pytest.approx((counts + 1) / (len(seen) + 3))
        assert answers["majority class"][row].argmax() == counts.argmax()


def test_the_visible_shape_is_learned_under_the_same_delay(tables, answers):
    shapes = visible_shapes(tables.bars, tables.predictions["bar"].to_numpy())
    expected = shape_counters(DelayedLabels.of(tables.predictions), shapes)
    assert (answers["visible shape"] == expected).all()
    wide = tables.answered(baseline_probabilities, wing=3)
    assert (wide["visible shape"] != expected).any()


def test_the_table_holds_probabilities(tables, answers, tmp_path):
    bars = tables.predictions["bar"]
    shapes = visible_shapes(tables.bars, bars.to_numpy())
    baseline_table(bars, shapes, answers).to_csv(tmp_path / "b.csv", index=False, float_format="%.6g")
    table = pd.read_csv(tmp_path / "b.csv")
    assert table["bar"].tolist() == bars.tolist()
    assert table["shape"].tolist() == shapes.tolist()
    again = table_probabilities(table)
    assert list(again) == list(answers)
    assert all(np.allclose(again[name], answers[name], atol=2e-6) for name in answers)


def test_random_signals_have_the_networks_coverage_and_nothing_else(tables, answers):
    own = tables.predictions[["p_none", "p_buy", "p_sell"]].to_numpy()
    drawn = answers["shuffled signals"]
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, own))
    assert (drawn != own).any(axis=1).mean() > 0.9
    assert (signals_of(drawn) > 0).sum() == (tables.predictions["signal"] != "none").sum()


@pytest.mark.parametrize("wing", [1, 3])
def test_softmax_regression_is_rivers(wing):
    from river import linear_model, optim, preprocessing

    tables = make_tables(rows=250, wing=wing)
    p = tables.predictions
    p.loc[p["label"] == "both", "label"] = "buy"  # river learns one class at a time
    scaler = preprocessing.StandardScaler()
    rows = []
    for row in tables.features.tolist():
        named = dict(enumerate(row))
        scaler.learn_one(named)
        rows.append(list(scaler.transform_one(named).values()))
    names = ["none", "buy", "sell"]
    model = linear_model.SoftmaxRegression(optim.SGD(0.01))
    for name in names:
        model.weights[name]["bias"] = 0.0  # river does not know a class before it has seen it
    windows = [
        dict(enumerate(np.concatenate(rows[first : first + HISTORY]).tolist())) | {"bias": 1.0}
        for first in range(len(p))
    ]
    expected = []
    for row, window in enumerate(windows):
        for example in np.flatnonzero(p["known_bar"] == p["bar"][row]):
            model.learn_one(windows[example], p["label"][example])
        said = model.predict_proba_one(window)
        expected.append([said[name] for name in names])
    actual = softmax_regression(DelayedLabels.of(p), tables.features, HISTORY, rate=0.01, averaged_examples=1)
    assert np.abs(actual - expected).max() < 1e-12


def test_averaged_weights_are_the_exponential_mean_of_the_weights():
    tables = make_tables(rows=120)
    examples = DelayedLabels.of(tables.predictions)
    bars = standardised(tables.features)
    windows = np.stack([bars[row : row + HISTORY].ravel() for row in range(len(tables.predictions))])
    weights, averaged = np.zeros((2, 3, HISTORY * FEATURES + 1))
    with_one = np.hstack([windows, np.ones((len(windows), 1))])

    def softmax(scores):
        return np.exp(scores) / np.exp(scores).sum()

    expected = []
    for row, window in enumerate(with_one):
        if row:  # a wing of one: the bar before has just become known
            seen = with_one[row - 1]
            weights = weights - 0.05 * np.outer(softmax(weights @ seen) - examples.shares[row - 1], seen)
            averaged = 0.9 * averaged + 0.1 * weights
        expected.append(softmax(averaged @ window))
    actual = softmax_regression(examples, tables.features, HISTORY, rate=0.05, averaged_examples=10)
    assert np.abs(actual - expected).max() < 1e-12


def test_the_regression_passes_over_the_training_as_often_as_the_network():
    tables, split, passes = make_tables(rows=120), 50, 3
    p = tables.predictions
    training = p[["bar", "label", "known_bar"]][:split]

    def answered(**more):
        given = {"predictions": p[split:].reset_index(drop=True), "training": training}
        return tables.answered(baseline_probabilities, **given, **more)

    once, several = answered(), answered(passes=passes)
    assert [name for name in once if (once[name] != several[name]).any()] == ["softmax regression"]

    examples, bars = DelayedLabels.of(p), standardised(tables.features)
    with_one = np.array([[*bars[row : row + HISTORY].ravel(), 1] for row in range(len(p))])
    weights, averaged = np.zeros((2, 3, HISTORY * FEATURES + 1))

    def softmax(scores):
        return np.exp(scores) / np.exp(scores).sum()

    def learn(row):
        seen, error = with_one[row], softmax(weights @ with_one[row]) - examples.shares[row]
        moved = weights - regression.RATE * np.outer(error, seen)
        return moved, averaged + (moved - averaged) / regression.AVERAGED_EXAMPLES

    for row in [
        *range(split),
        *range(split),
        *range(split - 1),
    ]:  # the last label is known at the first test bar
        weights, averaged = learn(row)
    expected = []
    for row in range(split, len(p)):
        weights, averaged = learn(row - 1)
        expected.append(softmax(averaged @ with_one[row]))
    assert np.abs(several["softmax regression"] - expected).max() < 1e-12


def test_features_are_standardised_by_the_bars_so_far(monkeypatch, rng):
    monkeypatch.setattr(regression, "_ROWS", 7)  # so that the bars so far lie in several pieces
    features = rng.normal(1e4, [1e-3, 1, 100], size=(40, 3))
    features[:, 0] = np.where(np.arange(40) < 5, 2.0, features[:, 0])  # does not move at first
    for row, scaled in enumerate(standardised(features)):
        so_far = features[: row + 1]
        deviation = so_far.std(axis=0)
        expected = np.divide(
            features[row] - so_far.mean(axis=0), deviation, out=np.zeros(3), where=deviation > 0
        )
        assert scaled == pytest.approx(expected, abs=1e-6)


# What no baseline may know.


def perturbed(tables, row):
    """Return the tables with another future: labels not known at `row`, features and prices after it."""
    p, bars, features = tables.predictions.copy(), tables.bars.copy(), tables.features.copy()
    late = p["known_bar"] > p["bar"][row]
    p.loc[late, "label"] = "sell"
    bars.iloc[p["bar"][row] + 1 :, 1:] *= 7
    features[row + HISTORY :] = 1e3
    return {"predictions": p, "bars": bars, "features": features}


def learned_rows_that_differ(tables, row):
    before = tables.answered(baseline_probabilities)
    after = tables.answered(baseline_probabilities, **perturbed(tables, row))
    return [
        name
        for name in before
        if name != "shuffled signals" and (before[name][: row + 1] != after[name][: row + 1]).any()
    ]


@settings(max_examples=25)
@given(seed=st.integers(0, 5), row=st.integers(0, 119), wing=st.integers(1, 3))
def test_no_answer_depends_on_what_came_later(seed, row, wing):
    assert learned_rows_that_differ(make_tables(seed, rows=120, wing=wing), row) == []


def test_a_leak_of_one_bar_is_found(monkeypatch):
    honest = DelayedLabels.of.__func__

    def leaky(cls, predictions):
        return honest(cls, predictions.assign(known_bar=predictions["known_bar"] - 1))

    monkeypatch.setattr(DelayedLabels, "of", classmethod(leaky))
    tables = make_tables(rows=120, wing=2)
    found = {name for row in range(55, 65) for name in learned_rows_that_differ(tables, row)}
    assert found == {"class frequencies", "visible shape", "softmax regression"}


def test_labels_are_learned_in_the_order_in_which_they_became_known(tables):
    p = tables.predictions[:4].assign(known_bar=[20.0, 11.0, np.nan, 13.0], label=["buy", "sell", "", "none"])
    examples = DelayedLabels.of(p)  # of bars 10 to 13
    assert examples.order.tolist() == [1, 3, 0]
    assert examples.known.tolist() == [0, 1, 1, 2]
    assert examples.last().tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]]


def test_an_empty_run_has_empty_answers(tables):
    answers = baseline_probabilities(tables.predictions[:0], tables.bars, tables.features[:2], HISTORY)
    assert {answer.shape for answer in answers.values()} == {(0, 3)}


def test_features_of_another_run_are_refused(tables):
    with pytest.raises(ValueError, match="features must have 403 rows, for windows of 4 bars, got 402"):
        tables.answered(baseline_probabilities, features=tables.features[1:])


def test_targets_of_every_label(tables):
    p = tables.predictions
    assert targets_of(p).sum(axis=1).tolist() == [{"": 0, "both": 2}.get(label, 1) for label in p["label"]]
