"""Money of each network of a vote: its own outputs, traded alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.trading import money_metrics
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import build_cerebro
from bt_neuro.runs.money_tables import run_money
from bt_neuro.runs.results import Result
from bt_neuro.runs.vote_player import NotPlayed, VotePlayer

OF_PRETRAINING = {"pretrain": None, "eras": 1, "until_settled": False, "embargo_bars": 0}
COMPARED = ["bar", "equity", "position"]


@dataclass(frozen=True, eq=False)
class BacktestPlayer(VotePlayer):
    """A `VotePlayer` of a backtest; a playback is its equity, from the run's first row on, and its trades.

    Attributes
    ----------
    ran : the strategy that has run
    result : of the run, with its tables
    strategy, parameters, account, bars, bars_options : of the run
    """

    ran: NeuroStrategy
    result: Result
    strategy: type[NeuroStrategy]
    parameters: dict[str, Any]
    account: Account
    bars: Bars
    bars_options: dict[str, Any] | None

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.ran.network.seeds)

    @property
    def bars_in_all(self) -> int:
        return len(self.bars)

    @property
    def _first_bar(self) -> int:
        """The first bar with a prediction and an account, which is later if a resumed run starts flat."""
        tables = self.result.predictions, self.result.equity
        return max(int(table["bar"].iloc[0]) for table in tables)

    def require_playable(self) -> None:
        super().require_playable()
        if self.result.manifest.get("stopped_by", "strategy") != "strategy":
            raise NotPlayed("the run was interrupted")
        if self.ran.pretraining is not None and self.strategy.notify_epoch is not NeuroStrategy.notify_epoch:
            raise NotPlayed(f"{self.strategy.__name__} overrides notify_epoch, and no epoch runs again")
        if not len(self.result.predictions):
            raise NotPlayed("nothing was predicted")

    def trade(self, members: slice, own: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
        first, rows = self._first_bar, self.result.equity["bar"]
        outputs = self.result.outputs[(self.result.predictions["bar"] >= first).to_numpy(), members]
        cerebro = build_cerebro(
            BarsFeed(bars=self.bars.frame[: int(rows.iloc[-1]) + 1], name=self.bars.path.stem),
            self.player(self.ran, first, outputs),
            self.parameters | OF_PRETRAINING | {"resume": None} | own,
            self.account,
            point=self.bars.point,
            bars_options=self.bars_options,
        )
        _, equity, trades = self.run(cerebro, run_money, own)
        return equity[equity["bar"] >= int(rows.iloc[0])].reset_index(drop=True), trades

    def is_repeated(self, played: tuple[pd.DataFrame, pd.DataFrame]) -> bool:
        return played[0][COMPARED].equals(self.result.equity[COMPARED])

    def figures(self, played: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, Any]:
        return money_metrics(*played, self.bars.frame, self.account, self.bars.point, self._first_bar)
