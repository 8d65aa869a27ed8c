"""A run folder opened again, and its bars as one table to draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import BarsError, NeuroError
from bt_neuro.evaluate.folder import Result
from bt_neuro.market.bars import Bars, read_bars

SIGNALS = {"none": 0, "buy": 1, "sell": 2}
FRACTALS = {"none": 0, "buy": 1, "sell": 2, "both": 3}
PRICES = ["open", "high", "low"]  # the close stands in the run folder itself


def open_run(folder: str | Path) -> Result:
    """Return the run that a folder holds, finished or not.

    Raises
    ------
    NeuroError
        When the folder holds no ``run.json`` that can be read.
    """
    path = Path(folder, "run.json")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or "data" not in manifest:
            raise ValueError("no manifest of a run")
    except FileNotFoundError:
        raise NeuroError(f"{folder} is no run: it has no run.json.\nGive the folder of a backtest.") from None
    except (OSError, ValueError) as error:
        raise NeuroError(f"{path} cannot be read: {error}.\nGive the folder of a backtest.") from error
    if manifest.get("status") == "running":
        raise NeuroError(
            f"{folder}: the run has not ended.\nWait for it; if it was killed, run it again into a new folder."
        )
    result = Result(Path(folder), manifest)
    try:
        result.predictions, result.equity, result.trades  # noqa: B018  # read now, to refuse what is broken
    except (OSError, ValueError) as error:
        raise NeuroError(f"{folder}: a table cannot be read: {error}.\nRun the backtest again.") from error
    return result


def latest_run(folder: str | Path = "runs") -> Path:
    """Return the run in `folder` that was begun last.

    Raises
    ------
    NeuroError
        When there is none.
    """
    runs = {path.parent: path.stat().st_mtime for path in Path(folder).glob("*/run.json")}
    if not runs:
        raise NeuroError(f"no run in {folder}/; run bt-neuro backtest first, or name a run's folder")
    return max(runs, key=lambda run: runs[run])


def bars_of(result: Result) -> tuple[Bars | None, str]:
    """Read the bars of a run again, if their file still is what it was.

    Returns
    -------
    Bars or None
    str
        Why there are none; empty where there are.
    """
    data = result.manifest["data"]
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
    closes, run = bars.frame["close"].to_numpy(), result.equity["close"].to_numpy()
    if len(closes) < len(run) or not np.allclose(closes[: len(run)], run, rtol=1e-8):
        return None, f"{path} was read with other options"
    return bars, ""


def baseline_signals(result: Result) -> dict[str, NDArray[np.float64]]:
    """Return what each baseline said of each predicted bar, (bars, 3) with a 1 at its signal.

    Empty where the run wrote no ``baselines.csv``.
    """
    path = result.folder / "baselines.csv"
    if not path.exists():
        return {}
    table = pd.read_csv(path, dtype=str).set_index("bar")
    table = table.reindex(result.predictions["bar"].astype(str)).fillna("none")
    return {str(name): np.eye(3)[said.map(SIGNALS).to_numpy()] for name, said in table.items()}


def bar_table(result: Result, bars: Bars | None) -> pd.DataFrame:
    """Return one row a bar of the run: prices, account, signal and what became of it.

    Parameters
    ----------
    result : the run; a broken one counts as far as it came
    bars : its bars; without them the columns open, high and low are absent

    Returns
    -------
    DataFrame
        ``datetime``, ``open``, ``high``, ``low``, ``close``, ``equity``, ``hold`` (the account, had it bought
        at the first bar that was predicted), ``signal`` (0 none, 1 buy, 2 sell), ``confidence`` (its
        probability), ``hit`` (1, 0, or -1 while unknown), ``fractal`` (bit 0 a bottom, bit 1 a top; confirmed
        ones only).
    """
    equity, predictions = result.equity, result.predictions
    table = equity[["datetime", "close", "equity"]].copy()
    at = predictions["bar"].to_numpy()
    first = at[0] if len(at) else 0
    table["hold"] = np.nan
    if len(table):
        table.loc[first:, "hold"] = table["equity"].iloc[0] * table["close"] / table["close"].iloc[first]
    if bars is not None:
        table[PRICES] = bars.frame[PRICES].to_numpy()[: len(table)]
    said = predictions["signal"].map(SIGNALS).to_numpy(dtype=np.int8)
    p = predictions[["p_none", "p_buy", "p_sell"]].to_numpy()
    columns = {
        "signal": said,
        "confidence": p[np.arange(len(p)), said].astype(np.float32),
        "hit": predictions["hit"].fillna(-1).to_numpy(dtype=np.int8),
        "fractal": predictions["label"].map(FRACTALS).fillna(0).to_numpy(dtype=np.int8),
    }
    for name, values in columns.items():
        whole = np.full(len(table), -1 if name == "hit" else 0, values.dtype)
        whole[at] = values
        table[name] = whole
    return table
