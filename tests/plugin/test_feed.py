"""BarsFeed: what a strategy reads is what the frame holds, in every way of running."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, time
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modes import Script, hours, random_hours, run, run_modes

from bt_neuro.account.bar_time import datetimes
from bt_neuro.bars.resample import resample_bars
from bt_neuro.errors import BarsError
from bt_neuro.plugin import feed
from bt_neuro.plugin.feed import BarsFeed

LINES = ["open", "high", "low", "close", "volume", "spread"]


class ReadBars(bt.Strategy):
    params = (("unused", 0),)

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []

    def next(self) -> None:
        data = self.data
        self.rows.append([data.opened.datetime(0), *(getattr(data, name)[0] for name in LINES)])

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=["datetime", *LINES])


def assert_same(got: pd.DataFrame, bars: pd.DataFrame) -> None:
    assert list(got["datetime"]) == list(bars["datetime"])
    assert np.array_equal(got[LINES], bars[LINES].astype(float))


@run_modes
def test_strategy_reads_the_frame(mode: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "CHUNK", 7)  # so that 20 bars are three chunks, the last one short
    bars = random_hours(20)
    before = bars.copy()
    assert_same(run(ReadBars, bars, mode).table(), bars)
    pd.testing.assert_frame_equal(bars, before)


@run_modes
def test_cerebro_runs_it_twice(mode: dict[str, Any]) -> None:
    class LooksBack(ReadBars):
        def __init__(self) -> None:
            super().__init__()
            bt.ind.SMA(period=5)

    bars = random_hours(20)
    cerebro = bt.Cerebro(stdstats=False, **mode)
    cerebro.adddata(BarsFeed(bars=bars))
    cerebro.addstrategy(LooksBack)
    for _ in range(2):
        assert_same(cerebro.run()[0].table(), bars[4:])


@run_modes
def test_a_feed_of_one_s_own_loads_in_its_own_way(mode: dict[str, Any]) -> None:
    class WithMood(BarsFeed):
        lines = ("mood",)

        def _load(self) -> bool:
            loaded = super()._load()
            self.lines.mood[0] = self.lines.close[0] * 2
            return loaded

    def read(strategy: bt.Strategy) -> Iterator[None]:
        while True:
            moods.append(strategy.data.mood[0])
            yield

    bars, moods = random_hours(20), list[float]()
    cerebro = bt.Cerebro(stdstats=False, **mode)
    cerebro.adddata(WithMood(bars=bars))
    cerebro.addstrategy(Script, script=read)
    cerebro.run()
    assert moods == (bars["close"] * 2).tolist()


@pytest.mark.parametrize("mode", [{}, {"exactbars": 1}], ids=["default", "exactbars=1"])
def test_dates_alone_cut_as_on_pandas_data(mode: dict[str, Any]) -> None:
    bars = random_hours(48)
    cerebro = bt.Cerebro(stdstats=False, **mode)
    cerebro.adddata(BarsFeed(bars=bars, fromdate=bars["datetime"][4], todate=bars["datetime"][43]))
    cerebro.addstrategy(ReadBars)
    assert_same(cerebro.run()[0].table(), bars[4:44])


def test_times_are_backtraders_to_the_bit() -> None:
    rng = np.random.default_rng(3)
    times = pd.Series(pd.to_datetime(rng.integers(0, 2_500_000_000, 2000), unit="s"))
    assert feed.days(times).tolist() == [bt.date2num(time) for time in times]


def test_times_with_a_zone_are_kept_as_utc() -> None:
    bars = hours([1.1] * 3)
    bars["datetime"] = bars["datetime"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    assert run(ReadBars, bars, {}).table()["datetime"][0] == pd.Timestamp("2024-01-01 00:00")


def test_spread_is_zero_where_unknown() -> None:
    assert set(run(ReadBars, hours([1.1] * 5), {}).table()["spread"]) == {0.0}


@pytest.mark.parametrize(
    ("step", "timeframe", "compression"),
    [
        ("500ms", bt.TimeFrame.Ticks, 1),
        ("10s", bt.TimeFrame.Seconds, 10),
        ("1min", bt.TimeFrame.Minutes, 1),
        ("90s", bt.TimeFrame.Seconds, 90),
        ("1h", bt.TimeFrame.Minutes, 60),
        ("4h", bt.TimeFrame.Minutes, 240),
        ("B", bt.TimeFrame.Days, 1),  # weekends are gaps; the commonest step is still a day
        ("2D", bt.TimeFrame.Days, 2),
        ("W", bt.TimeFrame.Weeks, 1),
        ("MS", bt.TimeFrame.Months, 1),
    ],
)
def test_timeframe_is_the_commonest_step(step: str, timeframe: int, compression: int) -> None:
    bars = hours([1.1] * 30)
    bars["datetime"] = pd.date_range("2024-01-01", periods=30, freq=step)
    data = BarsFeed(bars=bars)
    assert (data._timeframe, data._compression) == (timeframe, compression)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"timeframe": bt.TimeFrame.Days}, (bt.TimeFrame.Days, 1)),
        ({"timeframe": bt.TimeFrame.Minutes, "compression": 30}, (bt.TimeFrame.Minutes, 30)),
        ({"compression": 30}, (bt.TimeFrame.Minutes, 30)),
    ],
)
def test_timeframe_can_be_given(params: dict[str, int], expected: tuple[int, int]) -> None:
    data = BarsFeed(bars=hours([1.1] * 5), **params)
    assert (data._timeframe, data._compression) == expected


def test_a_single_bar_is_a_day() -> None:
    assert BarsFeed(bars=hours([1.1]))._timeframe == bt.TimeFrame.Days


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda bars: None, "bars must be a pandas DataFrame"),
        (lambda bars: bars.drop(columns=["low", "volume"]), "must have the columns low, volume"),
        (lambda bars: bars.set_index("datetime"), "reset_index"),
        (lambda bars: bars.iloc[:0], "at least one bar"),
        (lambda bars: bars.assign(datetime=bars["datetime"].astype(str)), "to_datetime"),
        (lambda bars: bars.assign(close=bars["close"].where(bars.index != 3)), "Bar 3 must have a value"),
        (
            lambda bars: bars.assign(high=bars["high"].where(bars.index != 3, np.inf)),
            "Bar 3 .* a finite high",
        ),
        (lambda bars: bars.assign(spread="1,5"), "spread must hold numbers: .*'1,5'"),
        (lambda bars: bars.assign(low=bars["datetime"]), "low must hold numbers: "),
        (lambda bars: bars.iloc[[0, 1, 2, 2, 3]], "Bar 3 must be later"),
        (lambda bars: bars.iloc[::-1], "Bar 1 must be later"),
    ],
    ids=[
        "no frame",
        "columns",
        "index",
        "empty",
        "text",
        "hole",
        "infinity",
        "comma",
        "times",
        "twice",
        "backwards",
    ],
)
def test_frames_that_backtrader_would_misread_are_refused(spoil: Any, message: str) -> None:
    with pytest.raises(BarsError, match=message):
        BarsFeed(bars=spoil(random_hours(5)))


def pandas_data(bars: pd.DataFrame, **params: Any) -> bt.feed.DataBase:
    """Feed the frame by backtrader's own means, stamped with closings."""
    params = {"timeframe": bt.TimeFrame.Minutes, "compression": 60, "openinterest": None, **params}
    closings = bars["datetime"] + pd.Timedelta(hours=1)
    params["sessionend"] = time(0, 0)
    return bt.feeds.PandasData(dataname=bars.set_index(closings), **params)


