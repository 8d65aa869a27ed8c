"""Bars that go on otherwise than they did: if anything before the change differs, it had seen the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXAGGERATION = 100.0  # a thousandth up becomes a tenth down
FURTHEST = np.log(1000.0)  # no price goes further than that from the last true one


def perturbed(frame: pd.DataFrame, cut: int) -> pd.DataFrame:
    """Return the first `cut` bars, followed by as many wild ones or as the frame has.

    Each price to come is mirrored in the last true close and thrown up to a hundred times as far, so that
    what rose falls; the first wild close always lies on the other side. Volume and spread that were larger
    become smaller and the other way round, and time runs at half its pace. They stay bars: positive, in
    order, each high no lower than the rest, so that an honest indicator computes from them without harm.

    Examples
    --------
    >>> hours = pd.date_range("2024-01-01", periods=4, freq="h")
    >>> bars = pd.DataFrame({"datetime": hours, "open": [1.10, 1.10, 1.11, 1.12], "high": 1.13, "low": 1.09,
    ...                      "close": [1.10, 1.11, 1.12, 1.10], "volume": 900})
    >>> perturbed(bars, 2)[["high", "low", "close"]].round(3)
        high    low  close
    0  1.130  1.090  1.100
    1  1.130  1.090  1.110
    2  2.341  0.134  0.251
    3  2.341  0.134  1.235
    """
    past, future = frame[:cut], frame[cut : 2 * cut]
    last, first = past.iloc[-1], future.iloc[0]
    elsewhere = 0.5 if first["close"] >= last["close"] else 2.0
    # A mirror turns the highest into the lowest.
    turned = {"open": "open", "high": "low", "low": "high", "close": "close"}
    wild = {
        name: elsewhere * _mirrored(future[true].to_numpy(float), float(last["close"]))
        for name, true in turned.items()
    }
    for name in ("volume", "spread"):
        if name in frame:
            true, before = future[name].to_numpy(float), float(last[name])
            wild[name] = np.where(true > before, before / 10.0, 10.0 * before + 1000.0)
    times = last["datetime"] + 2 * (future["datetime"] - last["datetime"])
    return pd.concat([past, pd.DataFrame({"datetime": times, **wild})], ignore_index=True)


def _mirrored(prices: Floats, centre: float) -> Floats:
    far = EXAGGERATION * np.log(prices / centre)
    # Never flat where the prices are not: equal highs and lows make honest indicators divide by 0.
    return np.asarray(centre * np.exp(-far / (1.0 + np.abs(far) / FURTHEST)))
