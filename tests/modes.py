"""backtrader's ways of running, hand-made bars, and strategies written as generators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
import pytest

from bt_neuro.plugin.feed import BarsFeed

# exactbars=1 turns preload and runonce off itself; the other twelve are the ones backtrader tests with.
# All sixteen, and ``live``, are `EVERY_MODE`.
MODES = [
    {"preload": preload, "runonce": runonce, "exactbars": exactbars}
    for preload, runonce, exactbars in product((True, False), (True, False), (0, -1, -2))
] + [{"exactbars": 1}]
EVERY_MODE = [
    *MODES,
    *(
        {"preload": preload, "runonce": runonce, "exactbars": 1}
        for preload, runonce in ((0, 0), (0, 1), (1, 0))
    ),
    *({"live": True, "exactbars": exactbars} for exactbars in (0, 1)),
]
QUICK = (MODES[0], MODES[-2], MODES[-1])  # as a Cerebro runs by itself, the other end, and as a backtest runs


def parametrized(modes: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "mode",
        [pytest.param(mode, marks=[] if mode in QUICK else pytest.mark.slow) for mode in modes],
        ids=lambda mode: ",".join(f"{name}={value:d}" for name, value in mode.items()),
    )


run_modes, run_every_mode = parametrized(MODES), parametrized(EVERY_MODE)


def hours(opens: list[float], **columns: Any) -> pd.DataFrame:
    """Hourly bars by their opens; each closes where the next one opens, unless told otherwise."""
    bars = pd.DataFrame(
        {"datetime": pd.date_range("2024-01-01", periods=len(opens), freq="h"), "open": opens}
    )
    bars["close"] = columns.pop("close", [*opens[1:], opens[-1]])
    bars["high"] = bars[["open", "close"]].max(axis=1)
    bars["low"] = bars[["open", "close"]].min(axis=1)
    bars["volume"] = 1000
    return bars.assign(**columns)


def random_hours(count: int, seed: int = 7) -> pd.DataFrame:
    """A random walk in pips with wicks, as EURUSD by the hour looks."""
    rng = np.random.default_rng(seed)
    closes = 1.1 + 1e-4 * np.cumsum(rng.integers(-20, 21, count))
    bars = hours(list(np.round(np.append(1.1, closes[:-1]), 5)), close=np.round(closes, 5))
    bars["high"] = np.round(bars["high"] + 1e-5 * rng.integers(0, 100, count), 5)
    bars["low"] = np.round(bars["low"] - 1e-5 * rng.integers(0, 100, count), 5)
    bars["volume"] = rng.integers(100, 5000, count)
    return bars.assign(spread=rng.integers(5, 40, count))


class Plain(BarsFeed):
    """A feed of one's own: its bars to come are not known, and so are taken one by one."""


class Script(bt.Strategy):
    """Plays a generator, one ``yield`` a bar, and remembers what the broker told it."""

    params = (("script", None),)

    def start(self) -> None:
        self.orders: list[bt.Order] = []
        self.trades: list[bt.Trade] = []
        self.steps: Iterator[None] = self.p.script(self)

    def next(self) -> None:
        next(self.steps, None)

    def notify_order(self, order: bt.Order) -> None:
        if order.status not in (order.Submitted, order.Accepted):
            self.orders.append(order)

    def notify_trade(self, trade: bt.Trade) -> None:
        if trade.isclosed:
            self.trades.append(trade)


def run(strategy: type[bt.Strategy], bars: pd.DataFrame, mode: dict[str, Any], **params: Any) -> bt.Strategy:
    cerebro = bt.Cerebro(stdstats=False, **mode)
    cerebro.adddata(BarsFeed(bars=bars))
    cerebro.addstrategy(strategy, **params)
    return cerebro.run()[0]


def play(
    script: Callable[[bt.Strategy], Iterator[None]],
    bars: pd.DataFrame,
    costs: Callable[[bt.feed.DataBase], bt.CommInfoBase],
    cash: float = 1000.0,
    slippage: float = 0.0,
    **mode: Any,
) -> Script:
    """Run a generator on the bars, under the costs that ``costs(data)`` returns."""
    cerebro = bt.Cerebro(stdstats=False, **mode)
    data = cerebro.adddata(BarsFeed(bars=bars))
    cerebro.broker.set_cash(cash)
    cerebro.broker.addcommissioninfo(costs(data))
    if slippage:
        cerebro.broker.set_slippage_fixed(slippage)
    cerebro.addstrategy(Script, script=script)
    return cerebro.run()[0]
