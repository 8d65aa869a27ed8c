"""The tables of a run as they are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import BarsError
from bt_neuro.metrics.predictions import PROBABILITIES

SIGNALS = {"none": 0, "buy": 1, "sell": 2}
FRACTALS = {"none": 0, "buy": 1, "sell": 2, "both": 3}


class Run(Protocol):
    """What is drawn: a run folder's manifest and tables, as `Result` has them."""

    @property
    def folder(self) -> Path: ...
    @property
    def manifest(self) -> dict[str, Any]: ...
    @property
    def predictions(self) -> pd.DataFrame: ...
    @property
    def trades(self) -> pd.DataFrame: ...
    @property
    def equity(self) -> pd.DataFrame: ...


def bars_of(run: Run) -> tuple[Bars | None, str]:
    """Read the bars of a run again, if their file still is what it was.

    Returns
    -------
    Bars or None
    str
        Why there are none; empty where there are.
    """
    data = run.manifest["data"]
    path = Path(data["file"])
    options = data.get("options") or {"start": data["first"], "end": data["last"]}
    if not path.is_file():
        return None, f"{path} is not there any more"
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


def baseline_signals(run: Run) -> dict[str, NDArray[np.float64]]:
    """Return what each baseline said of each predicted bar, (bars, 3) with a 1 at its signal.

    Empty where the run wrote no ``baselines.csv``.
    """
    path = run.folder / "baselines.csv"
    if not path.exists():
        return {}
    table = pd.read_csv(path, index_col="bar").drop(columns="fold", errors="ignore")
    table = table.reindex(run.predictions["bar"])
    holds = {name: [said == signal for signal in SIGNALS] for name, said in table.items()}
    return {str(name): np.stack(columns, axis=1).astype(float) for name, columns in holds.items()}


def bar_table(run: Run, bars: Bars | None) -> pd.DataFrame:
    """Return one row a bar: prices, account, signal and what became of it.

    Parameters
    ----------
    run : a `Result` with a bar at least; a broken one counts as far as it came
    bars : its bars; without them there are no columns open, high and low, and a resumed run begins where it
        was resumed

    Returns
    -------
    DataFrame
        Numbered as the bars are: ``datetime``, ``open``, ``high``, ``low``, ``close``, ``equity``, ``hold``
        (the account, had it bought at the first bar that was predicted), ``signal`` (0 none, 1 buy, 2 sell),
        ``confidence`` (its probability), ``hit`` (1, 0, or -1 while unknown), ``fractal`` (bit 0 a bottom,
        bit 1 a top; confirmed ones only).
    """
    account, predictions = run.equity.set_index("bar"), run.predictions.set_index("bar")
    if bars is None:
        table = account[["datetime", "close"]].copy()
    else:
        table = bars.frame.loc[: account.index[-1], ["datetime", "open", "high", "low", "close"]].copy()
    table["equity"] = account["equity"]
    begun = account.loc[predictions.index[0] :] if len(predictions) else account[:0]
    if len(begun):
        table["hold"] = begun["close"] * (account["equity"].iloc[0] / begun["close"].iloc[0])
    else:
        table["hold"] = np.nan

    said = predictions["signal"].map(SIGNALS).to_numpy(dtype=np.int8)
    p = predictions[PROBABILITIES].to_numpy()
    columns = {
        "signal": (said, 0),
        "confidence": (p[np.arange(len(p)), said].astype(np.float32), 0),
        "hit": (predictions["hit"].fillna(-1).to_numpy(dtype=np.int8), -1),
        "fractal": (predictions["label"].map(FRACTALS).fillna(0).to_numpy(dtype=np.int8), 0),
    }
    for name, (values, otherwise) in columns.items():
        series = pd.Series(values, predictions.index)
        table[name] = series.reindex(table.index, fill_value=otherwise)
    return table
