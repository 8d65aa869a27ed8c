"""Where folds begin and end, for any file and any lengths."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bt_neuro import FoldError
from bt_neuro.validation.folds import MINIMUM_TEST_BARS, WINDOWS, Length, cut_folds

HOURS = pd.Series(pd.date_range("2020-01-31 10:00", "2022-12-31 23:00", freq="h"))
HOURS = HOURS[np.is_busday(HOURS.to_numpy("datetime64[D]"))].reset_index(drop=True)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("24M", Length(months=24)),
        ("2Y", Length(months=24)),
        ("90D", Length(days=90)),
        ("26W", Length(days=182)),
        ("5000b", Length(bars=5000)),
        (" 6M ", Length(months=6)),
    ],
)
def test_lengths_are_read(text, length):
    assert Length.parse(text) == length


@pytest.mark.parametrize("text", ["", "M", "6", "0M", "-6M", "6m", "1.5Y", "six months", "6M 2D", None])
def test_what_is_no_length_is_refused_with_examples(text):
    with pytest.raises(FoldError, match=r"A length must be .* Give one such as 2Y, 24M, 26W, 90D, 5000b"):
        Length.parse(text)


def test_months_are_counted_from_the_first_day():
    folds = cut_folds(HOURS, "12M", "1M")
    starts = [str(HOURS[fold.test.start]) for fold in folds[:3]]
    # 31 January and 1, 2 months, not 28 February and 1 month: that would be 28 March for ever
    assert starts == ["2021-02-01 00:00:00", "2021-03-01 00:00:00", "2021-03-31 00:00:00"]
    assert folds[-1].test.stop == len(HOURS)


def test_an_expanding_window_holds_all_that_came_before():
    rolling, *others = (cut_folds(HOURS, "12M", "6M", window=name) for name in WINDOWS)
    anchored = others[0]
    assert others == [anchored] * 2
    assert [fold.test for fold in rolling] == [fold.test for fold in anchored]
    assert all(fold.train.start == 0 for fold in anchored)
    assert [str(HOURS[fold.train.start].date()) for fold in rolling[:3]] == [
        "2020-01-31",
        "2020-07-31",
        "2021-02-01",
    ]


@given(
    bars=st.integers(1, 6_000),
    train=st.integers(1, 2_000),
    test=st.integers(1, 800),
    gap=st.integers(0, 300),
    unit=st.sampled_from("bDM"),
    window=st.sampled_from(WINDOWS),
)
def test_whatever_the_lengths(bars, train, test, gap, unit, window):
    scale = {"b": 1, "D": 24, "M": 500}[unit]
    lengths = [max(1, n // scale) for n in (train, test, test + gap)]
    times = HOURS[:bars]
    try:
        folds = cut_folds(times, *(f"{n}{unit}" for n in lengths), window)
    except FoldError:
        assert unit != "b" or bars <= lengths[0]
        return
    assert [fold.number for fold in folds] == list(range(1, len(folds) + 1))
    longest = max(len(fold.test) for fold in folds)
    for fold in folds:
        assert 0 <= fold.train.start < fold.train.stop == fold.test.start < fold.test.stop <= bars
        assert len(fold.test) >= min(MINIMUM_TEST_BARS, longest)
        assert (fold.train.start == 0) or window == "rolling"
        if unit == "b":
            assert len(fold.train) == fold.test.start - (fold.train.start if window == "rolling" else 0)
            assert window != "rolling" or len(fold.train) == lengths[0]
    for early, late in pairwise(folds):
        assert early.test.stop <= late.test.start
        if unit == "b":
            assert (late.test.start - early.test.start) % lengths[2] == 0


def test_a_last_part_is_kept_if_it_can_be_scored():
    whole = cut_folds(HOURS[:1000], "500b", "250b")
    assert [len(fold.test) for fold in whole] == [250, 250]
    assert [len(fold.test) for fold in cut_folds(HOURS[:1100], "500b", "250b")] == [250, 250, 100]
    assert [len(fold.test) for fold in cut_folds(HOURS[:1099], "500b", "250b")] == [250, 250]


def test_a_moment_further_than_times_reach_is_none():
    start = pd.Timestamp("2024-03-31")
    assert Length.parse("1M").moment(start, -1) == pd.Timestamp("2024-02-29")
    assert Length.parse("9999Y").moment(start, -1) is Length.parse("9999999D").moment(start) is None


def test_a_hole_in_the_file_makes_no_fold():
    holed = HOURS[(HOURS < "2021-06-01") | (HOURS >= "2021-12-01")].reset_index(drop=True)
    folds = cut_folds(holed, "12M", "2M")
    assert [str(holed[fold.test.start].date()) for fold in folds[:4]] == [
        "2021-02-01",
        "2021-03-31",
        "2021-12-01",  # what is left of the part that began on 30 November
        "2022-01-31",
    ]
    assert [fold.number for fold in folds] == list(range(1, len(folds) + 1))


@pytest.mark.parametrize(
    ("lengths", "complaint"),
    [
        (("24M", "5000b"), "must be all in time or all in bars, got 24M, 5000b, 5000b"),
        (
            ("10Y", "6M"),
            r", 2020-01-31 to 2022-12-30, are too few for train 10Y and test 6M\.\nGive shorter",
        ),
        (("999999999Y", "6M"), "are too few"),
        (("12M", "6M", "3M"), "step must be no shorter than test, got 3M and 6M"),
        (("12M", "6M", None, "sliding"), "window must be rolling or expanding, got 'sliding'"),
    ],
)
def test_folds_that_cannot_be_are_refused(lengths, complaint):
    with pytest.raises(FoldError, match=complaint):
        cut_folds(HOURS, *lengths)
