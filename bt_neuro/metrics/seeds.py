"""Scores and money of each network of a vote, and their spread."""

from __future__ import annotations

from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.classification import Metrics, score
from bt_neuro.metrics.predictions import ScoredBars, probabilities_of

SCORES = ("hit_rate_pct", "coverage_pct", "brier_score")
MONEY = ("return_pct", "sharpe_ratio_daily_annualised", "max_drawdown_pct", "trades")


class SeedMoney(NamedTuple):
    """Money of each network of a vote.

    Attributes
    ----------
    each : metrics of each account, see `money_metrics`; empty if unknown
    reason : why they are unknown
    """

    each: tuple[Metrics, ...] = ()
    reason: str | None = None


def seed_metrics(
    predictions: pd.DataFrame, outputs: NDArray[np.floating], money: SeedMoney | None = None
) -> Metrics | None:
    """Return scores and money of each network of a vote; None for a single network.

    Keys are ``networks`` (their number), those of `SCORES`, each a dict with ``median``, ``low``, ``high`` and
    ``each``, and either those of `MONEY` or ``no_money``, the reason.
    """
    members = outputs.shape[1]
    if members < 2:
        return None
    scored, targets, _, _ = ScoredBars.of(predictions)
    each = []
    for own in outputs[scored].transpose(1, 0, 2).astype(float):
        probabilities = probabilities_of(own)
        each.append(score(probabilities, signals_of(probabilities), targets, own))
    scores = {name: _spread(each, name) for name in SCORES}
    return {"networks": members, **scores, **(money_spread(money) if money is not None else {})}


def money_spread(money: SeedMoney) -> Metrics:
    """Return the keys of `MONEY`, as `seed_metrics` does, or none of them and ``no_money``, the reason."""
    if not money.each:
        return {"no_money": money.reason}
    return {name: _spread(money.each, name) for name in MONEY}


def money_spread_text(seeds: Metrics | None) -> str:
    """Return a sentence on the returns of the networks alone; empty if unknown or of one network."""
    spread: Any = (seeds or {}).get("return_pct")
    if spread is None:
        return ""
    won = sum(value > 0 for value in spread["each"])
    return (
        f" Traded alone, the {len(spread['each'])} networks returned {spread['low']:+.1f} to {spread['high']:+.1f} % "
        f"(median {spread['median']:+.1f} %), {won or 'none'} of them at a profit."
    )


def _spread(records: Any, name: str) -> Metrics:
    values = [record[name] for record in records]
    known = sorted(value for value in values if value is not None)
    return {
        "median": median(known) if known else None,
        "low": known[0] if known else None,
        "high": known[-1] if known else None,
        "each": values,
    }
