"""Sections of a page: the charts of each kind of run, with captions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource

from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.drift import error_changes
from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.metrics.verdict import MINIMUM_SIGNALS
from bt_neuro.report.account import account_parts
from bt_neuro.report.chart import MOST_BARS, price_chart
from bt_neuro.report.columns import PERMUTATION
from bt_neuro.report.figures import (
    article_figures,
    drift_figure,
    hit_rate_figure,
    lift_figure,
    pretraining_figures,
    reliability_figure,
    statistics_figure,
    sweep_figure,
    vote_figure,
)
from bt_neuro.report.html import Section
from bt_neuro.report.run_tables import bar_table, bars_of, baseline_probabilities, shapes_of
from bt_neuro.report.study_figures import (
    average_figures,
    comparison_era_figures,
    convergence_figure,
    error_figures,
    fold_figures,
    surrogate_figure,
    trial_figures,
)
from bt_neuro.report.trades import COLUMNS, empty_source, trade_source

VOTE_BARS = 500  # of the running mean
RATES = {"article": "The article's learning rates", "best": "Best learning rates of the grid"}
# The article's figures, in its order.
PICTURES = {
    "error": "Error",
    "undefine_pct": "Missed fractals (undefine)",
    "forecast_pct": "Hits (forecast)",
}


def sections_of(run: Any, bars: Bars | None = None) -> list[Section]:
    """Return the sections of a run of any kind; see `write_page`."""
    kind = run.manifest["kind"]
    if kind in STUDIES:
        return list(STUDIES[kind](run)) if run.manifest.get("metrics") else []
    if kind == "portfolio":
        return []  # its tables are in the summary
    if kind == "stream":
        return list(_stream(run))
    return list(run_sections(run, bars))


def run_sections(run: Any, bars: Bars | None = None) -> Iterator[Section]:
    """Yield the sections with figures; a run without bars has none but its eras."""
    if run.equity.empty:
        yield from _eras(run)
        yield Section("bars-missing", "Bars and signals", "No bar ran.")
        return
    if (path := run.folder / "folds.csv").exists():
        folds = pd.read_csv(path, parse_dates=["test_start", "test_end"])
        caption = (
            "Each fold was tested on the bars after its training part: hit rate of its signals with the "
            "95 % interval, and return of its account after costs."
        )
        yield Section("folds", "Folds over time", caption, tuple(fold_figures(folds)))
    no_bars = ""
    if bars is None:
        bars, no_bars = bars_of(run)
    table = bar_table(run.predictions, run.equity, None if bars is None else bars.frame)
    trades = run.trades
    open_trades = run.manifest.get("open_trades", [])
    source = trade_source(trades, table, open_trades)
    yield _bars(table, run.manifest["data"]["point"], no_bars, source)
    if len(source.data["net"]):
        is_open = f" {len(open_trades)} still open, valued at the last close." if open_trades else ""
        caption = (
            f"Headings sort, a row shows its trade on the chart. The signal is that of the bar before the "
            f"entry.{is_open}"
        )
        yield Section("trades", "Trades", caption, trades=COLUMNS)
    elif run.manifest.get("metrics"):
        yield Section("trades", "Trades", "No trade was closed.")
    tables, figures = account_parts(run)
    caption = "After costs. The account over time is below the candles."
    yield Section("account", "Account", caption, tuple(figures), tables=tuple(tables))
    yield from _eras(run)
    yield from _prediction_sections(run.predictions, baseline_probabilities(run), shapes_of(run))
    yield from _votes(run)
    if (path := run.folder / "statistics.npy").exists() and len(statistics := np.load(path)) > 1:
        times = table["datetime"] if bars is None else bars.frame["datetime"]
        caption = (
            "Running mean of each feature, as the first layer subtracts it: blue above, orange below its "
            "median in this run, full colour from two deviations on."
        )
        figure = statistics_figure(times, statistics, run.manifest["network"]["features"])
        yield Section("inputs", "The market under the network", caption, (figure,))


def _eras(run: Any) -> Iterator[Section]:
    if (path := run.folder / "eras.csv").exists():
        caption = (
            "Bars before the test, learned again and again. The article's averages over 10,000 samples at "
            "the end of each era: of the error, of signals that hit (forecast), of fractals without a signal "
            "(undefine). All other sections are about the test."
        )
        yield Section("eras", "Eras, in sample", caption, tuple(pretraining_figures(pd.read_csv(path))))


def _bars(table: pd.DataFrame, point: float, no_bars: str, trades: ColumnDataSource) -> Section:
    caption = [f"Closes alone: {no_bars}."] if no_bars else []
    if len(table) > MOST_BARS:
        caption.append(f"The last {MOST_BARS:,} of {len(table):,} bars.")
    digits = max(0, round(-math.log10(point)))
    return Section(
        "bars", "Bars, signals and trades", " ".join(caption), (price_chart(table, digits, trades),)
    )


def _votes(run: Any) -> Iterator[Section]:
    if not (run.manifest.get("metrics") or {}).get("seeds") or not (run.folder / "outputs.npy").exists():
        return
    outputs = run.outputs
    if len(outputs) == len(run.predictions):
        caption = f"Running means over about {VOTE_BARS:,} bars. The signals traded are those of the vote."
        figure = vote_figure(run.predictions, outputs, VOTE_BARS)
        yield Section("votes", "Votes over time", caption, (figure,))


def _prediction_sections(
    predictions: pd.DataFrame, baselines: dict[str, Any], shapes: Any = None
) -> Iterator[Section]:
    scored = int((predictions["label"] != "").sum())
    if not scored:
        yield Section("unscored", "Scores", "Nothing could be scored: no label is known.")
        return
    window = min(2_000, scored // 4)
    if window >= MINIMUM_SIGNALS:  # of fewer bars it is noise over no time
        caption = f"Hit rate of the signals on the last {window:,} scored bars."
        figures = [hit_rate_figure(predictions, baselines, window)]
        if shapes is not None:
            figures.append(lift_figure(predictions, shapes, window))
        yield Section("hits", "Hit rate and lift over time", caption, tuple(figures))
    caption = (
        "Averages over the last 10,000 samples: of the error, of signals that hit (forecast), of fractals "
        "without a signal (undefine). The error here is that of the probabilities."
    )
    yield Section("article", "The article's three curves", caption, tuple(article_figures(predictions)))

    caption = "On the dotted line, each class is as frequent as its probability."
    figures = [reliability_figure(predictions)]
    if predictions["hit"].notna().sum() >= MINIMUM_SIGNALS:
        caption += " Beside it: the signals that a threshold would have kept, with hindsight."
        figures.append(sweep_figure(predictions))
    caption += f" Points of fewer than {MINIMUM_SIGNALS} bars or signals are left out."
    yield Section("calibration", "Calibration", caption, tuple(figures))

    changes = error_changes(predictions)
    found = "ADWIN detects no change."
    if len(changes):
        times = f"{len(changes)} change{'s' if len(changes) > 1 else ''}"
        found = f"ADWIN detects {times}, at the dashed lines."
    caption = f"Brier score over about the last 1,000 bars; lower is better. {found}"
    yield Section("drift", "Drift", caption, (drift_figure(predictions, changes),))


def _stream(run: Any) -> Iterator[Section]:
    frame = run.bars
    steps = np.abs(np.diff(frame["close"].to_numpy(float)))
    point = 10.0 ** math.floor(math.log10(min(steps[steps > 1e-9], default=0.01)))
    if len(frame):
        yield _bars(bar_table(run.predictions, bars=frame), point, "", empty_source())
    yield from _prediction_sections(run.predictions, {})


def _tune(run: Any) -> Iterator[Section]:
    objective = OBJECTIVES[run.metrics["objective"]]
    caption = f"{objective.words[0].upper()}{objective.words[1:]} of each trial, by trial and by parameter."
    names = list(run.manifest["options"]["search"])
    yield Section("trials", "Trials", caption, tuple(trial_figures(run.trials, names, objective)))


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


STUDIES = {
    "permutation-test": _permutation_test,
    "tune": _tune,
    "compare": _comparison,
    "ema-convergence": _ema_convergence,
}
