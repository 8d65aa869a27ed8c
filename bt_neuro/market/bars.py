"""Bars: one file of prices, read and checked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Bars:
    """One file's bars and what was understood of it."""

    frame: pd.DataFrame
    path: Path
    format: str
    timeframe: pd.Timedelta
    point: float
    sha256: str
    notes: tuple[str, ...]


def read_bars(path, *, tz=None, resample=None, start=None, end=None, keep_flat=False, repair=False):
    """Read a bar file (provisional: MetaTrader 5 exports only)."""
    path = Path(path)
    raw = pd.read_csv(path, sep="\t")
    frame = pd.DataFrame(
        {
            "datetime": pd.to_datetime(raw["<DATE>"] + " " + raw["<TIME>"], format="%Y.%m.%d %H:%M:%S").astype("datetime64[us]"),
            **{c: raw[f"<{c.upper()}>"].astype(float) for c in ("open", "high", "low", "close")},
            "volume": raw["<TICKVOL>"].astype(float),
            "spread": raw["<SPREAD>"].astype(float),
        }
    )
    if start is not None:
        frame = frame[frame.datetime >= pd.Timestamp(start)]
    if end is not None:
        frame = frame[frame.datetime <= pd.Timestamp(end)]
    frame = frame.reset_index(drop=True)
    step = pd.Timedelta(frame.datetime.diff().mode()[0])
    return Bars(frame, path, "MetaTrader 5 export", step, 1e-5, hashlib.sha256(path.read_bytes()).hexdigest(), ())
