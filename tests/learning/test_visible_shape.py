"""Visible shape: what the flags compare, units, symmetry, and inputs without any range."""

import math

import numpy as np
import pytest
from modes import random_hours

from bt_neuro.learning.visible_shape import FEATURES, VisibleShape

MIRROR = {
    "higher_high": "lower_low",
    "top_chance": "bottom_chance",
    "top_distance": "bottom_distance",
    "high_distance": "low_distance",
}
PRICES = ["open", "high", "low", "close"]


def shape(frame, wing=1):
    """Return the features of all bars by name."""
    features = VisibleShape(wing)
    columns = [frame[name].tolist() for name in (*PRICES, "volume")]
    times = [time.to_pydatetime() for time in frame["datetime"]]
    rows = [features.update(*row, time) for *row, time in zip(*columns, times, strict=True)]
    return dict(zip(FEATURES, np.array(rows).T, strict=True))


@pytest.mark.parametrize("wing", [1, 2, 3])
def test_flags_compare_with_as_many_bars_as_the_wing(wing):
    frame = random_hours(400)
    found = shape(frame, wing)
    before = frame["high"].shift(1).rolling(wing).max(), frame["low"].shift(1).rolling(wing).min()
    assert (found["higher_high"] == (frame["high"] > before[0])).iloc[wing:].all()
    assert (found["lower_low"] == (frame["low"] < before[1])).iloc[wing:].all()


def test_they_have_no_unit_of_price():
    frame = random_hours(300)
    scaled = frame.assign(**{name: 150 * frame[name] for name in PRICES})
    for name, values in shape(frame).items():
        assert values == pytest.approx(shape(scaled)[name], abs=1e-9), name


def test_tops_and_bottoms_are_treated_alike():
    frame = random_hours(300)
    turned = frame.assign(
        open=3 - frame["open"], high=3 - frame["low"], low=3 - frame["high"], close=3 - frame["close"]
    )
    straight, mirrored = shape(frame), shape(turned)
    for one, other in MIRROR.items():
        assert straight[one] == pytest.approx(mirrored[other], abs=1e-6), one


@pytest.mark.parametrize("volume", [0, 1e12])
def test_bars_without_any_range_are_finite(volume):
    frame = random_hours(100).assign(open=1.1, high=1.1, low=1.1, close=1.1, volume=volume)
    assert all(np.isfinite(values).all() for values in shape(frame).values())


def test_the_unit_learns_the_hour_of_the_week():
    frame = random_hours(3_000)
    wide = frame["datetime"].dt.hour == 14
    frame = frame.assign(high=frame["high"] + 0.02 * wide, low=frame["low"] - 0.02 * wide)
    expected = shape(frame)["next_range"][2_000:]
    before, other = (frame["datetime"].dt.hour.to_numpy()[2_000:] == hour for hour in (13, 5))
    assert expected[before].mean() > expected[other].mean() + math.log(2)
