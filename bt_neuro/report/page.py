"""Pages of runs: report.html of any kind of run, and its figures for notebooks."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from bokeh.embed import file_html
from bokeh.layouts import column
from bokeh.models import Column
from bokeh.resources import INLINE

from bt_neuro.bars.reader import Bars
from bt_neuro.errors import NeuroError
from bt_neuro.io import atomic_write
from bt_neuro.report.html import render_html
from bt_neuro.report.sections import run_sections, sections_of
from bt_neuro.report.summary import summary_of


def render_page(run: Any, bars: Bars | None = None) -> str:
    """Return the page of a run as HTML; see `write_page`."""
    return render_html(summary_of(run), sections_of(run, bars), run.manifest)


def write_page(run: Any, bars: Bars | None = None) -> Path:
    """Write ``report.html`` into the folder of a run, atomically.

    Parameters
    ----------
    run : of any kind, complete or broken off, as `open_run` returns it
    bars : its bars if they are at hand; otherwise their file is read again, if it is unchanged

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    NeuroError
        If the folder cannot be written to. An existing page stays.
    """
    path, text = run.folder / "report.html", render_page(run, bars)
    try:
        with atomic_write(path) as partial:
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # names need not be UTF-8
    except OSError as error:
        raise NeuroError(
            f"cannot write {path}: {error.strerror}.\nFree some space there, or copy the run."
        ) from error
    return path


def plot(run: Any, bars: Bars | None = None) -> Column:
    """Return the figures of a backtest or walk-forward as a Bokeh layout.

    Parameters
    ----------
    run : a `Result`
    bars : as in `write_page`

    Returns
    -------
    bokeh.models.Column
        A notebook shows it as it is, without network access; elsewhere `bokeh.io.show` does.
    """
    figures = [figure for section in run_sections(run, bars) for figure in section.figures]
    layout = column(*figures, sizing_mode="stretch_width")
    layout._repr_html_ = lambda: _in_frame(layout)  # Bokeh's own needs output_notebook() first
    return layout


def _in_frame(layout: Column) -> str:
    """Return a layout as a frame that holds all it needs; its scripts stay apart from those of the notebook."""
    page = file_html(layout, INLINE, "bt-neuro")
    look = "width:100%;height:900px;border:0"
    return f'<iframe srcdoc="{escape(page)}" title="Figures of the run" style="{look}"></iframe>'
