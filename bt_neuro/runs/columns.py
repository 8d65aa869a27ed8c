"""Columns of the tables that a run writes, and their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

import numpy as np
import pandas as pd

from bt_neuro.io import read_csv

# Types of columns; a tuple lists the texts that may occur.
INTEGER, NUMBER, TIME, TEXT, FLAG = "integer", "number", "time", "text", "flag"
OPTIONAL = "optional number"  # empty where undefined
MISSING = ("", "nan")
SIGNALS = ("none", "buy", "sell")
Columns = Mapping[str, str | tuple[str, ...]]

_DTYPES = {
    INTEGER: "int64",
    NUMBER: "float64",
    OPTIONAL: "float64",
    TIME: "str",
    TEXT: "str",
    FLAG: "bool",
}


PREDICTIONS: Columns = {
    "bar": INTEGER,
    "datetime": TIME,
    **dict.fromkeys(("p_none", "p_buy", "p_sell"), NUMBER),
    "signal": SIGNALS,
    "label": (*SIGNALS, "both", ""),
    "known_bar": OPTIONAL,
    "hit": OPTIONAL,
}
EQUITY: Columns = {
    "bar": INTEGER,
    "datetime": TIME,
    **dict.fromkeys(("close", "cash", "equity", "position", "costs", "deposits"), NUMBER),
}
PORTFOLIO_EQUITY: Columns = {
    "datetime": TIME,
    **dict.fromkeys(("cash", "equity", "deposits"), NUMBER),
    "positions": INTEGER,
}
TRADES: Columns = {
    **dict.fromkeys(("entry_bar", "exit_bar"), INTEGER),
    **dict.fromkeys(("entry_datetime", "exit_datetime"), TIME),
    "side": ("long", "short"),
    **dict.fromkeys(("size", "entry_price", "exit_price", "gross", "costs", "net", "net_pct"), NUMBER),
    "bars": INTEGER,
    **dict.fromkeys(("lots", "pips", "run_up_pct", "drawdown_pct"), NUMBER),
}
BARS: Columns = {
    "datetime": TIME,
    **dict.fromkeys(("open", "high", "low", "close", "volume", "spread"), NUMBER),
}
SYMBOL_BARS: Columns = {**BARS, "symbol": TEXT}
FOLDS: Columns = {
    "fold": INTEGER,
    **dict.fromkeys(("train_start", "train_end", "test_start", "test_end"), TIME),
    **dict.fromkeys(("train_bars", "test_bars"), INTEGER),
}
SURROGATES: Columns = {"number": INTEGER, "lift_pct": OPTIONAL, "brier_lead": OPTIONAL}
TRIALS: Columns = {"trial": INTEGER, "state": TEXT}
DRAWS: Columns = {"statistic": TEXT, "start": TEXT, "draw": INTEGER}
LINES: Columns = {"statistic": TEXT, "draw": INTEGER, "sample": INTEGER, "moving": NUMBER}
COMPARISON: Columns = {
    **dict.fromkeys(("expert", "gradient", "which", "regime"), TEXT),
    "in_sample": FLAG,
    "bars": INTEGER,
}
ERAS: Columns = {
    **dict.fromkeys(("expert", "gradient", "which"), TEXT),
    **dict.fromkeys(("seed", "era"), INTEGER),
}


def parse_table(file: IO[str], columns: Columns) -> pd.DataFrame:
    """Read a CSV file; columns that are not in `columns` are read as pandas reads them.

    Raises
    ------
    ValueError, OverflowError
        If a column is missing or a cell is not of its type.
    """
    dtypes = {name: TEXT if isinstance(kind, tuple) else kind for name, kind in columns.items()}
    header = read_csv(file, nrows=0).columns
    file.seek(0)
    table = read_csv(
        file,
        dtype={name: _DTYPES[kind] for name, kind in dtypes.items()},
        keep_default_na=False,  # NA, null and None are texts: a ticker may be called so
        na_values={name: MISSING for name in header if dtypes.get(name) != TEXT},
    )
    for name, kind in columns.items():
        if name not in table:
            raise ValueError(f"column {name} is missing")
        if kind == TIME:
            table[name] = pd.to_datetime(table[name], format="ISO8601")
        values = table[name]
        if isinstance(kind, tuple):
            wrong = ~values.isin(kind)
        elif kind == TIME:
            wrong = values.isna()
        elif kind == NUMBER:
            wrong = ~np.isfinite(values)
        elif kind == OPTIONAL:
            wrong = np.isinf(values)
        else:
            continue
        if wrong.any():
            row = int(wrong.argmax())
            rule = f"one of {kind}" if isinstance(kind, tuple) else f"a {kind}"
            raise ValueError(f"{name} of row {row + 1} must be {rule}, got {values.iloc[row]!r}")
    return table
