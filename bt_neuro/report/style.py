"""Style of all figures: few colours, distinct for the colour-blind, on white and on black."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import (
    ColumnDataSource,
    DatetimeTickFormatter,
    GlyphRenderer,
    HoverTool,
    Legend,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from bt_neuro.report.curves import thinned

BLUE = "#3b7dd8"  # the network, and hits
ORANGE = "#d9702b"  # misses and losses
GREY = "#767e89"  # references and text; as far from white as from a dark page
DASHES = ("solid", "dashed", "dotted", "dotdash", [1, 5], [9, 3, 1, 3, 1, 3])  # within one colour
WHEN = "@x{%Y-%m-%d %H:%M}"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
SIZE = "12px"
TIP = (  # in the colours of the page, light or dark; a notebook has none
    "display: grid; grid-template-columns: auto auto; gap: 0 8px; margin: -5px; padding: 5px 8px; "
    "background: var(--raised, #fff); color: var(--text, #000)"
)
LEGEND_ROW = 24
NO_REPEATS: dict[str, Any] = {"strip_leading_zeros": False, "hide_repeats": True, "context_which": "start"}


def empty_figure(height: int, **options: Any) -> figure:
    """Return an empty figure: transparent, as wide as its page, without a toolbar."""
    options = {
        "tools": "",
        "toolbar_location": None,
        "sizing_mode": "stretch_width",
        "min_border": 8,
        **options,
    }
    plot = figure(height=height, **options)
    plot.background_fill_alpha = plot.border_fill_alpha = 0
    plot.outline_line_color = plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_color, plot.ygrid.grid_line_alpha = GREY, 0.25
    for axis in plot.axis:
        axis.axis_line_color = axis.minor_tick_line_color = axis.major_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = GREY
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_font_size = axis.axis_label_text_font_size = SIZE
        axis.axis_label_text_font_style = "normal"
    plot.title.text_font, plot.title.text_font_size, plot.title.text_color = FONT, SIZE, GREY
    plot.title.text_font_style = "normal"
    return plot


def time_figure(height: int, **options: Any) -> figure:
    """Return an empty figure over time."""
    plot = empty_figure(height, x_axis_type="datetime", **options)
    plot.x_range.range_padding = 0.01
    plot.xaxis.ticker.desired_num_ticks = 4  # as many as fit a phone
    day_and_year = DatetimeTickFormatter(hours="%-d %b %Y", days="%Y", months="", years="", **NO_REPEATS)
    plot.xaxis.formatter = DatetimeTickFormatter(
        days="%-d %b", months="%b %Y", context=day_and_year, **NO_REPEATS
    )
    return plot


def mark_times(plot: figure, times: ArrayLike) -> None:
    """Draw a dotted line at each of some times, or bars of the candles."""
    source = ColumnDataSource({"x": np.asarray(times)})
    plot.vspan("x", source=source, line_color=GREY, line_dash="dotted", line_alpha=0.8)


def in_percent(*axes: Any) -> None:
    for axis in axes:
        axis.formatter = NumeralTickFormatter(format="0.[0] %")


def data_range(values: Any) -> Range1d:
    """Return a range that holds all finite values, with some room."""
    numbers = np.asarray(values, dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    low, high = (numbers.min(), numbers.max()) if len(numbers) else (0.0, 1.0)
    room = 0.08 * (high - low) or 0.05
    return Range1d(low - room, high + room)


def floats(table: pd.DataFrame, *names: str) -> dict[str, Any]:
    return {name: table[name].to_numpy(np.float32) for name in names}


def thin_source(times: pd.Series, values: Any, points: int = 1200) -> ColumnDataSource:
    """Return times ``x`` and values ``y``, thinned to at most `points`; the extremes are kept."""
    at = thinned(values, points)
    return ColumnDataSource({"x": times.to_numpy()[at], "y": np.asarray(values, dtype=np.float32)[at]})


def time_line(plot: figure, times: pd.Series, values: Any, color: str, points: int = 1200) -> GlyphRenderer:
    return plot.line("x", "y", source=thin_source(times, values, points), color=color, line_width=1.5)


def band_line(plot: figure, source: ColumnDataSource, name: str, color: str = BLUE) -> GlyphRenderer:
    """Draw the column `name` over ``x`` with the band from ``low`` to ``high``; return the line."""
    plot.varea("x", y1="low", y2="high", source=source, color=color, alpha=0.18)
    return plot.line("x", name, source=source, color=color, line_width=2)


def add_legend(
    plot: figure, lines: dict[str, list[GlyphRenderer]], title: str | None = None, columns: int = 2
) -> None:
    """Add a legend above the figure, which grows by its height; a phone has room for two columns."""
    plot.height += LEGEND_ROW * (-(-len(lines) // columns) + bool(title))
    legend = Legend(
        title=title,
        title_text_font=FONT,
        title_text_font_size=SIZE,
        title_text_font_style="normal",
        title_text_color=GREY,
        title_standoff=2,
        items=list(lines.items()),
        orientation="horizontal",
        ncols=columns,
        label_height=LEGEND_ROW - 10,
        spacing=10,
        location="left",
        padding=0,
        margin=2,
        label_standoff=4,
        glyph_width=18,
        label_text_font=FONT,
        label_text_font_size=SIZE,
        label_text_color=GREY,
        background_fill_alpha=0,
        border_line_color=None,
    )
    plot.add_layout(legend, "above")


def add_hover(plot: figure, drawn: GlyphRenderer, mode: str = "vline", **tooltips: str) -> None:
    """Show values under the pointer, or with "mouse" those it touches; a format with a year makes ``x`` a time."""
    formats = {"@x": "datetime"} if any("%Y" in text for text in tooltips.values()) else {}
    plot.add_tools(HoverTool(renderers=[drawn], mode=mode, tooltips=tips_of(tooltips), formatters=formats))


def tips_of(tooltips: Mapping[str, str]) -> str:
    """Return names and formats as HTML in the colours of the page; Bokeh's own have a pale blue for names."""
    rows = [
        f"<span>{escape(name.replace('_', ' '))}</span><span>{escape(text)}</span>"
        for name, text in tooltips.items()
    ]
    return f'<div style="{TIP}">{"".join(rows)}</div>'
