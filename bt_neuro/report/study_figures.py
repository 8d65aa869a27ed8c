"""Figures over many runs: folds, trials of a search, a comparison, the convergence of averages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import BasicTicker, BoxAnnotation, ColumnDataSource, FactorRange, Range1d, Span
from bokeh.plotting import figure

from bt_neuro.report.network_figures import era_figure
from bt_neuro.report.style import (
    BLUE,
    DASHES,
    GREY,
    ORANGE,
    add_hover,
    add_legend,
    data_range,
    empty_figure,
    in_percent,
    time_figure,
)
from bt_neuro.report.tables import shown

COLORS = {"plain": GREY, "dropout": ORANGE, "batch_norm": BLUE}
AVERAGES: dict[str, dict[str, Any]] = {
    "moving": {"color": GREY, "line_width": 1.5},
    "published": {"color": BLUE, "line_width": 1.5},
    "mended": {"color": BLUE, "line_dash": "dashed"},
}
SETTLES = 10  # samples out of scale: an average of few samples is as wild as they are


def fold_figures(folds: pd.DataFrame) -> list[figure]:
    """Return hit rate and return of each fold, beside those of the best baseline and of buy and hold.

    Parameters
    ----------
    folds : as in ``folds.csv``
    """
    names = {
        "rate": "hit_rate_pct",
        "low": "hit_rate_low_pct",
        "high": "hit_rate_high_pct",
        "best": "best_baseline_hit_rate_pct",
        "account": "return_pct",
        "hold": "buy_and_hold_after_costs_pct",
    }
    columns = {key: folds[name].to_numpy(float) / 100 for key, name in names.items()}
    middles = folds["test_start"] + (folds["test_end"] - folds["test_start"]) / 2
    data = {"x": middles.to_numpy(), **columns}
    mark: dict[str, Any] = {"color": GREY, "size": 9, "marker": "dash", "line_width": 2}

    hits, source = time_figure(200, name="fold-hits"), ColumnDataSource(dict(data))
    hits.x_range.range_padding = 0.1  # as the bars beside it have
    hits.segment("x", "low", "x", "high", source=source, color=BLUE, line_width=3, alpha=0.4)
    network = hits.scatter("x", "rate", source=source, color=BLUE, size=8)
    best = hits.scatter("x", "best", source=source, **mark)
    add_legend(hits, {"this network": [network], "best baseline": [best]})
    add_hover(hits, network, fold="@x{%Y-%m-%d}", hit_rate="@rate{0.0 %}", best_baseline="@best{0.0 %}")

    returns, source = time_figure(200, name="fold-returns"), ColumnDataSource(dict(data))
    width = 0.6 * (folds["test_end"] - folds["test_start"]).min().total_seconds() * 1000
    account = returns.vbar("x", top="account", width=width, source=source, color=BLUE, alpha=0.6)
    hold = returns.scatter("x", "hold", source=source, **mark)
    add_legend(returns, {"account": [account], "buy and hold": [hold]})
    add_hover(returns, account, fold="@x{%Y-%m-%d}", account="@account{0.0 %}", buy_and_hold="@hold{0.0 %}")
    in_percent(hits.yaxis, returns.yaxis)
    return [hits, returns]


def surrogate_figure(label: str, outcome: Mapping[str, Any]) -> figure:
    """Return the histogram of a figure over the surrogates of a permutation test, and the market's own value.

    Parameters
    ----------
    label : name and unit of the figure
    outcome : its ``value``, ``surrogates`` and ``p_value``
    """
    given = np.asarray([outcome["value"], *outcome["surrogates"]], dtype=float)  # NaN where undefined
    value, surrogates = given[0], given[1:][np.isfinite(given[1:])]
    known = given[np.isfinite(given)] if np.isfinite(given).any() else np.zeros(1)
    least, most = known.min(), known.max()
    bins = min(max(round(2 * math.sqrt(len(given) - 1)), 5), 30)
    counts, edges = np.histogram(surrogates, bins, (least, most) if most > least else None)
    plot = empty_figure(160, x_range=data_range([least, most]))
    source = ColumnDataSource({"left": edges[:-1], "right": edges[1:], "top": counts})
    bars = plot.quad("left", "right", "top", 0, source=source, color=GREY, alpha=0.5, line_color=None)
    line = plot.line([value, value], [0, max(counts.max(), 1)], color=BLUE, line_width=3)
    plot.xaxis.axis_label = label
    add_legend(plot, {"surrogates": [bars], f"this market, p = {outcome['p_value']:.2g}": [line]})
    return plot


def comparison_era_figures(eras: pd.DataFrame, name: str, rates: Mapping[str, str]) -> list[figure]:
    """Return one figure of the article over the eras, at each kind of learning rate, a line per variant.

    Parameters
    ----------
    eras : as in ``eras.csv`` of a comparison
    name : of the column
    rates : title of each kind of learning rate
    """
    scale = 0.01 if name.endswith("_pct") else 1.0
    y_range, plots = data_range(scale * eras[name]), []
    for which, title in rates.items():
        groups, styles = {}, {}
        part = eras[eras["which"] == which]
        for (expert, gradient, rate), rows in part.groupby(
            ["expert", "gradient", "learning_rate"], sort=False
        ):
            published = gradient == "published"
            seeds = rows.groupby("era")[name].agg(["mean", "min", "max"]).dropna().mul(scale).reset_index()
            label = f"{'published' if published else expert} {rate:g}{'' if len(seeds) else ': diverged'}"
            groups[label] = seeds
            styles[label] = {"color": COLORS[str(expert)], "line_width": 2}
            if published:
                styles[label]["line_dash"] = "dashed"
        if not groups:
            continue
        bounds = Range1d(y_range.start, y_range.end)
        plot, drawn = era_figure(name, groups, styles, name=f"{name}-{which}", y_range=bounds)
        add_legend(plot, drawn, title=title)
        plots.append(plot)
    return plots


def error_figures(table: pd.DataFrame) -> list[figure]:
    """Return the mean squared errors out of sample with their intervals, a figure per regime.

    Parameters
    ----------
    table : as in ``compare.csv``
    """
    table = table[~table["in_sample"]]
    networks = table[table["which"] != "baseline"]
    bounds = data_range(networks[[f"mean_squared_error{end}" for end in ("", "_low", "_high")]])
    return [
        _error_figure(str(regime), rows, Range1d(bounds.start, bounds.end))
        for regime, rows in table.groupby("regime", sort=False)
    ]


def _error_figure(regime: str, rows: pd.DataFrame, x_range: Range1d) -> figure:
    networks, baselines = (rows[(rows["which"] == "baseline") == flag] for flag in (False, True))
    labels = [_label(row) for row in networks.to_dict("records")]
    plot = empty_figure(
        30 + 26 * len(labels),
        name=f"errors-{regime}",
        title=f"{regime}, {rows['bars'].iloc[0]:,} bars",
        x_range=x_range,
        y_range=FactorRange(*reversed(labels)),
    )
    plot.xgrid.grid_line_color, plot.xgrid.grid_line_alpha = GREY, 0.25
    plot.ygrid.grid_line_color = None
    legend = {}
    errors = baselines[["expert", "mean_squared_error"]].itertuples(index=False)
    for (name, error), dash in zip(errors, DASHES[1:], strict=False):
        line = plot.line([error, error], [labels[-1], labels[0]], color=GREY, line_dash=dash, line_width=1.5)
        legend[f"{name} {shown(None if math.isnan(error) else error, '.4f')}"] = [line]
    ends = {"error": "", "low": "_low", "high": "_high"}
    source = ColumnDataSource(
        {
            "label": labels,
            **{key: networks[f"mean_squared_error{end}"].to_numpy(float) for key, end in ends.items()},
            "color": [COLORS[expert] for expert in networks["expert"]],
            "filled": [float(gradient != "published") for gradient in networks["gradient"]],
        }
    )
    plot.segment("low", "label", "high", "label", source=source, color="color", line_width=3, alpha=0.4)
    dots = plot.scatter(
        "error", "label", source=source, size=8, line_color="color", fill_color="color", fill_alpha="filled"
    )
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=4, num_minor_ticks=0)
    add_legend(plot, legend, columns=1)
    add_hover(plot, dots, variant="@label", error="@error{0.0000}", interval="@low{0.0000} to @high{0.0000}")
    return plot


def _label(row: Mapping[Any, Any]) -> str:
    name = "published" if row["gradient"] == "published" else row["expert"]
    return f"{name} {row['learning_rate']:g}{' best' if row['which'] == 'best' else ''}"


def average_figures(lines: pd.DataFrame, draws: pd.DataFrame, claimed: list[int]) -> list[figure]:
    """Return the moving average and the exponential ones by sample, a figure per draw.

    Parameters
    ----------
    lines : as in ``lines.csv``, of one statistic
    draws : as in ``draws.csv``, of the same statistic
    claimed : the article's range of samples
    """
    published = draws[draws["start"] == "published"].set_index("draw")["band"]
    plots = []
    for draw, part in lines.groupby("draw"):
        converged = published[draw]
        names = [name for name in AVERAGES if part.get(name, pd.Series(dtype=float)).notna().any()]
        settled = part.loc[part["sample"] > SETTLES, names]
        plot = empty_figure(
            170,
            name=f"{part['statistic'].iloc[0]}-{draw}",
            title=f"draw {int(str(draw)) + 1}: converges at sample {converged}",
            x_range=Range1d(0, part["sample"].max()),
            y_range=data_range(settled),
        )
        source = ColumnDataSource({name: part[name].to_numpy() for name in ("sample", *names)})
        _shade(plot, claimed)
        plot.add_layout(Span(location=converged, dimension="height", line_color=BLUE, line_dash="dotted"))
        glyphs = {name: [plot.line("sample", name, source=source, **AVERAGES[name])] for name in names}
        plot.xaxis.axis_label = "samples"
        add_legend(plot, glyphs)
        values = {name: f"@{name}{{0.000}}" for name in names}
        add_hover(plot, glyphs["moving"][0], sample="@sample", **values)
        plots.append(plot)
    return plots


def convergence_figure(draws: pd.DataFrame, claim: Mapping[str, Any], samples: int) -> figure:
    """Return the share of draws that have converged by each sample, a line per start.

    Parameters
    ----------
    draws : as in ``draws.csv``, of one statistic
    claim : about this statistic
    samples : of a draw
    """
    statistic, limits = (
        claim["statistic"],
        {"x_range": Range1d(0, 0.7 * samples), "y_range": Range1d(0, 1.02)},
    )
    plot = empty_figure(240, name=f"converged-{statistic}", title=statistic, **limits)
    _shade(plot, claim["claimed"])
    glyphs = {}
    for start, part in draws.groupby("start", sort=False):
        converged = np.sort(part["band"].to_numpy())
        share = np.arange(1, len(converged) + 1) / len(converged)
        source = ColumnDataSource({"x": np.append(converged, samples), "share": np.append(share, share[-1])})
        line = plot.step("x", "share", source=source, mode="after", **AVERAGES[str(start)])
        glyphs[str(start)] = [line]
        add_hover(plot, line, start=str(start), by_sample="@x", converged="@share{0 %}")
    in_percent(plot.yaxis)
    plot.xaxis.axis_label = "samples"
    add_legend(plot, glyphs)
    return plot


def _shade(plot: figure, claimed: list[int]) -> None:
    left, right = claimed
    plot.add_layout(BoxAnnotation(left=left, right=right, fill_color=GREY, fill_alpha=0.3, line_color=None))
