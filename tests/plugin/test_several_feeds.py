"""Several feeds: a strategy learns the one it names, as if that were alone."""

from __future__ import annotations

import queue
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest
from modes import random_hours, run_modes
from small import Small

from bt_neuro.account.account import margin_account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.account.instrument import Instrument
from bt_neuro.bars.line_reader import Bar
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.analyzers import HitRate
from bt_neuro.plugin.as_of import AsOf
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.live_feed import LiveFeed

EURO, GOLD = random_hours(200, seed=1), random_hours(300, seed=2)
LATE = GOLD[120:].reset_index(drop=True)
GAPS = GOLD.drop(range(60, 90)).iloc[::2].reset_index(drop=True)


class Records(Small):
    """Keeps each prediction at the bar where it is made."""

    def start(self) -> None:
        super().start()
        self.said: dict[int, Any] = {}

    def next(self) -> None:
        super().next()
        self._keep()

    def prenext(self) -> None:
        super().prenext()
        self._keep()

    def _keep(self) -> None:
        if self.signal is not None:
            self.said[self.signal.bar] = self.signal.outputs


def run(
    strategy: type[bt.Strategy], *frames: pd.DataFrame, mode: dict[str, Any] | None = None, **params: Any
) -> Any:
    cerebro = bt.Cerebro(stdstats=False, **(mode or {}))
    for name, bars in zip(("euro", "gold", "third"), frames, strict=False):
        cerebro.adddata(BarsFeed(bars=bars, name=name))
    cerebro.addstrategy(strategy, **params)
    cerebro.addanalyzer(HitRate, _name="hits")
    return cerebro.run()[0]


@run_modes
@pytest.mark.parametrize(
    ("others", "data", "bars"),
    [
        ([LATE], 0, EURO),
        ([LATE], "gold", LATE),
        ([GAPS], None, EURO),
        ([GAPS], 1, GAPS),
    ],
    ids=["first, before a late one", "late one, by name", "first, beside gaps", "gaps, by index"],
)
def test_a_feed_is_learned_as_if_it_were_alone(
    mode: dict[str, Any], others: list[pd.DataFrame], data: Any, bars: pd.DataFrame
) -> None:
    alone = run(Records, bars)
    ran = run(Records, EURO, *others, mode=mode, data=data)
    assert ran.said == alone.said
    assert len(ran.said) > 60
    assert ran.analyzers.hits.get_analysis() == alone.analyzers.hits.get_analysis()
    assert ran.data.p.bars["close"].equals(bars["close"])


def test_orders_are_of_the_learned_feed() -> None:
    traded = run(Small, EURO, GOLD, data="gold")
    assert traded.getposition(traded.getdatabyname("gold")).size
    assert not traded.getposition(traded.getdatabyname("euro")).size
    assert traded.position.size == traded.getposition(traded.getdatabyname("gold")).size


class BothFeeds(Records):
    def features(self) -> dict[str, Any]:
        return {**super().features(), "other": self.data1.close, "trend": bt.ind.ROC(self.data1, period=5)}


@run_modes
def test_lines_of_other_feeds_are_inputs(mode: dict[str, Any]) -> None:
    expected = run(BothFeeds, EURO, LATE)
    assert run(BothFeeds, EURO, LATE, mode=mode).said == expected.said
    assert min(expected.said) > 120


class AcrossFeeds(Small):
    def features(self) -> dict[str, Any]:
        return {**super().features(), "gap": bt.ind.SMA(self.data.close - self.data1.close, period=3)}


class KnownGap(Records):
    """Has the distance from another feed as a feature."""

    def features(self) -> dict[str, Any]:
        self.known = AsOf(self.data, line=bt.ind.SMA(self.data1.close, period=2))
        return {**super().features(), "gap": self.data.close - self.known}

    def start(self) -> None:
        super().start()
        self.read: dict[Any, float] = {}

    def _keep(self) -> None:
        super()._keep()
        self.read.setdefault(self.data.opened.datetime(0), self.known[0])


@run_modes
@pytest.mark.parametrize("other", [LATE, GAPS], ids=["late", "gaps"])
def test_lines_of_two_feeds_go_together_as_of_a_bar(mode: dict[str, Any], other: pd.DataFrame) -> None:
    ran = run(KnownGap, EURO, other, mode=mode)
    means = other["close"].rolling(2).mean()
    closed = other["datetime"] + other["datetime"].diff().min()
    at = np.searchsorted(closed, EURO["datetime"] + pd.Timedelta(hours=1), side="right") - 1
    known = {time: means[i] if i >= 0 else np.nan for time, i in zip(EURO["datetime"], at, strict=True)}
    for time, value in ran.read.items():
        np.testing.assert_allclose(value, known[pd.Timestamp(time).round("s")], rtol=1e-12)
    assert len(ran.read) == len(EURO)
    assert ran.said == run(KnownGap, EURO, other).said
    assert len(ran.said) > 40


