"""Figures of a run: account, hit rate over time, the article's curves, calibration, drift, inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import (
    ColumnDataSource,
    FixedTicker,
    LinearColorMapper,
    Range1d,
    Span,
)
from bokeh.plotting import figure
from numpy.typing import NDArray

from bt_neuro.learning.signals import CLASSES, signals_of
from bt_neuro.metrics.calibration import reliability_curve, threshold_sweep
from bt_neuro.metrics.classification import hit_rate_over_time
from bt_neuro.metrics.predictions import PROBABILITIES, brier_scores, network_signals, targets_of
from bt_neuro.metrics.skill import lift_over_time
from bt_neuro.metrics.verdict import MINIMUM_SIGNALS
from bt_neuro.report.curves import article_curves, running_mean
from bt_neuro.report.style import (
    BLUE,
    DASHES,
    GREY,
    ORANGE,
    WHEN,
    add_hover,
    add_legend,
    band_line,
    data_range,
    empty_figure,
    floats,
    in_percent,
    time_figure,
    time_line,
)

# From low to high, and nothing in the middle: the page behind may be white or black.
SHIFTS = [
    f"{color}{round(255 * strength):02x}"
    for color, strengths in ((ORANGE, np.linspace(1, 0, 12)), (BLUE, np.linspace(0, 1, 12)))
    for strength in strengths
]
POINTS = 500  # of a smooth curve; jagged ones get more


def hit_rate_figure(predictions: pd.DataFrame, baselines: dict[str, Any], window: int) -> figure:
    """Return the hit rate over the last `window` scored bars with its interval, beside the baselines.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    baselines : signals of each baseline, (bars, 3); the largest column is the signal
    window : scored bars
    """
    rates = hit_rate_over_time(predictions, baselines, window)
    rates = rates.iloc[np.unique(np.linspace(0, len(rates) - 1, POINTS).astype(int))] if len(rates) else rates
    plot = time_figure(220, name="hit_rate")
    source = ColumnDataSource({"x": rates["datetime"], **floats(rates, "hit_rate", "low", "high")})
    network = band_line(plot, source, "hit_rate")
    lines = {"this network, 95 % interval": [network]}
    enough = [name for name, values in baselines.items() if (signals_of(values) > 0).sum() >= MINIMUM_SIGNALS]
    for name, dash in zip(enough, DASHES, strict=False):
        line = plot.line(rates["datetime"], rates[name].astype("float32"), color=GREY, line_dash=dash)
        lines[name] = [line]
    in_percent(plot.yaxis)
    add_legend(plot, lines)
    add_hover(plot, network, time=WHEN, hit_rate="@hit_rate{0.0 %}", interval="@low{0.0 %} to @high{0.0 %}")
    return plot


def lift_figure(predictions: pd.DataFrame, shapes: NDArray[np.integer], window: int) -> figure:
    """Return the lift over the visible half of a fractal on the last `window` scored bars.

    Where none of these signals, the line has a gap.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    shapes : number of the visible shape of each
    window : scored bars
    """
    targets = targets_of(predictions)
    scored = targets.any(axis=1)
    lift = lift_over_time(network_signals(predictions)[scored], targets[scored], shapes[scored], window)
    times = predictions["datetime"].iloc[np.flatnonzero(scored)[window - 1 :]]
    plot = time_figure(150, name="lift", title="lift over the visible half, percentage points")
    plot.add_layout(Span(location=0, dimension="width", line_color=GREY, line_dash="dotted"))
    line = time_line(plot, times, 100 * lift, BLUE, points=POINTS)
    if np.isnan(lift).all():  # no range follows from no signals
        plot.y_range = data_range(lift)
    plot.yaxis.ticker.desired_num_ticks = 4
    add_hover(plot, line, time=WHEN, lift="@y{+0.0} points")
    return plot


def article_figures(predictions: pd.DataFrame) -> list[figure]:
    """Return the article's three curves, each an average over its last 10,000 samples."""
    plots = []
    for name, curve in article_curves(predictions).items():
        plot = time_figure(170, name=name, title=name)
        plot.xaxis.ticker.desired_num_ticks = 3  # three figures share the width
        curve = settled(curve)
        line = time_line(plot, curve["datetime"], curve["value"], BLUE, points=POINTS)
        add_hover(plot, line, time=WHEN, **{name: "@y{0.000}" if name == "error" else "@y{0.0 %}"})
        if name != "error":
            in_percent(plot.yaxis)
            plot.y_range.default_span = 0.1  # of a share that never changed
        plots.append(plot)
    return plots


