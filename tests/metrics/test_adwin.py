"""ADWIN finds the changes that river's finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from river.drift import ADWIN

from bt_neuro.metrics.adwin import Adwin

LEVELS = st.lists(st.floats(0, 1), min_size=1, max_size=6)
NOISE = st.sampled_from(["none", "coins", "normal"])


@given(levels=LEVELS, part=st.integers(1, 400), noise=NOISE, seed=st.integers(0, 2**32 - 1))
def test_it_cuts_where_rivers_does(levels, part, noise, seed):
    rng, numbers = np.random.default_rng(seed), np.repeat(levels, part)
    if noise == "coins":
        numbers = (rng.random(len(numbers)) < numbers).astype(float)
    elif noise == "normal":
        numbers = np.clip(numbers + rng.normal(0, 0.2, len(numbers)), 0, 1)
    ours, rivers = Adwin(), ADWIN()
    for number in numbers.tolist():
        found = ours.update(number)
        rivers.update(number)
        assert (found, ours.width) == (rivers.drift_detected, rivers.width)


def test_a_change_is_found_and_chance_is_not():
    rng = np.random.default_rng(0)
    window = Adwin()
    coins = (rng.random(4_000) < np.repeat([0.3, 0.5], 2_000)).tolist()
    found = [i for i, coin in enumerate(coins) if window.update(coin)]
    assert len(found) == 1
    assert 2_000 < found[0] < 2_400
