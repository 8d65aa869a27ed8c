"""What every page is made of: sections of figures, put into one file that asks no network for anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from bokeh.embed import json_item
from bokeh.model import Model
from bokeh.resources import Resources
from bokeh.settings import settings

from bt_neuro.errors import NeuroError
from bt_neuro.io import atomic_write
from bt_neuro.metrics.classification import percent

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A heading, a caption, and figures that stand beside each other where the page is wide enough."""

    name: str
    title: str
    caption: str
    figures: tuple[Model, ...]


def render(template: str, sections: Iterable[Section], manifest: dict[str, Any], **values: Any) -> str:
    """Return a page: the template filled with values, the sections' figures and the manifest line by line."""
    parts = list(sections)
    return (
        _environment()
        .get_template(template)
        .render(
            sections=parts,
            figures={
                f"{part.name}-{number}": _embedded(figure)
                for part in parts
                for number, figure in enumerate(part.figures)
            },
            manifest=manifest,
            lines=dict(_flat({key: value for key, value in manifest.items() if key != "metrics"})),
            bokeh=_bokeh(),
            style=(HERE / "page.css").read_text(encoding="utf-8"),
            script=(HERE / "page.js").read_text(encoding="utf-8"),
            **values,
        )
    )


def write_page(folder: Path, text: str) -> Path:
    """Write ``report.html`` whole or not at all.

    Raises
    ------
    NeuroError
        When the folder cannot be written to; a page that was there stays.
    """
    page = folder / "report.html"
    try:
        with atomic_write(page) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NeuroError(
            f"cannot write {page}: {error.strerror}.\nMake room there, or copy the run."
        ) from error
    return page


def shown(value: Any, form: str = ",.2f", unit: str = "") -> str:
    """Return a figure as text, with a true minus sign; what is undefined is ``--``."""
    if value is None:
        return "--"
    text = format(value, form)
    return (text if isinstance(value, str) else text.replace("-", "\N{MINUS SIGN}")) + unit


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the manifest line by line, names joined by dots."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else key)
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
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "percent": percent}
    return environment
