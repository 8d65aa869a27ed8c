"""Trades for the chart and the table of a page: every one, open ones too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource

# Heading, column of the source, and decimals or the name of a form.
COLUMNS = (
    ("entry", "entry_time", "time"),
    ("exit", "exit_time", "time"),
    ("side", "side", "side"),
    ("size", "size", "size"),
    ("entry price", "entry_price", "price"),
    ("exit price", "exit_price", "price"),
    ("gross", "gross", "2"),
    ("costs", "costs", "2"),
    ("net", "net", "2"),
    ("net, %", "net_pct", "2"),
    ("bars", "bars", "0"),
    ("MFE, %", "run_up_pct", "2"),
    ("MAE, %", "drawdown_pct", "2"),
    ("lots", "lots", "size"),
    ("pips", "pips", "1"),
    ("signal", "outcome", "outcome"),
)


def trade_source(
    trades: pd.DataFrame, table: pd.DataFrame, open_trades: Sequence[Mapping[str, Any]] = ()
) -> ColumnDataSource:
    """Return closed and open trades by entry, as columns.

    Parameters
    ----------
    trades : as in ``trades.csv``
    table : of `bar_table`; the signal of the bar before an entry is that of the trade
    open_trades : of the manifest, valued at the last close

    Returns
    -------
    ColumnDataSource
        ``entry`` and ``exit`` are places in `table`, times milliseconds, ``side`` 1 or -1, ``outcome`` an index
        of "missed", "hit", "not known yet" and "none".
    """
    rows = trades.assign(is_open=0)
    if open_trades:
        types = dict.fromkeys(("entry_datetime", "exit_datetime"), "datetime64[ns]")
        types |= dict.fromkeys(("run_up_pct", "drawdown_pct"), "float64")
        still_open = pd.DataFrame(list(open_trades)).assign(is_open=1).astype(types)
        rows = still_open if rows.empty else pd.concat([rows, still_open], ignore_index=True)
    rows = rows.sort_values("entry_bar", kind="stable")
    first = int(table.index[0]) if len(table) else 0
    before = table.reindex(rows["entry_bar"] - 1)
    outcome = np.where(before["signal"].fillna(0) == 0, 3, before["hit"].fillna(-1).replace(-1, 2))
    columns = {
        "entry": (rows["entry_bar"] - first).to_numpy("int32"),
        "exit": (rows["exit_bar"] - first).to_numpy("int32"),
        "entry_time": _milliseconds(rows["entry_datetime"]),
        "exit_time": _milliseconds(rows["exit_datetime"]),
        "side": rows["side"].map({"long": 1, "short": -1}).to_numpy("int8"),
        "outcome": outcome.astype("int8"),
        "bars": rows["bars"].to_numpy("int32"),
        "is_open": rows["is_open"].to_numpy("int8"),
        **{key: rows[key].to_numpy("float64") for key in ("size", "entry_price", "exit_price", "net")},
        **{
            key: rows[key].to_numpy("float32")
            for key in ("gross", "costs", "net_pct", "run_up_pct", "drawdown_pct", "lots", "pips")
        },
    }
    return ColumnDataSource(columns, name="trades")


def trade_columns(source: ColumnDataSource, digits: int) -> tuple[tuple[str, str, str], ...]:
    """Return heading, key and format of each column of the table; prices have `digits` decimals.

    Sizes of the default account are in units, and so are its lots: one column then shows both.
    """
    size, lots = np.asarray(source.data["size"]), np.asarray(source.data["lots"])
    forms = {"price": str(digits), "size": _decimals(size)}
    return tuple(
        (heading, key, forms.get(form, form) if key != "lots" else _decimals(lots))
        for heading, key, form in COLUMNS
        if key != "lots" or not np.allclose(size, lots)
    )


def _decimals(sizes: np.ndarray[Any, Any]) -> str:
    """Return the decimals that show six digits of the largest size; none of whole ones."""
    if (sizes == np.round(sizes)).all():
        return "0"
    return str(max(0, 5 - int(np.floor(np.log10(sizes.max())))))


def _milliseconds(times: pd.Series) -> np.ndarray[Any, Any]:
    return times.to_numpy("datetime64[ms]").astype("float64")
