"""Probability of backtest overfitting, by combinatorially symmetric cross-validation."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.metrics.predictions import ScoredBars, brier_scores
from bt_neuro.metrics.trading import daily_returns

Floats = NDArray[np.float64]

BLOCKS = 16
_SPLITS_AT_ONCE = 1024


def block_sums(objective: str, predictions: pd.DataFrame, equity: pd.DataFrame, start: float) -> Floats:
    """Return sums over each block of the tested time, from which `performance` follows.

    Parameters
    ----------
    objective : "sharpe", "return", "hit_rate" or "brier_score"
    predictions, equity : tables of a walk-forward
    start : equity before the first row

    Returns
    -------
    (16, k) array
        Of days (number, sum, sum of squares of the returns), or of bars (a sum and a number).
    """
    if objective in ("sharpe", "return"):
        returns = np.zeros(equity["datetime"].dt.normalize().nunique())
        known = daily_returns(equity, start)  # fewer, if the equity is lost
        returns[: len(known)] = known
        if objective == "return":
            returns = np.log(np.maximum(1 + returns, 1e-9))
        columns: list[Any] = [np.ones_like(returns), returns, returns**2]
    elif objective == "hit_rate":
        hits = predictions["hit"].to_numpy(dtype=float, na_value=np.nan)
        columns = [np.nan_to_num(hits), np.isfinite(hits)]
    else:
        scored, targets, probabilities, _ = ScoredBars.of(predictions)
        errors = np.zeros(len(scored))
        errors[scored] = brier_scores(probabilities, targets)
        columns = [errors, scored]
    table = np.stack([np.asarray(column, dtype=float) for column in columns], axis=1)
    return np.stack([part.sum(axis=0) for part in np.array_split(table, BLOCKS)])


def performance(objective: str, sums: Floats) -> Floats:
    """Return the objective from sums of blocks, (..., k); higher is better, undefined lowest."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if objective == "sharpe":
            n, total, squares = np.moveaxis(sums, -1, 0)
            variance = (squares - total**2 / n) / (n - 1)
            values = np.where(variance > 1e-24, total / n / np.sqrt(np.maximum(variance, 1e-24)), 0.0)
        elif objective == "return":
            values = sums[..., 1]
        else:
            values = sums[..., 0] / sums[..., 1] * (1 if objective == "hit_rate" else -1)
    return np.nan_to_num(values, nan=-np.inf)


def overfitting_probability(objective: str, sums: Floats) -> float | None:
    """Return the share of splits whose best trial on one half is not above the median on the other half.

    Parameters
    ----------
    objective : as in `block_sums`
    sums : (trials, 16, k), of `block_sums`, of different trials on the same bars

    Returns
    -------
    float or None
        0 to 1; about 0.5 without skill. None for one trial.

    Notes
    -----
    Bailey, Borwein, Lopez de Prado and Zhu, The probability of backtest overfitting, Journal of Computational
    Finance, 2017. Every choice of half of the blocks is a split: 12,870. Equal trials share their ranks.

    Examples
    --------
    One trial of four is better in every block.

    >>> returns = np.random.default_rng(0).normal(0, 1, (4, 16)) + np.array([[0], [0], [9], [0]])
    >>> overfitting_probability("return", np.stack([np.ones_like(returns), returns, returns**2], axis=-1))
    0.0
    """
    trials = len(sums)
    if trials < 2:
        return None
    halves = _halves()
    overfitted = 0
    for first in range(0, len(halves), _SPLITS_AT_ONCE):
        half = halves[first : first + _SPLITS_AT_ONCE]
        inside, outside = (
            performance(objective, np.einsum("sb,tbk->stk", h, sums)) for h in (half, 1 - half)
        )
        chosen = outside[np.arange(len(half)), inside.argmax(axis=1)][:, None]
        rank = (outside < chosen).sum(axis=1) + ((outside == chosen).sum(axis=1) + 1) / 2  # from 1
        overfitted += int((rank / (trials + 1) <= 0.5).sum())
    return overfitted / len(halves)


def _halves() -> Floats:
    """Return every choice of half of the blocks, as rows of ones and zeros."""
    chosen = np.array(list(combinations(range(BLOCKS), BLOCKS // 2)))
    halves = np.zeros((len(chosen), BLOCKS))
    np.put_along_axis(halves, chosen, 1.0, axis=1)
    return halves
