"""What a search found, and how much of it luck explains: pure functions and the sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bt_neuro.metrics.classification import brier_scores, percent
from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.metrics.predictions import PROBABILITIES, targets_of
from bt_neuro.metrics.sharpe import MINIMUM_RETURNS, best_of_luck, probability_above, sharpe_ratio
from bt_neuro.metrics.summary import after_costs
from bt_neuro.metrics.trading import YEAR_S, daily_returns, significance
from bt_neuro.metrics.verdict import MINIMUM_DAYS, SIGNIFICANT
from bt_neuro.validation.walk_forward import WalkForward

Figures = dict[str, Any]


def out_of_sample_figures(predictions: pd.DataFrame, equity: pd.DataFrame, start: float) -> Figures:
    """Return every objective of some tested bars; what is undefined is None.

    Parameters
    ----------
    predictions, equity : rows of a walk-forward's tables
    start : the equity before the first of them
    """
    hit = predictions["hit"].dropna()
    daily = daily_returns(equity, start)
    return {
        "sharpe_ratio": sharpe_ratio(daily, days_a_year(equity, len(daily))),
        "return_pct": 100 * (float(equity["equity"].iloc[-1]) / start - 1),
        "hit_rate_pct": percent(float(hit.mean())) if len(hit) else None,
        "brier_score": _brier_score(predictions),
    }


def days_a_year(equity: pd.DataFrame, days: int) -> float:
    span_s = (equity["datetime"].iloc[-1] - equity["datetime"].iloc[0]).total_seconds()
    return days * YEAR_S / span_s if span_s else 0.0


def _brier_score(predictions: pd.DataFrame) -> float | None:
    targets = targets_of(predictions)
    scored = targets.any(axis=1)
    said = predictions[PROBABILITIES].to_numpy(dtype=float)
    return float(brier_scores(said[scored], targets[scored]).mean()) if scored.any() else None


def trial_figures(result: WalkForward, cash: float) -> Figures:
    """Return what is kept of a trial: its objectives, those of each fold, and the moments of its days."""
    predictions, equity = result.predictions, result.equity
    daily = daily_returns(equity, cash)
    folds, start = [], cash
    for number in equity["fold"].unique().tolist():
        account, part = equity[equity["fold"] == number], predictions[predictions["fold"] == number]
        folds.append({"fold": number, **out_of_sample_figures(part, account, start)})
        start = float(account["equity"].iloc[-1])
    names = ("max_drawdown_pct", "trades", "signals", "start", "end")
    return {
        **out_of_sample_figures(predictions, equity, cash),
        **{name: result.metrics[name] for name in names},
        "folds": folds,
        "daily": daily_moments(daily, days_a_year(equity, len(daily))),
    }


def daily_moments(daily: Sequence[float] | np.ndarray, a_year: float) -> Figures | None:
    """Return the Sharpe ratio of one day, the number of days and their moments; None where undefined."""
    r = np.asarray(daily, dtype=float)
    ratio = sharpe_ratio(r)
    if ratio is None or len(r) < MINIMUM_RETURNS:
        return None
    z = (r - r.mean()) / r.std()
    moments = {"skew": float((z**3).mean()), "kurtosis": float((z**4).mean())}
    return {"sharpe_ratio": ratio, "days": len(r), "days_a_year": a_year, **moments}


def luck_figures(best: Figures | None, ratios: Sequence[float], trials: int) -> Figures:
    """Return what luck alone would make of so many trials, and the deflated Sharpe ratio of the best.

    Parameters
    ----------
    best : of `daily_moments`, of the trial that was chosen
    ratios : the Sharpe ratios of one day of all trials that have one
    trials : how many different ones were tried

    Returns
    -------
    dict
        ``luck_sharpe_ratio``, annualised: to be expected of the best of so many trials without skill, whose
        ratios spread as these do; ``deflated_sharpe_ratio_pct``: the probability that the true ratio of the
        best is above 0, after so many trials. None where undefined.

    Notes
    -----
    Bailey and Lopez de Prado, The deflated Sharpe ratio, 2014. All trials count as independent ones. Those of
    a sampler that closes in on good values are not, so their number is somewhat too high and their spread
    somewhat too low.
    """
    if best is None or best["days"] < MINIMUM_DAYS or (trials > 1 and len(ratios) < 2):
        return {"luck_sharpe_ratio": None, "deflated_sharpe_ratio_pct": None}
    luck = best_of_luck(trials, float(np.var(ratios, ddof=1)) if trials > 1 else 0.0)
    deflated = probability_above(best["sharpe_ratio"], luck, best["days"], best["skew"], best["kurtosis"])
    return {
        "luck_sharpe_ratio": luck * math.sqrt(best["days_a_year"]),
        "deflated_sharpe_ratio_pct": percent(deflated),
    }


def holdout_figures(result: WalkForward, cash: float) -> Figures:
    """Return how the best fared on the bars that the search did not see."""
    daily = daily_returns(result.equity, cash)
    more = result.metrics["return_pct"] - (result.metrics["buy_and_hold_after_costs_pct"] or 0.0)
    judged = significance(daily, days_a_year(result.equity, len(daily)), more)
    names = ("start", "end", "bars", "signals", "trades", "max_drawdown_pct", "buy_and_hold_after_costs_pct")
    return {
        **{name: result.metrics[name] for name in (*names, "has_costs")},
        **out_of_sample_figures(result.predictions, result.equity, cash),
        **{name: judged[name] for name in ("probabilistic_sharpe_ratio_pct", "money_verdict")},
        "verdict": result.metrics["verdict"],
    }


def sentence(m: Figures, file: str) -> str:
    """Return what was found, whether luck explains it, and how it did on bars that the search never saw."""
    objective, best, n = OBJECTIVES[m["objective"]], m["best"], m["trials"]
    trials = "1 trial" if n == 1 else f"{n} trials"
    chosen = ", ".join(f"{name}={shown(value)}" for name, value in best["parameters"].items())
    text = f"{file}, {best['start'][:10]} to {best['end'][:10]}, {trials} on {_folds(best['folds'])}"
    if m["failed"]:
        text += f" ({m['failed']} more failed)"
    text += f": the best {objective.words} is {best[objective.metric]:{objective.form}}, with {chosen}. "
    return f"{text}{_luck(m, trials)} {_holdout(m)}"


def _folds(folds: list[Figures]) -> str:
    return "1 fold" if len(folds) == 1 else f"{len(folds)} folds"


def _luck(m: Figures, trials: str) -> str:
    deflated, ratio = m["deflated_sharpe_ratio_pct"], m["best"]["sharpe_ratio"]
    if deflated is None:
        return f"After {trials} too little is known of its daily returns to tell it from luck."
    beats = deflated > 100 * SIGNIFICANT
    return (
        f"That is {'' if beats else 'no '}better than luck can give in {trials}: the best of so many without "
        f"skill would reach a Sharpe ratio of about {m['luck_sharpe_ratio']:.2f}, this one has {ratio:.2f}, "
        f"and the deflated Sharpe ratio is {deflated:.1f} %{'' if beats else ', not above 95 %'}."
    )


def _holdout(m: Figures) -> str:
    text = "These folds chose the parameters, so they are out of sample no longer"
    held = m["holdout"]
    if held is None:
        waits = (
            "those held out wait for the end of the search" if m["holds_out"] else "no others were held out"
        )
        return f"{text}, and {waits}."
    ratio = (
        "no Sharpe ratio" if held["sharpe_ratio"] is None else f"a Sharpe ratio of {held['sharpe_ratio']:.2f}"
    )
    rate = "no signals" if held["hit_rate_pct"] is None else f"a hit rate of {held['hit_rate_pct']:.1f} %"
    text += (
        f"; from {held['start'][:10]} to {held['end'][:10]}, which the search did not see, the best returned "
        f"{held['return_pct']:+.1f} % {after_costs(held)}, with {ratio} and {rate}: {held['money_verdict']}"
    )
    if m["holdout_looks"] > 1:
        text += f" (these bars have now been looked at {m['holdout_looks']} times)"
    return text + "."


def shown(value: Any) -> str:
    """Return a parameter as a reader wants it.

    Examples
    --------
    >>> shown(0.00031415926), shown(3), shown("gpu")
    ('0.0003142', '3', 'gpu')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)
