"""A tape: all that a strategy said and did in one run, bar by bar, to be compared with another run's."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import NeuroError
from bt_neuro.evaluate.account import Account
from bt_neuro.nn.network import Network
from bt_neuro.plugin.costs import Costs
from bt_neuro.plugin.feed import BarsFeed, backtrader_timeframe
from bt_neuro.plugin.loading import load_strategy
from bt_neuro.plugin.strategy import NeuroStrategy

Floats = NDArray[np.float64]
SILENT = (float("nan"),) * 3


@dataclass
class Tape:
    """What one run said and did.

    Attributes
    ----------
    lines : features and the lines of all indicators by name, each (bars,), as index 0 showed them
    outputs : (bars, 3), the network's; NaN where it said nothing
    targets : (bars, 3), what the network learned at the bar's place; NaN where that was not known
    signals : (bars,), "none", "buy", "sell", or nothing
    orders : (bar, what the broker was told or told), in order
    states : digest of the network by the number of bars it had seen
    failure : the error that ended the run, or None
    """

    lines: dict[str, Floats] = field(default_factory=dict)
    outputs: Floats = field(default_factory=lambda: np.empty((0, 3)))
    targets: Floats = field(default_factory=lambda: np.empty((0, 3)))
    signals: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, "U4"))
    orders: list[tuple[int, str]] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    failure: str | None = None

    @property
    def bars(self) -> int:
        """Bars that the strategy lived through."""
        return len(self.signals)

    @property
    def first_signal(self) -> int | None:
        """The first bar of which the network said something."""
        said = np.flatnonzero(self.signals != "")
        return int(said[0]) if len(said) else None


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
    curtain : hide from `next` what lies ahead (see `Curtain`)
    """

    frame: pd.DataFrame
    strategy: type[NeuroStrategy] | str
    parameters: dict[str, Any]
    point: float
    timeframe: tuple[int, int]
    stop_after: int | None = None
    digest_at: Callable[[int], list[int]] | None = None
    curtain: bool = False


def record(run: Run, progress: Callable[[int], None] | None = None) -> Tape:
    """Run a strategy in backtrader's default mode, which preloads the file, and return its tape.

    That is the mode in which a strategy can see the future. `progress` is told how many bars were done since
    it was last told.
    """
    strategy = load_strategy(run.strategy) if isinstance(run.strategy, str) else run.strategy
    tape = Tape()
    cerebro = bt.Cerebro(stdstats=False)
    timeframe, compression = run.timeframe
    data = BarsFeed(bars=run.frame, timeframe=timeframe, compression=compression)
    cerebro.adddata(data)
    cerebro.addstrategy(strategy, **run.parameters)
    cerebro.broker = _Broker(tape, Curtain() if run.curtain else None)
    cerebro.broker.setcash(Account().cash)
    spread = None if "spread" in run.frame else 0.0
    cerebro.broker.addcommissioninfo(Costs(spread=spread, point=run.point, data=data))
    recorder = _Recorder(tape, run, progress or (lambda bars: None))
    cerebro.addanalyzer(_Listener, recorder=recorder)
    try:
        cerebro.run()
    except NeuroError as error:
        if not recorder.bars:
            raise  # a mistake that has nothing to do with the bars
        tape.failure = str(error)
    except Exception as error:  # noqa: BLE001 - a strategy may fail in any way, and where is what is asked
        tape.failure = f"{type(error).__name__}: {error}"
    recorder.finish(cerebro)
    return tape


class _Recorder:
    """Listens bar by bar, and finishes the tape."""

    def __init__(self, tape: Tape, run: Run, progress: Callable[[int], None]) -> None:
        self._tape, self._run, self._progress = tape, run, progress
        self._outputs: list[tuple[float, ...]] = []
        self._targets: dict[int, tuple[float, ...]] = {}
        self._signals: list[str] = []
        self._digest_at: list[int] | None = None

    @property
    def bars(self) -> int:
        return len(self._signals)

    def hear(self, strategy: NeuroStrategy) -> None:
        bar, signal = len(strategy.data) - 1, strategy.signal
        silence = bar - self.bars  # bars before the first of which all indicators are known
        self._outputs += [SILENT] * silence
        self._signals += [""] * silence
        spoke = signal is not None and signal.bar == bar
        self._outputs.append(signal.outputs if spoke else SILENT)
        self._signals.append(signal.name if spoke else "")
        self._targets.update({scored.signal.bar: scored.target for scored in strategy.scored})
        if spoke and self._digest_at is None:
            self._digest_at = self._run.digest_at(bar) if self._run.digest_at else []
        if self._digest_at and self.bars in self._digest_at:
            self._tape.states[self.bars] = digest(strategy.network)
        if self.bars % 256 == 0:
            self._progress(256)
        if self.bars == self._run.stop_after:
            strategy.env.runstop()

    def finish(self, cerebro: bt.Cerebro) -> None:
        tape, bars = self._tape, self.bars
        tape.outputs = np.array(self._outputs, float).reshape(bars, 3)
        tape.targets = np.full((bars, 3), np.nan)
        for bar, target in self._targets.items():
            tape.targets[bar] = target
        tape.signals = np.array(self._signals, "U4")
        if bars:
            for name, line in named_lines(cerebro.runningstrats[0]):
                tape.lines[name] = np.array(line.array[:bars], float)
        self._progress(bars % 256)


