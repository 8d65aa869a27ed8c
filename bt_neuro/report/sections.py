"""What there is to draw of a run, in the order of reading: for the page and for notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from bokeh.layouts import column
from bokeh.models import Column
from numpy.typing import NDArray

from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.drift import error_changes
from bt_neuro.metrics.verdict import MINIMUM_SIGNALS
from bt_neuro.report.chart import MOST_BARS, price_chart
from bt_neuro.report.figures import (
    account_figure,
    article_figures,
    drift_figure,
    era_figures,
    hit_rate_figure,
    reliability_figure,
    statistics_figure,
    sweep_figure,
)
from bt_neuro.report.fold_figures import fold_hits_figure, fold_returns_figure
from bt_neuro.report.html import Section
from bt_neuro.report.run_tables import Run, bar_table, bars_of, baseline_signals


def plot(run: Run, bars: Bars | None = None) -> Column:
    """Return the figures of a run's page as a Bokeh layout, for notebooks.

    Parameters
    ----------
    run : a `Result`
    bars : its bars where they are at hand; otherwise their file is read again, if it is what it was

    Returns
    -------
    bokeh.models.Column
        Show it with ``bokeh.io.show``, after ``bokeh.io.output_notebook()`` in a notebook.
    """
    figures = [figure for part in sections(run, bars) for figure in part.figures]
    return column(*figures, sizing_mode="stretch_width")


def sections(run: Run, bars: Bars | None = None) -> Iterator[Section]:
    """Yield what there is to draw of a run; nothing where no bar ran."""
    if run.equity.empty:
        yield from _eras(run)
        return
    if (path := run.folder / "folds.csv").exists():
        yield _folds(pd.read_csv(path, parse_dates=["test_start", "test_end"]))
    no_bars = ""
    if bars is None:
        bars, no_bars = bars_of(run)
    table = bar_table(run, bars)
    yield _bars(table, run.manifest["data"]["point"], no_bars)
    caption = "After costs; below, how far the account was under its highest so far."
    yield Section("account", "Account", caption, (account_figure(table),))

    yield from _eras(run)
    predictions = run.predictions
    if not (predictions["label"] != "").any():
        return
    window = min(2_000, int((predictions["label"] != "").sum()) // 4)
    if window >= MINIMUM_SIGNALS:  # of fewer bars it is noise over no time
        caption = f"Of the signals on the last {window:,} bars."
        figure = hit_rate_figure(predictions, baseline_signals(run), window)
        yield Section("hits", "Hit rate over time", caption, (figure,))
    caption = (
        "Averages over the last 10,000 samples: of the error, of signals that hit (forecast), of fractals "
        "without a signal (undefine). The error here is of the probabilities."
    )
    yield Section("article", "The article's three curves", caption, tuple(article_figures(predictions)))
    yield _calibration(predictions)
    yield _drift(predictions)
    if (path := run.folder / "statistics.npy").exists():
        times = table["datetime"] if bars is None else bars.frame["datetime"]
        statistics = np.load(path)
        if len(statistics) > 1:
            yield _inputs(times, statistics, run.manifest["network"]["features"])


def _eras(run: Run) -> Iterator[Section]:
    if (path := run.folder / "eras.csv").exists():
        caption = (
            "In-sample: bars before the test, learned again and again. The article's averages over 10,000 "
            "samples as each era left them: of the error, of signals that hit (forecast), of fractals "
            "without a signal (undefine). All else on this page is of the test."
        )
        yield Section("eras", "Eras, in-sample", caption, tuple(era_figures(pd.read_csv(path))))


def _folds(folds: pd.DataFrame) -> Section:
    caption = (
        "Each fold was tested on the bars after its training part: hit rate of its signals with the 95 % "
        "interval, and return of its account after costs."
    )
    return Section("folds", "Folds", caption, (fold_hits_figure(folds), fold_returns_figure(folds)))


def _bars(table: pd.DataFrame, point: float, no_bars: str) -> Section:
    caption = [f"Closes alone, for {no_bars}."] if no_bars else []
    if len(table) > MOST_BARS:
        caption.append(f"The last {MOST_BARS:,} of {len(table):,} bars.")
    digits = max(0, round(-math.log10(point)))
    return Section("bars", "Bars and signals", " ".join(caption), (price_chart(table, digits),))


def _calibration(predictions: pd.DataFrame) -> Section:
    caption = "Where a curve lies on the dotted line, probabilities mean what they say."
    figures = [reliability_figure(predictions)]
    if predictions["hit"].notna().sum() >= MINIMUM_SIGNALS:
        caption += " Beside it, what a threshold would have kept, with hindsight."
        figures.append(sweep_figure(predictions))
    caption += f" Points of fewer than {MINIMUM_SIGNALS} bars or signals are left out."
    return Section("calibration", "Calibration", caption, tuple(figures))


def _drift(predictions: pd.DataFrame) -> Section:
    changes = error_changes(predictions)
    times = f"{len(changes)} time{'s' if len(changes) != 1 else ''}"
    found = f"ADWIN found that it changed {times}, from the dashed lines on." if len(changes) else ""
    caption = (
        f"Brier score over the last 1,000 bars or so; lower is better. {found or 'ADWIN found no change.'}"
    )
    return Section("drift", "Drift", caption, (drift_figure(predictions, changes),))


def _inputs(times: pd.Series, statistics: NDArray[np.float32], features: list[str]) -> Section:
    caption = (
        "Running mean of each feature, as the first layer takes it off: blue above, orange below its middle "
        "in this run, full colour from two deviations on."
    )
    return Section(
        "inputs", "The market under the network", caption, (statistics_figure(times, statistics, features),)
    )
