"""Money of each network of a vote: its own outputs, traded alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.seeds import SeedMoney
from bt_neuro.metrics.trading import money_metrics
from bt_neuro.plugin.bar_loop import request_stop
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.playback import NeedsNetwork, playing
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import build_cerebro
from bt_neuro.runs.money_tables import run_money
from bt_neuro.runs.results import Result
from bt_neuro.runs.shutdown import graceful_shutdown

NOT_WANTED = SeedMoney(reason="it was not asked for")
OF_PRETRAINING = {"pretrain": None, "eras": 1, "until_settled": False, "embargo_bars": 0}


class NotPlayed(Exception):
    """Raised if the networks cannot be played one by one; the message says why."""


@dataclass(frozen=True, eq=False)
class VotePlayer:
    """Trades of a vote and of its networks, from their outputs.

    A strategy gets the signals of one network, as if that network had run alone, on the bars and the account of the
    run. It may trade by anything else but its network: first the vote itself is played, which must repeat the account
    of the run.

    Attributes
    ----------
    ran : the strategy that has run, with several networks
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

    def play(self, progress: Callable[[int, int], None] | None = None) -> SeedMoney:
        """Return the money of each network, or why it is unknown; nothing of a single network.

        Parameters
        ----------
        progress : called with (bars done, bars of all plays)
        """
        seeds, outputs = self.ran.network.seeds, self.result.outputs
        if len(seeds) < 2:
            return SeedMoney()
        plays, figures = 1 + len(seeds), list[dict[str, Any]]()
        try:
            self._require_playable()
            for number in range(plays):
                one = outputs if number == 0 else outputs[:, number - 1 : number]
                own = {} if number == 0 else {"seeds": 1, "seed": seeds[number - 1]}
                equity, trades = self._trade(one, own)
                if number:
                    figures.append(self._figures(equity, trades))
                elif not self._is_repeated(equity):
                    raise NotPlayed("played again, the vote itself does not give the same account")
                if progress is not None:
                    progress((number + 1) * len(self.bars), plays * len(self.bars))
        except NotPlayed as reason:
            return SeedMoney((), str(reason))
        return SeedMoney(tuple(figures))

    def _require_playable(self) -> None:
        strategy, status = self.strategy, self.result.manifest
        if "stopped_by" in status and status["stopped_by"] != "strategy":
            raise NotPlayed("the run was interrupted")
        if strategy._make_learner is not NeuroStrategy._make_learner:
            raise NotPlayed(f"{strategy.__name__} makes a learner of its own")
        if self.ran.pretraining is not None and strategy.notify_epoch is not NeuroStrategy.notify_epoch:
            raise NotPlayed(f"{strategy.__name__} overrides notify_epoch, and no epoch runs again")
        if not len(self.result.predictions):
            raise NotPlayed("nothing was predicted")

    @property
    def _first_bar(self) -> int:
        """The first bar with a prediction and an account, which is later if a resumed run starts flat."""
        tables = self.result.predictions, self.result.equity
        return max(int(table["bar"].iloc[0]) for table in tables)

    def _trade(self, outputs: NDArray[np.floating], own: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return equity from the run's first row on, and trades, by outputs (bars, networks, 3)."""
        first, rows = self._first_bar, self.result.equity["bar"]
        known = outputs[(self.result.predictions["bar"] >= first).to_numpy()]
        strategy = playing(self.strategy, self.ran._minperiods[0], first, known)
        # What a strategy writes at its end, it has written for the run itself.
        strategy.stop = NeuroStrategy.stop
        cerebro = build_cerebro(
            BarsFeed(bars=self.bars.frame[: int(rows.iloc[-1]) + 1], name=self.bars.path.stem),
            strategy,
            self.parameters | OF_PRETRAINING | {"resume": None} | own,
            self.account,
            point=self.bars.point,
            bars_options=self.bars_options,
        )
        with graceful_shutdown(partial(request_stop, cerebro)) as stopped_by:
            try:
                with redirect_stdout(io.StringIO()):  # printed in the run itself
                    _, equity, trades = run_money(cerebro)
            except NeedsNetwork as error:
                raise NotPlayed(f"{self.strategy.__name__} reads its network ({error})") from error
            except Exception as error:  # a strategy may raise anything
                who = f"with seed {own['seed']} alone" if own else "played again"
                raise NotPlayed(f"{who}, the strategy fails: {type(error).__name__}: {error}") from error
            if stopped_by():
                raise NotPlayed(f"{stopped_by()} has ended the playback")
        return equity[equity["bar"] >= int(rows.iloc[0])].reset_index(drop=True), trades

    def _is_repeated(self, equity: pd.DataFrame) -> bool:
        return equity[["bar", "equity", "position"]].equals(self.result.equity[["bar", "equity", "position"]])

    def _figures(self, equity: pd.DataFrame, trades: pd.DataFrame) -> dict[str, Any]:
        return money_metrics(equity, trades, self.bars.frame, self.account, self.bars.point, self._first_bar)
