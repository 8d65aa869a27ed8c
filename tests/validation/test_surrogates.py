"""Surrogate markets: what each kind keeps, to the point, and what it destroys."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import SAMPLE

from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.bars.timeframe import find_gaps
from bt_neuro.errors import NeuroError
from bt_neuro.validation.surrogates import KINDS, surrogate

PRICES = ["open", "high", "low", "close"]


def bars_of(frame, point):
    timeframe = pd.Timedelta(hours=1)
    gaps = find_gaps(frame["datetime"].to_numpy(), timeframe)
    return Bars(frame, Path("X.csv"), "made", timeframe, point, "0" * 64, (), "rows", {}, "file", gaps)


@st.composite
def markets(draw, levels=(20, 1_000, 150_000)):
    """Return random bars: gaps, flat bars, equal prices, missing hours, few or many digits."""
    n, digits = draw(st.integers(1, 60)), draw(st.integers(0, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tick, level = draw(st.sampled_from([1, 0.25, 0.5])), draw(st.sampled_from(levels))
    point = tick * 10.0**-digits
    wild = draw(st.sampled_from([1, 5, 50]))
    moves = rng.integers(-wild, wild + 1, (n, 4))
    moves[rng.random(n) < 0.2] = 0
    close = np.maximum(level + moves[:, :2].sum(axis=1).cumsum(), 1)
    opened = np.maximum(close - moves[:, 0], 1)
    high, low = (
        np.maximum(opened, close) + np.abs(moves[:, 2]),
        np.minimum(opened, close) - np.abs(moves[:, 3]),
    )
    hours = rng.choice([1, 1, 1, 2, 49], n).cumsum()
    prices = {"open": opened, "high": high, "low": np.maximum(low, 1), "close": close}
    frame = pd.DataFrame({"datetime": pd.Timestamp("2020-01-03") + pd.to_timedelta(hours, "h")})
    frame = frame.assign(**{name: np.round(value * point, digits + 2) for name, value in prices.items()})
    frame["volume"] = rng.integers(0, 100, n).astype(float)
    if draw(st.booleans()):
        frame["spread"] = rng.integers(0, 30, n).astype(float)
    return bars_of(frame, point)


@pytest.fixture(scope="module")
def sample():
    return read_bars(SAMPLE)


@pytest.mark.slow
@settings(max_examples=100)
@given(market=markets(), kind=st.sampled_from(KINDS), number=st.integers(1, 99), seed=st.integers(0, 9))
def test_a_surrogate_is_a_market_of_the_same_form(market, kind, number, seed):
    found = surrogate(market, kind, number, seed=seed)
    frame, old = found.frame, market.frame
    assert list(frame) == list(old)
    assert (frame.dtypes == old.dtypes).all()
    assert (frame["datetime"] == old["datetime"]).all()
    assert "spread" not in old or (frame["spread"] == old["spread"]).all()
    assert sorted(frame["volume"]) == sorted(old["volume"])
    assert frame["open"].iloc[0] == old["open"].iloc[0]
    assert (frame["high"] >= frame[PRICES].max(axis=1)).all()
    assert (frame["low"] <= frame[PRICES].min(axis=1)).all()
    assert (frame["low"] > 0).all()
    digits = round(-np.log10(market.point)) + 1
    on_grid = ((frame[PRICES] / market.point).round() * market.point).round(digits)
    assert (frame[PRICES] == on_grid).all(axis=None)
    again = surrogate(market, kind, number, seed=seed)
    assert again.frame.equals(frame)


def fine(market):
    """Return the market with so many digits that rounding is nothing."""
    return bars_of(market.frame, market.point * 1e-8)


def moves(frame):
    log = np.log(frame[PRICES])
    gap = log["open"] - log["close"].shift(1)
    return pd.DataFrame({"gap": gap.fillna(0)} | {name: log[name] - log["open"] for name in PRICES[1:]})


@settings(max_examples=25)
@given(market=markets(levels=(150_000,)), number=st.integers(1, 9))
def test_sign_mirrors_a_bar_as_a_whole_or_leaves_it(market, number):
    old, new = moves(market.frame), moves(surrogate(fine(market), "sign", number).frame)
    mirrored = -old.rename(columns={"high": "low", "low": "high"})[list(old)]
    close = [np.isclose(new, moved, rtol=0, atol=1e-8).all(axis=1) for moved in (old, mirrored)]
    assert (close[0] | close[1]).all()


@settings(max_examples=25)
@given(market=markets(levels=(150_000,)), number=st.integers(1, 9))
def test_hour_moves_bars_within_their_hour_and_bars_keeps_bars_and_gaps(market, number):
    frame = market.frame
    for kind in ("hour", "bars"):
        found = surrogate(fine(market), kind, number).frame
        old, new = moves(frame), moves(found)
        assert found["close"].iloc[-1] == pytest.approx(frame["close"].iloc[-1], rel=1e-9)
        assert np.allclose(old.iloc[0], new.iloc[0], atol=1e-8)
        for column in old:
            assert np.allclose(sorted(old[column]), sorted(new[column]), atol=1e-8)
        if kind == "hour":
            hours = frame["datetime"].dt.day_of_week * 24 + frame["datetime"].dt.hour
            for _, rows in frame.groupby(hours):
                before, after = old.loc[rows.index].round(7), new.loc[rows.index].round(7)
                assert np.allclose(np.sort(before["gap"]), np.sort(after["gap"]), atol=2e-7)
                assert sorted(frame["volume"][rows.index]) == sorted(found["volume"][rows.index])


def test_every_seed_number_and_kind_is_another_market(sample):
    closes = [
        surrogate(sample, kind, number, seed=seed).frame["close"]
        for kind in KINDS
        for number in (1, 2)
        for seed in (0, 1)
    ]
    assert len({tuple(close) for close in closes}) == len(closes)


def test_what_is_destroyed(sample):
    """The sample's direction and its sessions: half the bars are mirrored, hours keep ranges, bars do not."""
    hours = sample.frame["datetime"].dt.hour

    def range_by_hour(frame):
        ranges = np.log(frame["high"] / frame["low"])
        return ranges.groupby(hours).mean()

    old = range_by_hour(sample.frame)
    for kind, like in (("sign", 1), ("hour", 1), ("bars", 0)):
        found = surrogate(sample, kind, 1).frame
        assert (np.corrcoef(old, range_by_hour(found))[0, 1] > 0.9) == bool(like), kind
        drawn, real = (np.sign(f["close"] - f["open"]) for f in (found, sample.frame))
        assert abs(np.corrcoef(drawn, real)[0, 1]) < 0.06, kind


def test_an_unknown_kind_is_refused(sample):
    with pytest.raises(NeuroError, match="kind must be one of sign, hour, bars, got 'sing'"):
        surrogate(sample, "sing", 1)
