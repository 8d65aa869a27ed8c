"""Streaming fractals: what they say, when they say it, and that they say it once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fractal_targets import fractal_targets
from hypothesis import given
from hypothesis import strategies as st

from bt_neuro.errors import CheckpointError
from bt_neuro.learning.fractals import FractalLabel
from bt_neuro.learning.labels import ConfirmedLabel, Label

NONE, BUY, SELL, BOTH = (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)

# Few different prices, so that equal neighbours, which are never a fractal, come often.
series = st.lists(st.tuples(st.integers(5, 9), st.integers(1, 5)), max_size=40)
wings = st.integers(1, 4)


def stream(
    label: FractalLabel, bars: list[tuple[float, float]], first: int = 0
) -> list[list[ConfirmedLabel]]:
    return [label.update(first + i, high, low, low) for i, (high, low) in enumerate(bars)]


@pytest.mark.parametrize(
    ("wing", "highs", "lows", "target"),
    [
        (1, [2, 3, 2], [1, 1, 1], SELL),
        (1, [2, 2, 2], [1, 0, 1], BUY),
        (1, [2, 3, 2], [1, 0, 1], BOTH),
        (1, [1, 2, 3], [1, 2, 3], NONE),
        (1, [3, 3, 2], [1, 1, 1], NONE),  # of equal tops neither is one
        (1, [2, 3, 3], [1, 1, 1], NONE),
        (2, [1, 2, 3, 2, 2], [0, 0, 0, 0, 0], SELL),
        (2, [3, 2, 3, 2, 2], [0, 0, 0, 0, 0], NONE),
        (2, [2, 2, 3, 2, 3], [0, 0, 0, 0, 0], NONE),
        (2, [5, 5, 5, 5, 5], [2, 2, 1, 2, 3], BUY),
    ],
)
def test_middle_bar(wing: int, highs: list[float], lows: list[float], target: tuple[int, ...]) -> None:
    known = stream(FractalLabel(wing), list(zip(highs, lows, strict=True)))
    assert known == [[]] * (2 * wing) + [[ConfirmedLabel(wing, target)]]


@given(bars=series, wing=wings, first=st.integers(0, 10**6))
def test_stream_tells_what_the_whole_array_tells_each_once_and_in_time(
    bars: list[tuple[float, float]], wing: int, first: int
) -> None:
    answers = stream(FractalLabel(wing), bars, first)
    highs, lows = np.array(bars, dtype=float).reshape(-1, 2).T
    expected = fractal_targets(highs, lows, wing)
    told = {}
    for i, known in enumerate(answers):
        assert len(known) == (i >= 2 * wing)
        for bar, target in known:
            assert bar == first + i - wing
            told[bar - first] = target
    known_rows = np.flatnonzero(~np.isnan(expected[:, 0]))
    assert sorted(told) == known_rows.tolist()
    np.testing.assert_array_equal(np.array(list(told.values())).reshape(-1, 3), expected[known_rows])


@given(bars=series, wing=wings)
def test_tops_are_the_bottoms_of_the_market_upside_down(bars: list[tuple[int, int]], wing: int) -> None:
    highs, lows = np.array(bars, dtype=float).reshape(-1, 2).T
    upside_down = fractal_targets(-lows, -highs, wing)
    np.testing.assert_array_equal(fractal_targets(highs, lows, wing), upside_down[:, [0, 2, 1]])


@given(bars=series, wing=wings, cut=st.integers(0, 40))
def test_a_restored_label_goes_on_as_if_nothing_had_happened(
    bars: list[tuple[float, float]], wing: int, cut: int
) -> None:
    label, resumed = FractalLabel(wing), FractalLabel(wing)
    before = stream(label, bars[:cut])
    resumed.restore(json.loads(json.dumps(label.state())))
    assert before + stream(resumed, bars[cut:], first=len(bars[:cut])) == stream(FractalLabel(wing), bars)


def test_a_state_is_not_shared() -> None:
    label, other = FractalLabel(), FractalLabel()
    stream(label, [(2, 1), (3, 1)])
    other.restore(label.state())
    stream(label, [(2, 1)], first=2)
    assert other.update(2, 9, 1, 1) == [ConfirmedLabel(1, NONE)]


def test_another_wing_is_refused() -> None:
    with pytest.raises(CheckpointError) as refused:
        FractalLabel(wing=2).restore(FractalLabel(wing=1).state())
    assert str(refused.value) == (
        "the checkpoint's wing must be 2, got 1. Run with wing 1, or without the checkpoint."
    )


@pytest.mark.parametrize("bar", [4, 6, 9])
def test_a_bar_that_is_left_out_or_comes_twice_is_refused(bar: int) -> None:
    label = FractalLabel()
    label.update(4, 2, 1, 1)
    with pytest.raises(ValueError, match=f"bar must be 5, got {bar}"):
        label.update(bar, 2, 1, 1)


def test_a_wing_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="wing must be at least 1, got 0"):
        FractalLabel(0)


def test_fractals_are_a_label() -> None:
    label = FractalLabel(wing=3)
    assert isinstance(label, Label)
    assert (label.classes, label.delay_bars) == (("none", "buy", "sell"), 3)
