"""Run a strategy where it could see the future, and trace what it says and does."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from bt_neuro.validation.future_mask import FutureMask, indicators_of, lines_of
from bt_neuro.validation.parallel import report_progress
from bt_neuro.validation.trace import Floats, Trace

SILENT = (float("nan"),) * 3


@dataclass(frozen=True)
class Run:
    """What to run: all of it can be sent to another process.

    Parameters
    ----------
    frame : bars
    strategy : a class, or "FILE.py:Class", which is loaded anew for each run
    parameters : its params
    point : the smallest step of the price
    timeframe : backtrader's pair, that a cut file may not look like another timeframe
    stop_after : end the run after so many bars
    digest_at : given the first bar with a signal, after how many bars to take a digest of the network
    mask : hide from `next` what lies ahead (see `FutureMask`)
    """

    frame: pd.DataFrame
    strategy: type[NeuroStrategy] | str
    parameters: dict[str, Any]
    point: float
    timeframe: tuple[int, int]
    stop_after: int | None = None
    digest_at: Callable[[int], list[int]] | None = None
    mask: bool = False


def record(run: Run) -> Trace:
    """Run a strategy in backtrader's default mode, which preloads the file, and return its trace.

    That is the mode in which a strategy can see the future. Bars done are reported as progress.
    """
    strategy = load_strategy(run.strategy) if isinstance(run.strategy, str) else run.strategy
    trace = Trace()
    timeframe, compression = run.timeframe
    data = BarsFeed(bars=run.frame, timeframe=timeframe, compression=compression)
    broker = _Broker(trace, FutureMask() if run.mask else None)
    cerebro = build_cerebro(data, strategy, run.parameters, Account(), point=run.point, broker=broker)
    recorder = _Recorder(trace, run)
    cerebro.addanalyzer(_Listener, recorder=recorder)
    try:
        cerebro.run()
    except NeuroError as error:
        if not recorder.bars:
            raise  # a mistake that has nothing to do with the bars
        trace.failure = str(error)
    except Exception as error:  # noqa: BLE001 - a strategy may fail in any way, and where is what is asked
        trace.failure = f"{type(error).__name__}: {error}"
    recorder.finish(cerebro)
    return trace


class _Recorder:
    """Listens bar by bar, and finishes the trace."""

    def __init__(self, trace: Trace, run: Run) -> None:
        self._tape, self._run = trace, run
        self._signals: list[Signal | None] = []  # None: the network said nothing
        self._targets: dict[int, tuple[float, ...]] = {}
        self._digest_at: list[int] | None = None
        self._told = 0

    @property
    def bars(self) -> int:
        return len(self._signals)

    def hear(self, strategy: NeuroStrategy) -> None:
        bar, signal = len(strategy.data) - 1, strategy.signal
        spoke = signal is not None and signal.bar == bar
        self._signals += [None] * (bar - self.bars)  # until the first bar that has all indicators
        self._signals.append(signal if spoke else None)
        self._targets.update({scored.signal.bar: scored.target for scored in strategy.scored})
        if spoke and self._digest_at is None:
            self._digest_at = self._run.digest_at(bar) if self._run.digest_at else []
        if self._digest_at and self.bars in self._digest_at:
            self._tape.states[self.bars] = digest(strategy.network)
        if self.bars - self._told >= 256:
            self._tell()
        if self._run.stop_after is not None and self.bars >= self._run.stop_after:
            strategy.env.runstop()

    def _tell(self) -> None:
        report_progress(self.bars - self._told)
        self._told = self.bars

    def finish(self, cerebro: bt.Cerebro) -> None:
        trace, bars = self._tape, self.bars
        said = self._signals
        trace.signals = np.array([signal.name if signal else "" for signal in said], "U4")
        trace.outputs = _rows([signal.outputs if signal else SILENT for signal in said])
        trace.probabilities = _rows([signal.probabilities if signal else SILENT for signal in said])
        trace.targets = np.full((bars, 3), np.nan)
        for bar, target in self._targets.items():
            trace.targets[bar] = target
        if bars:
            (strategy,) = cerebro.runningstrats
            trace.features = strategy.learner.feature_names
            for name, line in named_lines(strategy):
                trace.lines[name] = np.array(line.array[:bars], float)
        self._tell()


def _rows(triples: Sequence[tuple[float, ...]]) -> Floats:
    return np.array(triples, float).reshape(-1, 3)  # three columns of no rows too


class _Listener(bt.Analyzer):
    params = (("recorder", None),)

    def prenext(self) -> None:
        pass

    def next(self) -> None:
        self.p.recorder.hear(self.strategy)


class _Broker(MarginBroker):
    """Margin broker that puts each order and what became of it on the trace at once.

    A strategy hears of an order only a bar later, after the last bar that a cut leaves.
    """

    def __init__(self, trace: Trace, mask: FutureMask | None) -> None:
        super().__init__()
        self._tape, self._curtain = trace, mask

    def next(self) -> None:  # the first call in each bar, before the strategy's own
        if self._curtain:
            self._curtain.lift(self.cerebro)
        super().next()

    def notify(self, order: bt.Order) -> None:
        super().notify(order)
        side, kind = "buy" if order.isbuy() else "sell", order.ExecTypes[order.exectype].lower()
        state, filled = order.getstatusname().lower(), order.executed
        text = f"{kind} {side} of {abs(order.created.size)!r} at {order.created.price!r} {state}"
        if filled.size:
            text += f", {abs(filled.size)!r} at {filled.price!r}"
        self._tape.orders.append((len(self.cerebro.datas[0]) - 1, text))


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
    """Return 128 bits of a hash of all that a network holds: weights, moments, running statistics, steps."""
    hashed = hashlib.blake2b(json.dumps(network.config(), sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(network.state().items()):
        hashed.update(name.encode())
        hashed.update(np.ascontiguousarray(tensor).tobytes())
    return hashed.hexdigest()
