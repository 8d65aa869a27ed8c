"""Notes below the figures of a run: costs, lost money, eras, votes, failed trials."""

from __future__ import annotations

import pandas as pd

from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.report.tables import Metrics, between, shown

SOURCES = {"option": "by option", "file": "on average, from the file's column"}


def account_notes(manifest: Metrics) -> list[str]:
    """Return the costs of an account, and the reasons not to believe it."""
    account = manifest["account"]
    spread, source = account["mean_spread_points"], account["spread_source"]
    notes = [
        f"Costs: spread {spread:.3g} points {SOURCES.get(source, 'for lack of one')}, commission "
        f"{account['commission']:g} of the value a side, slippage {account['slippage']:g} points."
    ]
    if spread < 0.1 and source == "file":
        notes.append("The file's spread is close to 0. Real costs are higher: see --spread.")
    if source.startswith("none"):
        notes.append("The file has no spread column and --spread is not given. Real costs are higher.")
    if lost := (manifest.get("metrics") or {}).get("lost_at"):
        notes.append(f"All money was lost by {lost}. A broker would have closed the account there.")
    return notes


def era_notes(manifest: Metrics) -> list[str]:
    """Return the span of a pretraining and its in-sample figures, if there was one."""
    pretraining = manifest.get("pretraining")
    if not pretraining:
        return []
    eras = f"{pretraining['eras']} era{'s' if pretraining['eras'] > 1 else ''}"
    notes = [f"Before the test {pretraining['bars']:,} bars were learned in {eras}, {pretraining['span']}."]
    for last in pretraining["last_era"]:
        seed = f", seed {last['seed']}" if "seed" in last else ""
        notes.append(
            f"In sample, after the last era{seed}: error {shown(last['error'], '.4f')}, "
            f"forecast {shown(last['forecast_pct'], '.2f')} %, "
            f"undefine {shown(last['undefine_pct'], '.2f')} %."
        )
    return notes


def seed_note(metrics: Metrics) -> list[str]:
    """Return the number of networks that vote, and their figures alone, if there are several."""
    seeds = metrics.get("seeds")
    if not seeds:
        return []
    rate, error = seeds["hit_rate_pct"], seeds["brier_score"]
    return [
        f"The signals are the vote of {seeds['networks']} networks. Alone their hit rate would be "
        f"{shown(rate['median'], '.1f')} % (median; {between(rate['low'], rate['high'])}), "
        f"their Brier score {shown(error['median'], '.4f')}."
    ]


def best_trial_note(metrics: Metrics) -> str:
    """Return the objective of the best trial of a search, fold by fold."""
    objective = OBJECTIVES[metrics["objective"]]
    figures = ", ".join(shown(fold[objective.metric], objective.form) for fold in metrics["best"]["folds"])
    return f"Best trial, {objective.words} in each fold: {figures}."


def tuning_notes(manifest: Metrics, trials: pd.DataFrame) -> list[str]:
    """Return the failed trials of a search, and a warning where labels differ between trials."""
    failed = trials[trials["state"] == "fail"]
    notes = [f"Trial {row['trial']} failed: {row['error']}" for row in failed.to_dict("records")]
    objective = OBJECTIVES[manifest["metrics"]["objective"]]
    if "wing" in manifest["options"]["search"] and objective.metric in ("hit_rate_pct", "brier_score"):
        notes.append(f"Another wing is another label: its {objective.words} is not comparable.")
    return notes
