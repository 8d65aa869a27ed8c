"""Several feeds: no strategy gains by bars that have not closed, whatever the feeds are."""

from __future__ import annotations

from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from foreign_feeds import (
    HALF_HOURS,
    Add,
    csv,
    csv_undeclared,
    live,
    live_undeclared,
    ours,
    pandas,
    pandas_undeclared,
    replayed,
    resampled,
    resampled_pandas,
)

from bt_neuro.bars.closing import closing_times
from bt_neuro.bars.resample import resample_bars
from bt_neuro.errors import NeuroError
from bt_neuro.plugin.stamps import stamped

FAST = {minutes: resample_bars(HALF_HOURS, pd.Timedelta(minutes=30), pd.Timedelta(minutes=minutes))
        for minutes in (30, 60)}  # fmt: skip


class Peeks(bt.Strategy):
    """Notes which bars of the slow feed it can read when a bar of the fast one has closed."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int, float]] = []

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        fast, slow = self.datas
        if len(fast) and len(slow):
            self.seen.append((fast.close[0], len(slow), slow.close[0]))


GOOD = [ours, pandas, csv, resampled, resampled_pandas, live]
REFUSED = [pandas_undeclared, csv_undeclared, replayed, live_undeclared]
SLOW = [60, 240, 1440]


def known_bars(fast: pd.DataFrame, slow_minutes: int) -> dict[float, float]:
    """Return the close of the last slow bar that has closed with each fast bar, by the fast one's close."""
    slow = resample_bars(HALF_HOURS, pd.Timedelta(minutes=30), pd.Timedelta(minutes=slow_minutes))
    closed = slow["datetime"] + pd.Timedelta(minutes=slow_minutes)
    step = fast["datetime"].diff().min()
    at = np.searchsorted(closed, fast["datetime"] + step, side="right") - 1
    return {f: slow["close"][i] for f, i in zip(fast["close"], at, strict=True) if i >= 0}


def play(fast: Add, slow: Add, minutes: tuple[int, int], tmp_path: Any, **mode: Any) -> Peeks:
    cerebro = bt.Cerebro(stdstats=False, **mode)
    cerebro.folder = tmp_path
    bars = resample_bars(HALF_HOURS, pd.Timedelta(minutes=30), pd.Timedelta(minutes=minutes[1]))
    fast(cerebro, FAST[minutes[0]], minutes[0])
    slow(cerebro, bars, minutes[1])
    cerebro.addstrategy(Peeks)
    return cerebro.run()[0]


@pytest.mark.parametrize("fast", [ours, pandas, csv, live], ids=lambda add: add.__name__)
@pytest.mark.parametrize("slow", GOOD, ids=lambda add: add.__name__)
@pytest.mark.parametrize(
    "minutes",
    [
        pytest.param((60, 1440), id="H1 D1"),
        pytest.param((30, 60), id="M30 H1", marks=pytest.mark.slow),
        pytest.param((60, 240), id="H1 H4", marks=pytest.mark.slow),
    ],
)
def test_no_bar_is_seen_before_it_closes(
    fast: Add, slow: Add, minutes: tuple[int, int], tmp_path: Any
) -> None:
    known = known_bars(FAST[minutes[0]], minutes[1])
    ran = play(fast, slow, minutes, tmp_path)
    if live not in (fast, slow):
        assert len({number for _, number, _ in ran.seen}) > 5
    closes = FAST[minutes[0]].set_index("close")["datetime"]
    slow_bars = resample_bars(HALF_HOURS, pd.Timedelta(minutes=30), pd.Timedelta(minutes=minutes[1]))
    number = {close: i for i, close in enumerate(slow_bars["close"])}
    for close, _, shown in ran.seen:
        assert close in closes.index
        assert number.get(shown, -1) <= number.get(known.get(close), -1), f"{shown} is seen at {close}"


@pytest.mark.parametrize("slow", REFUSED, ids=lambda add: add.__name__)
def test_what_may_look_ahead_is_refused(slow: Add, tmp_path: Any) -> None:
    with pytest.raises(NeuroError, match=r"stamps|replayed"):
        play(ours, slow, (60, 1440), tmp_path)


@pytest.mark.parametrize("exactbars", [0, -1, 1])
@pytest.mark.parametrize("slow", [ours, resampled])
def test_every_way_of_running_shows_the_same(slow: Add, exactbars: int, tmp_path: Any) -> None:
    expected = play(ours, slow, (60, 240), tmp_path).seen
    assert play(ours, slow, (60, 240), tmp_path, exactbars=exactbars, runonce=False).seen == expected
    known = known_bars(FAST[60], 240)
    assert {close: shown for close, _, shown in expected} == known


def test_with_exactbars_foreign_feeds_are_refused(tmp_path: Any) -> None:
    with pytest.raises(NeuroError, match="exactbars=1"):
        play(ours, pandas, (60, 240), tmp_path, exactbars=1)


@pytest.mark.parametrize(
    ("opens", "days", "months", "closings"),
    [
        (
            ["2024-03-08 22:00", "2024-03-11 21:00"],
            1,
            0,
            ["2024-03-09 22:00", "2024-03-12 21:00"],
        ),  # a Friday
        (
            ["2024-11-02 21:00", "2024-11-03 22:00"],
            1,
            0,
            ["2024-11-03 22:00", "2024-11-04 22:00"],
        ),  # 25 hours
        (
            ["2024-03-09 22:00", "2024-03-10 21:00"],
            1,
            0,
            ["2024-03-10 21:00", "2024-03-11 21:00"],
        ),  # 23 hours
        (["2024-01-01", "2024-02-01"], 31, 1, ["2024-02-01", "2024-03-01"]),
        (["2024-01-01 00:00", "2024-01-01 00:20"], 1 / 24, 0, ["2024-01-01 00:20", "2024-01-01 01:20"]),
        (["2024-01-01 00:00", "2024-01-01 02:00"], 1 / 24, 0, ["2024-01-01 01:00", "2024-01-01 03:00"]),
    ],
)
def test_closing_times(opens: list[str], days: float, months: int, closings: list[str]) -> None:
    got = closing_times(pd.Series(pd.to_datetime(opens)), pd.Timedelta(days=days), months)
    assert list(got) == list(pd.to_datetime(closings))


def test_stamps_must_be_declared_by_a_word() -> None:
    with pytest.raises(NeuroError, match="at must be"):
        stamped(bt.feeds.PandasData(dataname=HALF_HOURS.set_index("datetime")), "closing")


def test_declared_feeds_keep_their_opening(tmp_path: Any) -> None:
    class Reads(bt.Strategy):
        def __init__(self) -> None:
            self.times: list[Any] = []

        def next(self) -> None:
            self.times.append((bt.num2date(self.data.opening[0]), self.data.datetime.datetime(0)))

    for add, minutes in ((pandas, 60), (csv, 60), (csv, 1440)):
        cerebro = bt.Cerebro()
        cerebro.folder = tmp_path
        bars = resample_bars(HALF_HOURS, pd.Timedelta(minutes=30), pd.Timedelta(minutes=minutes))
        add(cerebro, bars, minutes)
        cerebro.addstrategy(Reads)
        (ran,) = cerebro.run()
        length = pd.Timedelta(minutes=minutes)
        assert [(o.round("s"), c) for o, c in ((pd.Timestamp(o), c) for o, c in ran.times)] == [
            (time, time + length) for time in bars["datetime"]
        ]
