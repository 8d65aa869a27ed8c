"""Figures of networks: eras before the test, the vote of several and their spread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import BasicTicker, ColumnDataSource, FactorRange
from bokeh.plotting import figure
from numpy.typing import NDArray

from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.predictions import network_signals
from bt_neuro.report.curves import running_mean
from bt_neuro.report.figures import POINTS, settled
from bt_neuro.report.style import (
    BLUE,
    GREY,
    WHEN,
    add_hover,
    add_legend,
    data_range,
    empty_figure,
    in_percent,
    time_figure,
    time_line,
)

SPREADS = (
    ("hit_rate_pct", "hit rate, %", "0.0"),
    ("brier_score", "Brier score, lower is better", "0.0000"),
    ("return_pct", "return after costs, %", "0.0"),
)


def spread_figures(metrics: Mapping[str, Any]) -> list[figure]:
    """Return figures of hit rate, Brier score and return: of each network alone and of the vote.

    Parameters
    ----------
    metrics : of a run of several networks
    """
    plots = []
    for key, title, form in SPREADS:
        if key not in metrics["seeds"]:
            continue
        each, vote = metrics["seeds"][key]["each"], metrics[key]
        numbers = {f"network {n}": value for n, value in enumerate(each, 1) if value is not None}
        rows = ["vote", *reversed(numbers)]
        plot = empty_figure(40 + 22 * min(len(rows), 12), name=f"spread-{key}", title=title,
                            y_range=FactorRange(*rows), x_range=data_range([*numbers.values(), vote]))  # fmt: skip
        source = ColumnDataSource({"x": list(numbers.values()), "name": list(numbers)})
        dots = plot.scatter("x", "name", source=source, color=GREY, size=9)
        add_hover(plot, dots, "mouse", **{"": "@name", title: f"@x{{{form}}}"})
        if vote is not None:
            source = ColumnDataSource({"x": [vote], "name": ["vote"]})
            mark = plot.scatter("x", "name", source=source, color=BLUE, size=13, marker="diamond")
            add_hover(plot, mark, "mouse", **{"": "@name", title: f"@x{{{form}}}"})
        plot.xaxis.ticker.desired_num_ticks = 4
        plots.append(plot)
    return plots


def vote_figure(predictions: pd.DataFrame, outputs: NDArray[np.floating], window: int) -> figure:
    """Return the agreement of the networks of a vote over the last `window` bars.

    Parameters
    ----------
    predictions : as in ``predictions.csv``, n rows
    outputs : (n, networks, 3)
    window : bars of the running mean
    """
    votes = np.stack([signals_of(outputs[:, member]) for member in range(outputs.shape[1])], axis=1)
    agree = (votes == network_signals(predictions)[:, None]).mean(axis=1)
    speak = (votes > 0).mean(axis=1)
    plot = time_figure(180, name="votes", title="votes over time")
    lines = {}
    for name, values, color in (("networks that agree with the vote", agree, BLUE),
                                ("networks with a signal", speak, GREY)):  # fmt: skip
        curve = settled(
            pd.DataFrame({"datetime": predictions["datetime"], "value": running_mean(values, window)})
        )
        line = time_line(plot, curve["datetime"], curve["value"], color, points=POINTS)
        lines[name] = [line]
        add_hover(plot, line, time=WHEN, **{name: "@y{0.0 %}"})
    in_percent(plot.yaxis)
    add_legend(plot, lines, columns=1)
    return plot


def era_figure(
    figure_of: str, groups: dict[str, pd.DataFrame], styles: dict[str, dict[str, Any]], **options: Any
) -> tuple[figure, dict[str, Any]]:
    """Return a figure over eras, and its lines by label.

    Parameters
    ----------
    figure_of : column; "error" is drawn as it is, other columns as percentages
    groups : columns ``era`` and ``mean``, and ``min`` and ``max`` for a band, by label
    styles : options of each line, with ``color``
    options : of the figure
    """
    percent = figure_of != "error"
    plot = empty_figure(170, **options)
    drawn = {}
    for label, part in groups.items():
        style = {"line_width": 1.5, **styles[label]}
        source = ColumnDataSource({key: part[key].to_numpy(float) for key in part if key != "era"})
        source.data["era"] = part["era"].to_numpy()
        if "min" in part and "line_dash" not in style:
            plot.varea("era", y1="min", y2="max", source=source, color=style["color"], alpha=0.15)
        line = plot.line("era", "mean", source=source, **style)
        fill = None if style.get("line_dash") else style["color"]
        dots = plot.scatter("era", "mean", source=source, size=5, line_color=style["color"], fill_color=fill)
        drawn[label] = [line, dots]
        form = "@mean{0.0 %}" if percent else "@mean{0.0000}"
        add_hover(plot, dots, network=label, era="@era", in_sample=form)
    plot.xaxis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
    plot.xaxis.axis_label = "era"
    plot.x_range.range_padding = 0.05
    if percent:
        in_percent(plot.yaxis)
    return plot, drawn


def pretraining_figures(eras: pd.DataFrame) -> list[figure]:
    """Return the article's three figures over the eras of a run, a line per network; in sample.

    Parameters
    ----------
    eras : as in ``eras.csv``
    """
    plots = []
    networks = eras.groupby("seed") if "seed" in eras else [(0, eras)]
    for name, key in (("error", "error"), ("forecast", "forecast_pct"), ("undefine", "undefine_pct")):
        scale = 1 if name == "error" else 0.01
        groups = {
            f"seed {seed}": pd.DataFrame({"era": rows["era"], "mean": scale * rows[key]})
            for seed, rows in networks
        }
        styles = {label: {"color": BLUE} for label in groups}
        title = f"{name}, in sample"
        plots.append(era_figure(name, groups, styles, name=f"eras-{name}", title=title)[0])
    return plots
