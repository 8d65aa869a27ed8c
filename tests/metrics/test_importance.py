"""Importance of parameters: what is planted is found, what is not there is within chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bt_neuro.metrics.importance import importance

RANDOM = np.random.default_rng(5)
X = RANDOM.permutation(40)
PLANTED = {
    "rising": (X, X**3),
    "a hill": (X, -((X - 20.0) ** 2)),
    "groups": (X % 3, (X % 3 == 1) * 5.0),
    "texts": ([f"kind {x % 4}" for x in X], (X % 4 == 0) * 1.0),
}


@pytest.mark.parametrize(("parameter", "figure"), PLANTED.values(), ids=PLANTED)
def test_what_a_parameter_explains_is_found(parameter, figure):
    share, chance = importance(parameter, figure)
    assert share > 0.7 > chance


def test_noise_stays_within_chance_as_often_as_it_says():
    beyond = [np.greater(*importance(X, RANDOM.normal(size=40), seed=seed)) for seed in range(100)]
    assert 1 <= sum(beyond) <= 12  # 5 expected


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_a_share_is_a_share(rows):
    share, chance = importance(*zip(*rows, strict=True))
    assert -1e-9 <= min(share, chance) <= max(share, chance) <= 1 + 1e-9
