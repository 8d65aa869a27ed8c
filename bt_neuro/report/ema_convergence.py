"""When exponential averages join moving ones: the console, and the page with the article's picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from bokeh.models import BoxAnnotation, ColumnDataSource, Range1d, Span
from bokeh.plotting import figure

from bt_neuro.report.html import Section, render, write_page
from bt_neuro.report.style import BLUE, GREY, add_hover, add_legend, empty_figure, in_percent

LOOKS: dict[str, dict[str, Any]] = {
    "moving": {"color": GREY, "line_width": 1.5},
    "published": {"color": BLUE, "line_width": 1.5},
    "mended": {"color": BLUE, "line_dash": "dashed"},
}
SETTLES = 10  # samples that are not drawn to scale: an average of few samples is as wild as they are


class Joined(Protocol):
    """What is drawn, as `EmaConvergenceResult` has it."""

    @property
    def folder(self) -> Path: ...
    @property
    def manifest(self) -> dict[str, Any]: ...
    @property
    def draws(self) -> pd.DataFrame: ...
    @property
    def lines(self) -> pd.DataFrame: ...


def render_text(manifest: dict[str, Any]) -> str:
    """Return the text of the console: a sentence for each claim, and a table of all definitions."""
    metrics = manifest["metrics"]
    lines = [*(one["sentence"] for one in metrics["claims"]), ""]
    lines.append(
        f"{'joins at sample':<22} {'start':<10} {'defined by':<10} {'median':>7} {'95 %':>11} "
        f"{'95 % of draws':>14} {'as claimed %':>13}"
    )
    for row in metrics["joinings"]:
        draws = "--" if row["draws_low"] is None else f"{row['draws_low']:.0f} - {row['draws_high']:.0f}"
        claimed = "--" if row["claimed_pct"] is None else f"{row['claimed_pct']:.1f}"
        between = f"{row['low']:.0f} - {row['high']:.0f}"
        lines.append(
            f"{row['statistic']:<22} {row['start']:<10} {row['definition']:<10} {row['sample']:>7.0f} "
            f"{between:>11} {draws:>14} {claimed:>13}"
        )
    lines += ["", *(f"{name}: {words}" for name, words in metrics["definitions"].items())]
    return "\n".join(lines)


def write_ema_convergence(result: Joined) -> Path:
    """Write ``report.html`` into the folder; return its path."""
    manifest = result.manifest
    text = render("joining.html", _sections(result), manifest, metrics=manifest["metrics"])
    return write_page(result.folder, text)


def _sections(result: Joined) -> list[Section]:
    options = result.manifest["options"]
    parts = []
    for one in result.manifest["metrics"]["claims"]:
        statistic, (low, high) = one["statistic"], one["claimed"]
        lines = result.lines[result.lines["statistic"] == statistic]
        draws = result.draws[result.draws["statistic"] == statistic]
        caption = (
            f"The first of {options['draws']:,} draws of uniform numbers in [-1, 1]: the moving {statistic} "
            f"over {options['window']} and the exponential one by its start. Grey is the article's {low} to "
            f"{high}, dotted where the published start joins, by the definition of the band."
        )
        pictures = [lines_figure(part, draws, one["claimed"]) for _, part in lines.groupby("draw")]
        parts.append(Section(statistic, f"The {statistic}: {one['verdict']}", caption, tuple(pictures)))
    caption = "Share of draws that have joined, by the definition of the band; grey is the article's range."
    shares = [
        joined_figure(result.draws[result.draws["statistic"] == one["statistic"]], one, options["samples"])
        for one in result.manifest["metrics"]["claims"]
    ]
    return [*parts, Section("joined", "When they join", caption, tuple(shares))]


def lines_figure(lines: pd.DataFrame, draws: pd.DataFrame, claimed: list[int]) -> figure:
    """Return one draw: the moving average and the exponential ones, by sample.

    Parameters
    ----------
    lines : of one draw and statistic
    draws : when the draws of this statistic joined
    claimed : the article's range
    """
    draw = lines["draw"].iloc[0]
    (joined,) = draws.loc[(draws["draw"] == draw) & (draws["start"] == "published"), "band"]
    drawn = [name for name in LOOKS if lines.get(name, pd.Series(dtype=float)).notna().any()]
    settled = lines.loc[lines["sample"] > SETTLES, drawn]
    low, high = settled.min().min(), settled.max().max()
    room = 0.05 * (high - low)
    plot = empty_figure(
        170,
        name=f"{lines['statistic'].iloc[0]}-{draw}",
        title=f"draw {draw + 1}: joins at sample {joined}",
        x_range=Range1d(0, lines["sample"].max()),
        y_range=Range1d(low - room, high + room),
    )
    source = ColumnDataSource({name: lines[name].to_numpy() for name in ("sample", *drawn)})
    _shade(plot, claimed)
    plot.add_layout(Span(location=joined, dimension="height", line_color=BLUE, line_dash="dotted"))
    glyphs = {name: [plot.line("sample", name, source=source, **LOOKS[name])] for name in drawn}
    plot.xaxis.axis_label = "samples"
    add_legend(plot, glyphs)
    add_hover(plot, glyphs["moving"][0], sample="@sample", **{name: f"@{name}{{0.000}}" for name in drawn})
    return plot


def joined_figure(draws: pd.DataFrame, one: dict[str, Any], samples: int) -> figure:
    """Return the share of draws that have joined by each sample, a line for each start.

    Parameters
    ----------
    draws : when the draws of one statistic joined
    one : the claim about it
    samples : of a draw
    """
    plot = empty_figure(
        240, name=f"joined-{one['statistic']}", title=one["statistic"], x_range=Range1d(0, 0.7 * samples),
        y_range=Range1d(0, 1.02),
    )  # fmt: skip
    _shade(plot, one["claimed"])
    glyphs = {}
    for start, part in draws.groupby("start", sort=False):
        joined = np.sort(part["band"].to_numpy())
        share = np.arange(1, len(joined) + 1) / len(joined)
        source = ColumnDataSource({"x": np.append(joined, samples), "share": np.append(share, share[-1])})
        line = plot.step("x", "share", source=source, mode="after", **LOOKS[str(start)])
        glyphs[str(start)] = [line]
        add_hover(plot, line, start=str(start), by_sample="@x", joined="@share{0 %}")
    in_percent(plot.yaxis)
    plot.xaxis.axis_label = "samples"
    add_legend(plot, glyphs)
    return plot


def _shade(plot: figure, claimed: list[int]) -> None:
    plot.add_layout(
        BoxAnnotation(left=claimed[0], right=claimed[1], fill_color=GREY, fill_alpha=0.3, line_color=None)
    )
