"""report.html: one page with everything in it, which asks no network for anything."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from bokeh.embed import json_item
from bokeh.model import Model
from bokeh.resources import Resources
from bokeh.settings import settings

from bt_neuro.evaluate.drift import error_changes
from bt_neuro.evaluate.folder import Result
from bt_neuro.market.bars import Bars
from bt_neuro.report.chart import MOST_BARS, price_chart
from bt_neuro.report.console import BLOCK
from bt_neuro.report.figures import (
    account_figure,
    article_figures,
    drift_figure,
    hit_rate_figure,
    reliability_figure,
    sweep_figure,
)
from bt_neuro.report.run import bar_table, bars_of, baseline_signals

MOST_TRADES = 500
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A heading, a caption, and figures that stand beside each other where the page is wide enough."""

    name: str
    title: str
    caption: str
    figures: tuple[Model, ...]


def write_report(result: Result, bars: Bars | None = None) -> Path:
    """Write ``report.html`` into the folder of a run.

    Parameters
    ----------
    result : the run, finished or broken off
    bars : its bars where they are at hand; otherwise their file is read again, if it is what it was

    Returns
    -------
    Path
        Of the page.
    """
    page = result.folder / "report.html"
    partial = page.with_name(f".{page.name}.partial")
    partial.write_text(render(result, bars), encoding="utf-8")
    return partial.replace(page)


def render(result: Result, bars: Bars | None = None) -> str:
    """Return the page of a run."""
    no_bars = ""
    if bars is None:
        bars, no_bars = bars_of(result)
    parts = list(sections(result, bars, no_bars))
    figures = {
        f"{part.name}-{number}": figure for part in parts for number, figure in enumerate(part.figures)
    }
    manifest = result.manifest
    return _template().render(
        name=Path(manifest["data"]["file"]).name,
        manifest=manifest,
        metrics=manifest.get("metrics") or {},
        flat_manifest=dict(_flattened({key: manifest[key] for key in manifest if key != "metrics"})),
        block=BLOCK,
        sections=parts,
        figures={name: _embedded(figure) for name, figure in figures.items()},
        trades=result.trades.tail(MOST_TRADES).iloc[::-1],
        all_trades=len(result.trades),
        bokeh=_bokeh(),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
    )


def sections(result: Result, bars: Bars | None, no_bars: str = "") -> Iterator[Section]:
    """Yield what there is to draw of a run; nothing where no bar ran."""
    table = bar_table(result, bars)
    if table.empty:
        return
    point = result.manifest["data"]["point"]
    caption = f"Closes alone: {no_bars}." if bars is None else ""
    if len(table) > MOST_BARS:
        caption += f" The last {MOST_BARS:,} of {len(table):,} bars."
    digits = max(0, round(-math.log10(point)))
    yield Section("bars", "Bars and signals", caption, (price_chart(table, digits),))
    yield Section("account", "Account", _account_caption(result), (account_figure(table),))

    predictions = result.predictions
    if not (predictions["label"] != "").any():
        return
    hit_rates = hit_rate_figure(predictions, baseline_signals(result))
    yield Section("hits", "Hit rate over time", "Of the last 2,000 bars.", (hit_rates,))
    caption = "Averages over the last 10,000 samples: of the error, of signals that hit (forecast) and of fractals "
    caption += "without a signal (undefine)."
    yield Section("article", "The article's three curves", caption, tuple(article_figures(predictions)))
    figures = [reliability_figure(predictions)]
    if (predictions["hit"].notna()).any():
        figures.append(sweep_figure(predictions))
    caption = "Left: on the dotted line, probabilities mean what they say. Right: what a threshold would have kept. "
    caption += "Points of fewer than 30 bars or signals are left out."
    yield Section("calibration", "Calibration", caption, tuple(figures))
    changes = error_changes(predictions)
    caption = "Brier score, lower is better. "
    caption += f"Dashed: where ADWIN found that it changed, {len(changes)} times." if len(changes) else "ADWIN found no change."
    yield Section("drift", "Drift", caption, (drift_figure(predictions, changes),))


def _account_caption(result: Result) -> str:
    metrics = result.manifest.get("metrics")
    if not metrics:
        return ""
    return "Costs are in; below, how far the account was under its highest so far."


def _flattened(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the manifest line by line, names joined by dots."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flattened(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, str):
        yield name, value
    else:
        yield name, json.dumps(value)


def _embedded(figure: Model) -> str:
    """Return a figure as JSON that cannot end the script element it stands in."""
    settings.compression_level.set_value(0)  # to unpack 3 MB in the browser takes longer than to load 4
    try:
        return json.dumps(json_item(figure)).replace("<", "\\u003c")
    finally:
        settings.compression_level.unset_value()


@cache
def _bokeh() -> str:
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = _shown
    return environment.get_template("page.html")


def _shown(value: Any, form: str = ",.2f", unit: str = "") -> str:
    """Return a figure as text, with a true minus sign; what is undefined is ``--``."""
    if value is None:
        return "--"
    return format(value, form).replace("-", "\N{MINUS SIGN}" if not isinstance(value, str) else "-") + unit
