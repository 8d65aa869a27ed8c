"""report.html: one page with everything in it, which asks no network for anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from bokeh.embed import json_item
from bokeh.model import Model
from bokeh.resources import Resources

from bt_neuro.evaluate.folder import Result
from bt_neuro.market.bars import Bars
from bt_neuro.report.chart import price_chart
from bt_neuro.report.console import BLOCK
from bt_neuro.report.figures import account_figure, article_figures
from bt_neuro.report.run import bar_table, bars_of

MOST_TRADES = 500
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A heading, a caption, and figures beside each other where the page is wide enough."""

    name: str
    title: str
    caption: str
    figures: tuple[Model, ...]


def sections(result: Result, bars: Bars | None, why_no_bars: str = "") -> list[Section]:
    table = bar_table(result, bars)
    if table.empty:
        return []
    point = result.manifest["data"].get("point") or 1e-5
    digits = max(0, round(-__import__("math").log10(point)))
    return [
        Section("bars", "Bars and signals", why_no_bars, (price_chart(table, digits),)),
        Section("money", "Account", "", (account_figure(table),)),
        Section("article", "The article's three curves", "", tuple(article_figures(result.predictions))),
    ]


def render(result: Result, bars: Bars | None = None) -> str:
    why = ""
    if bars is None:
        bars, why = bars_of(result)
    parts = sections(result, bars, why)
    items = [
        {"target": f"{part.name}-{number}", "item": _safe(json.dumps(json_item(figure)))}
        for part in parts
        for number, figure in enumerate(part.figures)
    ]
    return _template().render(
        manifest=result.manifest,
        metrics=result.manifest.get("metrics") or {},
        sections=parts,
        items=items,
        bokeh=_bokeh(),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
    )


def _safe(text: str) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c")


@cache
def _bokeh() -> str:
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(HERE)
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template("page.html")
