"""Curves over the same time in one figure, told apart by colour and dash."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from bt_neuro.report.style import (
    BLUE,
    DASHES,
    GREY,
    ORANGE,
    WHEN,
    add_hover,
    add_legend,
    time_figure,
    time_line,
)

COLORS = (BLUE, ORANGE, GREY)


def overlay_figure(
    curves: Mapping[str, tuple[pd.Series, ArrayLike]], unit: str, form: str, height: int = 320
) -> figure:
    """Return curves by name in one figure.

    Parameters
    ----------
    curves : times and values by name
    unit : of the values, for the axis
    form : Bokeh's number format of a value
    height : in pixels
    """
    plot, lines = time_figure(height, name="overlay"), {}
    for number, (name, (times, values)) in enumerate(curves.items()):
        line = time_line(plot, times, values, COLORS[number % len(COLORS)])
        line.glyph.line_dash = DASHES[number // len(COLORS) % len(DASHES)]
        lines[name] = [line]
        add_hover(plot, line, name=name, time=WHEN, **{unit: f"@y{{{form}}}"})
    plot.yaxis.axis_label = unit
    add_legend(plot, lines)
    return plot
