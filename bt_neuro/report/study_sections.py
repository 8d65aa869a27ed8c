"""Sections of runs over many runs: permutation tests, searches, checks, and the article's studies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd

from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.report.check_figures import warmup_sections
from bt_neuro.report.columns import PERMUTATION
from bt_neuro.report.parts import Section
from bt_neuro.report.search_figures import history_figures, importance_figure, luck_figure, parallel_figure
from bt_neuro.report.study_figures import (
    average_figures,
    comparison_era_figures,
    convergence_figure,
    error_figures,
    surrogate_figure,
)

RATES = {"article": "The article's learning rates", "best": "Best learning rates of the grid"}
# The article's figures, in its order.
PICTURES = {
    "error": "Error",
    "undefine_pct": "Missed fractals (undefine)",
    "forecast_pct": "Hits (forecast)",
}


def _tune(run: Any) -> Iterator[Section]:
    objective, names = OBJECTIVES[run.metrics["objective"]], list(run.manifest["options"]["search"])
    caption = f"{objective.words[0].upper()}{objective.words[1:]} of each trial, by trial and by parameter."
    yield Section("trials", "History", caption, tuple(history_figures(run.trials, names, objective)))
    figure = importance_figure(run.trials, names, objective)
    if figure is not None:
        caption = (
            f"Share of the variance of the {objective.words}, by rank, that each parameter explains alone. "
            "Shuffled trials exceed the mark in 5 % of the cases: below it, chance explains as much."
        )
        yield Section("importance", "Importance of the parameters", caption, (figure,))
    figure = parallel_figure(run.trials, names, objective)
    if figure is not None:
        caption = "One line per trial, from value to value. Each axis runs from its lowest value, left, to its highest."
        yield Section("parallel", "Parameters together", caption, (figure,))
    figure = luck_figure(run.trials, run.metrics)
    if figure is not None:
        caption = (
            "Sharpe ratios of the trials. Best of luck: expected of the best of as many trials without skill. "
            "Needed: the ratio at which the deflated Sharpe ratio is 95 %."
        )
        yield Section("luck", "The part of luck", caption, (figure,))


def _comparison(run: Any) -> Iterator[Section]:
    yield from era_sections(run.eras)
    yield errors_section(run.table)


def era_sections(eras: pd.DataFrame) -> list[Section]:
    """Return the article's three figures, at its rates and at the best ones.

    Parameters
    ----------
    eras : as in ``eras.csv`` of a comparison
    """
    sample = "in sample" if eras["in_sample"].any() else "out of sample"
    caption = (
        f"{sample.capitalize()}, at the end of each era. Lines are means of the seeds, bands reach from the "
        "lowest to the highest; dashed: published gradient, errors included."
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


def _ema_convergence(run: Any) -> Iterator[Section]:
    options, shares = run.manifest["options"], []
    for claim in run.metrics["claims"]:
        statistic, (low, high) = claim["statistic"], claim["claimed"]
        lines, draws = (table[table["statistic"] == statistic] for table in (run.lines, run.draws))
        caption = (
            f"The first of {options['draws']:,} draws of uniform numbers in [-1, 1]: the moving {statistic} "
            f"over {options['window']} and the exponential one by its start. Grey is the article's {low} to "
            f"{high}; dotted: the published start converges, by the definition of the band."
        )
        figures = tuple(average_figures(lines, draws, claim["claimed"]))
        yield Section(statistic, f"The {statistic}: {claim['verdict']}", caption, figures)
        shares.append(convergence_figure(draws, claim, options["samples"]))
    caption = "Share of draws that have converged, by the definition of the band. Grey: the article's range."
    yield Section("converged", "Convergence", caption, tuple(shares))


def _permutation_test(run: Any) -> Iterator[Section]:
    caption = "Bars: surrogates. Line: this market. p counts the surrogates at its right, and this market."
    figures = tuple(
        surrogate_figure(label, run.figures[key]) for label, key, _ in PERMUTATION if key in run.figures
    )
    yield Section("surrogates", "This market among its surrogates", caption, figures)


STUDIES: dict[str, Callable[[Any], Iterable[Section]]] = {
    "permutation-test": _permutation_test,
    "tune": _tune,
    "compare": _comparison,
    "ema-convergence": _ema_convergence,
    "warmup-check": warmup_sections,
}
