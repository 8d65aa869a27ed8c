"""Feeds of every kind beside each other: ours, backtrader's from pandas and files, resampled, replayed, live."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import backtrader as bt
import pandas as pd
from modes import random_hours

from bt_neuro.bars.line_reader import Bar
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.live_feed import LiveFeed
from bt_neuro.plugin.stamps import stamped

Add = Callable[[bt.Cerebro, pd.DataFrame, int], Any]  # of a feed: bars and their minutes
HALF_HOURS = random_hours(720).assign(datetime=pd.date_range("2024-01-01", periods=720, freq="30min"))
HALF_HOURS["close"] += 1e-9 * HALF_HOURS.index  # each names its bar
HALF_HOURS["high"] = HALF_HOURS[["high", "close"]].max(axis=1)


def timeframe(minutes: int) -> dict[str, int]:
    if minutes == 1440:
        return {"timeframe": bt.TimeFrame.Days, "compression": 1}
    return {"timeframe": bt.TimeFrame.Minutes, "compression": minutes}


def ours(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int) -> None:
    cerebro.adddata(BarsFeed(bars=bars, **timeframe(minutes)))


def pandas(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int, at: str | None = "open") -> None:
    feed = bt.feeds.PandasData(dataname=bars.set_index("datetime"), openinterest=None, **timeframe(minutes))
    cerebro.adddata(feed if at is None else stamped(feed, at))


def pandas_undeclared(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int) -> None:
    pandas(cerebro, bars, minutes, None)


def csv(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int, at: str | None = "open") -> None:
    file = cerebro.folder / f"{minutes}.csv"
    form = "%Y-%m-%d" if minutes == 1440 else "%Y-%m-%d %H:%M:%S"
    bars.to_csv(
        file, index=False, date_format=form, columns=["datetime", "open", "high", "low", "close", "volume"]
    )
    feed = bt.feeds.GenericCSVData(dataname=str(file), dtformat=form, openinterest=-1, **timeframe(minutes))
    cerebro.adddata(feed if at is None else stamped(feed, at))


def csv_undeclared(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int) -> None:
    csv(cerebro, bars, minutes, None)


def resampled(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int) -> None:
    cerebro.resampledata(BarsFeed(bars=HALF_HOURS), **timeframe(minutes))


def resampled_pandas(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int) -> None:
    half_hours = bt.feeds.PandasData(
        dataname=HALF_HOURS.set_index("datetime"), openinterest=None, **timeframe(30)
    )
    cerebro.resampledata(stamped(half_hours, "open"), **timeframe(minutes))


def replayed(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int) -> None:
    cerebro.replaydata(BarsFeed(bars=HALF_HOURS), **timeframe(minutes))


def live(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int) -> None:
    arrived: queue.Queue[Bar | None] = queue.Queue()
    for row in bars.itertuples(index=False):
        arrived.put(Bar(row.datetime.to_pydatetime(), row.open, row.high, row.low, row.close, row.volume))
    arrived.put(None)
    cerebro.adddata(LiveFeed(queue=arrived, qcheck=0.001, limits=None, **timeframe(minutes)))


def live_undeclared(cerebro: bt.Cerebro, bars: pd.DataFrame, minutes: int) -> None:
    cerebro.adddata(LiveFeed(queue=queue.Queue()))
