"""`NeuroClassifier` under river's own checks, and what they do not ask."""

from __future__ import annotations

import copy

import pytest
from river import checks, compose, datasets, evaluate, metrics, preprocessing

from bt_neuro.errors import LayerError, NonFiniteError
from bt_neuro.nn.river import NeuroClassifier

MODEL = NeuroClassifier(device="numpy")


@pytest.mark.slow
def test_river_s_own_checks_pass():
    checks.check_estimator(MODEL)


def test_it_learns_in_a_pipeline():
    model = compose.Pipeline(preprocessing.StandardScaler(), MODEL.clone())
    score = evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    assert score.get() > 0.85


def test_a_copy_goes_on_alike(best):
    model = NeuroClassifier(device=str(best.index))
    samples = list(datasets.Phishing().take(30))
    for x, y in samples[:20]:
        model.learn_one(x, y)
    other = copy.deepcopy(model)
    for one in (model, other):
        for x, y in samples[20:]:
            one.learn_one(x, y)
    assert model.predict_proba_one(samples[0][0]) == other.predict_proba_one(samples[0][0])


@pytest.mark.parametrize(
    ("room", "x", "y", "complaint"),
    [
        (
            {"n_features": 1},
            {"a": 1.0, "b": 2.0},
            True,
            "n_features must be 2 or more for 'b' beside 1 others, got 1. Raise it.",
        ),
        (
            {"n_classes": 1},
            {"a": 1.0},
            False,
            "n_classes must be 2 or more for False beside 1 others, got 1. Raise it.",
        ),
    ],
)
def test_no_room_names_the_remedy(room, x, y, complaint):
    model = NeuroClassifier(device="numpy", **room)
    model.learn_one({"a": 1.0}, True)
    with pytest.raises(LayerError, match=complaint):
        model.learn_one(x, y)
    assert model.predict_one({"a": 1.0}) is True


@pytest.mark.parametrize("x", [{"b": float("nan")}, {"b": 1e20}, {"b": "high"}])
def test_a_sample_that_cannot_be_learned_leaves_no_class(x):
    model = NeuroClassifier(device="numpy", n_features=2)
    model.learn_one({"a": 1.0}, "up")
    before = copy.deepcopy(model)
    with pytest.raises((NonFiniteError, ValueError)):
        model.learn_one(x, "down")
    assert model.predict_proba_one({"a": 1.0}) == {"up": 1.0}
    for one in (model, before):
        one.learn_one({"c": 1.0}, "down")  # its places are free
    assert model.predict_proba_one({"a": 1.0, "c": 1.0}) == before.predict_proba_one({"a": 1.0, "c": 1.0})
