"""The lower figures: money, hit rate over time, the article's curves, calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from bokeh.layouts import column
from bokeh.models import Column, ColumnDataSource, HoverTool, NumeralTickFormatter, Range1d, Span
from bokeh.plotting import figure

from bt_neuro.report.curves import article_curves, drawdown_pct, thinned
from bt_neuro.report.style import BLUE, DASHES, GREY, ORANGE, add_legend, plain_figure

TIMES = "@x{%Y-%m-%d %H:%M}"


def time_figure(height: int, *, percent: bool = False, **options) -> figure:
    plot = plain_figure(height, x_axis_type="datetime", **options)
    if percent:
        plot.yaxis.formatter = NumeralTickFormatter(format="0.[0]")
        plot.yaxis.axis_label = "%"
    return plot


def _hover(plot: figure, drawn, value: str, form: str) -> None:
    tooltips = [("", TIMES), (value, f"@y{{{form}}}")]
    plot.add_tools(
        HoverTool(renderers=[drawn], mode="vline", tooltips=tooltips, formatters={"@x": "datetime"})
    )


def _line(plot: figure, times: pd.Series, values, color: str, points: int = 1200, **options):
    at = thinned(values, points)
    source = ColumnDataSource({"x": times.to_numpy()[at], "y": np.asarray(values, dtype="float32")[at]})
    return plot.line("x", "y", source=source, color=color, line_width=1.5, **options)


def equity_figure(table: pd.DataFrame) -> figure:
    """Return the account against buying at the first predicted bar and holding."""
    plot = time_figure(240, name="equity")
    hold = _line(plot, table["datetime"], table["hold"].bfill(), GREY)
    account = _line(plot, table["datetime"], table["equity"], BLUE)
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    add_legend(plot, account=[account], buy_and_hold=[hold])
    _hover(plot, account, "account", "0,0.00")
    return plot


def drawdown_figure(table: pd.DataFrame, x_range) -> figure:
    """Return how far the account is below its highest so far, in percent."""
    plot = time_figure(110, percent=True, x_range=x_range, name="drawdown")
    below = drawdown_pct(table["equity"])
    at = thinned(below)
    source = ColumnDataSource({"x": table["datetime"].to_numpy()[at], "y": below[at].astype("float32")})
    plot.varea("x", y1="y", y2=0, source=source, color=ORANGE, alpha=0.25)
    drawn = plot.line("x", "y", source=source, color=ORANGE)
    _hover(plot, drawn, "drawdown", "0.0")
    return plot


def account_figure(table: pd.DataFrame) -> Column:
    """Return the account and, under it, its drawdown."""
    equity = equity_figure(table)
    return column(equity, drawdown_figure(table, equity.x_range), sizing_mode="stretch_width")


def article_figures(predictions: pd.DataFrame) -> list[figure]:
    """Return the article's three curves."""
    curves = article_curves(predictions)
    plots = []
    for name, label in (("error", ""), ("forecast", "%"), ("undefine", "%")):
        curve = curves[name]
        plot = time_figure(170, name=name, title=name)
        plot.yaxis.axis_label = label
        if len(curve):
            drawn = _line(plot, curve["datetime"], curve["value"], BLUE, points=400)
            _hover(plot, drawn, name, "0.000" if name == "error" else "0.0")
        plots.append(plot)
    return plots