def test_as_of_needs_a_line_of_one_feed() -> None:
    class Wrong(Small):
        def features(self) -> dict[str, Any]:
            return {"known": AsOf(self.data, line=self.data1)}

    with pytest.raises(StrategyError, match="line must be a line of one feed"):
        run(Wrong, EURO, LATE)


@pytest.mark.parametrize(
    ("strategy", "mode", "params", "message"),
    [
        (AcrossFeeds, {}, {}, "gap must come from one feed, got feed 'euro' and feed 'gold'"),
        (Small, {}, {"data": "Gold"}, "got 'Gold'. Did you mean gold"),
        (Small, {}, {"data": 2}, "an index below 2, got 2"),
        (Small, {"oldsync": True}, {}, "oldsync=True"),
    ],
)
def test_what_would_go_wrong_in_silence_is_refused(
    strategy: type[bt.Strategy], mode: dict[str, Any], params: dict[str, Any], message: str
) -> None:
    with pytest.raises(StrategyError, match=message):
        run(strategy, EURO, LATE, mode=mode, **params)


def test_foreign_feeds_must_be_declared() -> None:
    cerebro = bt.Cerebro()
    for bars in (EURO, GOLD):
        cerebro.adddata(bt.feeds.PandasData(dataname=bars.set_index("datetime")))
    cerebro.addstrategy(Small)
    with pytest.raises(StrategyError, match="must declare its stamps"):
        cerebro.run()


class TradesBoth(bt.Strategy):
    """Buys one unit of each feed at its third bar."""

    def __init__(self) -> None:
        self.costs: dict[str, float] = {}

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        for data in self.datas:
            if len(data) == 3 and data._name not in self.costs:
                self.costs[data._name] = 0.0
                self.buy(data=data, size=1)

    def notify_order(self, order: bt.Order) -> None:
        if order.status == order.Completed:
            self.costs[order.data._name] = order.executed.comm


@pytest.mark.parametrize("mode", [{}, {"exactbars": 1}])
def test_each_feed_pays_its_own_spread(mode: dict[str, Any]) -> None:
    cerebro = bt.Cerebro(stdstats=False, **mode)
    feeds = [BarsFeed(bars=EURO.assign(spread=10)), BarsFeed(bars=LATE.assign(spread=30))]
    for name, feed in zip(("euro", "gold"), feeds, strict=True):
        cerebro.adddata(feed, name=name)
    four_hours = {"timeframe": bt.TimeFrame.Minutes, "compression": 240}
    cerebro.resampledata(BarsFeed(bars=EURO.assign(spread=20)), name="euro H4", **four_hours)
    cerebro.broker = MarginBroker()
    cerebro.broker.addcommissioninfo(Instrument(point=1e-4, data=feeds[0]))  # of the first, for all
    cerebro.addstrategy(TradesBoth)
    (ran,) = cerebro.run()
    assert ran.costs == pytest.approx({"euro": 0.5e-3, "gold": 1.5e-3, "euro H4": 1e-3})


class LooksBack(Records):
    """Computes from earlier bars of its feed, by indicators of backtrader."""

    def features(self) -> dict[str, Any]:
        back = {
            "rate": bt.ind.ROC(period=20),
            "mean": bt.ind.EMA(self.data, period=9),
            "two": self.data.close(-2),
        }
        return {**super().features(), **back}


def live(bars: pd.DataFrame) -> LiveFeed:
    arrived: queue.Queue[Bar | None] = queue.Queue()
    for row in bars.itertuples(index=False):
        prices = (row.open, row.high, row.low, row.close, row.volume)
        arrived.put(Bar(row.datetime.to_pydatetime(), *prices))
    arrived.put(None)
    hours = {"timeframe": bt.TimeFrame.Minutes, "compression": 60}
    return LiveFeed(queue=arrived, qcheck=0.001, limits=None, **hours)


@pytest.mark.parametrize("exactbars", [pytest.param(0, marks=pytest.mark.slow), 1])
@pytest.mark.parametrize(
    "feed", [live, lambda bars: BarsFeed(bars=bars)], ids=["live feeds", "feeds of files"]
)
def test_feeds_are_learned_as_if_each_were_alone(feed: Any, exactbars: int) -> None:
    """A portfolio in an own Cerebro, whose feeds begin and end at different times."""
    frames = {"euro": EURO, "gold": LATE}
    cerebro = bt.Cerebro(stdstats=False, exactbars=exactbars)
    for name, bars in frames.items():
        cerebro.adddata(feed(bars), name=name)
        cerebro.addstrategy(LooksBack, data=name, budget=0.5)
    margin_account(cerebro, spread=2.0, point=1e-4)
    for ran, bars in zip(cerebro.run(), frames.values(), strict=True):
        alone = run(LooksBack, bars)
        assert ran.said == alone.said
        assert len(ran.said) > 100
