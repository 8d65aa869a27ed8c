"""How every figure looks: few colours, which keep apart for the colour-blind and on white and black alike."""

from __future__ import annotations

from typing import Any

from bokeh.models import GlyphRenderer, HoverTool, Legend, NumeralTickFormatter
from bokeh.plotting import figure

BLUE = "#3b7dd8"  # what the network did, and hits
ORANGE = "#d9702b"  # misses and losses
GREY = "#767e89"  # what it is compared with, and text; as far from white as from a dark page
DASHES = (
    "solid",
    "dashed",
    "dotted",
    "dotdash",
    [1, 5],
    [9, 3, 1, 3, 1, 3],
)  # tell apart what shares a colour
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
SIZE = "12px"
LEGEND_ROW = 24


def empty_figure(height: int, **options: Any) -> figure:
    """Return a figure without lines: transparent, as wide as its page, without a toolbar."""
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
    return plot


def in_percent(*axes: Any) -> None:
    for axis in axes:
        axis.formatter = NumeralTickFormatter(format="0.[0] %")


def add_legend(
    plot: figure, lines: dict[str, list[GlyphRenderer]], title: str | None = None, columns: int = 2
) -> None:
    """Name what is drawn, above the figure, which grows by as much; a phone has room for two columns."""
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


def add_hover(plot: figure, drawn: GlyphRenderer, **tooltips: str) -> None:
    """Show values under the pointer; one with a year in its format tells that the figure's `x` is a time."""
    shown = [(name.replace("_", " "), text) for name, text in tooltips.items()]
    formats = {"@x": "datetime"} if any("%Y" in text for text in tooltips.values()) else {}
    plot.add_tools(HoverTool(renderers=[drawn], mode="vline", tooltips=shown, formatters=formats))
