"""The assert helpers fail on planted faults: a checker that was never seen failing is not a checker."""

from __future__ import annotations

import numpy as np
import pytest

from bt_neuro.nn.layers import Conv1D, Dense, Dropout
from tests.helpers import (
    TOLERANCES,
    Sample,
    assert_close,
    assert_finite,
    assert_same_bits,
    compare_directions,
    directions,
)


def test_close_numbers_are_close():
    assert_close([1.0, 2.0], [1.0, 2.0 + 1e-12], "double")
    assert_close([1e-15], [0.0], "double", at_least=1e-3)


@pytest.mark.parametrize(
    ("actual", "expected", "complaint"),
    [
        ([[1.0, 2.0], [3.0, 4.1]], [[1.0, 2.0], [3.0, 4.0]], r"worst at \(1, 1\): 4.1\S*, expected 4.0"),
        ([1.0, np.nan], [1.0, np.nan], r"actual: nan at \(1,\)"),
        ([1.0, 2.0], [1.0, np.inf], r"expected: inf at \(1,\)"),
        ([1.0], [1.0, 1.0], r"shape \(1,\), expected \(2,\)"),
        ([], [], "nothing to compare"),
        ([1e-30], [0.0], "allowed 0.00e"),
    ],
)
def test_faults_are_named(actual, expected, complaint):
    with pytest.raises(AssertionError, match=complaint):
        assert_close(np.array(actual), np.array(expected), "double", "planted")


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_each_tolerance_has_an_edge(tolerance):
    allowed = TOLERANCES[tolerance]
    assert_close([1.0, 0.9 * allowed], [1.0, 0.0], tolerance)
    with pytest.raises(AssertionError, match="worst at"):
        assert_close([1.0, 1.1 * allowed], [1.0, 0.0], tolerance)


@pytest.mark.parametrize(
    ("actual", "expected", "complaint"),
    [
        (np.float32([1, 2]), np.float32([1, np.nextafter(np.float32(2), 3)]), r"1 of 2 differ.* \(1,\)"),
        (np.float32([0.0]), np.float32([-0.0]), "1 of 1 differ"),
        (np.float32([np.nan]), np.float32([np.nan]), "nan at"),
        (np.float32([1]), np.float64([1]), "float32, expected float64"),
        (np.zeros((1, 2)), np.zeros(2), "shape"),
        (np.zeros(0), np.zeros(0), "nothing to compare"),
    ],
)
def test_other_bits_are_named(actual, expected, complaint):
    with pytest.raises(AssertionError, match=complaint):
        assert_same_bits(actual, expected)


def test_equal_bits_pass():
    assert_same_bits(np.float32([1, -0.0]), np.float32([1, -0.0]))


def test_nan_is_refused():
    with pytest.raises(AssertionError, match=r"here: -inf at \(0, 1\)"):
        assert_finite(np.array([[0, -np.inf]]), "here")


def test_directions_reach_both_ends(rng):
    found = dict(directions(4, rng))
    assert all(abs(np.linalg.norm(direction) - 1) < 1e-12 for direction in found.values())
    assert {"random direction 0", "element 0", "element 3"} <= found.keys()


@pytest.mark.parametrize("fault", [[0, 0, 1e-5], [1e-5, 0, 0]])
def test_a_gradient_with_one_wrong_element_is_caught(fault, rng):
    point = np.array([0.5, -1.0, 2.0])
    gradient = np.cos(point)

    def loss(step):
        return float(np.sin(point + step).sum())

    compare_directions(gradient, loss, rng, "sine")
    with pytest.raises(AssertionError, match="sine, random direction 0"):
        compare_directions(gradient + fault, loss, rng, "sine")
    with pytest.raises(AssertionError, match="nan by differences"):
        compare_directions(gradient, lambda step: float("nan"), rng, "sine")


def test_a_sample_moves_parameters_off_their_start_and_nothing_else(rng):
    sample = Sample([Conv1D(2, 3, 2), Dropout(0.5), Dense(3)], 7, rng)
    moved = sample.state != sample.layout.initial_state(seed=3)
    expected = np.zeros_like(moved)
    for _, placed in sample.layout.parameters():
        placed.view(expected)[...] = True
    assert (moved == expected).all()
