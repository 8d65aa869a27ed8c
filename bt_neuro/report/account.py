"""The account's page: drawdowns, months and years, Sharpe ratio over time, trades by size, hour and side, costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, FixedTicker, Model, Span
from bokeh.plotting import figure

from bt_neuro.metrics.periods import period_returns, rolling_sharpe, worst_drawdowns
from bt_neuro.metrics.trading import growth, growth_metrics, trade_metrics
from bt_neuro.report.style import (
    BLUE,
    GREY,
    ORANGE,
    WHEN,
    add_hover,
    add_legend,
    empty_figure,
    in_percent,
    time_figure,
    time_line,
)
from bt_neuro.report.tables import Metrics, Table, shown, slippage_text

SHARPE_DAYS = 126  # half a year of trading
MOST_BINS = 41
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SHADE = 45  # per cent of full colour, of the largest month


def drawdown_table(equity: pd.DataFrame, cash: float) -> Table:
    """Return the five deepest drawdowns with their lengths."""
    rows = [
        (
            shown(row["depth_pct"], ".1f"),
            f"{row['peak']:%Y-%m-%d}",
            f"{row['trough']:%Y-%m-%d}",
            "not yet" if pd.isna(row["recovered"]) else f"{row['recovered']:%Y-%m-%d}",
            shown(row["days"], ",.0f"),
        )
        for row in worst_drawdowns(equity, cash).to_dict("records")
    ]
    return Table(("depth, %", "peak", "trough", "recovered", "days"), rows, "Deepest drawdowns")


def month_table(equity: pd.DataFrame, cash: float) -> Table:
    """Return the return of each month and year in percent, shaded by its size."""
    months, years = (period_returns(equity, cash, unit) for unit in ("M", "Y"))
    largest = float(months.abs().max()) or 1.0
    rows, shades = [], []
    for year, total in reversed(list(years.items())):
        values = [months.get(pd.Period(year=year.year, month=month, freq="M")) for month in range(1, 13)]
        rows.append(
            (str(year), *(("" if v is None else shown(v, "+.1f")) for v in values), shown(total, "+.1f"))
        )
        shades.append((0.0, *(SHADE * (v or 0.0) / largest for v in values), 0.0))
    return Table(("year", *MONTHS, "all"), rows, "Return by month, %", shades=tuple(shades))


def year_table(equity: pd.DataFrame, trades: pd.DataFrame, cash: float) -> Table:
    """Return return, drawdown, Sharpe ratio and trades of each year."""
    years, value = equity["datetime"].dt.year, cash * growth(equity, cash)
    rows, before = [], cash
    for year, part in equity.groupby(years):
        own = value[(years == year).to_numpy()]
        held = part.assign(equity=own, deposits=0.0)
        grown = growth_metrics(held, before)
        closed = trade_metrics(trades[trades["exit_datetime"].dt.year == year])
        rows.append(
            (
                str(year),
                shown(grown["return_pct"], "+.1f"),
                shown(grown["max_drawdown_pct"], ".1f"),
                shown(grown["sharpe_ratio_daily_annualised"], "+.2f"),
                shown(closed["trades"], ",d"),
                shown(closed["win_rate_pct"], ".1f"),
                shown(closed["costs"], ",.2f"),
                shown(closed["profit_after_costs"], "+,.2f"),
            )
        )
        before = float(own[-1])
    heads = ("year", "return, %", "drawdown, %", "Sharpe ratio", "trades", "won, %", "costs", "net of trades")
    return Table(heads, rows[::-1], "Years")


def side_table(trades: pd.DataFrame) -> Table:
    """Return the trades of each side."""
    rows = []
    for name, part in (("long", trades[trades["side"] == "long"]), ("short", trades[trades["side"] == "short"]),
                       ("both", trades)):  # fmt: skip
        m = trade_metrics(part)
        forms = {
            "trades": ",d", "win_rate_pct": ".1f", "profit_before_costs": "+,.2f", "costs": ",.2f",
            "profit_after_costs": "+,.2f", "profit_factor": ".2f", "best_trade_pct": "+.2f",
            "worst_trade_pct": "+.2f", "mean_trade_bars": ".1f",
        }  # fmt: skip
        rows.append((name, *(shown(m[key], form) for key, form in forms.items())))
    heads = (
        "side",
        "trades",
        "won, %",
        "gross",
        "costs",
        "net",
        "profit factor",
        "best, %",
        "worst, %",
        "bars",
    )
    return Table(heads, rows, "Long against short")


def cost_table(account: Metrics) -> Table:
    """Return the costs that the run was charged."""
    source = {"option": "--spread", "file": "the file's column, mean"}.get(
        account["spread_source"], "none given"
    )
    rows = [
        ("spread, points", f"{account['mean_spread_points']:.3g} ({source})"),
        ("commission, of the value a side", f"{account['commission']:g}"),
        ("commission, a lot", f"{account.get('commission_lot', 0.0):g}"),
        ("slippage", slippage_text(account)),
        ("swap, long and short", f"{account.get('swap_long', 0.0):g} and {account.get('swap_short', 0.0):g} "
         f"{account.get('swap_unit', 'points')}"),
        ("a round trip, % of the value", shown(account.get("round_trip_cost_pct"), ".4f")),
    ]  # fmt: skip
    return Table(("cost", "value"), rows, "Costs used")


def sharpe_figure(equity: pd.DataFrame, cash: float) -> figure | None:
    """Return the Sharpe ratio of the last half year over time; None of a shorter run."""
    ratio = rolling_sharpe(equity, cash, SHARPE_DAYS).dropna()
    if ratio.empty:
        return None
    plot = time_figure(180, name="sharpe", title=f"Sharpe ratio, last {SHARPE_DAYS} days")
    plot.add_layout(Span(location=0, dimension="width", line_color=GREY, line_dash="dotted"))
    line = time_line(plot, ratio.index.to_series(), ratio, BLUE)
    add_hover(plot, line, time=WHEN, Sharpe_ratio="@y{0.00}")
    return plot


def trade_figures(trades: pd.DataFrame) -> list[Model]:
    """Return the distribution of the trades, and their net result by hour and weekday of the entry."""
    entry = trades["entry_datetime"]
    groups = {
        "hour": ("net by hour of entry", [str(hour) for hour in range(24)], entry.dt.hour),
        "weekday": ("net by weekday of entry", list(WEEKDAYS), entry.dt.day_of_week),
    }
    return [_distribution(trades["net_pct"]), *(_by(trades, *group, name) for name, group in groups.items())]


def _distribution(net_pct: pd.Series) -> figure:
    values = net_pct.to_numpy(float) / 100
    reach = float(np.quantile(np.abs(values), 0.99)) or 0.001
    bins = min(MOST_BINS, 2 * math.ceil(math.sqrt(len(values)) / 2) + 1)
    counts, edges = np.histogram(np.clip(values, -reach, reach), bins, (-reach, reach))
    plot = empty_figure(200, name="trade-sizes", title="trades by net result")
    middles = (edges[:-1] + edges[1:]) / 2
    colors = np.where(middles > 0, BLUE, ORANGE)
    source = ColumnDataSource(
        {"left": edges[:-1], "right": edges[1:], "top": counts, "x": middles, "color": colors}
    )
    bars = plot.quad("left", "right", "top", 0, source=source, color="color", alpha=0.7, line_color=None)
    mean = float(values.mean())
    line = plot.line([mean, mean], [0, max(counts.max(), 1)], color=GREY, line_width=2, line_dash="dashed")
    in_percent(plot.xaxis)
    plot.xaxis.formatter.format = "0.[00] %"
    plot.xaxis.ticker.desired_num_ticks = 4
    add_legend(plot, {"trades": [bars], f"mean {100 * mean:+.3f} %": [line]})
    add_hover(plot, bars, net="@left{0.00 %} to @right{0.00 %}", trades="@top{0,0}")
    return plot


def _by(trades: pd.DataFrame, title: str, names: list[str], keys: pd.Series, name: str) -> figure:
    groups = trades.groupby(keys)["net"].agg(["sum", "count"]).reindex(range(len(names)), fill_value=0)
    won = (trades["net"] > 0).groupby(keys).mean().reindex(range(len(names)))
    plot = empty_figure(200, name=f"trades-{name}", title=title)
    numbers = np.arange(len(names))
    few = numbers[:: 1 + len(names) // 8]  # as many as a phone has room for
    plot.xaxis.ticker = FixedTicker(ticks=few.tolist())
    plot.xaxis.major_label_overrides = dict(enumerate(names))
    source = ColumnDataSource(
        {
            "x": numbers,
            "name": names,
            "net": groups["sum"].to_numpy(float),
            "trades": groups["count"].to_numpy("int32"),
            "won": won.to_numpy(float),
            "color": np.where(groups["sum"] > 0, BLUE, ORANGE),
        }
    )
    bars = plot.vbar("x", 0.7, "net", 0, source=source, color="color", alpha=0.7)
    add_hover(
        plot, bars, **{name: "@name", "net": "@net{0,0.00}", "trades": "@trades{0,0}", "won": "@won{0.0 %}"}
    )
    return plot


def account_parts(run: Any) -> tuple[list[Table], list[Model]]:
    """Return tables and figures of a run's account."""
    equity, trades, account = run.equity, run.trades, run.manifest["account"]
    cash = float(account["cash"])
    tables = [drawdown_table(equity, cash), month_table(equity, cash), year_table(equity, trades, cash)]
    sharpe = sharpe_figure(equity, cash)
    figures: list[Model] = [sharpe] if sharpe is not None else []
    if len(trades):
        tables.append(side_table(trades))
        figures += trade_figures(trades)
    if "spread_source" in account:  # a stream has seen no whole file
        tables.append(cost_table(account))
    return tables, figures