@run_modes
@pytest.mark.parametrize("minutes", [240, 1440])
def test_resampled_bars_are_those_of_the_reader(mode: dict[str, Any], minutes: int) -> None:
    bars = random_hours(100)
    cerebro = bt.Cerebro(stdstats=False, **mode)
    dates = {"fromdate": bars["datetime"][24].date(), "todate": bars["datetime"][90].date()}
    cerebro.resampledata(BarsFeed(bars=bars, **dates), timeframe=bt.TimeFrame.Minutes, compression=minutes)
    cerebro.addstrategy(ReadBars)
    expected = resample_bars(bars[24:96], pd.Timedelta(hours=1), pd.Timedelta(minutes=minutes))
    assert_same(cerebro.run()[0].table(), expected)
    assert len(expected) == 72 * 60 / minutes


@pytest.mark.parametrize("mode", [{}, {"exactbars": 1}], ids=["default", "exactbars=1"])
def test_orders_fill_as_on_pandas_data(mode: dict[str, Any]) -> None:
    """The broker fills from tick_* attributes, which this feed does without."""
    bars = random_hours(60)

    def orders(strategy: bt.Strategy) -> Iterator[None]:
        for i in range(50):
            kinds = (bt.Order.Market, bt.Order.Limit, bt.Order.Stop, bt.Order.Close)
            price = strategy.data.close[0] * (0.999 if i % 4 == 1 else 1.001)
            strategy.buy(exectype=kinds[i % 4], price=price, size=1)
            yield

    def fills(data: bt.feed.DataBase) -> list[tuple[float, float]]:
        cerebro = bt.Cerebro(stdstats=False, **mode)
        cerebro.adddata(data)
        cerebro.addstrategy(Script, script=orders)
        return [(o.executed.dt, o.executed.price) for o in cerebro.run()[0].orders]

    ours = fills(BarsFeed(bars=bars))
    theirs = fills(pandas_data(bars))
    assert len(ours) > 20
    assert ours == theirs


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="backtrader pickles itertools.count there")
def test_optstrategy_sends_it_to_workers() -> None:
    bars = random_hours(20)
    cerebro = bt.Cerebro(stdstats=False, maxcpus=2, optreturn=False)
    cerebro.adddata(BarsFeed(bars=bars, todate=bars["datetime"][14]))  # stops before the frame is used up
    cerebro.optstrategy(ReadBars, unused=[1, 2])
    for (strategy,) in cerebro.run():
        assert_same(strategy.table(), bars[:15])


MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))


@given(st.lists(MOMENTS | MOMENTS.map(lambda moment: moment.replace(microsecond=0)), min_size=1))
def test_times_in_bulk_are_backtraders(moments):
    numbers = [bt.date2num(moment) for moment in moments]
    assert datetimes(np.array(numbers)) == [bt.num2date(number) for number in numbers]
