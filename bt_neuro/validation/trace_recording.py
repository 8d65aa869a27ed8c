"""Recording of traces, in the mode of backtrader that exposes the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import backtrader as bt
import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.bars.reader import Bars
from bt_neuro.errors import NeuroError
from bt_neuro.plugin.feed import BarsFeed, backtrader_timeframe
from bt_neuro.plugin.loading import failure_text, load_strategy
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import build_cerebro
from bt_neuro.validation.future import FutureMask
from bt_neuro.validation.opened_files import data_files, opened_files
from bt_neuro.validation.recorder import Recorders
from bt_neuro.validation.trace import Trace

AddFeeds = Callable[[bt.Cerebro, dict[str, pd.DataFrame]], object]


class FeedBars(NamedTuple):
    """Bars of a feed, its name, the smallest step of the price, and a timeframe that a short part may not reveal."""

    name: str
    frame: pd.DataFrame
    point: float
    timeframe: tuple[int, int]

    @classmethod
    def of(cls, bars: Bars) -> Self:
        """Return the bars of a file; the name is the file's."""
        return cls(bars.path.stem, bars.frame, bars.point, backtrader_timeframe(bars.frame["datetime"]))


@dataclass(frozen=True, eq=False)
class TraceTask:
    """Settings of a run to record, picklable.

    Attributes
    ----------
    feeds : the first one is learned, or several are in a portfolio; the others are inputs
    strategy : a class, or "FILE.py:Class", which is loaded anew for each run
    parameters : of the strategy
    instruments : number of feeds that are learned, each by a strategy of its own
    add_feeds : function of a Cerebro and the frames that adds the feeds in their order; a `BarsFeed` each by default
    digest_after : bars of each feed after which to take a digest of its network
    stops : whether the run ends there
    mask : whether to hide later bars from `next` (`FutureMask`)
    """

    feeds: tuple[FeedBars, ...]
    strategy: type[NeuroStrategy] | str
    parameters: dict[str, Any]
    instruments: int = 1
    add_feeds: AddFeeds | None = None
    digest_after: tuple[int, ...] | None = None
    stops: bool = False
    mask: bool = False


def record_trace(task: TraceTask) -> Trace:
    """Return the trace of a run with one learned feed; see `record_traces`."""
    return record_traces(task)[0]


def record_traces(task: TraceTask) -> list[Trace]:
    """Run a strategy in backtrader's default mode, which preloads the files; return the trace of each learned feed.

    The number of bars done is reported as progress.
    """
    with opened_files() as files:
        strategy = load_strategy(task.strategy) if isinstance(task.strategy, str) else task.strategy
        recorders = Recorders(task.digest_after, task.stops, len(task.feeds))
        broker = _Broker(recorders, FutureMask() if task.mask else None)
        cerebro = _cerebro(task, strategy, broker)
        cerebro.addanalyzer(_BarAnalyzer, recorders=recorders)
        failure = None
        try:
            cerebro.run()
        except NeuroError as error:
            if not recorders.has_begun:
                raise  # a mistake that does not depend on the bars
            failure = str(error)
        except Exception as error:  # noqa: BLE001 - a strategy may fail in any way, and where is the question
            failure = failure_text(error)
    return recorders.finish(failure, data_files(files))


def _cerebro(task: TraceTask, strategy: type[NeuroStrategy], broker: MarginBroker) -> bt.Cerebro:
    account, feeds = Account(), task.feeds
    if task.add_feeds is None and len(feeds) == 1:
        return build_cerebro(
            _feed(feeds[0]), strategy, task.parameters, account, point=feeds[0].point, broker=broker
        )
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = broker
    broker.p.quiet = True
    if task.add_feeds is None:
        for feed in feeds:
            cerebro.adddata(_feed(feed), name=feed.name)
    else:
        task.add_feeds(cerebro, {feed.name: feed.frame for feed in feeds})
    for data, feed in zip(cerebro.datas, feeds, strict=False):
        account.use(broker, feed.point, data._name or None)
    for number in range(task.instruments):
        part = {"data": number, "budget": 1 / task.instruments} if task.instruments > 1 else {}
        cerebro.addstrategy(strategy, **{**task.parameters, **part})
    return cerebro


def _feed(feed: FeedBars) -> BarsFeed:
    timeframe, compression = feed.timeframe
    return BarsFeed(bars=feed.frame, timeframe=timeframe, compression=compression)


class _BarAnalyzer(bt.Analyzer):
    params = (("recorders", None),)

    def start(self) -> None:
        self.p.recorders.add(self.strategy)

    def prenext(self) -> None:
        if len(self.strategy.datas) > 1:  # others may not have begun
            self.p.recorders.on_bar(self.strategy, begins=False)

    def next(self) -> None:
        self.p.recorders.on_bar(self.strategy, begins=True)


class _Broker(MarginBroker):
    """Margin broker that records each change of an order at once.

    backtrader notifies a strategy a bar later, which may be after the last bar before a cut.
    """

    def __init__(self, recorders: Recorders, mask: FutureMask | None) -> None:
        super().__init__()
        self._recorders, self._mask = recorders, mask

    def next(self) -> None:  # the first call in each bar, before the strategy's own
        if self._mask:
            self._mask.show_bar(self.cerebro)
        super().next()

    def notify(self, order: bt.Order) -> None:
        super().notify(order)
        side, kind = "buy" if order.isbuy() else "sell", order.ExecTypes[order.exectype].lower()
        state, filled = order.getstatusname().lower(), order.executed
        text = f"{kind} {side} of {abs(order.created.size)!r} at {order.created.price!r}, {state}"
        if filled.size:
            text += f", {abs(filled.size)!r} at {filled.price!r}"
        self._recorders.add_order(order, text)
