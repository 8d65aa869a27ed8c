"""Sections of a page: the charts of each kind of run, with captions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, DatetimeAxis, Plot
from numpy.typing import ArrayLike

from bt_neuro.bars.numbers import point_digits
from bt_neuro.bars.reader import Bars
from bt_neuro.io import read_csv
from bt_neuro.metrics.drift import error_changes
from bt_neuro.metrics.verdict import MINIMUM_SIGNALS
from bt_neuro.report.account import account_parts
from bt_neuro.report.chart import MOST_BARS, price_chart
from bt_neuro.report.figures import (
    article_figures,
    drift_figure,
    hit_rate_figure,
    lift_figure,
    reliability_figure,
    statistics_figure,
    sweep_figure,
)
from bt_neuro.report.network_figures import pretraining_figures, spread_figures, vote_figure
from bt_neuro.report.parts import Section
from bt_neuro.report.portfolio_sections import portfolio_sections
from bt_neuro.report.run_tables import bar_table, bars_of, baseline_probabilities, shapes_of
from bt_neuro.report.study_figures import fold_figures
from bt_neuro.report.study_sections import STUDIES
from bt_neuro.report.style import mark_times
from bt_neuro.report.trades import trade_columns, trade_source

VOTE_BARS = 500  # of the running mean


def sections_of(run: Any, bars: Bars | None = None) -> list[Section]:
    """Return the sections of a run of any kind; see `write_page`."""
    kind = run.manifest["kind"]
    has_bars = kind in ("backtest", "stream") and "account" in run.manifest
    if not run.manifest.get("metrics") and not has_bars:
        return []  # other kinds write their tables at the end; a RunRecord may fail before it has its bars
    if kind in STUDIES:
        return list(STUDIES[kind](run))
    if kind == "portfolio":
        return list(portfolio_sections(run))
    if kind in ("portfolio-stream", "lookahead-check"):
        return []  # their tables and words are in the summary
    if kind == "stream":
        return list(_stream(run))
    return list(run_sections(run, bars))


def run_sections(run: Any, bars: Bars | None = None) -> Iterator[Section]:
    """Yield the sections with figures; a run without bars has none but its eras."""
    folds = None
    if (path := run.folder / "folds.csv").exists():
        folds = read_csv(path, parse_dates=["test_start", "test_end"])
    for section in _run_sections(run, bars, folds):
        if folds is not None and section.name != "folds":
            for plot in section.figures:
                if isinstance(plot, Plot) and isinstance(plot.below[0], DatetimeAxis):
                    mark_times(plot, folds["test_start"])
        yield section


def _run_sections(run: Any, bars: Bars | None, folds: pd.DataFrame | None) -> Iterator[Section]:
    if run.equity.empty:
        yield from _eras(run)
        yield Section("bars-missing", "Bars and signals", "No bar ran.")
        return
    if folds is not None:
        caption = (
            "Each fold was tested on the bars after its training part: hit rate of its signals with the "
            "95 % interval, and return of its account after costs. On all other charts a dotted line is the "
            "first bar of a fold."
        )
        yield Section("folds", "Folds over time", caption, tuple(fold_figures(folds)))
    no_bars = ""
    if bars is None:
        bars, no_bars = bars_of(run)
    cash = float(run.manifest["account"]["cash"])
    table = bar_table(run.predictions, run.equity, cash, None if bars is None else bars.frame)
    source = trade_source(run.trades, table, run.manifest.get("open_trades", []))
    starts = np.searchsorted(table["datetime"], [] if folds is None else folds["test_start"])
    yield from _traded(run, table, run.manifest["data"]["point"], source, starts, no_bars)
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


def _traded(
    run: Any,
    table: pd.DataFrame,
    point: float,
    source: ColumnDataSource,
    starts: ArrayLike = (),
    no_bars: str = "",
) -> Iterator[Section]:
    """Yield bars, trades and account."""
    yield _bars(table, point, no_bars, source, starts)
    open_trades = int(source.data["is_open"].sum())
    if len(source.data["net"]):
        is_open = f" {open_trades} still open, valued at the last close." if open_trades else ""
        caption = (
            "A click on a heading sorts; one on a row shows its trade on the chart. The signal is that of the "
            f"bar before the entry.{is_open}"
        )
        yield Section("trades", "Trades", caption, trades=trade_columns(source, max(0, point_digits(point))))
    elif run.manifest.get("metrics"):
        yield Section("trades", "Trades", "No trade was closed.")
    tables, figures = account_parts(run)
    caption = "After costs. The account over time is below the candles."
    yield Section("account", "Account", caption, tuple(figures), tables=tuple(tables))


def _eras(run: Any) -> Iterator[Section]:
    if (path := run.folder / "eras.csv").exists():
        caption = (
            "Bars before the test, learned several times. The article's averages over 10,000 samples at "
            "the end of each era: of the error, of signals that hit (forecast), of fractals without a signal "
            "(undefine). All other sections are about the test."
        )
        yield Section("eras", "Eras, in sample", caption, tuple(pretraining_figures(read_csv(path))))


def _bars(
    table: pd.DataFrame, point: float, no_bars: str, trades: ColumnDataSource, starts: ArrayLike = ()
) -> Section:
    caption = [f"Closes alone: {no_bars}."] if no_bars else []
    if len(table) > MOST_BARS:
        caption.append(f"The last {MOST_BARS:,} of {len(table):,} bars.")
    digits, left_out = max(0, point_digits(point)), max(0, len(table) - MOST_BARS)
    chart = price_chart(table, digits, trades, np.asarray(starts) - left_out)
    return Section("bars", "Bars, signals and trades", " ".join(caption), (chart,))


def _votes(run: Any) -> Iterator[Section]:
    metrics = run.manifest.get("metrics") or {}
    if not metrics.get("seeds"):
        return
    caption = "Each network alone, a dot, and the vote of all. The signals traded are those of the vote."
    figures = spread_figures(metrics)
    if (run.folder / "outputs.npy").exists() and len(outputs := run.outputs) == len(run.predictions):
        caption += f" Over time: running means over about {VOTE_BARS:,} bars."
        figures.append(vote_figure(run.predictions, outputs, VOTE_BARS))
    yield Section("votes", "The vote and its networks", caption, tuple(figures))


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
        title = "Hit rate over time" if shapes is None else "Hit rate and lift over time"
        yield Section("hits", title, caption, tuple(figures))
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
    point = 10.0 ** math.floor(math.log10(min(steps[steps > 1e-9], default=0.01)) + 1e-6)
    if len(run.equity):
        cash = float(run.manifest["account"]["cash"])
        table = bar_table(run.predictions, run.equity, cash, frame)
        yield from _traded(run, table, point, trade_source(run.trades, table))
    yield from _prediction_sections(run.predictions, {})
