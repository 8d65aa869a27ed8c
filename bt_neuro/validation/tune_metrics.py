"""Metrics of a parameter search, the estimate of luck, and the sentence on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from bt_neuro.metrics.classification import percent
from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.metrics.predictions import ScoredBars, brier_scores
from bt_neuro.metrics.sharpe import best_of_luck, return_moments, standard_error
from bt_neuro.metrics.summary import after_costs
from bt_neuro.metrics.trading import daily_returns, growth_metrics, years_of
from bt_neuro.metrics.verdict import MINIMUM_DAYS, SIGNIFICANT
from bt_neuro.runs.results import WalkForward
from bt_neuro.validation.overfitting import block_sums, overfitting_probability
from bt_neuro.validation.tune_study import TuneStudy

Metrics = dict[str, Any]
MORE, LUCK, UNKNOWN = "more than luck", "luck can explain it", "too few days or trials to judge luck"
COLUMNS = ("sharpe_ratio", "return_pct", "hit_rate_pct", "brier_score", "max_drawdown_pct", "trades")


def objective_metrics(predictions: pd.DataFrame, equity: pd.DataFrame, start: float) -> Metrics:
    """Return every objective on tested bars; None if it is undefined.

    Parameters
    ----------
    predictions, equity : rows of the tables of a walk-forward
    start : equity before the first of them, 0 or less after ruin
    """
    _, targets, probabilities, _ = ScoredBars.of(predictions)
    hit = predictions["hit"].dropna()
    grown = growth_metrics(equity, start)
    return {
        "sharpe_ratio": grown["sharpe_ratio_daily_annualised"],
        "return_pct": grown["return_pct"],
        "hit_rate_pct": percent(float(hit.mean())) if len(hit) else None,
        "brier_score": float(brier_scores(probabilities, targets).mean()) if len(targets) else None,
    }


def trial_metrics(result: WalkForward, cash: float, objective: str) -> Metrics:
    """Return what the study stores of a trial: objectives, in total and by fold, moments and block sums."""
    predictions, equity = result.predictions, result.equity
    daily, years = daily_returns(equity, cash), years_of(equity)
    folds, start = [], cash
    for number in equity["fold"].unique().tolist():
        account, part = equity[equity["fold"] == number], predictions[predictions["fold"] == number]
        folds.append({"fold": number, **objective_metrics(part, account, start)})
        start = float(account["equity"].iloc[-1])
    names = ("max_drawdown_pct", "lost_at", "trades", "signals", "start", "end")
    is_ruined = result.metrics["lost_at"] is not None
    return {
        **objective_metrics(predictions, equity, cash),
        **{name: result.metrics[name] for name in names},
        "folds": folds,
        "daily": None if is_ruined else daily_moments(daily, len(daily) / years if years else 0.0),
        "blocks": block_sums(objective, predictions, equity, cash).tolist(),
    }


def daily_moments(daily: Sequence[float] | np.ndarray, a_year: float) -> Metrics | None:
    """Return the Sharpe ratio of one day, the number of days and their moments; None if undefined."""
    moments = return_moments(daily)
    if moments is None:
        return None
    return {
        "sharpe_ratio": moments.pop("ratio"),
        "days": moments.pop("n"),
        "days_a_year": a_year,
        **moments,
    }


def luck_metrics(best: Metrics | None, ratios: Sequence[float], trials: int) -> Metrics:
    """Return the deflated Sharpe ratio of the best trial (Bailey and Lopez de Prado 2014).

    Parameters
    ----------
    best : `daily_moments` of the best trial
    ratios : Sharpe ratios of one day, of all trials that have one
    trials : number of different trials

    Returns
    -------
    dict
        ``deflated_sharpe_ratio_pct``: probability that the true ratio of the best is above 0, given the
        number of trials. ``needed_sharpe_ratio``: the ratio at which it would be 95 %. ``luck_sharpe_ratio``: expected
        of the best trial without skill. The last two are annualised. None if undefined.

    Notes
    -----
    All trials count as independent. A sampler that converges on good values makes them dependent, so their
    number is somewhat too high and their spread somewhat too low.
    """
    if best is None or best["days"] < MINIMUM_DAYS or (trials > 1 and len(ratios) < 2):
        return dict.fromkeys(("deflated_sharpe_ratio_pct", "needed_sharpe_ratio", "luck_sharpe_ratio"))
    luck = best_of_luck(trials, float(np.var(ratios, ddof=1)) if trials > 1 else 0.0)
    error = standard_error(best["sharpe_ratio"], best["days"], best["skew"], best["kurtosis"])
    needed = luck + NormalDist().inv_cdf(SIGNIFICANT) * error
    a_year = math.sqrt(best["days_a_year"])
    return {
        "deflated_sharpe_ratio_pct": percent(NormalDist().cdf((best["sharpe_ratio"] - luck) / error)),
        "needed_sharpe_ratio": needed * a_year,
        "luck_sharpe_ratio": luck * a_year,
    }


def holdout_metrics(result: WalkForward, cash: float) -> Metrics:
    """Return the metrics of the best trial on the held-out bars."""
    names = ("start", "end", "bars", "signals", "trades", "max_drawdown_pct", "buy_and_hold_after_costs_pct")
    more = ("has_costs", "probabilistic_sharpe_ratio_pct", "money_verdict", "verdict")
    return {
        **{name: result.metrics[name] for name in (*names, *more)},
        **objective_metrics(result.predictions, result.equity, cash),
    }


def tune_metrics(study: TuneStudy, objective: str, has_holdout: bool, file: str) -> Metrics:
    """Return the metrics of a search with at least one complete trial, and its sentence."""
    best = study.best
    different = [trial for trial in study.trials("complete") if "same_as" not in trial.user_attrs]
    daily = [trial.user_attrs["metrics"]["daily"] for trial in different]
    ratios = [moments["sharpe_ratio"] for moments in daily if moments is not None]
    best_metrics = {name: value for name, value in best.user_attrs["metrics"].items() if name != "blocks"}
    luck = luck_metrics(best_metrics["daily"], ratios, len(different))
    overfitting = None
    if luck["deflated_sharpe_ratio_pct"] is not None:
        sums = np.array([trial.user_attrs["metrics"]["blocks"] for trial in different])
        overfitting = percent(overfitting_probability(objective, sums))
    metrics = {
        "objective": objective,
        "trials": len(different),
        "failed": len(study.trials("failed")),
        "running": len(study.trials("running")),
        "best": {"trial": best.number, "parameters": best.params, **best_metrics},
        **luck,
        "overfitting_probability_pct": overfitting,
        "verdict": luck_verdict(luck["deflated_sharpe_ratio_pct"], overfitting),
        "holdout": study.holdout.get(str(best.number)),
        "holdout_looks": len(study.holdout),
    }
    return metrics | {"sentence": sentence(metrics, has_holdout, file)}


def luck_verdict(deflated_pct: float | None, overfitting_pct: float | None) -> str:
    """Return the verdict on luck from the deflated Sharpe ratio and the probability of overfitting.

    Examples
    --------
    >>> luck_verdict(97.0, 1.2), luck_verdict(97.0, 12.0), luck_verdict(80.0, 1.2), luck_verdict(97.0, None)
    ('more than luck', 'luck can explain it', 'luck can explain it', 'more than luck')
    """
    if deflated_pct is None:
        return UNKNOWN
    is_skill = deflated_pct > 100 * SIGNIFICANT
    is_stable = overfitting_pct is None or overfitting_pct < 100 * (1 - SIGNIFICANT)  # None of one trial
    return MORE if is_skill and is_stable else LUCK


def trials_table(study: TuneStudy, objective: str) -> pd.DataFrame:
    """Return the content of ``trials.csv``: one row per trial, the best first, failed ones last."""
    metric, _, _, maximise = OBJECTIVES[objective]
    rows: list[Metrics] = []
    for trial in study.trials("complete", "failed"):
        metrics = trial.user_attrs.get("metrics", {})
        rows.append(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                **trial.params,
                **{name: metrics.get(name) for name in (*COLUMNS, "seconds")},
                "same_as": trial.user_attrs.get("same_as"),
                "error": trial.user_attrs.get("error"),
                **{f"fold_{fold['fold']}_{metric}": fold[metric] for fold in metrics.get("folds", ())},
            }
        )
    table = pd.DataFrame(rows).astype({"same_as": "Int64"})
    by = ["state", metric, "trial"]  # a complete trial without a value lost all its money
    return table.sort_values(by, ascending=[True, not maximise, True], kind="stable")


def sentence(m: Metrics, has_holdout: bool, file: str) -> str:
    """Return the result of a search: the best trial, whether luck explains it, and the held-out bars."""
    objective, best, n = OBJECTIVES[m["objective"]], m["best"], m["trials"]
    trials, folds = _counted(n, "trial"), _counted(len(best["folds"]), "fold")
    parameters = ", ".join(f"{name}={shown(value)}" for name, value in best["parameters"].items())
    text = f"{file}, {best['start'][:10]} to {best['end'][:10]}, {trials} on {folds}"
    if m["failed"]:
        text += f" ({m['failed']} more failed)"
    text += f": the best {objective.words} is {best[objective.metric]:{objective.form}}, with {parameters}. "
    return f"{text}{_luck(m)} {_holdout(m, has_holdout)}"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _luck(m: Metrics) -> str:
    if m["verdict"] == UNKNOWN:
        return f"Verdict: {UNKNOWN}."
    limit, ratio = 100 * SIGNIFICANT, m["best"]["sharpe_ratio"]
    deflated, overfitting = m["deflated_sharpe_ratio_pct"], m["overfitting_probability_pct"]
    figures = (
        f"the deflated Sharpe ratio is {deflated:.1f} % (more than {limit:.0f} % needed: "
        f"a Sharpe ratio above {m['needed_sharpe_ratio']:.2f}, it has {ratio:.2f})"
    )
    if overfitting is not None:
        figures += (
            f" and the probability of overfitting is {overfitting:.1f} % "
            f"(less than {100 - limit:.0f} % needed)"
        )
    return f"Verdict: {m['verdict']}; {figures}."


def _holdout(m: Metrics, has_holdout: bool) -> str:
    text = "These folds chose the parameters, so they are no longer out of sample"
    held = m["holdout"]
    if held is None:
        left = (
            "the held-out bars are tested at the end of the search"
            if has_holdout
            else "no bars were held out"
        )
        return f"{text}, and {left}."
    ratio, rate = held["sharpe_ratio"], held["hit_rate_pct"]
    text += (
        f"; on the held-out bars from {held['start'][:10]} to {held['end'][:10]} the best returned "
        f"{held['return_pct']:+.1f} % {after_costs(held)}, "
        f"with {'no Sharpe ratio' if ratio is None else f'a Sharpe ratio of {ratio:.2f}'} "
        f"and {'no signals' if rate is None else f'a hit rate of {rate:.1f} %'}: {held['money_verdict']}"
    )
    if m["holdout_looks"] > 1:
        text += f" (these bars were tested {m['holdout_looks']} times)"
    return text + "."


def shown(value: Any) -> str:
    """Return a parameter with four digits.

    Examples
    --------
    >>> shown(0.00031415926), shown(3), shown("gpu")
    ('0.0003142', '3', 'gpu')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)
