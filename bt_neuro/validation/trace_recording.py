"""Recording of traces, in the mode of backtrader that exposes the future."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.errors import NeuroError
from bt_neuro.learning.signals import Signal
from bt_neuro.nn.network import Network
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.loading import load_strategy
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import build_cerebro
from bt_neuro.validation.future import FutureMask, indicators_of, lines_of
from bt_neuro.validation.opened_files import data_files, opened_files
from bt_neuro.validation.parallel import report_progress
from bt_neuro.validation.trace import Floats, Trace

NO_OUTPUTS = (float("nan"),) * 3
BARS_A_REPORT = 256


@dataclass(frozen=True, eq=False)
class TraceTask:
    """Settings of a run to record, picklable.

    Attributes
    ----------
    frame : bars
    strategy : a class, or "FILE.py:Class", which is loaded anew for each run
    parameters : of the strategy
    point : smallest step of the price
    timeframe : pair of backtrader, which a short part of a file may not reveal
    stop_after : number of bars after which to end the run
    digest_after : number of bars after which to take a digest of the network
    mask : whether to hide later bars from `next` (`FutureMask`)
    """

    frame: pd.DataFrame
    strategy: type[NeuroStrategy] | str
    parameters: dict[str, Any]
    point: float
    timeframe: tuple[int, int]
    stop_after: int | None = None
    digest_after: int | None = None
    mask: bool = False


def record_trace(task: TraceTask) -> Trace:
    """Run a strategy in backtrader's default mode, which preloads the file, and return its trace.

    The number of bars done is reported as progress.
    """
    trace = Trace()
    timeframe, compression = task.timeframe
    data = BarsFeed(bars=task.frame, timeframe=timeframe, compression=compression)
    with opened_files() as files:
        strategy = load_strategy(task.strategy) if isinstance(task.strategy, str) else task.strategy
        broker = _Broker(trace, FutureMask() if task.mask else None)
        cerebro = build_cerebro(data, strategy, task.parameters, Account(), point=task.point, broker=broker)
        recorder = _Recorder(trace, task)
        cerebro.addanalyzer(_BarAnalyzer, recorder=recorder)
        try:
            cerebro.run()
        except NeuroError as error:
            if not recorder.bars:
                raise  # a mistake that does not depend on the bars
            trace.failure = str(error)
        except Exception as error:  # noqa: BLE001 - a strategy may fail in any way, and where is the question
            trace.failure = f"{type(error).__name__}: {error}"
    trace.files = data_files(files)
    recorder.finish(cerebro)
    return trace


class _Recorder:
    """Writer of a trace, called at every bar."""

    def __init__(self, trace: Trace, task: TraceTask) -> None:
        self._trace, self._task = trace, task
        self._signals: list[Signal | None] = []  # None: no prediction
        self._targets: dict[int, tuple[float, ...]] = {}
        self._reported = 0

    @property
    def bars(self) -> int:
        return len(self._signals)

    def on_bar(self, strategy: NeuroStrategy) -> None:
        bar, signal = len(strategy.data) - 1, strategy.signal
        self._signals += [None] * (bar - self.bars)  # before the first bar that has all indicators
        self._signals.append(signal if signal is not None and signal.bar == bar else None)
        self._targets.update({scored.signal.bar: scored.target for scored in strategy.scored})
        if self.bars == self._task.digest_after:
            self._trace.states[self.bars] = digest(strategy.network)
        if self.bars - self._reported >= BARS_A_REPORT:
            self._report()
        if self._task.stop_after is not None and self.bars >= self._task.stop_after:
            strategy.env.runstop()

    def _report(self) -> None:
        report_progress(self.bars - self._reported)
        self._reported = self.bars

    def finish(self, cerebro: bt.Cerebro) -> None:
        trace, signals, bars = self._trace, self._signals, self.bars
        trace.signals = np.array([signal.name if signal else "" for signal in signals], "U4")
        trace.outputs = _rows([signal.outputs if signal else NO_OUTPUTS for signal in signals])
        trace.probabilities = _rows([signal.probabilities if signal else NO_OUTPUTS for signal in signals])
        trace.targets = np.full((bars, 3), np.nan)
        for bar, target in self._targets.items():
            trace.targets[bar] = target
        if bars:
            (strategy,) = cerebro.runningstrats
            trace.features = strategy.learner.feature_names
            for name, line in named_lines(strategy):
                trace.lines[name] = np.array(line.array[:bars], float)
        self._report()


def _rows(triples: Sequence[tuple[float, ...]]) -> Floats:
    return np.array(triples, float).reshape(-1, 3)  # three columns of no rows too


class _BarAnalyzer(bt.Analyzer):
    params = (("recorder", None),)

    def prenext(self) -> None:
        pass

    def next(self) -> None:
        self.p.recorder.on_bar(self.strategy)


class _Broker(MarginBroker):
    """Margin broker that records each change of an order at once.

    backtrader notifies a strategy a bar later, which may be after the last bar before a cut.
    """

    def __init__(self, trace: Trace, mask: FutureMask | None) -> None:
        super().__init__()
        self._trace, self._mask = trace, mask

    def next(self) -> None:  # the first call in each bar, before the strategy's own
        if self._mask:
            self._mask.show_bar(self.cerebro)
        super().next()

    def notify(self, order: bt.Order) -> None:
        super().notify(order)
        side, kind = "buy" if order.isbuy() else "sell", order.ExecTypes[order.exectype].lower()
        state, filled = order.getstatusname().lower(), order.executed
        text = f"{kind} {side} of {abs(order.created.size)!r} at {order.created.price!r} {state}"
        if filled.size:
            text += f", {abs(filled.size)!r} at {filled.price!r}"
        self._trace.orders.append((len(self.cerebro.datas[0]) - 1, text))


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
