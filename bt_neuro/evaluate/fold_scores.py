"""The figures of a fold and of all folds together, and the sentence that sums them up: pure functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.evaluate.baselines import score_answers
from bt_neuro.evaluate.metrics import YEAR_S
from bt_neuro.evaluate.scores import best_baseline, percent, verdict, wilson_interval
from bt_neuro.lessons import Training

Array = NDArray[np.floating]
Figures = dict[str, Any]
LABELS = np.array(["none", "buy", "sell", "both"])


def labels_of(targets: Array) -> NDArray[np.str_]:
    """Return the names of labels, (rows,), from their targets, (rows, 3)."""
    _, buy, sell = targets.T.astype(bool)
    return LABELS[buy + 2 * sell]


def in_sample_figures(training: Training | None) -> Figures:
    """Return how the network answers the last quarter of what it learned; None where it learned nothing.

    It is asked the way the test part asks it, learning along or not, so that only one thing differs: these
    bars it has seen before. Training makes no trades, so there is no in-sample return.
    """
    if training is None:
        names = ("lessons", "in_sample_bars", "in_sample_signals", "in_sample_hits", "in_sample_hit_rate_pct")
        return dict.fromkeys((*names, "in_sample_mean_squared_error"))
    table = pd.DataFrame({"label": labels_of(training.targets[-len(training.outputs) :])})
    scores = score_answers({"network": training.outputs}, table)["network"]
    return {
        "lessons": len(training.targets),
        "in_sample_bars": scores["scored_bars"],
        "in_sample_signals": scores["signals"],
        "in_sample_hits": scores["hits"],
        "in_sample_hit_rate_pct": percent(scores["hit_rate"]),
        "in_sample_mean_squared_error": scores["mean_squared_error"],
    }


def signal_figures(predictions: pd.DataFrame, errors: Array, baselines: dict[str, Figures]) -> Figures:
    """Return the figures of the signals in a test part.

    Parameters
    ----------
    predictions : its rows, as in ``predictions.csv``
    errors : (scored bars,) mean squared errors of the outputs
    baselines : as `score_answers` returns them
    """
    hit = predictions["hit"].dropna()
    signals, hits = len(hit), int(hit.sum())
    low, high = wilson_interval(hits, signals) or (None, None)
    best, rate = best_baseline(baselines) or (None, None)
    scored = int((predictions["label"] != "").sum())
    return {
        "scored_bars": scored,
        "signals": signals,
        "hits": hits,
        "coverage_pct": percent(signals / scored) if scored else None,
        "hit_rate_pct": percent(hits / signals) if signals else None,
        "hit_rate_low_pct": percent(low),
        "hit_rate_high_pct": percent(high),
        "best_baseline": best,
        "best_baseline_hit_rate_pct": percent(rate),
        "mean_squared_error": float(errors.mean()) if len(errors) else None,
    }


def money_figures(equity: pd.DataFrame, trades: pd.DataFrame, start: float) -> Figures:
    """Return the figures of the account over rows of equity that begin with `start`."""
    values = np.concatenate([[start], equity["equity"].to_numpy(float)])
    peaks, close = np.maximum.accumulate(values), equity["close"].to_numpy(float)
    return {
        "equity_start": float(start),
        "equity_end": float(values[-1]),
        "return_pct": 100 * float(values[-1] / start - 1),
        "buy_and_hold_return_pct": 100 * float(close[-1] / close[0] - 1),
        "max_drawdown_pct": 100 * float((1 - values / peaks).max()),
        "trades": len(trades),
        "win_rate_pct": 100 * float((trades["net"] > 0).mean()) if len(trades) else None,
    }


def summary(rows: pd.DataFrame, baselines: list[dict[str, Figures]], equity: pd.DataFrame) -> Figures:
    """Return the figures of all folds together.

    Parameters
    ----------
    rows : as in ``folds.csv``
    baselines : of each fold, as `score_answers` returns them
    equity : the stitched account
    """
    signals, hits = int(rows["signals"].sum()), int(rows["hits"].sum())
    scored = int(rows["scored_bars"].sum())
    rate, best = _ratio(hits, signals), best_baseline(pooled(baselines))
    low, high = wilson_interval(hits, signals) or (None, None)
    learned = rows[rows["in_sample_signals"].notna()]
    in_sample = _ratio(learned["in_sample_hits"].sum(), learned["in_sample_signals"].sum())
    compared = rows[rows["hit_rate_pct"].notna() & rows["best_baseline_hit_rate_pct"].notna()]
    better = int((compared["hit_rate_pct"] > compared["best_baseline_hit_rate_pct"]).sum())
    trades = pd.DataFrame({"net": []})
    money = money_figures(equity, trades, rows["equity_start"].iloc[0])
    span_s = (equity["datetime"].iloc[-1] - equity["datetime"].iloc[0]).total_seconds()
    growth = money["equity_end"] / money["equity_start"]
    return {
        "folds": len(rows),
        "start": str(equity["datetime"].iloc[0]),
        "end": str(equity["datetime"].iloc[-1]),
        "bars": int(rows["test_bars"].sum()),
        "scored_bars": scored,
        "signals": signals,
        "hits": hits,
        "coverage_pct": percent(_ratio(signals, scored)),
        "hit_rate_pct": percent(rate),
        "hit_rate_low_pct": percent(low),
        "hit_rate_high_pct": percent(high),
        "best_baseline": best[0] if best else None,
        "best_baseline_hit_rate_pct": percent(best[1]) if best else None,
        "verdict": verdict(hits, signals, best),
        "folds_compared": len(compared),
        "folds_better": better,
        "folds_better_pct": percent(_ratio(better, len(compared))),
        "in_sample_hit_rate_pct": percent(in_sample),
        "walk_forward_efficiency_pct": percent(rate / in_sample) if rate is not None and in_sample else None,
        "mean_squared_error": _mean(rows["mean_squared_error"], rows["scored_bars"]),
        "in_sample_mean_squared_error": _mean(rows["in_sample_mean_squared_error"], rows["in_sample_bars"]),
        **{name: money[name] for name in ("equity_start", "equity_end", "return_pct")},
        "annual_return_pct": 100 * (growth ** (YEAR_S / span_s) - 1) if growth > 0 and span_s else None,
        "buy_and_hold_return_pct": money["buy_and_hold_return_pct"],
        "max_drawdown_pct": money["max_drawdown_pct"],
        "trades": int(rows["trades"].sum()),
    }


def pooled(baselines: list[dict[str, Figures]]) -> dict[str, Figures]:
    """Return the signals and hits of each baseline over all folds."""
    totals: dict[str, Figures] = {}
    for fold in baselines:
        for name, figures in fold.items():
            total = totals.setdefault(name, {"signals": 0, "hits": 0})
            total["signals"] += figures["signals"]
            total["hits"] += figures["hits"]
    return {
        name: {**total, "hit_rate": _ratio(total["hits"], total["signals"])} for name, total in totals.items()
    }


def sentence(m: Figures, file: str, options: Figures, missing: int) -> str:
    """Return a walk-forward in one plain sentence, and whether it shows skill in another."""
    folds = f"{m['folds']} folds" if m["folds"] != 1 else "1 fold"
    text = (
        f"{file}, {m['start'][:10]} to {m['end'][:10]}, {folds} of {options['test']} "
        f"after {options['train']} of training "
        f"({options['ingest']}{', ' + options['mode'] if options['ingest'] == 'refit' else ''})"
    )
    if missing:
        text += f", {missing} more not finished"
    if m["hit_rate_pct"] is None:
        text += ": no signals out of sample"
    else:
        text += (
            f": out of sample {m['signals']:,} signals on {m['coverage_pct']:.1f} % of the bars, "
            f"{m['hit_rate_pct']:.1f} % of them hit "
            f"(95 % interval {m['hit_rate_low_pct']:.1f} to {m['hit_rate_high_pct']:.1f}), {m['verdict']}"
        )
        if m["best_baseline"] is not None:
            text += f" (best baseline: {m['best_baseline']}, {m['best_baseline_hit_rate_pct']:.1f} %)"
        if m["folds_compared"]:
            text += f" and better in {m['folds_better']} of {m['folds_compared']} folds"
        if m["walk_forward_efficiency_pct"] is not None:
            text += (
                f"; that is {m['walk_forward_efficiency_pct']:.0f} % of the "
                f"{m['in_sample_hit_rate_pct']:.1f} % in sample"
            )
    text += (
        f"; the account returned {m['return_pct']:+.1f} % after costs "
        f"against {m['buy_and_hold_return_pct']:+.1f} % for buy and hold. "
    )
    if m["verdict"] != "better than every baseline":
        return text + "This shows no skill."
    return text + (
        "Signals show skill; trading them lost." if m["return_pct"] <= 0 else "Signals show skill."
    )


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: pd.Series, weights: pd.Series) -> float | None:
    known = values.notna()
    return float(np.average(values[known], weights=weights[known])) if weights[known].sum() else None
