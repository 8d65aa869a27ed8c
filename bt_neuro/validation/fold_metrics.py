"""Metrics of each fold and of all folds, and the sentence on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.account.books import OrderCounts
from bt_neuro.bars.reader import Bars
from bt_neuro.learning.label_queue import Example
from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.baselines import Predictors
from bt_neuro.metrics.classification import NETWORK, percent, predictor_scores, ratio, score
from bt_neuro.metrics.predictions import probabilities_of
from bt_neuro.metrics.seeds import SeedMoney, money_spread_text, seed_metrics
from bt_neuro.metrics.summary import comparison_text, money_text
from bt_neuro.metrics.trading import money_metrics
from bt_neuro.metrics.verdict import BETTER, PROFIT, baseline_comparison

Array = NDArray[np.floating]
Metrics = dict[str, Any]
SIGNALS = (
    *("scored_bars", "signals", "hits", "coverage_pct", "hit_rate_pct", "hit_rate_low_pct"),
    *("hit_rate_high_pct", "mean_squared_error", "brier_score", "impossible_pct", "base_rate_pct"),
    *("lift_pct", "lift_low_pct", "lift_high_pct", "equal_coverage_hit_rate_pct"),
)
MONEY = (
    "equity_start",
    "equity_end",
    "return_pct",
    "buy_and_hold_after_costs_pct",
    "max_drawdown_pct",
    "sharpe_ratio_daily_annualised",
    "trades",
    "win_rate_pct",
)


def in_sample_metrics(examples: Sequence[Example], outputs: Array) -> Metrics:
    """Return the metrics of the training span, in sample. It has no trades, hence no return.

    Parameters
    ----------
    examples : sequence of Example
        All training examples.
    outputs : array
        Of `rehearse`, for the last examples.
    """
    probabilities = np.mean([probabilities_of(member) for member in outputs], axis=0)
    targets = np.array([example.target for example in examples[-len(probabilities) :]])
    scores = score(probabilities, signals_of(probabilities), targets, outputs.mean(axis=0))
    return {
        "examples": len(examples),
        "in_sample_bars": scores["scored_bars"],
        "in_sample_signals": scores["signals"],
        "in_sample_hits": scores["hits"],
        "in_sample_hit_rate_pct": scores["hit_rate_pct"],
        "in_sample_mean_squared_error": scores["mean_squared_error"],
    }


def signal_metrics(run: Predictors) -> Metrics:
    """Return the metrics of the signals in a test span."""
    scores = predictor_scores(*run)
    network = scores.pop(NETWORK)
    best = min(scores, key=lambda name: scores[name]["brier_score"]) if network["scored_bars"] else None
    rates = [rate for one in scores.values() if (rate := one["equal_coverage_hit_rate_pct"]) is not None]
    return {
        **{name: network[name] for name in SIGNALS},
        "best_baseline": best,
        "best_baseline_brier_score": scores[best]["brier_score"] if best else None,
        "best_baseline_hit_rate_pct": max(rates, default=None),
    }


def account_metrics(
    equity: pd.DataFrame, trades: pd.DataFrame, bars: Bars, account: Account, start: float
) -> Metrics:
    """Return the metrics of a span of equity that starts with the money `start`, 0 or less after ruin."""
    first = int(equity["bar"].iloc[0])
    if start <= 0:
        metrics = money_metrics(equity[:0], trades[:0], bars.frame, account, bars.point, first)
        metrics |= {"equity_start": start, "equity_end": start}
    else:
        own = replace(account, cash=start)
        metrics = money_metrics(equity, trades, bars.frame, own, bars.point, first)
    return {name: metrics[name] for name in MONEY}


def walk_forward_metrics(
    rows: pd.DataFrame,
    run: Predictors,
    equity: pd.DataFrame,
    trades: pd.DataFrame,
    bars: Bars,
    account: Account,
    seed_money: SeedMoney,
) -> Metrics:
    """Return the metrics of all folds together.

    Parameters
    ----------
    rows : DataFrame
        Content of ``folds.csv``.
    run : Predictors
        Of all folds.
    equity, trades : DataFrame
        Tables of all folds.
    bars, account : Bars, Account
    seed_money : SeedMoney
        Of each network of a vote.
    """
    scores = predictor_scores(*run)
    compared = baseline_comparison(run.predictions, scores, run.baselines)
    network = scores.pop(NETWORK)
    learned = rows[rows["in_sample_signals"].notna()]
    in_sample = ratio(float(learned["in_sample_hits"].sum()), float(learned["in_sample_signals"].sum()))
    rate = ratio(network["hits"], network["signals"])
    judged = rows[rows["best_baseline_brier_score"].notna()]
    better = int((judged["brier_score"] < judged["best_baseline_brier_score"]).sum())
    first = int(equity["bar"].iloc[0])
    return {
        "folds": len(rows),
        "start": str(equity["datetime"].iloc[0]),
        "end": str(equity["datetime"].iloc[-1]),
        "bars": len(equity),
        **{name: network[name] for name in SIGNALS},
        **compared,
        "seeds": seed_metrics(run.predictions, run.outputs, seed_money),
        "folds_compared": len(judged),
        "folds_better": better,
        "folds_better_pct": percent(ratio(better, len(judged))),
        "in_sample_hit_rate_pct": percent(in_sample),
        "hit_rate_of_in_sample_pct": percent(rate / in_sample) if rate is not None and in_sample else None,
        "in_sample_mean_squared_error": _mean(rows["in_sample_mean_squared_error"], rows["in_sample_bars"]),
        **money_metrics(equity, trades, bars.frame, account, bars.point, first),
        **{name: int(rows[name].sum()) for name in OrderCounts().as_dict()},
    }


def sentence(m: Metrics, file: str, options: Metrics, missing: int) -> str:
    """Return the result of a walk-forward in short sentences: signals, their verdict, the account, skill.

    Parameters
    ----------
    m : dict
        Of `walk_forward_metrics`.
    file : str
        Name of the bar file.
    options : dict
        ``train``, ``test``, ``window`` and ``retrain``.
    missing : int
        Number of folds that are not finished.
    """
    folds = f"{m['folds']} folds" if m["folds"] != 1 else "1 fold"
    text = (
        f"{file}, {m['start'][:10]} to {m['end'][:10]}, {folds} of {options['test']} "
        f"after {options['train']} of training ({options['window']} window, retrain {options['retrain']})"
    )
    if missing:
        text += f", {missing} more not finished"
    if m["hit_rate_pct"] is None:
        text += ": no signals out of sample"
    else:
        text += (
            f": out of sample {m['signals']:,} signals on {m['coverage_pct']:.1f} % of the bars, "
            f"{m['hit_rate_pct']:.1f} % of them hit "
            f"(95 % interval {m['hit_rate_low_pct']:.1f} to {m['hit_rate_high_pct']:.1f})"
        )
        if m["hit_rate_of_in_sample_pct"] is not None:
            text += f", {m['hit_rate_of_in_sample_pct']:.0f} % of the {m['in_sample_hit_rate_pct']:.1f} % in sample"
        text += f". Signals: {m['verdict']}{comparison_text(m)}"
        if m["folds_compared"]:
            text += f", with the lower Brier score in {m['folds_better']} of {m['folds_compared']} folds"
    text += f". {money_text(m)}.{money_spread_text(m.get('seeds'))} "
    if m["verdict"] != BETTER:
        return text + "This shows no skill."
    if m["money_verdict"] != PROFIT:
        return text + f"The signals show skill; {m['money_verdict']}."
    return text + f"This shows skill: {PROFIT}."


def _mean(values: pd.Series, weights: pd.Series) -> float | None:
    known = values.notna()
    if not weights[known].sum():
        return None
    return float(np.average(values[known].astype(float), weights=weights[known].astype(float)))
