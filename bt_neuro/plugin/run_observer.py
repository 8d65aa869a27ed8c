"""One analyzer for all who follow a run: it notes what a bar shows, they read while the network is busy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import backtrader as bt
import numpy as np
from numpy.typing import NDArray

from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.plugin.phase import Phase

MOST_WAITING = 1024  # while bars are only learned, nothing calls for the reading
NOW_AND_THEN_BARS = 256
STATISTICS_BARS = 100  # from one look at the running statistics to the next: the article's window


class Account(NamedTuple):
    """The account at a bar's close."""

    cash: float
    equity: float
    position: float
    paid: float = 0.0  # costs and slippage since the start
    deposits: float = 0.0  # since the start


class BarRecord(NamedTuple):
    """What the end of a bar shows: values, not lines, which move on."""

    bar: int
    time: float  # as backtrader keeps it
    close: float
    account: Account | None  # None while bars are only learned
    features: NDArray[np.floating] | None  # None while indicators warm up
    step_s: float | None  # of the network; None while bars are only learned
    signal: Signal | None  # of this bar
    scored: list[ScoredSignal]  # what this bar made known
    first_open: int  # the first bar whose label may still come
    statistics: tuple[NDArray[np.floating], NDArray[np.floating]] | None  # every `STATISTICS_BARS`


class Subscriber(Protocol):
    """Follows a run; what else it offers of `get_analysis`, `state`, `restore` and `stop` is used too."""

    def on_bar(self, record: BarRecord) -> None:
        """Take note of a bar."""


class RunObserver(bt.Analyzer):
    """Note what each new bar shows, and let subscribers read it in the time that the network takes.

    The device computes on a core of its own, so their work is free; an analyzer each would cost every bar
    1.5 microseconds of backtrader's calls. `get_analysis` and `learner.catch_up` let them catch up. While a
    checkpoint's bars pass again there is nothing to read.

    Params:
      - ``subscribers`` (default: ``{}``): by the name under which `get_analysis` and a checkpoint know them
      - ``now_and_then`` (default: ``()``): called with the strategy every 256 bars
    """

    params: Any = (("subscribers", {}), ("now_and_then", ()))

    def start(self) -> None:
        self._subscribers: list[Subscriber] = list(self.p.subscribers.values())
        self._now_and_then: Iterable[Callable[[bt.Strategy], None]] = self.p.now_and_then
        self._time, self._close = self.data.lines.datetime, self.data.lines.close
        self._waiting: list[BarRecord] = []
        self._is_called = False
        self._bar = -1

    def next(self) -> None:
        bar = len(self.data) - 1
        if bar == self._bar:  # another feed's has come
            return
        self._bar = bar
        if (bar + 1) % NOW_AND_THEN_BARS == 0:
            for call in self._now_and_then:
                call(self.strategy)
        if self.strategy.phase is Phase.RESUME:
            return
        self._waiting.append(self._record(bar))
        if not self._is_called:  # only now is there a learner
            self.strategy.learner.while_busy.append(self.catch_up)
            self._is_called = True
        if len(self._waiting) > MOST_WAITING:
            self.catch_up()

    def _record(self, bar: int) -> BarRecord:
        strategy = self.strategy
        learner, signal, broker = strategy.learner, strategy.signal, strategy.broker
        account = features = step_s = statistics = None
        if strategy.phase is not Phase.FIT:
            account = Account(broker.getcash(), broker.getvalue(), strategy.position.size)
            if (books := getattr(broker, "books", None)) is not None:
                account = account._replace(paid=books.paid, deposits=books.deposits)
        if learner.last_bar == bar:
            features = learner.features
            if strategy.phase is Phase.LIVE:
                step_s = learner.last_step_s
            if bar % STATISTICS_BARS == 0 and learner.window is not None:
                statistics = learner.running_statistics()
        if signal is not None and signal.bar != bar:
            signal = None
        return BarRecord(
            bar,
            self._time[0],
            self._close[0],
            account,
            features,
            step_s,
            signal,
            strategy.scored,
            bar - learner.delay_bars,
            statistics,
        )

    def catch_up(self) -> None:
        """Let the subscribers read what waits."""
        waiting, self._waiting = self._waiting, []
        for record in waiting:
            for subscriber in self._subscribers:
                subscriber.on_bar(record)

    def stop(self) -> None:
        self.catch_up()
        for subscriber in self._subscribers:
            if hasattr(subscriber, "stop"):
                subscriber.stop()

    def get_analysis(self) -> dict[str, Any]:
        self.catch_up()
        return {
            name: subscriber.get_analysis()
            for name, subscriber in self.p.subscribers.items()
            if hasattr(subscriber, "get_analysis")
        }


def with_state(analyzers: Iterable[tuple[str, bt.Analyzer]]) -> Mapping[str, Any]:
    """Return those that have a state to save and restore, by name; of a run_observer its subscribers."""
    named: dict[str, Any] = {}
    for name, analyzer in analyzers:
        named |= analyzer.p.subscribers if isinstance(analyzer, RunObserver) else {name: analyzer}
    return {name: one for name, one in named.items() if hasattr(one, "state")}
