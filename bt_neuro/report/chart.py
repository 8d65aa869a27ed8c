"""Zoomable chart of bars, signals, fractals and trades, the account below it, and a strip of the whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bokeh.layouts import column
from bokeh.models import (
    BoxAnnotation,
    Column,
    ColumnDataSource,
    CustomJS,
    FixedTicker,
    GlyphRenderer,
    HoverTool,
    NumeralTickFormatter,
    PanTool,
    Range1d,
    RangeTool,
    TapTool,
    WheelZoomTool,
)
from bokeh.plotting import figure
from numpy.typing import ArrayLike

from bt_neuro.report.curves import thinned
from bt_neuro.report.style import BLUE, GREY, ORANGE, add_hover, empty_figure, in_percent, mark_times, tips_of

MOST_BARS = 200_000  # of one page, 43 bytes each
FIRST_BARS = 150  # of the first view, the last ones: few enough for single arrows on a phone
CANDLE = ("x", "width", "open", "high", "low", "close", "top", "bottom", "filled", "when", "outcome")
ACCOUNT = ("x", "when", "equity", "hold", "fall")
ARROW = ("x", "y", "marker", "filled", "alpha")
FILL = (
    *("trade", "entry", "exit", "entry_price", "exit_price", "color", "line", "size", "ended"),
    *("net", "net_pct", "units", "side"),
)
LEFT, RIGHT = 8, 76  # pixels beside the plots, so that all share their x
HERE = Path(__file__).parent


def price_chart(table: pd.DataFrame, digits: int, trades: ColumnDataSource, starts: ArrayLike = ()) -> Column:
    """Return the zoomable chart of a run.

    Parameters
    ----------
    table : of `bar_table`; of more than 200,000 bars the last are drawn
    digits : decimals of the price
    trades : of `trade_source`
    starts : places of the first bars of folds, drawn as dotted lines
    """
    hold = table["hold"]
    table = table.tail(MOST_BARS)
    n = len(table)
    bars, origin = _compact(table)
    x_range = Range1d(max(-0.5, n - FIRST_BARS - 0.5), n + 1.5, bounds=(-3, n + 3), min_interval=10)
    x_range.reset_start, x_range.reset_end = x_range.start, x_range.end
    wheel = WheelZoomTool(dimensions="width", modifiers="ctrl")
    shared = {
        "x_range": x_range,
        "min_border_left": LEFT,
        "min_border_right": RIGHT,
        "y_axis_location": "right",
    }
    plot = empty_figure(
        380, y_range=Range1d(0, 1), tools=[PanTool(dimensions="width"), wheel], name="bars", title="",
        tags=[int(table.index[0])], **shared,  # number of the bar at 0
    )  # fmt: skip
    plot.xaxis.ticker = FixedTicker(ticks=[])
    sources = {
        name: ColumnDataSource({key: [] for key in keys}, name=name)
        for name, keys in {
            "candles": CANDLE, "arrows": ARROW, "fractals": ("x", "y"), "fills": FILL, "account": ACCOUNT,
        }.items()
    }  # fmt: skip
    box = BoxAnnotation(fill_color=GREY, fill_alpha=0.12, line_color=None, visible=False)
    plot.add_layout(box)
    _draw_bars(
        plot, sources["candles"], [name for name in ("open", "high", "low", "close") if name in table], digits
    )
    plot.scatter("x", "y", source=sources["fractals"], size=4, color=GREY)
    plot.scatter(
        "x", "y", source=sources["arrows"], marker="marker", size=9, line_width=1.5, line_color=GREY,
        line_alpha="alpha", fill_color=GREY, fill_alpha="filled",
    )  # fmt: skip
    _draw_fills(plot, sources["fills"], trades)
    strip = _strip(table, x_range)
    follow = CustomJS(
        args={
            "bars": bars, "plot": plot, "x_range": x_range, "y_range": plot.y_range, "axis": plot.xaxis[0],
            "strip_axis": strip.xaxis[0], "trades": trades, "box": box, "colors": [ORANGE, BLUE], "origin": origin,
            "largest": float(np.max(trades.data["size"], initial=1e-12)), **_hold(hold, table), **sources,
        },
        code=(HERE / "chart.js").read_text(encoding="utf-8"),
    )  # fmt: skip
    x_range.js_on_change("start", follow)
    x_range.js_on_change("end", follow)
    plot.js_on_change("inner_width", follow)
    trades.selected.js_on_change("indices", follow)
    below = _account(sources["account"], wheel, shared)
    if np.size(starts):
        for one in (plot, *below, strip):
            mark_times(one, np.asarray(starts) - 0.5)
    return column(plot, *below, strip, sizing_mode="stretch_width")


def _draw_bars(plot: figure, candles: ColumnDataSource, prices: list[str], digits: int) -> None:
    """Draw candles, or closes alone. Rising bodies are hollow, so wicks end at them."""
    if "open" in prices:
        plot.segment("x", "high", "x", "top", source=candles, color=GREY)
        plot.segment("x", "low", "x", "bottom", source=candles, color=GREY)
        drawn = plot.vbar("x", "width", "top", "bottom", source=candles, color=GREY, fill_alpha="filled")
    else:
        drawn = plot.line("x", "close", source=candles, color=GREY)
    form = f"{{0.{'0' * digits}}}"
    tips = {"": "@when", **{name: f"@{name}{form}" for name in prices}, "signal": "@outcome"}
    plot.add_tools(
        HoverTool(renderers=[drawn], mode="vline", tooltips=tips_of(tips), point_policy="follow_mouse")
    )
    plot.yaxis.formatter = NumeralTickFormatter(format=form[1:-1])


def _draw_fills(plot: figure, fills: ColumnDataSource, trades: ColumnDataSource) -> None:
    """Draw each trade from its entry, a ring, to its exit, a cross; a click selects it."""
    line = plot.segment(
        "entry", "entry_price", "exit", "exit_price", source=fills, color="color", line_width="line"
    )
    entry = plot.scatter(
        "entry", "entry_price", source=fills, size="size", color="color", fill_alpha=0, line_width=2
    )
    exit_ = plot.scatter(
        "exit",
        "exit_price",
        source=fills,
        size="size",
        color="color",
        marker="x",
        line_width=2.5,
        alpha="ended",
    )
    marks: list[GlyphRenderer] = [entry, exit_, line]
    tips = {"trade": "@side, @units{0,0.[00]} units", "net": "@net{0,0.00} (@net_pct{0.00} %)"}
    plot.add_tools(HoverTool(renderers=[entry, exit_], tooltips=tips_of(tips)))
    select = CustomJS(
        args={"trades": trades},
        code="const [at] = cb_data.source.inspected.indices\n"
        "if (at !== undefined) trades.selected.indices = [cb_data.source.data.trade[at]]",
    )
    plot.add_tools(TapTool(renderers=marks, behavior="inspect", callback=select))


def _account(source: ColumnDataSource, wheel: WheelZoomTool, shared: dict[str, Any]) -> list[figure]:
    """Return account and drawdown below the candles, over the same bars."""
    options = {**shared, "tools": [PanTool(dimensions="width"), wheel]}
    plot = empty_figure(130, name="equity", title="account, and buy and hold in grey", **options)
    plot.line("x", "hold", source=source, color=GREY)
    line = plot.line("x", "equity", source=source, color=BLUE, line_width=1.5)
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    below = empty_figure(90, name="drawdown", title="drawdown", **options)
    below.varea("x", y1="fall", y2=0, source=source, color=ORANGE, alpha=0.2)
    fall = below.line("x", "fall", source=source, color=ORANGE)
    below.y_range.default_span = 0.01  # of an account that never fell
    in_percent(below.yaxis)
    tips = {
        "": "@when",
        "account": "@equity{0,0.00}",
        "buy and hold": "@hold{0,0.00}",
        "drawdown": "@fall{0.0 %}",
    }
    for one, drawn in ((plot, line), (below, fall)):
        one.yaxis.ticker.desired_num_ticks = 3
        one.xaxis.visible = False
        add_hover(one, drawn, **tips)
    return [plot, below]


def _strip(table: pd.DataFrame, x_range: Range1d) -> figure:
    """Return a small chart of the whole run; a box to drag marks the visible part."""
    strip = empty_figure(
        64, x_range=Range1d(-3, len(table) + 3), y_axis_type=None, name="strip", min_border_left=LEFT,
        min_border_right=RIGHT,
    )  # fmt: skip
    strip.xaxis.ticker = FixedTicker(ticks=[])
    at = thinned(table["close"])
    strip.line(at, table["close"].to_numpy()[at], color=GREY, line_width=1)
    strip.ygrid.grid_line_color = None
    box = RangeTool(x_range=x_range, start_gesture="pan")
    box.overlay.fill_color, box.overlay.fill_alpha = BLUE, 0.18
    box.overlay.line_color, box.overlay.line_alpha, box.overlay.line_dash = BLUE, 0.8, "solid"
    strip.add_tools(box)
    return strip


def _hold(hold: pd.Series, table: pd.DataFrame) -> dict[str, float]:
    """Return the factor from the close to buy and hold, and the place of its first bar."""
    first = hold.first_valid_index()
    if first is None:
        return {"hold_scale": 0.0, "hold_from": len(table)}
    at = table.index[-1] if first not in table.index else first
    scale = float(hold[at] / table["close"][at])
    return {"hold_scale": scale, "hold_from": int(table.index.searchsorted(first))}


def _compact(table: pd.DataFrame) -> tuple[ColumnDataSource, float]:
    """Return the bars as a data source, and the time in ms from which its seconds count."""
    times = table["datetime"].to_numpy("datetime64[ms]").astype("int64")
    seconds = (times - times[0]) // 1000
    fits = seconds[-1] < 2**32
    columns: dict[str, Any] = {"seconds": seconds.astype("uint32" if fits else "float64")}
    for name in ("open", "high", "low", "close", "equity", "fall"):
        if name in table:
            columns[name] = table[name].to_numpy("float32")
    columns["confidence"] = (100 * table["confidence"]).round().to_numpy("uint8")
    for name in ("signal", "hit", "fractal"):
        columns[name] = table[name].to_numpy("int8")
    return ColumnDataSource(columns, name="table"), float(times[0])