class _Listener(bt.Analyzer):
    params = (("recorder", None),)

    def prenext(self) -> None:
        pass

    def next(self) -> None:
        self.p.recorder.hear(self.strategy)


class _Broker(bt.brokers.BackBroker):
    """backtrader's broker, which puts each order and what became of it on the tape at once.

    A strategy hears of an order only a bar later, after the last bar that a cut leaves.
    """

    def __init__(self, tape: Tape, curtain: Curtain | None) -> None:
        super().__init__()
        self._tape, self._curtain = tape, curtain

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


class Curtain:
    """Hides what lies ahead, at every bar: beyond the present one, all lines hold poison.

    backtrader has then computed all indicators, from true bars; only what `next` reads ahead, from a line or
    from its array, changes. The poison turns each step round and makes it a hundred times as large. Lines of
    times are left alone, for backtrader itself reads the next bar's.
    """

    _SCALE = 100.0

    def __init__(self) -> None:
        self._hidden: list[tuple[array[float], array[float]]] | None = None

    def lift(self, cerebro: bt.Cerebro) -> None:
        """Show the bar that has just closed; the first time, draw the curtain over all others."""
        bar = len(cerebro.datas[0]) - 1
        if self._hidden is None:
            self._hidden = []
            length = cerebro.datas[0].buflen()
            lines = [line for line in _all_lines(cerebro) if len(line.array) == length]
            for line in {id(line.array): line for line in lines}.values():
                self._hidden.append((line.array, line.array[:]))
                true = np.array(line.array)
                step = np.diff(true)
                line.array[1:] = array("d", true[:-1] - self._SCALE * np.where(step == 0, 1.0, step))
        for shown, true in self._hidden:
            shown[bar] = true[bar]


def named_lines(strategy: NeuroStrategy) -> Iterator[tuple[str, Any]]:
    """Yield features by their names, then the lines of all other indicators as ``Indicator.line``."""
    known: dict[int, str] = {}
    for name, line in strategy._feature_lines.items():
        line = line if hasattr(line, "array") else line.lines[0]
        known[id(line.array)] = name
        yield name, line
    taken = set(known.values())
    for indicator in _indicators(strategy):
        for line, alias in _lines_of(indicator):
            if id(line.array) in known:
                continue
            name = plain = f"{type(indicator).__name__.strip('_')}{alias}"
            number = 1
            while name in taken:
                number += 1
                name = f"{plain} #{number}"
            known[id(line.array)] = name
            taken.add(name)
            yield name, line


def _indicators(owner: Any) -> Iterator[Any]:
    if hasattr(owner, "_lineiterators"):
        for indicator in owner._lineiterators[bt.LineIterator.IndType]:
            yield indicator
            yield from _indicators(indicator)


def _lines_of(indicator: Any) -> Iterator[tuple[Any, str]]:
    if isinstance(indicator, bt.LineSeries):
        for index, alias in enumerate(indicator.lines.getlinealiases()):
            yield indicator.lines[index], f".{alias}"
    else:
        yield indicator, ""


def _all_lines(cerebro: bt.Cerebro) -> Iterator[Any]:
    for data in cerebro.datas:
        yield from (line for line, alias in _lines_of(data) if alias != ".datetime")
    for strategy in cerebro.runningstrats:
        for indicator in _indicators(strategy):
            yield from (line for line, _ in _lines_of(indicator))


def digest(network: Network) -> str:
    """Return 128 bits of a hash of all that a network holds: weights, moments, running statistics, steps."""
    hashed = hashlib.blake2b(json.dumps(network.config(), sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(network.state().items()):
        hashed.update(name.encode())
        hashed.update(np.ascontiguousarray(tensor).tobytes())
    return hashed.hexdigest()


def timeframe_of(frame: pd.DataFrame) -> tuple[int, int]:
    return backtrader_timeframe(frame["datetime"])
