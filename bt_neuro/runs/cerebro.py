"""Cerebro with bars, a strategy and an account, as all runs over a file use it."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from bt_neuro.account.account import Account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.strategy import NeuroStrategy


def build_cerebro(
    data: BarsFeed,
    strategy: type[NeuroStrategy],
    parameters: dict[str, Any],
    account: Account,
    *,
    point: float,
    broker: MarginBroker | None = None,
) -> bt.Cerebro:
    """Return a Cerebro set up with a strategy, its bars and the account's cash and costs.

    Parameters
    ----------
    data : the bars
    strategy, parameters : the class and its params
    account : cash and costs
    point : smallest step of the price, the unit of spread, slippage and swap
    broker : subclass of the margin broker
    """
    # backtrader's older loop follows its first feed, here the only one, and knows no timers; the newer one
    # looks for the earliest of several feeds, 8 microseconds a bar.
    has_timers = strategy.notify_timer is not bt.Strategy.notify_timer
    cerebro = bt.Cerebro(stdstats=False, oldsync=not has_timers)
    cerebro.broker = broker or MarginBroker()
    cerebro.broker.p.quiet = True  # a run tells what was refused in its results
    cerebro.adddata(data)
    cerebro.addstrategy(strategy, **parameters)
    account.use(cerebro.broker, point)
    return cerebro
