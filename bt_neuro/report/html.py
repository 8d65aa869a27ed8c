"""Pages: sections of figures and tables in one file without network access."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from bokeh.embed import json_item
from bokeh.model import Model
from bokeh.resources import Resources
from bokeh.settings import settings
from markupsafe import Markup

from bt_neuro.report.tables import Table

HERE = Path(__file__).parent
MINUS = re.compile(r"(?<![\w)])-(?=\d)")


@dataclass(frozen=True)
class Section:
    """A heading, a caption, figures beside each other where there is room, tables, and lists below.

    Attributes
    ----------
    name : id in the page
    block : figures, label and text
    lists : labels and texts, by heading
    trades : a table that can be sorted; each row with its first and last bar
    """

    name: str
    title: str
    caption: str = ""
    figures: tuple[Model, ...] = ()
    tables: tuple[Table, ...] = ()
    block: tuple[tuple[str, str], ...] = ()
    lists: dict[str, dict[str, str]] = field(default_factory=dict)
    trades: tuple[Table, list[tuple[int, int]]] | None = None


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Attributes
    ----------
    title : of the browser's tab
    kicker : words above the headline
    headline : sentences
    tiles : name, figure and further text
    notes : below the tiles
    picture : width and height of a still picture of the page's beginning
    """

    title: str
    kicker: tuple[str, ...]
    headline: tuple[str, ...]
    sections: tuple[Section, ...]
    tiles: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    picture: tuple[int, int] = (1280, 1560)


def render_html(page: Page, manifest: dict[str, Any]) -> str:
    figures = {
        f"{section.name}-{number}": _embedded(figure)
        for section in page.sections
        for number, figure in enumerate(section.figures)
    }
    return (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            figures=figures,
            manifest=manifest,
            lines=dict(_flat({key: value for key, value in manifest.items() if key != "metrics"})),
            bokeh=_bokeh(),
            style=(HERE / "page.css").read_text(encoding="utf-8"),
            script=(HERE / "page.js").read_text(encoding="utf-8"),
        )
    )


def summary_html(sentence: str, rows: list[tuple[str, str]]) -> str:
    """Return a sentence and figures as a piece of HTML, for notebooks."""
    cells = Markup("").join(
        Markup("<tr><td style='text-align:left'>{}</td><td>{}</td></tr>").format(*row) for row in rows
    )
    return Markup("<p>{}</p><table>{}</table>").format(sentence, cells)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the manifest line by line, names joined by dots."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)


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
    environment.filters["minus"] = lambda text: MINUS.sub("\N{MINUS SIGN}", text)
    return environment
