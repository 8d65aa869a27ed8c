"""The figures below the bars: account, hit rate over time, the article's curves, calibration, drift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from bokeh.layouts import column
from bokeh.models import (
    Column,
    ColumnDataSource,
    FixedTicker,
    GlyphRenderer,
    LinearColorMapper,
    NumeralTickFormatter,
    Range1d,
    Span,
)
from bokeh.plotting import figure
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES, signals_of
from bt_neuro.metrics.calibration import reliability_curve, threshold_sweep
from bt_neuro.metrics.classification import brier_scores, hit_rate_over_time
from bt_neuro.metrics.predictions import PROBABILITIES, targets_of
from bt_neuro.metrics.verdict import MINIMUM_SIGNALS
from bt_neuro.report.curves import article_curves, drawdown_pct, running_mean, thinned
from bt_neuro.report.style import (
    BLUE,
    DASHES,
    GREY,
    ORANGE,
    add_hover,
    add_legend,
    empty_figure,
    in_percent,
    time_figure,
)

Array = NDArray[np.floating]

# From low to high, and nothing in the middle: the page behind may be white or black.
SHIFTS = [
    f"{color}{round(255 * strength):02x}"
    for color, strengths in ((ORANGE, np.linspace(1, 0, 12)), (BLUE, np.linspace(0, 1, 12)))
    for strength in strengths
]
WHEN = "@x{%Y-%m-%d %H:%M}"
POINTS = 500  # of a smooth curve; jagged ones get more


def account_figure(table: pd.DataFrame) -> Column:
    """Return the account against buying at the first predicted bar and holding, over its drawdown.

    Parameters
    ----------
    table : of `bar_table`
    """
    table = table.dropna(subset=["equity"])
    plot = time_figure(220, name="equity", min_border_left=56)
    times = table["datetime"]
    lines = {"account": [_line(plot, times, table["equity"], BLUE)]}
    if table["hold"].notna().any():
        lines["buy and hold"] = [_line(plot, times, table["hold"].bfill(), GREY)]
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    add_legend(plot, lines)
    add_hover(plot, lines["account"][0], time=WHEN, account="@y{0,0.00}")

    below = time_figure(110, x_range=plot.x_range, name="drawdown", min_border_left=56)
    source = _thin_source(times, drawdown_pct(table["equity"]) / 100)
    below.varea("x", y1="y", y2=0, source=source, color=ORANGE, alpha=0.2)
    add_hover(below, below.line("x", "y", source=source, color=ORANGE), time=WHEN, drawdown="@y{0.0 %}")
    below.yaxis.ticker.desired_num_ticks = 3
    below.y_range.default_span = 0.01  # of an account that never fell
    in_percent(below.yaxis)
    return column(plot, below, sizing_mode="stretch_width")


def hit_rate_figure(predictions: pd.DataFrame, answers: dict[str, Any], window: int) -> figure:
    """Return the hit rate of the last `window` bars with its interval, beside the baselines'.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    answers : of each baseline, (bars, 3), the largest being its signal
    window : scored bars
    """
    rates = hit_rate_over_time(predictions, answers, window)
    rates = rates.iloc[np.unique(np.linspace(0, len(rates) - 1, POINTS).astype(int))] if len(rates) else rates
    plot = time_figure(220, name="hit_rate")
    source = ColumnDataSource({"x": rates["datetime"], **_floats(rates, "hit_rate", "low", "high")})
    plot.varea("x", y1="low", y2="high", source=source, color=BLUE, alpha=0.18)
    network = plot.line("x", "hit_rate", source=source, color=BLUE, line_width=2)
    lines = {"this network, 95 % interval": [network]}
    enough = [name for name, answer in answers.items() if (signals_of(answer) > 0).sum() >= MINIMUM_SIGNALS]
    for name, dash in zip(enough, DASHES, strict=False):
        lines[name] = [
            plot.line(rates["datetime"], rates[name].astype("float32"), color=GREY, line_dash=dash)
        ]
    in_percent(plot.yaxis)
    add_legend(plot, lines)
    add_hover(plot, network, time=WHEN, hit_rate="@hit_rate{0.0 %}", interval="@low{0.0 %} to @high{0.0 %}")
    return plot


def era_figures(eras: pd.DataFrame) -> list[figure]:
    """Return the article's three figures over the eras, a line a network; in-sample.

    Parameters
    ----------
    eras : as in ``eras.csv``
    """
    plots = []
    for name, column_ in (("error", "error"), ("forecast", "forecast_pct"), ("undefine", "undefine_pct")):
        plot = empty_figure(170, name=f"eras-{name}", title=f"{name}, in-sample")
        for _, rows in eras.groupby("seed") if "seed" in eras else [(0, eras)]:
            values = rows[column_].to_numpy(float) / (1 if name == "error" else 100)
            source = ColumnDataSource({"x": rows["era"], "y": values})
            plot.line("x", "y", source=source, color=BLUE, line_width=1.5)
            drawn = plot.scatter("x", "y", source=source, color=BLUE, size=5)
            shown = "@y{0.000}" if name == "error" else "@y{0.0 %}"
            add_hover(plot, drawn, era="@x", **{name: shown})
        plot.xaxis.axis_label = "era"
        plot.xaxis.ticker.min_interval = 1
        if name != "error":
            in_percent(plot.yaxis)
        plots.append(plot)
    return plots


def article_figures(predictions: pd.DataFrame) -> list[figure]:
    """Return the article's three curves, each an average over its last 10,000 samples."""
    plots = []
    for name, curve in article_curves(predictions).items():
        plot = time_figure(170, name=name, title=name)
        plot.xaxis.ticker.desired_num_ticks = 3  # three figures share the width
        curve = _settled(curve)
        drawn = _line(plot, curve["datetime"], curve["value"], BLUE, points=POINTS)
        add_hover(plot, drawn, time=WHEN, **{name: "@y{0.000}" if name == "error" else "@y{0.0 %}"})
        if name != "error":
            in_percent(plot.yaxis)
        plots.append(plot)
    return plots


