"""RunObserver: one analyzer that observes bars for its subscribers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import backtrader as bt
import numpy as np
from numpy.typing import NDArray

from bt_neuro.account.bar_time import opening_line
from bt_neuro.learning.run_ahead import LAUNCH_BARS
from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.plugin.checks import is_neural
from bt_neuro.plugin.phase import Phase

NOW_AND_THEN_BARS = 256


class AccountState(NamedTuple):
    """The account at a bar's close."""

    cash: float
    equity: float
    position: float
    paid: float = 0.0  # costs and slippage since the start
    deposits: float = 0.0  # since the start


class BarRecord(NamedTuple):
    """State of a run at a bar's close."""

    bar: int
    time: float  # of its opening, as backtrader keeps it
    close: float
    account: AccountState | None  # None in the phase FIT
    features: NDArray[np.floating] | None  # None until all are known
    step_s: float | None  # seconds of the network; None but in the phase LIVE
    signal: Signal | None  # of this bar
    scored: list[ScoredSignal]  # whose labels this bar confirmed
    first_open: int  # first bar whose label may still be confirmed
    statistics: tuple[NDArray[np.floating], NDArray[np.floating]] | None  # every `LAUNCH_BARS`
    is_recorded: bool = False  # its features, outputs and statistics have been recorded


class Subscriber(Protocol):
    """Receiver of the bars of a run.

    `get_analysis`, `state`, `restore` and `stop` are called if there are any, as those of an analyzer.
    """

    def on_bar(self, record: BarRecord) -> None:
        """Receive a bar."""


class RunObserver(bt.Analyzer):
    """Make a record of each new bar, and pass it to the subscribers.

    An analyzer each would cost every bar 1.5 microseconds of backtrader's calls. There are no records in the
    phase RESUME.

    Params:

      - ``subscribers`` (default: ``{}``): by their names in `get_analysis` and in a checkpoint
      - ``now_and_then`` (default: ``()``): called with the strategy every 256 bars
    """

    params: Any = (("subscribers", {}), ("now_and_then", ()))

    def start(self) -> None:
        self._subscribers: list[Subscriber] = list(self.p.subscribers.values())
        self._pass_on = [subscriber.on_bar for subscriber in self._subscribers]
        self._now_and_then: Iterable[Callable[[bt.Strategy], None]] = self.p.now_and_then
        self._time, self._close = opening_line(self.data), self.data.lines.close
        self._bar, self._is_idle = -1, not is_neural(self.strategy)

    def next(self) -> None:
        if self._is_idle:
            return
        bar = len(self.data) - 1
        if bar == self._bar:  # another feed's bar
            return
        self._bar = bar
        if (bar + 1) % NOW_AND_THEN_BARS == 0:
            for call in self._now_and_then:
                call(self.strategy)
        if self.strategy.phase is Phase.RESUME:
            return
        record = self._record(bar)
        for pass_on in self._pass_on:
            pass_on(record)

    def _record(self, bar: int) -> BarRecord:
        strategy = self.strategy
        learner, signal, broker = strategy.learner, strategy.signal, strategy.broker
        account = features = step_s = statistics = None
        if strategy.phase is not Phase.FIT:
            cash, equity, size = broker.getcash(), broker.getvalue(), broker.getposition(self.data).size
            books: Any = getattr(broker, "books", None)
            if books is None:
                account = AccountState(cash, equity, size)
            else:
                account = AccountState(cash, equity, size, books.paid, books.deposits)
        if learner.last_bar == bar:
            features = learner.features
            if strategy.phase is Phase.LIVE:
                step_s = learner.last_step_s
            if bar % LAUNCH_BARS == 0 and learner.window is not None:
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
            strategy.phase is Phase.PLAYBACK,
        )

    def stop(self) -> None:
        for subscriber in self._subscribers:
            if hasattr(subscriber, "stop"):
                subscriber.stop()

    def get_analysis(self) -> dict[str, Any]:
        return {
            name: subscriber.get_analysis()
            for name, subscriber in self.p.subscribers.items()
            if hasattr(subscriber, "get_analysis")
        }


def with_state(analyzers: Iterable[tuple[str, bt.Analyzer]]) -> Mapping[str, Any]:
    """Return the analyzers with a state to save and restore, by name; subscribers of a RunObserver too."""
    named: dict[str, Any] = {}
    for name, analyzer in analyzers:
        named |= analyzer.p.subscribers if isinstance(analyzer, RunObserver) else {name: analyzer}
    return {name: keeper for name, keeper in named.items() if hasattr(keeper, "state")}
