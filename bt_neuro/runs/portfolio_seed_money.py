"""Money of each network of a portfolio's votes: the networks of one seed, traded on one account."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import backtrader as bt
import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.portfolio import account_metrics
from bt_neuro.plugin.run_observer import RunObserver
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import input_feeds
from bt_neuro.runs.money_tables import PREFIX
from bt_neuro.runs.portfolio_cerebro import Analyzers, PortfolioEquity, member_of, portfolio_cerebro
from bt_neuro.runs.recording import EQUITY, TRADES, TradeRecord, forget
from bt_neuro.runs.results import Portfolio
from bt_neuro.runs.tables import TextTable
from bt_neuro.runs.vote_player import NotPlayed, VotePlayer

Tables = tuple[pd.DataFrame, list[pd.DataFrame]]


@dataclass(frozen=True, eq=False)
class PortfolioPlayer(VotePlayer):
    """A `VotePlayer` of a portfolio; a playback is the equity of all, and the trades of each instrument.

    Attributes
    ----------
    ran : the strategies that have run, by instrument
    result : of the run, with its tables
    strategy, parameters, account, bars, bars_options : of the run; the strategy without a shared network
    """

    ran: dict[str, NeuroStrategy]
    result: Portfolio
    strategy: type[NeuroStrategy]
    parameters: dict[str, Any]
    account: Account
    bars: dict[str, Bars]
    bars_options: dict[str, Any] | None

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(next(iter(self.ran.values())).network.seeds)

    @property
    def bars_in_all(self) -> int:
        return sum(map(len, self.bars.values()))

    def require_playable(self) -> None:
        super().require_playable()
        if "stopped_by" in self.result.manifest:
            raise NotPlayed("the run was interrupted")

    def trade(self, members: slice, own: dict[str, Any]) -> Tables:
        cerebro = portfolio_cerebro(self.bars, self.account, input_feeds(self.parameters, self.bars_options))
        return self.run(cerebro, partial(self._run, members=members, own=own), own)

    def _run(self, cerebro: bt.Cerebro, members: slice, own: dict[str, Any]) -> Tables:
        names = list(self.bars)
        with tempfile.TemporaryDirectory(prefix=PREFIX) as temporary:
            folder = Path(temporary)
            with ExitStack() as tables:
                equity = tables.enter_context(TextTable(folder / EQUITY, PortfolioEquity.header))
                for name in names:
                    (folder / name).mkdir()
                    trades = tables.enter_context(TextTable(folder / name / TRADES, TradeRecord.header))
                    analyzers: Analyzers = [
                        (TradeRecord, {"_name": "trades", "table": trades}),
                        (RunObserver, {"now_and_then": (forget,)}),
                    ]
                    if name == names[0]:
                        analyzers.append((PortfolioEquity, {"table": equity, "names": names}))
                    one = self.result.instrument(name)
                    known = one.predictions["bar"]
                    first = int(known.iloc[0]) if len(known) else len(self.bars[name])
                    player = self.player(self.ran[name], first, one.outputs[:, members])
                    parameters = {**self.parameters, **own, "data": name, "budget": 1 / len(names)}
                    cerebro.addstrategy(member_of(player, {name: analyzers}, {}), **parameters)
                cerebro.run(exactbars=1)
            played = Portfolio(folder, {"rows": {}, "names": names, "status": "complete"})
            return played.equity, [played.instrument(name).trades for name in names]

    def is_repeated(self, played: Tables) -> bool:
        return played[0].equals(self.result.equity)

    def figures(self, played: Tables) -> dict[str, Any]:
        return account_metrics(*played, self.account.cash)
