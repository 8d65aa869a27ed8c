"""Charts of a portfolio: the common account, and what each instrument earned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import NumeralTickFormatter
from bokeh.plotting import figure

from bt_neuro.metrics.trading import growth
from bt_neuro.report.account import drawdown_table, month_table
from bt_neuro.report.overlay import overlay_figure
from bt_neuro.report.parts import Section
from bt_neuro.report.style import BLUE, ORANGE, WHEN, add_hover, in_percent, time_figure, time_line


def portfolio_sections(run: Any) -> Iterator[Section]:
    """Yield the sections of a portfolio; without bars there are none."""
    equity = run.equity
    if equity.empty:
        return
    cash = float(run.manifest["account"]["cash"])
    tables = (drawdown_table(equity, cash), month_table(equity, cash))
    yield Section("account-time", "Account over time", "", tuple(_account(equity, cash)), tables=tables)
    earned = {name: run.instrument(name).trades for name in run.names}
    start = equity["datetime"][:1]
    curves = {
        name: (pd.concat([start, trades["exit_datetime"]]), np.append(0.0, trades["net"].cumsum()))
        for name, trades in earned.items()
        if len(trades)
    }
    if curves:
        caption = "Sum of the closed trades of each instrument, after costs."
        plot = overlay_figure(curves, "net", "0,0.00", height=240)
        yield Section("earned", "Profit by instrument", caption, (plot,))


def _account(equity: pd.DataFrame, cash: float) -> list[figure]:
    value = cash * growth(equity, cash)
    plot = time_figure(240, name="equity", title="account")
    line = time_line(plot, equity["datetime"], value, BLUE)
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    add_hover(plot, line, time=WHEN, account="@y{0,0.00}")
    below = time_figure(240, name="drawdown", title="drawdown")
    fall = value / np.maximum.accumulate(np.maximum(value, cash)) - 1
    line = time_line(below, equity["datetime"], fall, ORANGE)
    below.y_range.default_span = 0.01  # of an account that never fell
    in_percent(below.yaxis)
    add_hover(below, line, time=WHEN, drawdown="@y{0.0 %}")
    return [plot, below]
