"""Tables of a run for its charts: bars, signals of the baselines, one row per bar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import BarsError
from bt_neuro.io import read_csv
from bt_neuro.metrics.baselines import table_probabilities
from bt_neuro.metrics.predictions import PROBABILITIES
from bt_neuro.metrics.trading import growth

SIGNALS = {"none": 0, "buy": 1, "sell": 2}
FRACTALS = {"none": 0, "buy": 1, "sell": 2, "both": 3}


def bars_of(run: Any) -> tuple[Bars | None, str]:
    """Read the bars of a run again, if their file is unchanged.

    Returns
    -------
    Bars or None
    str
        Reason of None, else empty.
    """
    data = run.manifest["data"]
    path = Path(data["file"])
    options = data.get("options") or {"start": data["first"], "end": data["last"]}
    if not path.is_file():
        return None, f"{path} is missing"
    try:
        bars = read_bars(path, **options)
    except BarsError as error:
        return None, f"{str(error).splitlines()[0]}"
    if bars.sha256 != data["sha256"]:
        return None, f"{path} has changed since the run"
    closes = bars.frame["close"].reindex(run.equity["bar"])
    if not np.allclose(closes, run.equity["close"], rtol=1e-8):
        return None, f"{path} was read with other options"
    return bars, ""


def baseline_probabilities(run: Any) -> dict[str, NDArray[np.floating]]:
    """Return the probabilities of each baseline at each predicted bar, (bars, 3), by name.

    Empty if the run has no ``baselines.csv``.
    """
    path = run.folder / "baselines.csv"
    if not path.exists():
        return {}
    table = read_csv(path, index_col="bar").reindex(run.predictions["bar"])
    return table_probabilities(table)


def shapes_of(run: Any) -> NDArray[np.integer] | None:
    """Return the number of the visible shape of each predicted bar; None without ``baselines.csv``."""
    path = run.folder / "baselines.csv"
    if not path.exists():
        return None
    table = read_csv(path, index_col="bar", usecols=["bar", "shape"]).reindex(run.predictions["bar"])
    return table["shape"].to_numpy("int64")


def bar_table(
    predictions: pd.DataFrame, equity: pd.DataFrame, cash: float, bars: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return one row per bar: prices, account, signal and its outcome.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    equity : as in ``equity.csv``
    cash : before the first bar
    bars : prices by bar, with ``datetime``; without them there are no columns open, high and low, and a
        resumed run begins where it was resumed

    Returns
    -------
    DataFrame
        By bar: ``datetime``, ``open``, ``high``, ``low``, ``close``, ``equity`` (without deposits), ``fall``
        (its drawdown), ``hold`` (the account, had it bought at the first predicted bar), ``signal`` (0 none,
        1 buy, 2 sell), ``confidence`` (its probability), ``hit`` (1, 0, or -1 while unknown), ``fractal``
        (bit 0 a bottom, bit 1 a top; confirmed ones only).
    """
    predictions = predictions.set_index("bar")
    account, grown = equity.set_index("bar"), growth(equity, cash)
    if bars is not None:
        table = bars.loc[: account.index[-1], ["datetime", "open", "high", "low", "close"]].copy()
    else:
        table = account[["datetime", "close"]].copy()
    table["equity"], table["hold"] = pd.Series(cash * grown, account.index), np.nan
    table["fall"] = pd.Series(grown / np.maximum.accumulate(np.maximum(grown, 1.0)) - 1, account.index)
    held = account.loc[predictions.index[0] :] if len(predictions) else account[:0]
    if len(held):
        table["hold"] = held["close"] * (cash * grown[0] / held["close"].iloc[0])

    signals = predictions["signal"].map(SIGNALS).to_numpy(dtype=np.int8)
    p = predictions[PROBABILITIES].to_numpy()
    columns = {
        "signal": (signals, 0),
        "confidence": (p[np.arange(len(p)), signals].astype(np.float32), 0),
        "hit": (predictions["hit"].fillna(-1).to_numpy(dtype=np.int8), -1),
        "fractal": (predictions["label"].map(FRACTALS).fillna(0).to_numpy(dtype=np.int8), 0),
    }
    for name, (values, fill) in columns.items():
        table[name] = pd.Series(values, predictions.index).reindex(table.index, fill_value=fill)
    return table
