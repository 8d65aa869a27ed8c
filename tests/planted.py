"""Bars whose direction depends on the hour, and on nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
from random_walk import random_walk

RISING_HOURS = {*range(6), *range(12, 18)}


def planted_bars(seed: int, bars: int, probability: float = 0.7) -> pd.DataFrame:
    """Return a random walk whose bars rise with that probability in some hours, else fall with it.

    Each bar of the walk is left as it is or mirrored at its open, to the point.
    """
    walk = random_walk(seed, bars)
    rng = np.random.default_rng([seed, 1])
    rising = walk["datetime"].dt.hour.isin(RISING_HOURS).to_numpy()
    up = rng.random(bars) < np.where(rising, probability, 1 - probability)
    points = {
        name: (walk[name] * 1e5).round().astype(int).to_numpy() for name in ("open", "high", "low", "close")
    }
    body, high, low = (points[name] - points["open"] for name in ("close", "high", "low"))
    mirrored = up != (body > 0)
    body, high, low = (
        np.where(mirrored, -body, body),
        np.where(mirrored, -low, high),
        np.where(mirrored, -high, low),
    )
    close = points["open"][0] + np.cumsum(body)
    opened = close - body
    prices = {"open": opened, "high": opened + high, "low": opened + low, "close": close}
    return walk.assign(**{name: (value * 1e-5).round(5) for name, value in prices.items()})
