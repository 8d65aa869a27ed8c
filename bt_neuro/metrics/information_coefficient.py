"""Information coefficient: rank correlation of probabilities with the returns that follow."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.metrics.bootstrap import Interval, block_bootstrap, block_length, interval_metrics

Array = NDArray[np.floating]

HORIZONS = (1, 5, 20)  # bars ahead


def information_coefficients(predictions: pd.DataFrame, bars: pd.DataFrame) -> dict[str, float | None]:
    """Return the rank correlation of p_buy - p_sell with the return of the next 1, 5 and 20 bars.

    Parameters
    ----------
    predictions : as in ``predictions.csv``
    bars : as `read_bars` returns them; returns go from close to close, across weekends too

    Returns
    -------
    dict
        ``information_coefficient_1_bars``, ``_5_bars``, ``_20_bars``, each with ``_low`` and ``_high`` of a
        block bootstrap; None if undefined. Above 0, prices moved to the more probable side.

    Notes
    -----
    Spearman's correlation. Ranks are those of the whole run, also in resamples. Blocks are at least as long
    as the returns overlap.
    """
    close, bar = bars["close"].to_numpy(dtype=float), predictions["bar"].to_numpy()
    lean = (predictions["p_buy"] - predictions["p_sell"]).to_numpy()
    figures: dict[str, float | None] = {}
    for ahead in HORIZONS:
        known = bar + ahead < len(close)
        returns = close[bar[known] + ahead] / close[bar[known]] - 1
        found = _rank_correlation(lean[known], returns, block=max(block_length(int(known.sum())), ahead))
        figures |= interval_metrics(f"information_coefficient_{ahead}_bars", found)
    return figures


def _rank_correlation(x: Array, y: Array, block: int) -> Interval | None:
    x, y = (pd.Series(values).rank().to_numpy() - (len(values) + 1) / 2 for values in (x, y))
    columns = np.stack([x, y, x * x, y * y, x * y, np.ones(len(x))], axis=1)

    def correlation(sums: Array) -> Array:
        x, y, xx, yy, xy = np.moveaxis(sums[..., :5] / sums[..., 5:], -1, 0)
        ratio: Array = (xy - x * y) / np.sqrt((xx - x * x) * (yy - y * y))
        return ratio

    return block_bootstrap(columns, correlation, block=block)
