"""Margin accounts on bars made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import backtrader as bt
import pandas as pd
from modes import Script

from bt_neuro.account.account import margin_account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.plugin.feed import BarsFeed

Steps = Callable[[bt.Strategy], Iterator[None]]
# Leverage 30, steps of 1,000 units and 10,000 of cash, without costs.
FOREX: dict[str, Any] = {"preset": "forex", "spread": 0.0, "point": 1e-5}


def daily(*bars: Any, start: str = "2024-01-02", **columns: Any) -> pd.DataFrame:
    """Bars of working days; each is one price, or open, high, low and close."""
    rows = [bar if isinstance(bar, tuple) else (bar,) * 4 for bar in bars]
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"], dtype=float)
    frame.insert(0, "datetime", pd.bdate_range(start, periods=len(rows)))
    return frame.assign(volume=1e9).assign(**columns)


class Recorded(Script):
    """A script that also keeps cash, equity and fund value of each bar."""

    def start(self) -> None:
        super().start()
        self.equity: list[float] = []

    def next(self) -> None:
        self.equity.append(self.broker.getvalue())
        super().next()


def trade(
    script: Steps,
    *frames: pd.DataFrame,
    filler: Any = None,
    quiet: bool = True,
    mode: Any = (),
    **settings: Any,
) -> Recorded:
    """Run a generator with a margin account; more frames are further feeds."""
    cerebro = bt.Cerebro(stdstats=False, **dict(mode))
    for number, frame in enumerate(frames):
        cerebro.adddata(BarsFeed(bars=frame, name=f"feed{number}"))
    broker = margin_account(cerebro, **settings)
    broker.p.quiet = quiet
    if filler is not None:
        broker.set_filler(filler)
    cerebro.addstrategy(Recorded, script=script)
    return cerebro.run()[0]


def broker_of(strategy: bt.Strategy) -> MarginBroker:
    return strategy.broker


def orders(*sizes: float, **options: Any) -> Steps:
    """Send one order a bar; 0 sends none."""

    def script(strategy: bt.Strategy) -> Iterator[None]:
        for size in sizes:
            if size:
                (strategy.buy if size > 0 else strategy.sell)(size=abs(size), **options)
            yield

    return script


def adds(held: float, *more: tuple[float, Any, float | None]) -> Steps:
    """Buy or sell at market, and a bar later send more orders: size, kind and price of each."""

    def script(strategy: bt.Strategy) -> Iterator[None]:
        for each in ([(held, bt.Order.Market, None)], more):
            for size, kind, price in each:
                (strategy.buy if size > 0 else strategy.sell)(size=abs(size), exectype=kind, price=price)
            yield

    return script


def outcomes(strategy: Script) -> list[str]:
    return [order.getstatusname() for order in strategy.orders]
