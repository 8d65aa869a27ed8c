"""What every run over a file has in common: a Cerebro with its bars, its strategy and its account."""

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
    """Return what runs a strategy over bars with an account's cash and costs.

    Parameters
    ----------
    data : the bars
    strategy, parameters : the class, its params
    account : cash and costs
    point : the smallest step of the price, in which spread, slippage and swap are given
    broker : a subclass of the margin broker
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
