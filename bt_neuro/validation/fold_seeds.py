"""Money of each network of a walk-forward's vote: each fold traded alone, and the folds one after another."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.metrics.seeds import SeedMoney
from bt_neuro.metrics.trading import growth, growth_metrics
from bt_neuro.runs.seed_money import BacktestPlayer

Array = NDArray[np.floating]
Ran = TypeVar("Ran")


class FoldSeeds(NamedTuple):
    """Money of the networks in the test part of a fold.

    Attributes
    ----------
    growth : (bars, networks), equity over that at the start of the part
    trades : closed trades of each network
    reason : why all this is unknown, and empty
    """

    growth: Array
    trades: list[int]
    reason: str | None = None

    def growth_bytes(self) -> bytes:
        """Return the content of a ``.npy`` file, in double precision."""
        file = io.BytesIO()
        np.save(file, self.growth, allow_pickle=False)
        return file.getvalue()


class FoldPlayer(BacktestPlayer):
    """A `VotePlayer` of a fold task; its figures are the tables of money."""

    def run(self, cerebro: bt.Cerebro, run: Callable[[bt.Cerebro], Ran], own: dict[str, Any]) -> Ran:
        return self.attempt(cerebro, run, own)  # Ctrl-C ends the walk-forward

    def figures(self, played: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, Any]:
        equity, trades = played
        return {"equity": equity, "trades": trades}


def fold_seeds(money: SeedMoney, tests: Sequence[range], cash: float) -> list[FoldSeeds]:
    """Cut the money of each network into test parts.

    Parameters
    ----------
    money : of a `FoldPlayer`
    tests : bars of each part, as the tables number them
    cash : at the start of the first part
    """
    starts, parts = [cash] * len(money.each), []
    for test in tests:
        grown, trades = [], []
        for network, one in enumerate(money.each):
            equity = one["equity"][one["equity"]["bar"].isin(test)]
            start, starts[network] = starts[network], float(equity["equity"].iloc[-1])
            grown.append(growth(equity, start) if start > 0 else np.zeros(len(equity)))
            trades.append(int(one["trades"]["exit_bar"].isin(test).sum()))
        parts.append(FoldSeeds(np.array(grown).T, trades, money.reason))
    return parts


def seeds_of_folds(parts: Sequence[FoldSeeds], times: pd.Series, cash: float) -> SeedMoney:
    """Return the money of each network over all folds; a fold starts with the money that the fold before left.

    Parameters
    ----------
    parts : of each fold
    times : of the bars of all parts
    cash : at the start
    """
    if reason := next((part.reason for part in parts if part.reason), None):
        return SeedMoney(reason=reason)
    each = []
    for network in range(len(parts[0].trades)):
        curves, money = [], cash
        for part in parts:
            curves.append(money * part.growth[:, network] if money > 0 else np.full(len(part.growth), money))
            money = float(curves[-1][-1])
        equity = pd.DataFrame({"datetime": times, "equity": np.concatenate(curves)})
        trades = sum(part.trades[network] for part in parts)
        each.append({**growth_metrics(equity, cash), "trades": trades})
    return SeedMoney(tuple(each))
