"""Summaries of runs over many runs: permutation tests, searches, and the article's studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.report.columns import PERMUTATION
from bt_neuro.report.parts import Summary
from bt_neuro.report.tables import (
    Metrics,
    Table,
    between,
    comparison_tables,
    convergence_table,
    hypothesis_lists,
    shown,
    trial_table,
)


def permutation_summary(run: Any, m: Metrics) -> Summary:
    """Return the summary of a permutation test."""
    manifest, figures, n = run.manifest, run.figures, m["surrogates"]
    options, rows = manifest["options"], []
    for label, key, form in PERMUTATION:
        if key in figures:
            value = figures[key]["value"]
            others = [other for other in figures[key]["surrogates"] if other is not None]
            p = f"{figures[key]['p_value']:.2g}"
            bounds = between(min(others, default=None), max(others, default=None), form)
            rows.append((label, shown(value, form), bounds, p))
    return Summary(
        title=f"{Path(manifest['data']['file']).name}, permutation-test",
        headline=(m["sentence"],),
        tiles=tuple((label, f"p = {p}", f"{value}; surrogates {bounds}") for label, value, bounds, p in rows),
        notes=(SURROGATE_NOTES[options["kind"]], P_NOTE.format(n=n), *manifest["data"]["notes"]),
        tables=(Table(("figure", "this market", "surrogates", "p"), [*rows], f"{n} surrogates"),),
        timing=f"{manifest['time']['wall_s']:.0f} s, seed {options['seed']}",
    )


SURROGATE_NOTES = {
    "sign": (
        "Each bar of a surrogate is mirrored with its gap, or not, by the toss of a coin: ranges, volumes, "
        "sessions and volatility stay, direction and drift are lost. Always long in a rising market gains from "
        "drift alone."
    ),
    "hour": (
        "Bars of a surrogate are permuted within the hour of the week: each hour's bars and their mean "
        "direction stay; the order of weeks is lost."
    ),
    "bars": (
        "Bars and gaps of a surrogate are permuted, each by itself (Masters 2020): their order is lost, and "
        "with it sessions and volatility."
    ),
}
P_NOTE = (
    "p is the share of markets, this one included, on which the figure is at least as good: with {n} "
    "surrogates never below 1 / ({n} + 1). Of several figures one is often small by chance: choose the figure "
    "before the test."
)


def tune_summary(run: Any, m: Metrics) -> Summary:
    """Return the summary of a parameter search."""
    manifest, trials = run.manifest, run.trials
    objective, holdout = OBJECTIVES[m["objective"]], m["holdout"] or {}
    folds = ", ".join(shown(fold[objective.metric], objective.form) for fold in m["best"]["folds"])
    notes = [f"Best trial, {objective.words} in each fold: {folds}."]
    failed = trials[trials["state"].str.startswith("fail")].to_dict("records")
    notes += [f"Trial {row['trial']} failed: {row['error']}" for row in failed]
    if "wing" in manifest["options"]["search"] and objective.metric in ("hit_rate_pct", "brier_score"):
        notes.append(f"Another wing is another label: its {objective.words} is not comparable.")
    figures = (
        (f"Best {objective.words}", m["best"][objective.metric], objective.form, m["verdict"]),
        (
            "Sharpe ratio of luck",
            m["luck_sharpe_ratio"],
            ".2f",
            f"best of {m['trials']:,} trials without skill",
        ),
        ("Needed Sharpe ratio", m["needed_sharpe_ratio"], ".2f", "for a deflated one of 95 %"),
        ("Deflated Sharpe ratio, %", m["deflated_sharpe_ratio_pct"], ".1f", "probability of skill"),
        ("Overfitting, %", m["overfitting_probability_pct"], ".1f", "probability"),
        ("Held-out return, %", holdout.get("return_pct"), "+.1f", "after costs"),
        ("Held-out Sharpe ratio", holdout.get("sharpe_ratio"), ".2f", "annualised"),
        ("Held-out hit rate, %", holdout.get("hit_rate_pct"), ".1f", "of the signals"),
    )
    return Summary(
        title=f"{Path(manifest['data']['file']).name}, tune",
        headline=(m["sentence"],),
        tiles=tuple((name, shown(value, form), beside) for name, value, form, beside in figures),
        notes=tuple(notes),
        tables=(trial_table(manifest, trials),),
    )


def comparison_summary(run: Any, m: Metrics) -> Summary:
    """Return the summary of a comparison of the article's networks."""
    manifest = run.manifest
    return Summary(
        title=f"{Path(manifest['data']['file']).name}, compare",
        headline=(m["sentence"],),
        tiles=tuple((claim["claim"], claim["verdict"], "") for claim in m["claims"]),
        notes=(*m["notes"], COMPARISON_NOTE, *manifest["data"]["notes"]),
        tables=tuple(comparison_tables(run.table)),
        lists=hypothesis_lists(m["claims"]),
        timing=f"{manifest['device']}: {manifest['time']['wall_s']:.0f} s",
    )


COMPARISON_NOTE = (
    "Differences of the mean squared error (MSE) are to plain at its best rate on the same bars. Error, "
    "missed and hits are the article's running figures at the end, means of the seeds."
)


def convergence_summary(run: Any, m: Metrics) -> Summary:
    """Return the summary of a study of averages."""
    definitions = [f"Defined by {name}: {words}." for name, words in m["definitions"].items()]
    return Summary(
        title="Moving and exponential averages",
        headline=tuple(claim["sentence"] for claim in m["claims"]),
        notes=(*definitions, STARTS),
        tables=(convergence_table(m),),
    )


STARTS = (
    "Starts: published, from 0, the first squared deviation not divided by the window, an error; "
    "mended, divided."
)
