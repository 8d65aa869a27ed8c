"""Figures of a parameter search: history, importance, parallel coordinates, luck."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import BasicTicker, ColumnDataSource, FactorRange, FixedTicker, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from bt_neuro.metrics.importance import importance
from bt_neuro.metrics.objectives import Objective
from bt_neuro.report.style import (
    BLUE,
    GREY,
    ORANGE,
    add_hover,
    add_legend,
    data_range,
    empty_figure,
    in_percent,
)

ENOUGH_TRIALS = 10  # to tell importance from chance
BEST = 0.1  # share of the trials drawn as the best


def history_figures(trials: pd.DataFrame, names: list[str], objective: Objective) -> list[figure]:
    """Return the objective by trial with the best one so far, and over each parameter that is a number.

    Parameters
    ----------
    trials : as in ``trials.csv``
    names : of the parameters that were searched
    objective : of the search
    """
    done = finished(trials, objective).sort_values("trial")
    values = done[objective.metric].to_numpy(float)
    best = (np.maximum if objective.maximise else np.minimum).accumulate(values)
    numeric = [name for name in names if pd.api.types.is_numeric_dtype(done[name])]
    data = {"trial": done["trial"], "value": values, "best": best} | {name: done[name] for name in numeric}
    plots = []
    for name in ("trial", *numeric):
        source = ColumnDataSource(dict(data))
        is_log = name != "trial" and is_wide(done[name].to_numpy(float))
        plot = empty_figure(200, name=f"trials-{name}", x_axis_type="log" if is_log else "linear")
        dots = plot.scatter(name, "value", source=source, color=BLUE, size=6, alpha=0.7)
        if name == "trial":
            line = plot.step("trial", "best", source=source, color=GREY, mode="after")
            add_legend(plot, {objective.words: [dots], "best so far": [line]})
        if pd.api.types.is_integer_dtype(done[name]):
            plot.xaxis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
        plot.xaxis.axis_label = name
        plot.xaxis.ticker.desired_num_ticks = 4  # as many as fit, small numbers are long
        if not is_log:
            plot.xaxis.formatter.power_limit_low = -6  # 0.0004, not 4.000e-4
        tips = {name: f"@{{{name}}}"} if name != "trial" else {}
        add_hover(plot, dots, trial="@trial", **tips, value="@value")
        plots.append(plot)
    return plots


def importance_figure(trials: pd.DataFrame, names: list[str], objective: Objective) -> figure | None:
    """Return what each parameter explains of the objective alone, beside chance; None of too few trials."""
    done = finished(trials, objective)
    if len(done) < ENOUGH_TRIALS:
        return None
    found = {name: importance(done[name], done[objective.metric]) for name in names}
    rows = sorted(names, key=lambda name: found[name][0])
    source = ColumnDataSource(
        {
            "name": rows,
            "share": [found[name][0] for name in rows],
            "chance": [found[name][1] for name in rows],
        }
    )
    plot = empty_figure(
        40 + 30 * len(rows), name="importance", y_range=FactorRange(*rows), x_range=Range1d(0, 1.02)
    )
    bars = plot.hbar("name", 0.6, "share", source=source, color=BLUE, alpha=0.6)
    chance = plot.scatter("chance", "name", source=source, marker="dash", angle=math.pi / 2, size=16, color=GREY,
                          line_width=2)  # fmt: skip
    in_percent(plot.xaxis)
    plot.ygrid.grid_line_color = None
    plot.xaxis.ticker.desired_num_ticks = 4
    add_legend(plot, {"explained alone": [bars], "chance, 95 %": [chance]})
    add_hover(plot, bars, "mouse", parameter="@name", explained="@share{0 %}", chance="@chance{0 %}")
    return plot


def parallel_figure(trials: pd.DataFrame, names: list[str], objective: Objective) -> figure | None:
    """Return parallel coordinates, one line a trial from parameter to parameter down to the objective.

    Each axis runs from its lowest value at the left to its highest; the best tenth of the trials is blue.
    """
    done = finished(trials, objective)
    if len(done) < 2 or not names:
        return None
    axes = {name: _placed(done[name]) for name in names}
    axes[objective.words] = _placed(done[objective.metric])
    rows = list(reversed(axes))
    order = done[objective.metric].rank(ascending=not objective.maximise, method="first").to_numpy()
    is_best = order <= max(1, round(BEST * len(done)))
    plot = empty_figure(60 + 56 * len(rows), name="parallel", x_range=Range1d(-0.06, 1.06),
                        y_range=Range1d(-0.55, len(rows) - 0.65))  # fmt: skip
    drawn = {}
    for label, part, color, alpha in (
        ("other trials", ~is_best, GREY, 0.35),
        ("best tenth", is_best, BLUE, 0.9),
    ):
        if not part.any():
            continue
        source = ColumnDataSource(
            {
                "xs": np.stack([axes[row][0] for row in rows], axis=1)[part].tolist(),
                "ys": [list(range(len(rows)))] * int(part.sum()),
                "trial": done["trial"].to_numpy()[part],
                "value": done[objective.metric].to_numpy(float)[part],
                "text": [_words(record, names) for record in done[part].to_dict("records")],
            }
        )
        lines = plot.multi_line("xs", "ys", source=source, color=color, alpha=alpha, line_width=1.5)
        drawn[label] = [lines]
        add_hover(plot, lines, "mouse", trial="@trial", parameters="@text", value="@value")
    ticks = [(at, row, text, _align(at)) for row, name in enumerate(rows) for at, text in axes[name][1]]
    columns = zip(("x", "y", "text", "align"), map(list, zip(*ticks, strict=True)), strict=True)
    plot.text("x", "y", "text", source=ColumnDataSource(dict(columns)), y_offset=6, text_font_size="11px",
              text_color=GREY, text_align="align", text_baseline="top")  # fmt: skip
    plot.xaxis.visible = False
    plot.yaxis.ticker = FixedTicker(ticks=list(range(len(rows))))
    plot.yaxis.major_label_overrides = dict(enumerate(rows))
    add_legend(plot, dict(reversed(drawn.items())))
    return plot


def luck_figure(trials: pd.DataFrame, metrics: dict[str, Any]) -> figure | None:
    """Return the Sharpe ratios of the trials, with the best one, that of luck and the needed one."""
    ratios = trials.loc[trials["state"] == "complete", "sharpe_ratio"].dropna().to_numpy(float)
    marks = {
        "best trial": (metrics["best"]["sharpe_ratio"], BLUE, "solid"),
        "best of luck": (metrics["luck_sharpe_ratio"], GREY, "dashed"),
        "needed": (metrics["needed_sharpe_ratio"], ORANGE, "dotted"),
    }
    if len(ratios) < 2 or any(value is None for value, *_ in marks.values()):
        return None
    limits = data_range([*ratios, *(value for value, *_ in marks.values())])
    counts, edges = np.histogram(ratios, min(max(round(2 * math.sqrt(len(ratios))), 5), 30))
    plot = empty_figure(180, name="luck", x_range=limits)
    source = ColumnDataSource({"left": edges[:-1], "right": edges[1:], "top": counts})
    legend = {
        "trials": [
            plot.quad("left", "right", "top", 0, source=source, color=GREY, alpha=0.4, line_color=None)
        ]
    }
    for name, (value, color, dash) in marks.items():
        top = max(int(counts.max()), 1)
        line = plot.line([value, value], [0, top], color=color, line_width=3, line_dash=dash)
        legend[f"{name} {value:.2f}"] = [line]
    plot.xaxis.axis_label = "Sharpe ratio"
    plot.yaxis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
    add_legend(plot, legend)
    return plot


def finished(trials: pd.DataFrame, objective: Objective) -> pd.DataFrame:
    return trials[(trials["state"] == "complete") & trials[objective.metric].notna()]


def is_wide(numbers: NDArray[np.floating]) -> bool:
    """Return whether numbers need a logarithmic axis."""
    return bool(len(numbers) and numbers.min() > 0 and numbers.max() > 50 * numbers.min())


def _placed(values: pd.Series) -> tuple[NDArray[np.float64], list[tuple[float, str]]]:
    """Return values from 0 to 1, and the places and texts of an axis."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        names = sorted(values.astype(str).unique())
        places = {name: at / max(len(names) - 1, 1) for at, name in enumerate(names)}
        return values.astype(str).map(places).to_numpy(float), [(at, name) for name, at in places.items()]
    numbers = values.to_numpy(float)
    scaled = np.log(numbers) if is_wide(numbers) else numbers
    low, high = scaled.min(), scaled.max()
    placed = (scaled - low) / (high - low) if high > low else np.full(len(scaled), 0.5)
    ends = {0.0: numbers.min(), 1.0: numbers.max()} if high > low else {0.5: numbers[0]}
    return placed, [(at, f"{number:.4g}") for at, number in ends.items()]


def _align(place: float) -> str:
    """Return the alignment of a text that stays within the figure."""
    return "left" if place == 0.0 else "right" if place == 1.0 else "center"


def _words(record: dict[Any, Any], names: list[str]) -> str:
    return ", ".join(
        f"{name} {record[name]:.4g}" if isinstance(record[name], float) else f"{name} {record[name]}"
        for name in names
    )
