"""Equity and trades of a run whose signals are recorded elsewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

import backtrader as bt
import pandas as pd

from bt_neuro.plugin.run_observer import RunObserver
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.recording import EQUITY, TRADES, EquityTable, TradeRecord, forget
from bt_neuro.runs.results import Result
from bt_neuro.runs.tables import TextTable

PREFIX = "bt-neuro-money-"  # of temporary folders


def run_money(cerebro: bt.Cerebro) -> tuple[NeuroStrategy, pd.DataFrame, pd.DataFrame]:
    """Run a Cerebro of one strategy; return it, its equity and its closed trades, rounded as in a run folder."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        with EquityTable(folder / EQUITY) as equity, TextTable(folder / TRADES, TradeRecord.header) as trades:
            cerebro.addanalyzer(TradeRecord, _name="trades", table=trades)
            cerebro.addanalyzer(RunObserver, subscribers={"equity": equity}, now_and_then=(forget,))
            (ran,) = cerebro.run(exactbars=1)
        tables = Result(folder, {})
        return ran, tables.equity, tables.trades
