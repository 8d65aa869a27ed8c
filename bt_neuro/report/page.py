"""report.html: one page with everything in it, which asks no network for anything."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from bokeh.embed import json_item
from bokeh.model import Model
from bokeh.resources import Resources
from bokeh.settings import settings

from bt_neuro.errors import NeuroError
from bt_neuro.evaluate.scores import NETWORK, percent
from bt_neuro.files import replacing
from bt_neuro.market.bars import Bars
from bt_neuro.report.console import BLOCK
from bt_neuro.report.run import Run
from bt_neuro.report.sections import sections
from bt_neuro.report.walk_forward import BLOCK as FOLDS_BLOCK

MOST_TRADES = 500
HERE = Path(__file__).parent


def write_report(run: Run, bars: Bars | None = None) -> Path:
    """Write ``report.html`` into the folder of a run.

    Parameters
    ----------
    run : a `Result`, finished or broken off
    bars : its bars where they are at hand; otherwise their file is read again, if it is what it was

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    NeuroError
        When the folder cannot be written to; a page that was there stays.
    """
    page, text = run.folder / "report.html", render_page(run, bars)
    try:
        with replacing(page) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NeuroError(
            f"cannot write {page}: {error.strerror}.\nMake room there, or copy the run."
        ) from error
    return page


def render_page(run: Run, bars: Bars | None = None) -> str:
    """Return the page of a run."""
    parts = list(sections(run, bars))
    manifest = run.manifest
    metrics = manifest.get("metrics") or {}
    trades = run.trades
    return _template().render(
        name=Path(manifest["data"]["file"]).name,
        manifest=manifest,
        metrics=defaultdict(lambda: None, metrics),  # what a run did not write is shown as undefined
        predictors={NETWORK: metrics["network"], **metrics["baselines"]} if "network" in metrics else {},
        lines=dict(_flat({key: value for key, value in manifest.items() if key != "metrics"})),
        block=FOLDS_BLOCK if "walk_forward" in manifest else BLOCK,
        sections=parts,
        scored=any(part.name == "hits" for part in parts),
        figures={
            f"{part.name}-{number}": _embedded(figure)
            for part in parts
            for number, figure in enumerate(part.figures)
        },
        trades=trades.tail(MOST_TRADES).iloc[::-1].itertuples(),
        shown_trades=min(len(trades), MOST_TRADES),
        all_trades=len(trades),
        bokeh=_bokeh(),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
    )


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
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": _shown, "percent": percent}
    return environment.get_template("page.html")


def _shown(value: Any, form: str = ",.2f", unit: str = "") -> str:
    """Return a figure as text, with a true minus sign; what is undefined is ``--``."""
    if value is None:
        return "--"
    text = format(value, form)
    return (text if isinstance(value, str) else text.replace("-", "\N{MINUS SIGN}")) + unit
