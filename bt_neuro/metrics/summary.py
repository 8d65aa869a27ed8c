"""A run's figures, from its tables: plain numbers with units in their names, and one plain sentence."""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.calibration import calibration_error, reliability_curve
from bt_neuro.metrics.classification import (
    NETWORK,
    best_baseline,
    hit_rate_difference,
    percent,
    predictor_scores,
    verdict,
)
from bt_neuro.metrics.predictions import probabilities_of
from bt_neuro.metrics.trading import money_figures

Array = NDArray[np.floating]


def metrics_of(
    *,
    predictions: pd.DataFrame,
    answers: dict[str, Array],
    votes: Array | None,
    equity: pd.DataFrame,
    trades: pd.DataFrame,
    bars: Bars,
    account: Account,
    hit_rate: dict[str, Any],
    step_time: dict[str, Any],
    refused_orders: int,
    status: str,
    pretraining: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return every metric of a finished run, and the sentence that sums them up.

    Parameters
    ----------
    predictions, equity, trades : the tables of the run, as `Result` reads them
    answers : of `baseline_probabilities`
    votes : (n, networks, 3), the outputs of each of several networks; None if there was one
    bars : what was run over; equity has fewer rows where the run was interrupted or resumed
    account : cash and costs
    hit_rate, step_time : of the analyzers `HitRate` and `StepTime`; `hit_rate` alone knows the raw outputs
    refused_orders : how many the broker did not take
    status : complete or interrupted
    pretraining : of `pretraining_manifest`
    """
    scores = predictor_scores(predictions, answers)
    network = scores.pop(NETWORK)
    best = best_baseline(scores)
    difference = hit_rate_difference(predictions, answers[best[0]]) if best else None
    # Buy and hold begins where the account could: with the first prediction, or where a run was resumed.
    first_bar = max(int(predictions["bar"].iloc[0]), int(equity["bar"].iloc[0])) if len(predictions) else None
    metrics = {
        "start": str(bars.frame["datetime"].iloc[0]),
        "end": str(equity["datetime"].iloc[-1]),
        "bars": int(equity["bar"].iloc[-1]) + 1,
        "account_start": str(equity["datetime"].iloc[0]),  # where the run was resumed, or its eras had ended
        "account_bars": len(equity),
        "predicted_start": str(predictions["datetime"].iloc[0]) if len(predictions) else None,
        "predicted_bars": len(predictions),
        "scored_bars": network["scored_bars"],
        "signals": network["signals"],
        "hits": network["hits"],
        "hit_rate_pct": percent(network["hit_rate"]),
        "hit_rate_low_pct": percent(network["hit_rate_low"]),
        "hit_rate_high_pct": percent(network["hit_rate_high"]),
        "window_hit_rate_pct": percent(hit_rate["window_hit_rate"]),
        "coverage_pct": percent(network["coverage"]),
        "mean_squared_error": hit_rate["mean_squared_error"],
        **{name: network[name] for name in ("brier_score", "log_loss", "kappa_majority", "kappa_no_change")},
        "calibration_error_pct": percent(calibration_error(reliability_curve(predictions))),
        "buy": hit_rate["buy"],
        "sell": hit_rate["sell"],
        "labels": hit_rate["labels"],
        "error": hit_rate["error"],
        "forecast_pct": hit_rate["forecast_pct"],
        "undefine_pct": hit_rate["undefine_pct"],
        "network": network,
        "seeds": seed_figures(predictions, votes) if votes is not None else None,
        "baselines": scores,
        "best_baseline": best[0] if best else None,
        "difference_pct": percent(difference["difference"]) if difference else None,
        "difference_low_pct": percent(difference["low"]) if difference else None,
        "difference_high_pct": percent(difference["high"]) if difference else None,
        "difference_block_bars": difference["block_bars"] if difference else None,
        "verdict": verdict(network["signals"], difference),
        **money_figures(equity, trades, bars.frame, account, bars.point, first_bar),
        "refused_orders": refused_orders,
        "step_time": step_time,
    }
    metrics["sentence"] = sentence(metrics, bars.path.name, status, pretraining)
    return metrics


def seed_figures(predictions: pd.DataFrame, votes: Array) -> dict[str, Any]:
    """Return how the networks behind a vote fared, each by itself: median and spread over the seeds.

    Parameters
    ----------
    predictions : n rows, as in ``predictions.csv``
    votes : (n, networks, 3), their outputs
    """
    lanes = [votes[:, lane].astype(float) for lane in range(votes.shape[1])]
    alone = [predictor_scores(predictions, {"alone": probabilities_of(lane)})["alone"] for lane in lanes]
    return {
        "networks": len(alone),
        "hit_rate_pct": _spread([percent(scores["hit_rate"]) for scores in alone]),
        "coverage_pct": _spread([percent(scores["coverage"]) for scores in alone]),
        "brier_score": _spread([scores["brier_score"] for scores in alone]),
    }


def _spread(values: list[float | None]) -> dict[str, Any]:
    known = sorted(value for value in values if value is not None)
    return {
        "median": median(known) if known else None,
        "low": known[0] if known else None,
        "high": known[-1] if known else None,
        "each": values,
    }


def sentence(
    metrics: dict[str, Any], file: str, status: str, pretraining: dict[str, Any] | None = None
) -> str:
    """Return the run in one plain sentence."""
    m = metrics
    text = f"{file}, {m['start'][:10]} to {m['end'][:10]}, {m['bars']:,} bars"
    if status != "complete":
        text += f" ({status} before the end)"
    if pretraining is not None:
        eras = f"{pretraining['eras']} era{'s' if pretraining['eras'] > 1 else ''}"
        text += f", tested after {eras} on {pretraining['span']}"
    if not m["scored_bars"]:
        text += ": nothing could be scored"
    elif not m["signals"]:
        text += ": no signals"
    else:
        text += (
            f": {m['signals']:,} signals on {m['coverage_pct']:.1f} % of the bars, "
            f"{m['hit_rate_pct']:.1f} % of them hit "
            f"(95 % interval {m['hit_rate_low_pct']:.1f} to {m['hit_rate_high_pct']:.1f})"
            f", {m['verdict']}"
        )
    best = m["best_baseline"]
    if best is not None:
        text += f" (best baseline: {best}, {100 * m['baselines'][best]['hit_rate']:.1f} %)"
    if m["account_start"] > (m["predicted_start"] or m["start"]):
        text += f"; resumed at {m['account_start']} with a flat account"
    text += f"; the account returned {m['return_pct']:+.1f} % {after_costs(m)}"
    if m["buy_and_hold_after_costs_pct"] is not None:
        text += f" against {m['buy_and_hold_after_costs_pct']:+.1f} % for buy and hold"
    return f"{text}: {m['money_verdict']}."


def after_costs(metrics: dict[str, Any]) -> str:
    """Return what a return is told with: that nothing was paid must not look like net."""
    return "after costs" if metrics["has_costs"] else "without any costs"
