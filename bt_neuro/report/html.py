"""HTML of a page: one file without network access."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from bokeh.embed import json_item
from bokeh.model import Model
from bokeh.resources import Resources
from bokeh.settings import settings

from bt_neuro.io import flat
from bt_neuro.report.alternative import text_alternative
from bt_neuro.report.explanations import explanation_of
from bt_neuro.report.parts import Section, Summary
from bt_neuro.report.style import BLUE, GREY, ORANGE

HERE = Path(__file__).parent
SCRIPTS = ("page.js", "trades.js")
MINUS = re.compile(r"(?<![\w)])-(?=\d)")
SENTENCES = re.compile(r"(?<=\.) (?=[A-Z])")


def render_html(summary: Summary, sections: list[Section], manifest: dict[str, Any]) -> str:
    """Return a page: the summary above, then sections, tables and the manifest."""
    drawn = {
        f"{section.name}-{number}": figure
        for section in sections
        for number, figure in enumerate(section.figures)
    }
    alternatives = {name: text_alternative(figure) for name, figure in drawn.items()}
    figures = {name: _embedded(figure) for name, figure in drawn.items()}
    return (
        _environment()
        .get_template("page.html")
        .render(
            summary=summary,
            sections=sections,
            figures=figures,
            alternatives=alternatives,
            colors={BLUE: "--blue", ORANGE: "--orange", GREY: "--soft"},
            explanation_of=explanation_of,
            manifest=manifest,
            headline=[part for text in summary.headline for part in SENTENCES.split(text)],
            strategy=_strategy_of(manifest),
            lines=flat_texts({key: value for key, value in manifest.items() if key != "metrics"}),
            bokeh=_bokeh(),
            style=(HERE / "page.css").read_text(encoding="utf-8"),
            scripts=[(HERE / name).read_text(encoding="utf-8") for name in SCRIPTS],
        )
    )


def _strategy_of(manifest: dict[str, Any]) -> str:
    """Return the name of the strategy for the heading, such as ``mine.py:Mine``."""
    name, file = manifest.get("strategy") or "", manifest.get("strategy_file")
    return f"{Path(file).name}:{name.rpartition(':')[2]}" if file else name


def flat_texts(values: dict[str, Any]) -> dict[str, str]:
    """Return the texts of nested values by dotted name."""
    found = flat(values).items()
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found}


def _embedded(figure: Model) -> str:
    """Return a figure as JSON that cannot end the script element around it."""
    settings.compression_level.set_value(0)  # to unpack 3 MB in the browser takes longer than to load 4
    try:
        return json.dumps(json_item(figure)).replace("<", "\\u003c")
    finally:
        settings.compression_level.unset_value()


@cache
def _bokeh() -> str:
    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minus"] = lambda text: MINUS.sub("\N{MINUS SIGN}", text).replace(
        " %", "\N{NO-BREAK SPACE}%"
    )
    return environment