def reliability_figure(predictions: pd.DataFrame) -> figure:
    """Return the observed frequency of each class over its predicted probability."""
    curve = reliability_curve(predictions)
    curve = curve[curve["bars"] >= MINIMUM_SIGNALS]
    plot = empty_figure(260, name="reliability", x_range=Range1d(0, 1), y_range=Range1d(0, 1))
    plot.line([0, 1], [0, 1], color=GREY, line_dash="dotted")
    lines = {}
    looks = ((GREY, "circle"), (BLUE, "triangle"), (ORANGE, "inverted_triangle"))
    for name, (color, marker) in zip(CLASSES, looks, strict=True):
        part = curve[curve["name"] == name]
        source = ColumnDataSource(
            {"x": part["predicted"], **floats(part, "happened", "low", "high"), "bars": part["bars"]}
        )
        plot.segment("x", "low", "x", "high", source=source, color=color, line_width=1.5)
        line = plot.line("x", "happened", source=source, color=color)
        dots = plot.scatter("x", "happened", source=source, color=color, marker=marker, size=7)
        lines[name] = [line, dots]
        add_hover(plot, dots, predicted=f"{name} @x{{0.0 %}}", observed="@happened{0.0 %}", bars="@bars{0,0}")
    plot.xaxis.axis_label, plot.yaxis.axis_label = "predicted probability", "observed frequency"
    in_percent(plot.xaxis, plot.yaxis)
    add_legend(plot, lines)
    return plot


def sweep_figure(predictions: pd.DataFrame) -> figure:
    """Return the signals that a threshold on the confidence keeps, and their hit rate."""
    sweep = threshold_sweep(predictions)
    sweep = sweep[sweep["signals"] >= MINIMUM_SIGNALS]
    plot = empty_figure(280, name="sweep")
    columns = floats(sweep, "hit_rate", "kept", "low", "high")
    source = ColumnDataSource({"x": sweep["threshold"], "signals": sweep["signals"], **columns})
    rate = band_line(plot, source, "hit_rate")
    kept = plot.line("x", "kept", source=source, color=GREY, line_dash="dashed")
    plot.xaxis.axis_label = "lowest confidence of a signal"
    plot.y_range.start, plot.y_range.end = 0, 1
    in_percent(plot.xaxis, plot.yaxis)
    add_legend(plot, {"hit rate, 95 % interval": [rate], "signals kept": [kept]})
    add_hover(
        plot, rate, at_least="@x{0 %}", hit_rate="@hit_rate{0.0 %}", signals="@signals{0,0} (@kept{0.0 %})"
    )
    return plot


def drift_figure(predictions: pd.DataFrame, changes: pd.DataFrame) -> figure:
    """Return the running Brier score, and the bars from which ADWIN detects a change.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    changes : of `error_changes`
    """
    targets = targets_of(predictions)
    scored = np.flatnonzero(targets.any(axis=1))
    scores = brier_scores(predictions[PROBABILITIES].to_numpy()[scored], targets[scored])
    plot = time_figure(180, name="drift")
    when = predictions["datetime"].iloc[scored]
    curve = settled(pd.DataFrame({"datetime": when, "value": running_mean(scores, 1_000)}))
    line = time_line(plot, curve["datetime"], curve["value"], BLUE, points=2 * POINTS)
    # Not a Span, which may lie outside the range.
    plot.vspan(changes["datetime"], line_color=ORANGE, line_dash="dashed")
    add_hover(plot, line, time=WHEN, Brier_score="@y{0.000}")
    return plot


def statistics_figure(times: pd.Series, statistics: NDArray[np.floating], features: list[str]) -> figure:
    """Return the running mean of each feature less its median, in deviations of the feature.

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
    image = np.stack([group.mean(axis=0) for group in groups], axis=1).astype(np.float32)
    first, last = (times[int(statistics[row, 0])] for row in (0, -1))
    plot = time_figure(22 * len(features) + 30, name="statistics", y_range=(len(features), 0))
    mapper = LinearColorMapper(palette=SHIFTS, low=-2, high=2)
    plot.image([image], x=first, y=0, dw=last - first, dh=len(features), color_mapper=mapper)
    plot.yaxis.ticker = FixedTicker(ticks=[row + 0.5 for row in range(len(features))])
    plot.yaxis.major_label_overrides = {row + 0.5: name for row, name in enumerate(features)}
    plot.ygrid.visible = False
    return plot


def settled(curve: pd.DataFrame) -> pd.DataFrame:
    """Return a running mean without its first few samples, which are one sample's noise."""
    return curve.iloc[min(200, len(curve) // 10) :]
