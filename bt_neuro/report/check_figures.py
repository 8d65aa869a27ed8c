"""Figures of the warm-up check."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure

from bt_neuro.report.parts import Section
from bt_neuro.report.style import BLUE, GREY, add_hover, add_legend, empty_figure
from bt_neuro.report.tables import Metrics


def warmup_sections(run: Any) -> list[Section]:
    """Return agreement and errors over the bars since the late start."""
    stages = run.metrics["stages"]
    caption = (
        "Each stage compares the late starts with the run from the first bar: share of equal signals, and both "
        "mean squared errors of the outputs."
    )
    return [Section("stages", "From late start to agreement", caption, tuple(_stage_figures(stages)))]


def _stage_figures(stages: list[Metrics]) -> list[figure]:
    ends = np.array([stage["to_bar"] for stage in stages])

    def line(plot: figure, key: str, color: str, form: str, dash: str = "solid") -> list[Any]:
        values = np.array([stage[key] for stage in stages], dtype=float)
        source = ColumnDataSource({"x": ends, "y": values})
        drawn = plot.line("x", "y", source=source, color=color, line_width=2, line_dash=dash)
        dots = plot.scatter("x", "y", source=source, color=color, size=6)
        name = key.removesuffix("_pct").replace("_", " ")
        add_hover(plot, dots, **{"bars since the start": "up to @x{0,0}", name: f"@y{{{form}}}"})
        return [drawn, dots]

    agree = empty_figure(200, name="agreement", title="equal signals, %")
    add_legend(
        agree,
        {
            "all bars": line(agree, "same_signals_pct", GREY, "0.0"),
            "buys and sells": line(agree, "same_trades_pct", BLUE, "0.0"),
        },
    )
    agree.y_range.start, agree.y_range.end = 0, 102
    errors = empty_figure(200, name="errors", title="mean squared error")
    add_legend(
        errors,
        {
            "late start": line(errors, "late_error", BLUE, "0.0000"),
            "start at the first bar": line(errors, "early_error", GREY, "0.0000", "dashed"),
        },
    )
    for plot in (agree, errors):
        plot.xaxis.axis_label = "bars since the start"
        plot.xaxis.ticker.desired_num_ticks = 4
        plot.xaxis.formatter.use_scientific = False
    return [agree, errors]
