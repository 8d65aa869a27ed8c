"""How every figure looks: few colours, which keep apart for the colour-blind and on white and black alike."""

from __future__ import annotations

from typing import Any

from bokeh.models import ColumnDataSource, CustomJSHover, HoverTool, Legend
from bokeh.plotting import figure

BLUE = "#3b7dd8"  # what the network did, and hits
ORANGE = "#d9702b"  # misses and losses
GREY = "#8a9099"  # what it is compared with, and text
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
DASHES = ("solid", "dashed", "dotted", "dotdash", "dashdot", [1, 6])  # tell apart what shares a colour


def plain_figure(height: int, **options: Any) -> figure:
    """Return an empty figure: transparent, as wide as its page, without a toolbar."""
    options = {"tools": "", "toolbar_location": None, **options}
    plot = figure(height=height, sizing_mode="stretch_width", **options)
    plot.background_fill_alpha = plot.border_fill_alpha = 0
    plot.outline_line_color = None
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_color, plot.ygrid.grid_line_alpha = GREY, 0.22
    plot.min_border_left = plot.min_border_right = 8
    for axis in plot.axis:
        axis.axis_line_color = axis.minor_tick_line_color = axis.major_tick_line_color = None
        axis.major_label_text_color = axis.axis_label_text_color = GREY
        axis.major_label_text_font = axis.axis_label_text_font = FONT
        axis.major_label_text_font_size = axis.axis_label_text_font_size = "12px"
        axis.axis_label_text_font_style = "normal"
    plot.title.text_font, plot.title.text_font_size, plot.title.text_font_style = FONT, "12px", "normal"
    plot.title.text_color = GREY
    return plot


def add_legend(plot: figure, **lines: list[Any]) -> None:
    """Name what is drawn, above the figure and beside each other."""
    legend = Legend(
        items=[(name.replace("_", " "), drawn) for name, drawn in lines.items()],
        orientation="horizontal",
        location="left",
        padding=0,
        margin=2,
        spacing=14,
        ncols="auto",
        label_text_font=FONT,
        label_text_font_size="12px",
        label_text_color=GREY,
        background_fill_alpha=0,
        border_line_color=None,
    )
    plot.add_layout(legend, "above")


__all__ = ["BLUE", "DASHES", "FONT", "GREY", "ORANGE", "ColumnDataSource", "CustomJSHover", "HoverTool", "add_legend", "plain_figure"]
