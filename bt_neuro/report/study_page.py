"""Pages of a parameter search, a comparison and the convergence of averages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.report.html import Page, Section
from bt_neuro.report.notes import best_trial_note, tuning_notes
from bt_neuro.report.study_figures import (
    average_figures,
    comparison_era_figures,
    error_figures,
    joined_figure,
    trial_figures,
)
from bt_neuro.report.tables import comparison_tables, convergence_table, hypothesis_lists, shown, trial_table

RATES = {"article": "The article's learning rates", "best": "Best learning rates of the grid"}
# The article's figures, in its order.
PICTURES = {
    "error": "Error",
    "undefine_pct": "Missed fractals (undefine)",
    "forecast_pct": "Hits (forecast)",
}


def tune_page(run: Any) -> Page:
    """Return the page of a parameter search."""
    manifest, metrics, trials = run.manifest, run.manifest.get("metrics") or {}, run.trials
    name = Path(manifest["data"]["file"]).name
    if not metrics:
        return Page(f"{name}, tune", ("tune", name), (f"{name}: no trial has succeeded.",), ())
    objective, holdout = OBJECTIVES[metrics["objective"]], metrics["holdout"] or {}
    names = list(manifest["options"]["search"])
    best = shown(metrics["best"][objective.metric], objective.form)
    luck, needed = (shown(metrics[f"{name}_sharpe_ratio"], ".2f") for name in ("luck", "needed"))
    overfitting = shown(metrics["overfitting_probability_pct"], ".1f", " %")
    tiles = (
        (f"Best {objective.words}", best, f"of {metrics['trials']:,} trials: {metrics['verdict']}"),
        ("Sharpe ratio of luck", luck, "expected from the best of as many trials without skill"),
        ("Needed Sharpe ratio", needed, "for a deflated one of 95 %"),
        (
            "Deflated Sharpe ratio",
            shown(metrics["deflated_sharpe_ratio_pct"], ".1f", " %"),
            "probability of skill",
        ),
        ("Overfitting", overfitting, "probability that the best is below the median elsewhere"),
        ("Held-out return", shown(holdout.get("return_pct"), "+.1f", " %"), "after costs"),
        ("Held-out Sharpe ratio", shown(holdout.get("sharpe_ratio"), ".2f"), "annualised"),
        ("Held-out hit rate", shown(holdout.get("hit_rate_pct"), ".1f", " %"), "of the signals"),
    )
    caption = f"{objective.words[0].upper()}{objective.words[1:]} of each trial, by trial and by parameter."
    return Page(
        title=f"{name}, tune",
        kicker=("tune", name),
        headline=(metrics["sentence"],),
        tiles=tiles,
        notes=tuple(tuning_notes(manifest, trials)),
        sections=(
            Section("trials", "Trials", caption, tuple(trial_figures(trials, names, objective))),
            Section("best", "Best trials", best_trial_note(metrics), tables=(trial_table(manifest, trials),)),
        ),
        picture=(1280, 900),
    )


def comparison_page(run: Any) -> Page:
    """Return the page of a comparison: the article's three figures over the eras, errors, claims."""
    manifest, metrics = run.manifest, run.metrics
    name = Path(manifest["data"]["file"]).name
    claims = Section(
        "claims",
        "The article's claims",
        "Differences with their 95 % intervals in brackets; hit rates as shares.",
        lists=hypothesis_lists(metrics["claims"]),
    )
    figures = Section(
        "table",
        "All figures",
        "With 95 % intervals; differences of the mean squared error (MSE) are to plain at its best rate on "
        "the same bars. Error, missed and hits are the article's running figures at the end, means of the "
        "seeds.",
        tables=tuple(comparison_tables(run.table)),
    )
    return Page(
        title=f"{name}, the article's study",
        kicker=("compare", name),
        headline=(metrics["sentence"],),
        tiles=tuple((claim["claim"], claim["verdict"], "") for claim in metrics["claims"]),
        notes=(*metrics["notes"], *manifest["data"]["notes"]),
        sections=(*era_sections(run.eras), errors_section(run.table), figures, claims),
        picture=(1280, 1740),
    )


def era_sections(eras: pd.DataFrame) -> list[Section]:
    """Return the article's three figures, at its rates and at the best ones.

    Parameters
    ----------
    eras : as in ``eras.csv`` of a comparison
    """
    sample = "in sample" if eras["in_sample"].any() else "out of sample"
    caption = (
        f"{sample.capitalize()}, at the end of each era. Lines are means of the seeds, bands reach from the "
        "lowest to the highest; dashed: published gradient and slips."
    )
    titles = {which: f"{title}, {sample}" for which, title in RATES.items()}
    return [
        Section(
            name.removesuffix("_pct"),
            f"{title} over the eras, {sample}",
            caption if name == "error" else "",
            tuple(comparison_era_figures(eras, name, titles)),
        )
        for name, title in PICTURES.items()
    ]


def errors_section(table: pd.DataFrame) -> Section:
    """Return the mean squared errors out of sample, a figure for each span of bars."""
    caption = (
        "Each bar was predicted before its label was known; with 95 % intervals over bars and seeds, lower "
        "is better. Lines are the baselines on the same bars; those out of range are in the legend only."
    )
    return Section("errors", "Mean squared error, out of sample", caption, tuple(error_figures(table)))


def ema_page(run: Any) -> Page:
    """Return the page of `ema-convergence`."""
    metrics, options = run.metrics, run.manifest["options"]
    sections, shares = [], []
    for claim in metrics["claims"]:
        statistic, (low, high) = claim["statistic"], claim["claimed"]
        lines, draws = (table[table["statistic"] == statistic] for table in (run.lines, run.draws))
        caption = (
            f"The first of {options['draws']:,} draws of uniform numbers in [-1, 1]: the moving {statistic} "
            f"over {options['window']} and the exponential one by its start. Grey is the article's {low} to "
            f"{high}; dotted: the published start joins, by the definition of the band."
        )
        figures = tuple(average_figures(lines, draws, claim["claimed"]))
        sections.append(Section(statistic, f"The {statistic}: {claim['verdict']}", caption, figures))
        shares.append(joined_figure(draws, claim, options["samples"]))
    definitions = "; ".join(f"{name}: {words}" for name, words in metrics["definitions"].items())
    return Page(
        title="Moving and exponential statistics",
        kicker=("ema-convergence",),
        headline=tuple(claim["sentence"] for claim in metrics["claims"]),
        sections=(
            *sections,
            Section(
                "joined",
                "When they join",
                "Share of draws that have joined, by the definition of the band. Grey: the article's range.",
                tuple(shares),
            ),
            Section(
                "figures",
                "By each definition",
                f"They join at the first sample from which {definitions}. {STARTS}",
                tables=(convergence_table(metrics),),
            ),
        ),
        picture=(1280, 1890),
    )


STARTS = (
    "Starts: published, from 0, the first squared deviation not divided by the window, which is a slip; "
    "mended, divided."
)
