"""The figures of a walk-forward: its folds beside each other."""

from __future__ import annotations

from typing import Any

import pandas as pd
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from bt_neuro.report.style import BLUE, GREY, add_hover, add_legend, in_percent, time_figure


def fold_hits_figure(folds: pd.DataFrame) -> figure:
    """Return the hit rate of each fold with its interval, beside that of its best baseline.

    Parameters
    ----------
    folds : as in ``folds.csv``
    """
    names = ("hit_rate_pct", "hit_rate_low_pct", "hit_rate_high_pct", "best_baseline_hit_rate_pct")
    rate, low, high, best = (folds[name].to_numpy(float) / 100 for name in names)
    source = ColumnDataSource({"x": _starts(folds), "rate": rate, "low": low, "high": high, "best": best})
    plot = time_figure(200, name="fold-hits")
    plot.x_range.range_padding = 0.1  # as the bars beside it have
    plot.segment("x", "low", "x", "high", source=source, color=BLUE, line_width=3, alpha=0.4)
    network = plot.scatter("x", "rate", source=source, color=BLUE, size=8)
    baseline = plot.scatter("x", "best", source=source, color=GREY, size=9, marker="dash", line_width=2)
    in_percent(plot.yaxis)
    add_legend(plot, {"this network": [network], "best baseline": [baseline]})
    add_hover(plot, network, fold="@x{%Y-%m-%d}", hit_rate="@rate{0.0 %}", best_baseline="@best{0.0 %}")
    return plot


def fold_returns_figure(folds: pd.DataFrame) -> figure:
    """Return the return of each fold's account, beside buy and hold; takes what `fold_hits_figure` does."""
    mine, hold = (
        folds[name].to_numpy(float) / 100 for name in ("return_pct", "buy_and_hold_after_costs_pct")
    )
    width = 0.6 * (folds["test_end"] - folds["test_start"]).min().total_seconds() * 1000
    source = ColumnDataSource({"x": _starts(folds), "mine": mine, "hold": hold})
    plot = time_figure(200, name="fold-returns")
    account = plot.vbar("x", top="mine", width=width, source=source, color=BLUE, alpha=0.6)
    held = plot.scatter("x", "hold", source=source, color=GREY, size=9, marker="dash", line_width=2)
    in_percent(plot.yaxis)
    add_legend(plot, {"account": [account], "buy and hold": [held]})
    add_hover(plot, account, fold="@x{%Y-%m-%d}", account="@mine{0.0 %}", buy_and_hold="@hold{0.0 %}")
    return plot


def _starts(folds: pd.DataFrame) -> Any:
    middle = folds["test_start"] + (folds["test_end"] - folds["test_start"]) / 2
    return middle.to_numpy()
