"""Cerebro with bars, a strategy and an account, as all runs over a file use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import backtrader as bt

from bt_neuro.account.account import Account
from bt_neuro.account.broker import MarginBroker
from bt_neuro.bars.reader import read_bars
from bt_neuro.plugin.default_features import input_files
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.strategy import NeuroStrategy

SHARED_OPTIONS = ("start", "end", "tz", "keep_flat", "repair")  # others are of one file


def build_cerebro(
    data: BarsFeed,
    strategy: type[NeuroStrategy],
    parameters: dict[str, Any],
    account: Account,
    *,
    point: float,
    broker: MarginBroker | None = None,
    bars_options: dict[str, Any] | None = None,
) -> bt.Cerebro:
    """Return a Cerebro set up with a strategy, its bars and the account's cash and costs.

    Parameters
    ----------
    data : the bars
    strategy, parameters : the class and its params
    account : cash and costs
    point : smallest step of the price, the unit of spread, slippage and swap
    broker : subclass of the margin broker
    bars_options : options of `read_bars` for the files of the parameter ``inputs``
    """
    inputs = input_feeds(parameters, bars_options)
    # backtrader's older loop follows its first feed, here the only one, and has no timers; the newer one
    # looks for the earliest of several feeds, 8 microseconds a bar.
    has_timers = strategy.notify_timer is not bt.Strategy.notify_timer
    cerebro = bt.Cerebro(stdstats=False, oldsync=not (has_timers or inputs))
    cerebro.broker = broker or MarginBroker()
    cerebro.broker.p.quiet = True  # a run tells what was refused in its results
    for feed in (data, *inputs):
        cerebro.adddata(feed)
    cerebro.addstrategy(strategy, **parameters)
    account.use(cerebro.broker, point)
    return cerebro


def input_feeds(parameters: dict[str, Any], bars_options: dict[str, Any] | None = None) -> list[BarsFeed]:
    """Return the feeds of the files that the parameter ``inputs`` names, read in the same zone and span."""
    files = map(Path, input_files(parameters.get("inputs")))
    return [
        BarsFeed(bars=read_bars(file, **shared_options(bars_options)).frame, name=file.stem) for file in files
    ]


def shared_options(bars_options: dict[str, Any] | None) -> dict[str, Any]:
    """Return the options of `read_bars` that hold for inputs too."""
    return {name: value for name, value in (bars_options or {}).items() if name in SHARED_OPTIONS}
