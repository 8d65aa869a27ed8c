"""The page of a run at work: candles, signals, fills, equity and health, renewed every two seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from bokeh.document import Document
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Div
from bokeh.plotting import figure

from bt_neuro.errors import NeuroError
from bt_neuro.watch.tail import State, read_state

EVERY_MS = 2_000
UP, DOWN, BUY, SELL = "#2a7f62", "#b5462f", "#1b66b0", "#a3480b"
SHOWN = (
    "status",
    "last_bar",
    "bars",
    "lag_s",
    "recent_hit_rate_pct",
    "drift_z",
    "malformed_lines",
    "ignored_bars",
)


class WatchPage:
    """One browser's page of a run.

    Parameters
    ----------
    document : Bokeh's document
    folder : of the run
    """

    def __init__(self, document: Document, folder: Path) -> None:
        self._folder = folder
        self._health = Div(name="health", sizing_mode="stretch_width")
        self._bars = ColumnDataSource(
            _columns([], "time", "open", "high", "low", "close", "color"), name="bars"
        )
        self._signals = ColumnDataSource(_columns([], "time", "price", "color", "angle"), name="signals")
        self._fills = ColumnDataSource(_columns([], "time", "price", "color"), name="fills")
        self._equity = ColumnDataSource(_columns([], "time", "equity"), name="equity")
        self._width = 0.0
        options: dict[str, Any] = {
            "x_axis_type": "datetime",
            "sizing_mode": "stretch_width",
            "toolbar_location": None,
            "output_backend": "canvas",
        }
        prices = figure(height=380, title="Price: signals are triangles, fills are circles", **options)
        prices.line("time", "close", source=self._bars, color="#888888", width=1)
        prices.segment("time", "high", "time", "low", source=self._bars, color="color")
        self._candles = prices.vbar("time", 1, "open", "close", source=self._bars, color="color")
        prices.scatter(
            "time", "price", source=self._signals, marker="triangle", angle="angle", size=8, color="color"
        )
        prices.scatter(
            "time", "price", source=self._fills, marker="circle", size=9, line_color="color", fill_alpha=0.0
        )
        money = figure(height=200, title="Equity", x_range=prices.x_range, **options)
        money.line("time", "equity", source=self._equity, color=BUY, width=2)
        document.title = f"{folder.name} - bt-neuro watch"
        document.add_root(column(self._health, prices, money, sizing_mode="stretch_width"))
        document.add_periodic_callback(self.renew, EVERY_MS)
        self.renew()

    def renew(self) -> None:
        """Read the folder again and show it."""
        try:
            state = read_state(self._folder)
        except NeuroError as error:
            self._health.text = f"<b>{escape(str(error))}</b>"
            return
        self._health.text = health_text(state)
        times = [_milliseconds(bar["time"]) for bar in state.bars]
        bars = [
            {"open": bar["close"], "high": bar["close"], "low": bar["close"], **bar, "time": time}
            for bar, time in zip(state.bars, times, strict=True)
        ]
        for bar in bars:
            bar["color"] = UP if bar["close"] >= bar["open"] else DOWN
        steps = sorted(later - time for time, later in pairwise(times))
        self._candles.glyph.width = 0.7 * steps[len(steps) // 2] if steps else 1
        self._bars.data = _columns(bars, "time", "open", "high", "low", "close", "color")
        self._signals.data = _columns(_marks(state.signals), "time", "price", "color", "angle")
        self._fills.data = _columns(_marks(state.fills), "time", "price", "color")
        equity = [{**row, "time": _milliseconds(row["time"])} for row in state.equity]
        self._equity.data = _columns(equity, "time", "equity")


def health_text(state: State) -> str:
    """Return the health of a run as one line of HTML."""
    health = state.health
    word = "at work" if health["is_alive"] else "not at work"
    values = [
        f"{name.replace('_', ' ')} <b>{escape(_text(health[name]))}</b>" for name in SHOWN if name in health
    ]
    return f"{escape(health['kind'])} <b>{word}</b> · " + " · ".join(values)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def _marks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "time": _milliseconds(row["time"]),
            "price": row["price"],
            "color": BUY if row["side"] == "buy" else SELL,
            "angle": 0.0 if row["side"] == "buy" else 3.14159265,
        }
        for row in rows
    ]


def _milliseconds(time: str) -> float:
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() * 1000


def _columns(rows: list[dict[str, Any]], *names: str) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}
