"""Pages of a backtest, a walk-forward and a stream."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bt_neuro.bars.reader import Bars
from bt_neuro.metrics.drift import error_changes
from bt_neuro.metrics.verdict import MINIMUM_SIGNALS
from bt_neuro.report.chart import MOST_BARS, price_chart
from bt_neuro.report.columns import BACKTEST, WALK_FORWARD
from bt_neuro.report.figures import (
    account_figure,
    article_figures,
    drift_figure,
    hit_rate_figure,
    pretraining_figures,
    reliability_figure,
    statistics_figure,
    sweep_figure,
)
from bt_neuro.report.html import Page, Section
from bt_neuro.report.notes import account_notes, era_notes, seed_note
from bt_neuro.report.run_tables import Run, bar_table, bars_of, baseline_signals
from bt_neuro.report.study_figures import fold_figures
from bt_neuro.report.tables import (
    Metrics,
    block_rows,
    fold_table,
    interval,
    predictor_table,
    seed_table,
    shown,
    trade_table,
)

MOST_TRADES = 500


def run_page(run: Run, bars: Bars | None = None) -> Page:
    """Return the page of a backtest or a walk-forward; see `write_page`."""
    manifest = run.manifest
    metrics = manifest.get("metrics") or {}
    name = Path(manifest["data"]["file"]).name
    notes = [*era_notes(manifest), *seed_note(metrics), *account_notes(manifest)] if metrics else []
    return Page(
        title=name,
        kicker=(manifest["strategy"],),
        headline=(metrics.get("sentence", name),),
        tiles=tuple(_tiles(metrics)) if metrics else (),
        notes=(*notes, *manifest["data"]["notes"]),
        sections=(*run_sections(run, bars), *_figure_sections(run, metrics)),
    )


def stream_page(run: Any) -> Page:
    """Return the page of a stream."""
    frame, predictions = run.bars, run.predictions
    steps = np.abs(np.diff(frame["close"].to_numpy(float)))
    point = 10.0 ** math.floor(math.log10(min(steps[steps > 1e-9], default=0.01)))
    table = bar_table(predictions, bars=frame)
    bars = [_bars(table, point, "")] if len(table) else []
    return Page(
        title="stream",
        kicker=(run.manifest["strategy"],),
        headline=(f"Stream, {run.manifest['status']}: {len(frame):,} bars, {len(predictions):,} predicted.",),
        sections=(*bars, *_prediction_sections(predictions, {})),
    )


def _tiles(m: Metrics) -> Iterator[tuple[str, str, str]]:
    def tile(name: str, key: str, form: str, beside: str = "") -> tuple[str, str, str]:
        return name, shown(m.get(key), form, " %"), beside or f"95 %: {interval(m, key, form, ' %')}"

    days = [str(m.get(f"max_drawdown_{end}") or "--")[:10] for end in ("peak", "trough")]
    before = shown(m.get("return_before_costs_pct"), "+.1f", " % before costs")
    yield tile("Hit rate", "hit_rate_pct", ".1f")
    yield tile(f"Over {m.get('best_baseline') or 'best baseline'}", "difference_pct", "+.1f")
    yield tile("Return", "return_pct", "+.1f", before)
    yield tile("Mean return a year", "mean_return_a_year_pct", "+.1f")
    yield tile("Buy and hold", "buy_and_hold_after_costs_pct", "+.1f", "after costs")
    yield tile("Max. drawdown", "max_drawdown_pct", ".1f", " to ".join(days))
    yield "Trades", shown(m.get("trades"), ",d"), shown(m.get("win_rate_pct"), ".1f", " % won")
    yield "Sharpe ratio", shown(m.get("sharpe_ratio_daily_annualised"), ".2f"), "daily, annualised"


def run_sections(run: Run, bars: Bars | None = None) -> Iterator[Section]:
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
        yield Section("folds", "Folds", caption, tuple(fold_figures(folds)), (fold_table(folds),))
    no_bars = ""
    if bars is None:
        bars, no_bars = bars_of(run)
    table = bar_table(run.predictions, run.equity, None if bars is None else bars.frame)
    yield _bars(table, run.manifest["data"]["point"], no_bars)
    caption = "After costs. Below: distance from its highest value so far."
    yield Section("account", "Account", caption, (account_figure(table),))
    yield from _eras(run)
    yield from _prediction_sections(run.predictions, baseline_signals(run))
    if (path := run.folder / "statistics.npy").exists() and len(statistics := np.load(path)) > 1:
        times = table["datetime"] if bars is None else bars.frame["datetime"]
        caption = (
            "Running mean of each feature, as the first layer subtracts it: blue above, orange below its "
            "median in this run, full colour from two deviations on."
        )
        figure = statistics_figure(times, statistics, run.manifest["network"]["features"])
        yield Section("inputs", "The market under the network", caption, (figure,))


def _eras(run: Run) -> Iterator[Section]:
    if (path := run.folder / "eras.csv").exists():
        caption = (
            "Bars before the test, learned again and again. The article's averages over 10,000 samples at "
            "the end of each era: of the error, of signals that hit (forecast), of fractals without a signal "
            "(undefine). All other sections are about the test."
        )
        yield Section("eras", "Eras, in sample", caption, tuple(pretraining_figures(pd.read_csv(path))))


def _bars(table: pd.DataFrame, point: float, no_bars: str) -> Section:
    caption = [f"Closes alone: {no_bars}."] if no_bars else []
    if len(table) > MOST_BARS:
        caption.append(f"The last {MOST_BARS:,} of {len(table):,} bars.")
    digits = max(0, round(-math.log10(point)))
    return Section("bars", "Bars and signals", " ".join(caption), (price_chart(table, digits),))


def _prediction_sections(predictions: pd.DataFrame, baselines: dict[str, Any]) -> Iterator[Section]:
    scored = int((predictions["label"] != "").sum())
    if not scored:
        yield Section("unscored", "Scores", "Nothing could be scored: no label is known.")
        return
    window = min(2_000, scored // 4)
    if window >= MINIMUM_SIGNALS:  # of fewer bars it is noise over no time
        caption = f"Hit rate of the signals on the last {window:,} scored bars."
        figure = hit_rate_figure(predictions, baselines, window)
        yield Section("hits", "Hit rate over time", caption, (figure,))
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


def _figure_sections(run: Run, metrics: Metrics) -> Iterator[Section]:
    if "baselines" in metrics:
        tables = [predictor_table(metrics)]
        if metrics.get("seeds"):
            tables.append(seed_table(metrics["seeds"]))
        yield Section("baselines", "Predictors on the same bars", tables=tuple(tables))
    if metrics:
        columns = WALK_FORWARD if "folds" in metrics else BACKTEST
        yield Section("figures", "Figures", block=tuple(block_rows(metrics, columns)))
    trades = run.trades
    if len(trades):
        last = trades.tail(MOST_TRADES).iloc[::-1]
        spans = list(zip(last["entry_bar"].tolist(), last["exit_bar"].tolist(), strict=True))
        count = f"{len(trades):,}, the last one first."
        if len(last) < len(trades):
            count = f"The last {len(last):,} of {len(trades):,}; all are in trades.csv."
        caption = f"{count} A heading sorts, a row shows its bars. Print has the first 40."
        yield Section("trades", "Trades", caption, trades=(trade_table(last), spans))
    elif metrics:
        yield Section("trades", "Trades", "No trade was closed.")
