"""Write SYNTHETIC_EURUSD_H1.csv: a year of hourly bars that look like EURUSD and predict nothing.

A random walk, with the four things a feed has and a random walk has not: weekends, an intraday cycle of
volatility and volume, volatility that clusters, prices in whole points. Run it from anywhere:

    python data/make_sample.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SEED = 4
FIRST_HOUR, LAST_HOUR = "2024-01-02 00:00", "2024-12-16 23:00"
FIRST_PRICE = 1.10
POINT = 1e-5
TICKS = 60  # steps of the walk in one hour; they make its open, high, low and close
VOLATILITY = 0.0008  # standard deviation of an average hour's log return
CLUSTER_MEMORY, CLUSTER_SIZE = 0.97, 0.4  # of the log volatility: autocorrelation an hour, standard deviation
TICK_VOLUME = 2_000  # of an average hour
SPREADS = (7, 8, 9, 10, 12)  # in points

# How busy each hour of the day is, from 0:00: quiet nights, London, then New York.
ACTIVITY = np.array(
    [
        [0.55, 0.65, 0.7, 0.7, 0.65, 0.6, 0.6, 0.75, 1.05, 1.35, 1.35, 1.2],
        [1.1, 1.15, 1.5, 1.65, 1.65, 1.45, 1.15, 0.95, 0.9, 0.8, 0.65, 0.5],
    ]
).ravel()


def market_hours() -> pd.DatetimeIndex:
    hours = pd.date_range(FIRST_HOUR, LAST_HOUR, freq="h")
    return hours[hours.day_of_week < 5]


def log_volatility_clusters(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return a stationary autoregression of order one, standard deviation CLUSTER_SIZE."""
    shocks = rng.normal(0, CLUSTER_SIZE * np.sqrt(1 - CLUSTER_MEMORY**2), n)
    clusters = np.empty(n)
    level = rng.normal(0, CLUSTER_SIZE)
    for i, shock in enumerate(shocks):
        level = CLUSTER_MEMORY * level + shock
        clusters[i] = level
    return clusters


def make_bars(seed: int = SEED) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    hours = market_hours()
    n = len(hours)
    activity = ACTIVITY[hours.hour]
    clusters = np.exp(log_volatility_clusters(rng, n))
    volatility = VOLATILITY * activity * clusters
    walk = rng.normal(size=(n, TICKS)) * (volatility / np.sqrt(TICKS))[:, None]
    path = np.log(FIRST_PRICE) + np.cumsum(walk).reshape(n, TICKS)
    points = np.rint(np.exp(path) / POINT).astype(np.int64)
    volume = TICK_VOLUME * activity * np.sqrt(clusters) * rng.lognormal(0, 0.25, n)
    return pd.DataFrame(
        {
            "hour": hours,
            "open": points[:, 0],
            "high": points.max(axis=1),
            "low": points.min(axis=1),
            "close": points[:, -1],
            "volume": volume.astype(np.int64) + 1,
            "spread": rng.choice(SPREADS, n, p=(0.4, 0.3, 0.15, 0.1, 0.05)),
        }
    )


def metatrader_5(bars: pd.DataFrame) -> str:
    """Return the text of MetaTrader 5's export: tabs, CRLF, tick volume, real volume 0, spread in points."""
    lines = ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
    for hour, *points, volume, spread in zip(*(bars[column] for column in bars), strict=True):
        prices = "\t".join(f"{p // 100_000}.{p % 100_000:05d}" for p in points)
        lines.append(f"{hour:%Y.%m.%d\t%H:%M:%S}\t{prices}\t{volume}\t0\t{spread}")
    return "\r\n".join(lines) + "\r\n"


if __name__ == "__main__":
    target = Path(__file__).with_name("SYNTHETIC_EURUSD_H1.csv")
    target.write_bytes(metatrader_5(make_bars()).encode("ascii"))
    print(f"wrote {target}")
