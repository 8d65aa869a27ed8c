"""Metrics of a run, and the sentence on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.baselines import Predictors
from bt_neuro.metrics.calibration import calibration_error, reliability_curve
from bt_neuro.metrics.classification import (
    NETWORK,
    Metrics,
    percent,
    predictor_scores,
    signal_metrics,
)
from bt_neuro.metrics.information_coefficient import information_coefficients
from bt_neuro.metrics.seeds import SeedMoney, money_spread_text, seed_metrics
from bt_neuro.metrics.trading import money_metrics
from bt_neuro.metrics.verdict import baseline_comparison

Array = NDArray[np.floating]
ZERO_SPREAD_PCT = 10  # of the bars; above it costs count as doubtful


def run_metrics(
    run: Predictors,
    *,
    equity: pd.DataFrame,
    trades: pd.DataFrame,
    bars: Bars,
    account: Account,
    status: str = "complete",
    pretraining: dict[str, Any] | None = None,
    orders: Metrics | None = None,
    seed_money: SeedMoney | None = None,
) -> Metrics:
    """Return every metric of a run that follows from its tables, and the sentence on them.

    Parameters
    ----------
    run : the network and its baselines
    equity, trades : tables of the run
    bars : bars of the run; equity has fewer rows if the run was interrupted or resumed
    account : cash and costs
    status : "complete" or "interrupted"
    pretraining : the manifest's entry, if epochs came before the test
    orders : number of orders by outcome, see `OrderCounts.as_dict`
    seed_money : of each network of a vote
    """
    predictions, outputs = run.predictions, run.outputs
    scores = predictor_scores(*run)
    compared = baseline_comparison(predictions, scores, run.baselines)
    network = scores.pop(NETWORK)
    # Buy and hold starts with the first prediction, or where a run was resumed.
    first_bar = max(int(predictions["bar"].iloc[0]), int(equity["bar"].iloc[0])) if len(predictions) else None
    metrics = {
        "start": str(bars.frame["datetime"].iloc[0]),
        "end": str(equity["datetime"].iloc[-1]),
        "bars": int(equity["bar"].iloc[-1]) + 1,
        "account_start": str(equity["datetime"].iloc[0]),  # later if the run was resumed or pretrained
        "account_bars": len(equity),
        "predicted_start": str(predictions["datetime"].iloc[0]) if len(predictions) else None,
        "predicted_bars": len(predictions),
        **network,
        "calibration_error_pct": percent(calibration_error(reliability_curve(predictions))),
        **signal_metrics(predictions, outputs),
        "seeds": seed_metrics(predictions, outputs, seed_money),
        "baselines": scores,
        **compared,
        **information_coefficients(predictions, bars.frame),
        **money_metrics(equity, trades, bars.frame, account, bars.point, first_bar),
        **(orders or {}),
    }
    metrics["sentence"] = sentence(metrics, bars.path.name, status, pretraining)
    return metrics


def stream_metrics(counts: dict[str, int], predictions: pd.DataFrame, outputs: Array) -> Metrics:
    """Return the metrics of a stream, and the sentence on them.

    Parameters
    ----------
    counts : ``bars``, perhaps ``new_bars``, and further counts
    predictions, outputs : as in `Predictors`
    """
    network = predictor_scores(predictions, outputs, {})[NETWORK]
    new = f", {counts['new_bars']:,} of them new" if "new_bars" in counts else ""
    text = f"{counts['bars']:,} bars{new}: "
    text += "no signals" if not network["signals"] else _hit_text(network)
    return {**counts, **network, **signal_metrics(predictions, outputs), "sentence": f"{text}."}


def portfolio_stream_metrics(
    counts: dict[str, int], account: Metrics, instruments: dict[str, Metrics]
) -> Metrics:
    """Return the metrics of a stream of several instruments, and the sentence on them.

    Parameters
    ----------
    counts : as in `stream_metrics`
    account : of the common account
    instruments : by name, as `stream_metrics` returns them
    """
    signals, hits = (sum(one[name] for one in instruments.values()) for name in ("signals", "hits"))
    text = f"{counts['bars']:,} bars of {', '.join(instruments)}, {counts['new_bars']:,} of them new: "
    text += f"{signals:,} signals, {hits / signals:.1%} of them hit" if signals else "no signals"
    return {"sentence": f"{text}.", **counts, "account": account, "instruments": instruments}


def sentence(m: Metrics, file: str, status: str, pretraining: dict[str, Any] | None = None) -> str:
    """Return the result in short sentences: signals, their verdict, the account."""
    # A pretrained run counts its test alone.
    start, bars = (m["account_start"], m["account_bars"]) if pretraining else (m["start"], m["bars"])
    text = f"{file}, {start[:10]} to {m['end'][:10]}, {bars:,} bars"
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
        text += f": {_hit_text(m)}. Signals: {m['verdict']}{comparison_text(m)}"
    if m["account_start"] > (m["predicted_start"] or m["start"]):
        text += f". Resumed at {m['account_start']} with a flat account"
    return f"{text}. {money_text(m)}: {m['money_verdict']}.{money_spread_text(m.get('seeds'))}"


def money_text(m: Metrics) -> str:
    """Return return and ruin of the account, buy and hold, and refused orders, in words."""
    text = f"returned {m['return_pct']:+.1f} % {after_costs(m)}"
    if m.get("lost_at") is not None:
        text = f"lost all its money by {m['lost_at']}, {text}"
    if m["buy_and_hold_after_costs_pct"] is not None:
        text += f" against {m['buy_and_hold_after_costs_pct']:+.1f} % for buy and hold"
    if m.get("refused_orders"):
        reasons = [name for name in ("margin", "size", "ruin") if m[f"refused_{name}"]]
        text += f" ({m['refused_orders']:,} of {m['orders']:,} orders refused: {', '.join(reasons)})"
    return f"The account {text}"


def comparison_text(m: Metrics) -> str:
    """Return the figures of `baseline_comparison` in words; empty if nothing could be compared."""
    best, rival = m["best_baseline"], m["hit_rate_baseline"]
    if best is None:
        return ""
    text = (
        f" ({best}: Brier score {m['brier_score'] - m['brier_difference']:.3f} against {m['brier_score']:.3f}"
        f"{_bounds(m, 'brier_difference', '', '+.3f')}"
    )
    if rival is not None:
        text += (
            f"; {'' if rival == best else f'{rival}: '}{m['best_baseline_hit_rate_pct']:.1f} % hit at equal "
        )
        text += f"coverage against {m['equal_coverage_hit_rate_pct']:.1f} %"
        text += _bounds(m, "difference", "_pct", "+.1f")
    return f"{text})"


def _bounds(m: Metrics, name: str, unit: str, form: str) -> str:
    """Return the 95 % interval of a difference in words; empty where it is undefined."""
    low, high = m[f"{name}_low{unit}"], m[f"{name}_high{unit}"]
    return "" if low is None else f", a difference of {low:{form}} to {high:{form}}"


def _hit_text(m: Metrics) -> str:
    text = (
        f"{m['signals']:,} signals on {m['coverage_pct']:.1f} % of the bars, "
        f"{m['hit_rate_pct']:.1f} % of them hit "
        f"(95 % interval {m['hit_rate_low_pct']:.1f} to {m['hit_rate_high_pct']:.1f})"
    )
    if m.get("lift_pct") is not None:
        text += f", a lift of {m['lift_pct']:+.1f} percentage points over the visible half of a fractal"
    return text


def after_costs(metrics: Metrics) -> str:
    """Return "after costs", or other words if there were none, so that it is no net return."""
    if not metrics["has_costs"]:
        return "without any costs"
    zero = metrics.get("zero_spread_pct") or 0.0
    return (
        "after costs"
        if zero <= ZERO_SPREAD_PCT
        else f"after costs, with no spread on {zero:.0f} % of the bars,"
    )
