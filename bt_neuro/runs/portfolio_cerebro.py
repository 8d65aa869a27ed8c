"""Cerebro of a portfolio: one strategy per instrument, one account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import backtrader as bt

from bt_neuro.account.account import Account
from bt_neuro.account.bar_time import opening_line
from bt_neuro.account.broker import MarginBroker
from bt_neuro.bars.reader import Bars
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.trades import time_text

Analyzers = list[tuple[type[bt.Analyzer], dict[str, Any]]]


def portfolio_cerebro(bars: dict[str, Bars], account: Account, inputs: Sequence[BarsFeed] = ()) -> bt.Cerebro:
    """Return a Cerebro with the bars of all instruments, the feeds of inputs and the account."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = MarginBroker()
    cerebro.broker.p.quiet = True  # a run tells what was refused in its results
    for name, one in bars.items():
        cerebro.adddata(BarsFeed(bars=one.frame), name=name)
        account.use(cerebro.broker, one.point, name)
    for feed in inputs:
        cerebro.adddata(feed)
        account.use(cerebro.broker, name=feed.p.name)
    return cerebro


def member_of(
    strategy: type[NeuroStrategy], analyzers: dict[str, Analyzers], saved: Mapping[str, Checkpoint]
) -> type[NeuroStrategy]:
    """Return the strategy with analyzers of its own by instrument; `addanalyzer` would give each all of them.

    Parameters
    ----------
    strategy : the class
    analyzers, saved : analyzers and checkpoints by instrument
    """

    def read_checkpoint(self: NeuroStrategy) -> Checkpoint | None:
        return saved.get(self.data._name)

    def start(self: NeuroStrategy) -> None:
        for analyzer, params in analyzers[self.data._name]:
            self._addanalyzer(analyzer, **params)
        super(member, self)._start()

    more = {"_start": start, "_read_checkpoint": read_checkpoint, "__module__": strategy.__module__}
    member: Any = type(strategy.__name__, (strategy,), more)
    return member


class PortfolioEquity(bt.Analyzer):
    """One row for each time at which some instrument has a new bar: the common account at its close.

    Params:
      - ``table`` (required): the `TextTable`
      - ``names`` (required): of the instruments; other feeds are inputs
      - ``progress`` (default: ``None``): called with the bars done and ``total`` now and then
    """

    params = (("table", None), ("names", ()), ("progress", None), ("total", 0))
    header = ("datetime", "cash", "equity", "positions", "deposits")

    def start(self) -> None:
        self._time, self._lines = 0.0, [opening_line(data) for data in self.strategy.datas]
        self._deposits = self._written_deposits = 0.0  # since the start

    def next(self) -> None:
        now = self.now()
        if now <= self._time:  # of a slower feed: it opened earlier
            return
        self._time = now
        self.append(self.row(now))
        if self.p.progress is not None and self.p.table.rows % 256 == 0:
            self.p.progress(sum(map(len, self.strategy.datas)), self.p.total)

    def now(self) -> float:
        """Return the latest opening of the instruments' bars."""
        feeds = zip(self.strategy.datas, self._lines, strict=True)
        return max((line[0] for data, line in feeds if len(data) and data._name in self.p.names), default=0.0)

    def row(self, now: float) -> tuple[object, ...]:
        """Return the account as a row."""
        strategy, broker = self.strategy, self.strategy.broker
        held = sum(1 for data in strategy.datas if broker.getposition(data).size)
        self._deposits = broker.books.deposits
        money = broker.getcash(), broker.getvalue()
        deposited = self._deposits - self._written_deposits
        return time_text(now), *(f"{value:.10g}" for value in money), held, f"{deposited:.10g}"

    def append(self, row: tuple[object, ...]) -> None:
        """Append the last row of `row` to the table."""
        self.p.table.append(*row)
        self._written_deposits = self._deposits