def reliability_figure(predictions: pd.DataFrame) -> figure:
    """Return how often each class happened where it was given about the same probability."""
    curve = reliability_curve(predictions)
    curve = curve[curve["bars"] >= MINIMUM_SIGNALS]
    plot = empty_figure(260, name="reliability", x_range=Range1d(0, 1), y_range=Range1d(0, 1))
    plot.line([0, 1], [0, 1], color=GREY, line_dash="dotted")
    lines = {}
    for name, color, marker in zip(
        CLASSES, (GREY, BLUE, ORANGE), ("circle", "triangle", "inverted_triangle"), strict=True
    ):
        part = curve[curve["name"] == name]
        source = ColumnDataSource(
            {"x": part["predicted"], **_floats(part, "happened", "low", "high"), "bars": part["bars"]}
        )
        plot.segment("x", "low", "x", "high", source=source, color=color, line_width=1.5)
        line = plot.line("x", "happened", source=source, color=color)
        dots = plot.scatter("x", "happened", source=source, color=color, marker=marker, size=7)
        lines[name] = [line, dots]
        add_hover(plot, dots, said=f"{name} @x{{0.0 %}}", happened="@happened{0.0 %}", bars="@bars{0,0}")
    plot.xaxis.axis_label, plot.yaxis.axis_label = "probability given", "happened"
    in_percent(plot.xaxis, plot.yaxis)
    add_legend(plot, lines)
    return plot


