"""The page of a comparison: the article's three pictures over the eras, errors out of sample, claims."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from bokeh.models import BasicTicker, ColumnDataSource, FactorRange, Range1d
from bokeh.plotting import figure

from bt_neuro.report.html import Section, render, shown, write_page
from bt_neuro.report.style import (
    BLUE,
    DASHES,
    GREY,
    ORANGE,
    add_hover,
    add_legend,
    empty_figure,
)

COLORS = {"plain": GREY, "dropout": ORANGE, "batch_norm": BLUE}
RATES = {"article": "the article's learning rates", "best": "best learning rates of the grid"}
# What the article plots, in its order: column, heading, whether in percent.
PICTURES = (
    ("error", "Error", False),
    ("undefine_pct", "Missed fractals (undefine)", True),
    ("forecast_pct", "Hits (forecast)", True),
)


class Compared(Protocol):
    """What is drawn: a comparison's manifest and tables, as `Comparison` has them."""

    @property
    def folder(self) -> Path: ...
    @property
    def manifest(self) -> dict[str, Any]: ...
    @property
    def table(self) -> pd.DataFrame: ...
    @property
    def eras(self) -> pd.DataFrame: ...


def write_comparison(comparison: Compared) -> Path:
    """Write ``report.html`` into the folder of a comparison that is complete; return its path."""
    return write_page(comparison.folder, render_comparison(comparison))


def render_comparison(comparison: Compared) -> str:
    """Return the page of a comparison."""
    manifest, table = comparison.manifest, comparison.table
    metrics = manifest["metrics"]
    rows = table.astype(object).where(table.notna(), None)
    return render(
        "compare.html",
        [*era_sections(comparison.eras), errors_section(table)],
        manifest,
        name=Path(manifest["data"]["file"]).name,
        metrics=metrics,
        notes=[*metrics["notes"], *manifest["data"]["notes"]],
        regimes={regime: part.to_dict("records") for regime, part in rows.groupby("regime", sort=False)},
        claims=[
            {**claim, "figures": {figure["what"]: _behind(figure) for figure in claim["figures"]}}
            for claim in metrics["claims"]
        ],
    )


def era_sections(eras: pd.DataFrame) -> list[Section]:
    """Return the article's three pictures, at its rates and at the best ones.

    Parameters
    ----------
    eras : as in ``eras.csv``
    """
    sample = "in sample" if eras["in_sample"].any() else "out of sample"
    caption = (
        f"{sample.capitalize()}: at the end of each pass over the history that is learned. Lines are means "
        "of the seeds, bands reach from the least to the greatest; dashed: published gradient and slips."
    )
    return [
        Section(
            name.removesuffix("_pct"),
            f"{title} over the eras, {sample}",
            caption if name == "error" else "",
            tuple(
                era_figure(part, name, words, _range(eras[name]), sample, percent)
                for which, words in RATES.items()
                if not (part := eras[eras["which"] == which]).empty
            ),
        )
        for name, title, percent in PICTURES
    ]


def era_figure(
    eras: pd.DataFrame, name: str, words: str, y_range: Range1d, sample: str, percent: bool
) -> figure:
    """Return one figure of the article over the eras, a line for each expert.

    Parameters
    ----------
    eras : of one kind of learning rate
    name : of the column
    words : which learning rates these are
    y_range : the same for all kinds
    sample : "in sample" or "out of sample"
    percent : whether the column is in percent
    """
    plot = empty_figure(170, name=f"{name}-{eras['which'].iloc[0]}", y_range=y_range)
    drawn = {}
    for (expert, gradient, rate), part in eras.groupby(["expert", "gradient", "learning_rate"], sort=False):
        seeds = part.groupby("era")[name].agg(["mean", "min", "max"]).dropna().reset_index()
        color, published = COLORS[str(expert)], gradient == "published"
        source = ColumnDataSource({column: seeds[column].to_numpy() for column in seeds})
        if not published:
            plot.varea("era", y1="min", y2="max", source=source, color=color, alpha=0.15)
        line = plot.line(
            "era",
            "mean",
            source=source,
            color=color,
            line_width=2,
            line_dash="dashed" if published else "solid",
        )
        dots = plot.scatter(
            "era", "mean", source=source, size=5, line_color=color, fill_color=None if published else color
        )
        label = f"{'published' if published else expert} {rate:g}"
        drawn[label if len(seeds) else f"{label}: diverged"] = [line, dots]
        form = "{0.0} %" if percent else "{0.0000}"
        add_hover(plot, dots, expert=label, era="@era", **{sample: f"@mean{form}"})
    plot.xaxis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
    plot.xaxis.axis_label = "era"
    plot.x_range.range_padding = 0.05
    if percent:
        plot.yaxis.axis_label = "%"
    add_legend(plot, drawn, title=f"{words[0].upper()}{words[1:]}, {sample}")
    return plot


