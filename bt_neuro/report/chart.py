"""Zoomable chart of bars, signals and fractals, with a strip of the whole run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from bokeh.layouts import column
from bokeh.models import (
    Column,
    ColumnDataSource,
    CustomJS,
    CustomJSTicker,
    CustomJSTickFormatter,
    GlyphRenderer,
    HoverTool,
    PanTool,
    Range1d,
    RangeTool,
    ResetTool,
    WheelZoomTool,
)
from bokeh.plotting import figure

from bt_neuro.report.curves import thinned
from bt_neuro.report.style import BLUE, GREY, ORANGE, empty_figure

MOST_BARS = 200_000  # of one page, 52 bytes each
FIRST_BARS = 150  # of the first view, the last ones: few enough for single arrows on a phone
CANDLE = ("x", "width", "open", "high", "low", "close", "top", "bottom", "filled", "when", "outcome")
ARROW = ("x", "y", "marker", "color", "filled")
HERE = Path(__file__).parent


def price_chart(table: pd.DataFrame, digits: int) -> Column:
    """Return the zoomable chart of a run.

    Parameters
    ----------
    table : of `bar_table`; of more than 200,000 bars the last are drawn
    digits : decimals of the price
    """
    table = table.tail(MOST_BARS)
    n = len(table)
    bars = _compact(table)
    x_range = Range1d(max(-0.5, n - FIRST_BARS - 0.5), n + 1.5, bounds=(-3, n + 3), min_interval=10)
    x_range.reset_start, x_range.reset_end = x_range.start, x_range.end
    plot = empty_figure(
        380,
        x_range=x_range,
        y_range=Range1d(0, 1),
        y_axis_location="right",
        tools=[PanTool(dimensions="width"), WheelZoomTool(dimensions="width", modifiers="ctrl"), ResetTool()],
        name="bars",
        title="",
        tags=[int(table.index[0])],  # number of the bar at 0
    )
    _count_in_times(plot, bars)

    candles = ColumnDataSource({name: [] for name in CANDLE}, name="candles")
    arrows = ColumnDataSource({name: [] for name in ARROW}, name="arrows")
    fractals = ColumnDataSource({"x": [], "y": []}, name="fractals")
    prices = [name for name in ("open", "high", "low", "close") if name in table]
    drawn = (
        _draw_candles(plot, candles)
        if "open" in prices
        else plot.line("x", "close", source=candles, color=GREY)
    )
    plot.scatter("x", "y", source=fractals, size=3, color=GREY)
    plot.scatter(
        "x", "y", source=arrows, marker="marker", size=9, line_width=1.5, line_color="color",
        fill_color="color", fill_alpha="filled",
    )  # fmt: skip
    form = f"{{0.{'0' * digits}}}"
    tooltips = [("", "@when"), *((name, f"@{name}{form}") for name in prices), ("signal", "@outcome")]
    plot.add_tools(HoverTool(renderers=[drawn], mode="vline", tooltips=tooltips, point_policy="follow_mouse"))

    follow = CustomJS(
        args={
            "bars": bars, "candles": candles, "arrows": arrows, "fractals": fractals, "plot": plot,
            "x_range": x_range, "y_range": plot.y_range, "colors": [GREY, ORANGE, BLUE],
        },
        code=_script("chart"),
    )  # fmt: skip
    x_range.js_on_change("start", follow)
    x_range.js_on_change("end", follow)
    plot.js_on_change("inner_width", follow)
    return column(plot, _strip(table, bars, x_range), sizing_mode="stretch_width")


def _draw_candles(plot: figure, candles: ColumnDataSource) -> GlyphRenderer:
    """Draw candles and return their bodies. Rising bodies are hollow, so wicks end at them."""
    plot.segment("x", "high", "x", "top", source=candles, color=GREY)
    plot.segment("x", "low", "x", "bottom", source=candles, color=GREY)
    return plot.vbar("x", "width", "top", "bottom", source=candles, color=GREY, fill_alpha="filled")


def _strip(table: pd.DataFrame, bars: ColumnDataSource, x_range: Range1d) -> figure:
    """Return a small chart of the whole run; a box to drag marks the visible part."""
    n = len(table)
    strip = empty_figure(64, x_range=Range1d(-3, n + 3), y_axis_type=None, name="strip")
    _count_in_times(strip, bars)
    at = thinned(table["close"])
    strip.line(at, table["close"].to_numpy()[at], color=GREY, line_width=1)
    strip.ygrid.grid_line_color = None
    box = RangeTool(x_range=x_range, start_gesture="pan")
    box.overlay.fill_color, box.overlay.fill_alpha = BLUE, 0.18
    box.overlay.line_color, box.overlay.line_alpha, box.overlay.line_dash = BLUE, 0.8, "solid"
    strip.add_tools(box)
    return strip


def _compact(table: pd.DataFrame) -> ColumnDataSource:
    """Return the bars as a data source: float32 prices, int8 signals."""
    columns = {"datetime": table["datetime"].to_numpy("datetime64[ms]").astype("float64")}
    for name in ("open", "high", "low", "close", "confidence"):
        if name in table:
            columns[name] = table[name].to_numpy("float32")
    for name in ("signal", "hit", "fractal"):
        columns[name] = table[name].to_numpy("int8")
    return ColumnDataSource(columns, name="table")


def _count_in_times(plot: figure, bars: ColumnDataSource) -> None:
    """Count bars on the axis and label them by time."""
    axis = plot.xaxis[0]
    axis.ticker = CustomJSTicker(args={"bars": bars, "plot": plot}, major_code=_script("ticks"))
    axis.formatter = CustomJSTickFormatter(args={"bars": bars}, code=_script("tick_text"))


def _script(name: str) -> str:
    return (HERE / f"{name}.js").read_text(encoding="utf-8")
