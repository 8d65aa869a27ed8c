"""Metrics of a portfolio: signals of all instruments together, and one account."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.baselines import Predictors
from bt_neuro.metrics.bootstrap import Interval, block_bootstrap, interval_metrics
from bt_neuro.metrics.classification import NETWORK, percent, predictor_scores, ratio, wilson_bounds
from bt_neuro.metrics.predictions import ScoredBars, is_hit
from bt_neuro.metrics.seeds import money_spread_text, seed_metrics
from bt_neuro.metrics.skill import expected_hits
from bt_neuro.metrics.trading import buy_and_hold, growth_metrics, trade_metrics
from bt_neuro.metrics.verdict import baseline_comparison

Metrics = dict[str, Any]


def instrument_metrics(
    run: Predictors, trades: pd.DataFrame, equity: pd.DataFrame, bars: Bars, account: Account
) -> Metrics:
    """Return the metrics of one instrument: its signals, their baselines, its trades on the common account.

    Parameters
    ----------
    run : the network and its baselines
    trades, equity : as in ``trades.csv`` and ``equity.csv``
    bars : of the instrument
    account : cash and costs
    """
    scores = predictor_scores(*run)
    compared = baseline_comparison(run.predictions, scores, run.baselines)
    first = int(run.predictions["bar"].iloc[0]) if len(run.predictions) else None
    held = buy_and_hold(equity, bars.frame, account, bars.point, first)
    return {
        "bars": len(bars),
        "predicted_bars": len(run.predictions),
        **scores.pop(NETWORK),
        "baselines": scores,
        "seeds": seed_metrics(run.predictions, run.outputs),
        **compared,
        **trade_metrics(trades),
        "net": float(trades["net"].sum()),
        "contribution_pct": 100 * float(trades["net"].sum()) / account.cash,
        "price_change_pct": held["buy_and_hold_return_pct"],
    }


def pooled_metrics(runs: list[Predictors]) -> Metrics:
    """Return hit rate, coverage and lift of all instruments together.

    Bars of the same hour move together, so the bootstrap draws hours, with the bars of all instruments in them.
    """
    hours = []
    for run in runs:
        scored, targets, _, signals = ScoredBars.of(run.predictions)
        hits, is_signal = is_hit(signals, targets), signals > 0
        lift = hits - expected_hits(signals, targets, run.shapes[scored])
        columns = {"hits": hits, "lift": lift, "signals": is_signal, "bars": 1}
        hours.append(pd.DataFrame({"time": run.predictions["datetime"][scored].to_numpy(), **columns}))
    table = pd.concat(hours).groupby("time", sort=True).sum().astype(float)
    totals = table.sum()
    n = int(totals["signals"])
    pairs = {
        name: block_bootstrap(table[[name, "signals"]].to_numpy(), events=n) if n else None
        for name in ("hits", "lift")
    }
    rate = pairs["hits"]
    if rate is not None and not rate.low < rate.high:  # too few hours or signals, or all alike
        rate = Interval(rate.value, *(float(bound) for bound in wilson_bounds(totals["hits"], n)))
    return {
        "scored_bars": int(totals["bars"]),
        "scored_hours": len(table),
        "signals": n,
        "hits": int(totals["hits"]),
        "coverage_pct": percent(ratio(totals["signals"], totals["bars"])),
        **interval_metrics("hit_rate", rate, "_pct", 100),
        **interval_metrics("lift", pairs["lift"], "_pct", 100),
    }


def account_metrics(equity: pd.DataFrame, trades: list[pd.DataFrame], cash: float) -> Metrics:
    """Return the metrics of the common account.

    Parameters
    ----------
    equity : as in ``equity.csv`` of a portfolio
    trades : of each instrument
    cash : before the first bar
    """
    return {
        "equity_start": cash,
        "equity_end": float(equity["equity"].iloc[-1]),
        "deposits": float(equity["deposits"].sum()),
        **growth_metrics(equity, cash),
        "trades": sum(map(len, trades)),
        "net": float(sum(one["net"].sum() for one in trades)),
    }


def equal_hold_pct(instruments: dict[str, Metrics]) -> float:
    """Return the return of an equal part held in each instrument, without costs, in per cent.

    Each part is held over the instrument's ``price_change_pct``; one that was never predicted stays cash.
    """
    return float(np.mean([one["price_change_pct"] or 0.0 for one in instruments.values()]))


def portfolio_sentence(metrics: Metrics, names: list[str], status: str) -> str:
    """Return a sentence on all instruments together."""
    pooled, money = metrics["pooled"], metrics["account"]
    text = f"{len(names)} instruments ({', '.join(names)})"
    text += f" ({status} before the end)" if status != "complete" else ""
    if pooled["signals"]:
        text += (
            f": {pooled['signals']:,} signals on {pooled['coverage_pct']:.1f} % of the bars, "
            f"{pooled['hit_rate_pct']:.1f} % of them hit (95 % interval {pooled['hit_rate_low_pct']:.1f} to "
            f"{pooled['hit_rate_high_pct']:.1f}), a lift of {pooled['lift_pct']:+.1f} percentage points over the "
            "visible half"
        )
    else:
        text += ": no signals"
    return (
        f"{text}. The account returned {money['return_pct']:+.1f} % against {money['equal_hold_pct']:+.1f} % "
        f"for an equal part held in each.{money_spread_text(metrics.get('seeds'))}"
    )
