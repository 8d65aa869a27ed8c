"""Recorders of a run: one a strategy, which writes its trace at every bar."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from math import nan
from typing import Any

import backtrader as bt
import numpy as np

from bt_neuro.errors import StrategyError
from bt_neuro.learning.signals import Signal
from bt_neuro.nn.network import Network
from bt_neuro.plugin.learned_feed import feeds_of
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.validation.future import indicators_of, lines_of
from bt_neuro.validation.parallel import report_progress
from bt_neuro.validation.trace import Floats, Trace

NO_OUTPUTS = (nan,) * 3
BARS_A_REPORT = 256


class Recorder:
    """Writer of the trace of one strategy, called at every bar of its feed."""

    def __init__(self, strategy: NeuroStrategy, feed: int, digest_after: int | None) -> None:
        self.trace, self._strategy, self._digest_after = Trace(feed=feed), strategy, digest_after
        self._signals: list[Signal | None] = []  # None: no prediction
        self._targets: dict[int, tuple[float, ...]] = {}
        self._foreign: dict[str, tuple[Any, Any, list[float]]] | None = None

    @property
    def bars(self) -> int:
        return len(self._signals)

    @property
    def is_done(self) -> bool:
        return self._digest_after is not None and self.bars >= self._digest_after

    def on_bar(self) -> int:
        """Record the bar if it is a new one; return the number of new bars."""
        strategy, before = self._strategy, self.bars
        bar, signal = len(strategy.data) - 1, strategy.signal
        if bar < before:
            return 0
        self._signals += [None] * (bar - before)  # before the first bar that has all indicators
        self._signals.append(signal if signal is not None and signal.bar == bar else None)
        self._targets.update({scored.signal.bar: scored.target for scored in strategy.scored})
        if self._foreign is None:
            self._foreign = dict(self._foreign_lines())
        for line, data, values in self._foreign.values():
            values += [nan] * (bar - len(values))
            values.append(line[0] if len(data) else nan)
        if self.bars == self._digest_after:
            self.trace.states[self.bars] = digest(strategy.network)
        return self.bars - before

    def _foreign_lines(self) -> Iterator[tuple[str, tuple[Any, Any, list[float]]]]:
        """Yield the lines of other feeds, whose bars are others: kept as they are read at the learned feed's."""
        datas = self._strategy.datas
        for name, line in named_lines(self._strategy) if len(datas) > 1 else ():
            feeds = feeds_of(line, datas)
            if feeds and feeds[0] is not self._strategy.data:
                yield name, (line, feeds[0], [])

    def add_order(self, text: str) -> None:
        strategy = self._strategy
        bar = len(strategy.data) - 1
        now = max(data.datetime[0] for data in strategy.datas if len(data))
        # Of a moment between two bars it belongs to the later one.
        self.trace.orders.append((bar + (strategy.data.datetime[0] < now), text))

    def finish(self, failure: str | None, files: tuple[str, ...]) -> Trace:
        trace, signals, bars = self.trace, self._signals, self.bars
        trace.failure, trace.files = failure, files
        trace.signals = np.array([signal.name if signal else "" for signal in signals], "U4")
        trace.outputs = _rows([signal.outputs if signal else NO_OUTPUTS for signal in signals])
        trace.probabilities = _rows([signal.probabilities if signal else NO_OUTPUTS for signal in signals])
        trace.targets = np.full((bars, 3), np.nan)
        for bar, target in self._targets.items():
            trace.targets[bar] = target
        if bars and self._foreign is not None:
            trace.features = self._strategy.learner.feature_names
            for name, line in named_lines(self._strategy):
                values = self._foreign[name][2] if name in self._foreign else line.array[:bars]
                trace.lines[name] = np.array(values, float)
        return trace


class Recorders:
    """Recorders of all strategies of a run."""

    def __init__(self, digest_after: tuple[int, ...] | None, stops: bool, feeds: int) -> None:
        self._digest_after, self._stops, self._feeds = digest_after, stops, feeds
        self._by_strategy = dict[Any, Recorder]()
        self._done = self._reported = 0
        self.has_begun = False  # some strategy's next() was called

    def add(self, strategy: NeuroStrategy) -> None:
        after = self._digest_after
        number = [data is strategy.data for data in strategy.env.datas].index(True)  # == compares prices
        if number >= self._feeds:
            raise StrategyError(
                f"The learned feed must be that of a file, got number {number}. Add it before others."
            )
        self._by_strategy[strategy] = Recorder(strategy, number, after[number] if after else None)

    def on_bar(self, strategy: NeuroStrategy, begins: bool) -> None:
        self.has_begun |= begins
        self._done += self._by_strategy[strategy].on_bar()
        if self._done - self._reported >= BARS_A_REPORT:
            self._report()
        if self._stops and all(one.is_done for one in self._by_strategy.values()):
            strategy.env.runstop()

    def add_order(self, order: bt.Order, text: str) -> None:
        self._by_strategy[order.owner].add_order(text)

    def _report(self) -> None:
        report_progress(self._done - self._reported)
        self._reported = self._done

    def finish(self, failure: str | None, files: tuple[str, ...]) -> list[Trace]:
        self._report()
        traces = [one.finish(failure, files) for one in self._by_strategy.values()]
        return traces or [Trace(failure=failure, files=files)]


def _rows(triples: Sequence[tuple[float, ...]]) -> Floats:
    return np.array(triples, float).reshape(-1, 3)  # three columns of no rows too


def named_lines(strategy: NeuroStrategy) -> Iterator[tuple[str, Any]]:
    """Yield features by their names, then the lines of all other indicators as ``Indicator.line``."""
    features = {
        name: line if hasattr(line, "array") else line.lines[0]
        for name, line in strategy._feature_lines.items()
    }
    yield from features.items()
    seen, named = {id(line.array) for line in features.values()}, Counter[str]()
    for indicator in indicators_of(strategy):
        for line, alias in lines_of(indicator):
            if id(line.array) not in seen:
                name = ".".join(filter(None, (type(indicator).__name__.strip("_"), alias)))
                named[name] += 1
                yield (name if named[name] == 1 else f"{name} #{named[name]}"), line
                seen.add(id(line.array))


def digest(network: Network) -> str:
    """Return 128 bits of a hash of a network: weights, moments, running statistics, steps."""
    hashed = hashlib.blake2b(json.dumps(network.config(), sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(network.state().items()):
        hashed.update(name.encode())
        hashed.update(np.ascontiguousarray(tensor).tobytes())
    return hashed.hexdigest()