def sweep_figure(predictions: pd.DataFrame) -> figure:
    """Return what a threshold on the confidence would keep, and how much of that hit."""
    sweep = threshold_sweep(predictions)
    sweep = sweep[sweep["signals"] >= MINIMUM_SIGNALS]
    plot = empty_figure(280, name="sweep")
    columns = _floats(sweep, "hit_rate", "kept", "low", "high")
    source = ColumnDataSource({"x": sweep["threshold"], "signals": sweep["signals"], **columns})
    plot.varea("x", y1="low", y2="high", source=source, color=BLUE, alpha=0.18)
    rate = plot.line("x", "hit_rate", source=source, color=BLUE, line_width=2)
    kept = plot.line("x", "kept", source=source, color=GREY, line_dash="dashed")
    plot.xaxis.axis_label = "smallest confidence that counts as a signal"
    plot.y_range.start, plot.y_range.end = 0, 1
    in_percent(plot.xaxis, plot.yaxis)
    add_legend(plot, {"hit rate, 95 % interval": [rate], "signals kept": [kept]})
    add_hover(
        plot, rate, at_least="@x{0 %}", hit_rate="@hit_rate{0.0 %}", signals="@signals{0,0} (@kept{0.0 %})"
    )
    return plot


def drift_figure(predictions: pd.DataFrame, changes: pd.DataFrame, window: int = 1_000) -> figure:
    """Return the running Brier score, and the bars from which ADWIN found it another.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    changes : of `error_changes`
    window : bars that the running mean remembers
    """
    targets = targets_of(predictions)
    scored = np.flatnonzero(targets.any(axis=1))
    scores = brier_scores(predictions[PROBABILITIES].to_numpy()[scored], targets[scored])
    plot = time_figure(180, name="drift")
    when = predictions["datetime"].iloc[scored]
    curve = _settled(pd.DataFrame({"datetime": when, "value": running_mean(scores, window)}))
    drawn = _line(plot, curve["datetime"], curve["value"], BLUE, points=2 * POINTS)
    for when in changes["datetime"]:
        plot.add_layout(Span(location=when, dimension="height", line_color=ORANGE, line_dash="dashed"))
    add_hover(plot, drawn, time=WHEN, Brier_score="@y{0.000}")
    return plot


def statistics_figure(times: pd.Series, statistics: Array, features: list[str]) -> figure:
    """Return how far the running mean of each feature lay from its middle, in deviations of the feature.

    Parameters
    ----------
    times : of all bars, by number
    statistics : (rows, 1 + 2 x features), as in ``statistics.npy``
    features : their names
    """
    means, deviations = np.split(statistics[:, 1:].astype(float), 2, axis=1)
    scale = np.sqrt((deviations**2).mean(axis=0) + means.var(axis=0))
    shift = np.divide(means - np.median(means, axis=0), scale, out=np.zeros_like(means), where=scale > 0)
    groups = np.array_split(shift, min(POINTS, len(shift)))
    drawn = np.stack([group.mean(axis=0) for group in groups], axis=1)
    began, ended = (times[int(statistics[row, 0])] for row in (0, -1))
    plot = time_figure(22 * len(features) + 30, name="statistics", y_range=(len(features), 0))
    plot.image(
        [drawn.astype(np.float32)],
        x=began,
        y=0,
        dw=ended - began,
        dh=len(features),
        color_mapper=LinearColorMapper(palette=SHIFTS, low=-2, high=2),
    )
    plot.yaxis.ticker = FixedTicker(ticks=[row + 0.5 for row in range(len(features))])
    plot.yaxis.major_label_overrides = {row + 0.5: name for row, name in enumerate(features)}
    plot.ygrid.visible = False
    return plot


def _settled(curve: pd.DataFrame) -> pd.DataFrame:
    """Return a running mean without its first few samples, which are one sample's noise."""
    return curve.iloc[min(200, len(curve) // 10) :]


def _line(
    plot: figure, times: pd.Series, values: Any, color: str, points: int = 1200, **options: Any
) -> GlyphRenderer:
    return plot.line(
        "x", "y", source=_thin_source(times, values, points), color=color, line_width=1.5, **options
    )


def _thin_source(times: pd.Series, values: Any, points: int = 1200) -> ColumnDataSource:
    at = thinned(values, points)
    return ColumnDataSource({"x": times.to_numpy()[at], "y": np.asarray(values, dtype=np.float32)[at]})


def _floats(table: pd.DataFrame, *names: str) -> dict[str, Any]:
    return {name: table[name].to_numpy(np.float32) for name in names}