def errors_section(table: pd.DataFrame) -> Section:
    """Return the mean squared errors out of sample, a figure for each span of bars.

    Parameters
    ----------
    table : as in ``compare.csv``
    """
    honest = table[~table["in_sample"]]
    networks = honest[honest["which"] != "baseline"]
    bounds = _range(networks[[f"mean_squared_error{end}" for end in ("", "_low", "_high")]])
    figures = [
        errors_figure(part, Range1d(bounds.start, bounds.end))
        for _, part in honest.groupby("regime", sort=False)
    ]
    caption = (
        "Each bar was predicted before its label was known; with 95 % intervals over bars and seeds, lower "
        "is better. Lines are the baselines on the same bars, those out of reach in the legend only."
    )
    return Section("errors", "Mean squared error, out of sample", caption, tuple(figures))


def errors_figure(rows: pd.DataFrame, x_range: Range1d) -> figure:
    """Return the error of each expert and rate with its interval, and the baselines as lines.

    Parameters
    ----------
    rows : of the table, of one regime
    x_range : of mean squared errors
    """
    regime, bars = rows[["regime", "bars"]].iloc[0]
    networks = rows[rows["which"] != "baseline"]
    labels = [_label(row) for row in networks.to_dict("records")]
    plot = empty_figure(
        30 + 26 * len(labels),
        name=f"errors-{regime}",
        title=f"{regime}, {bars:,} bars",
        x_range=x_range,
        y_range=FactorRange(*reversed(labels)),
    )
    plot.xgrid.grid_line_color, plot.xgrid.grid_line_alpha = GREY, 0.25
    plot.ygrid.grid_line_color = None
    baselines = {}
    for (name, error), dash in zip(
        rows.loc[rows["which"] == "baseline", ["expert", "mean_squared_error"]].itertuples(index=False),
        DASHES[1:],
        strict=False,
    ):
        line = plot.line([error, error], [labels[-1], labels[0]], color=GREY, line_dash=dash, line_width=1.5)
        baselines[f"{name} {shown(None if math.isnan(error) else error, '.4f')}"] = [line]
    columns = {end: networks[f"mean_squared_error{end}"].to_numpy(float) for end in ("", "_low", "_high")}
    source = ColumnDataSource(
        {
            "label": labels,
            "error": columns[""],
            "low": columns["_low"],
            "high": columns["_high"],
            "color": [COLORS[expert] for expert in networks["expert"]],
            "filled": [float(gradient != "published") for gradient in networks["gradient"]],
        }
    )
    plot.segment("low", "label", "high", "label", source=source, color="color", line_width=3, alpha=0.4)
    dots = plot.scatter(
        "error", "label", source=source, size=8, line_color="color", fill_color="color", fill_alpha="filled"
    )
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=4, num_minor_ticks=0)
    add_legend(plot, baselines, columns=1)
    add_hover(plot, dots, expert="@label", error="@error{0.0000}", interval="@low{0.0000} to @high{0.0000}")
    return plot


def _label(row: Mapping[Any, Any]) -> str:
    name = "published" if row["gradient"] == "published" else row["expert"]
    return f"{name} {row['learning_rate']:g}{' best' if row['which'] == 'best' else ''}"


def _range(values: pd.Series | pd.DataFrame) -> Range1d:
    numbers = values.to_numpy(float)
    numbers = numbers[np.isfinite(numbers)]
    low, high = (numbers.min(), numbers.max()) if len(numbers) else (0.0, 1.0)
    room = 0.08 * (high - low) or 0.05
    return Range1d(low - room, high + room)


def _behind(figure: Mapping[str, Any]) -> str:
    """Return a figure behind a claim as text: a difference with its interval, or a number alone."""
    if figure["low"] is None:
        return shown(figure["value"], "g")
    value, low, high = (shown(figure[end], "+.4f") for end in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
