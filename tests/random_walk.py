"""Bars without anything to learn, and what the default strategy makes of them.

    .venv/bin/python tests/random_walk.py

backtests 20 seeded walks of 50,000 hours without costs, where every profit is luck, and counts how often it
is called skill; docs/explanation/scores.md has the result.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

STEPS = 12  # of a bar, so that it has a high and a low
STEP = 0.0012 / STEPS**0.5  # an hour of EURUSD moves some 12 basis points
SEEDS = range(20)


def random_walk(seed: int, bars: int) -> pd.DataFrame:
    """Return hourly bars whose price is a geometric random walk; each opens where the last one closed."""
    rng = np.random.default_rng(seed)
    path = np.exp(np.cumsum(rng.normal(-(STEP**2) / 2, STEP, bars * STEPS)))
    prices = np.concatenate([[1.0], path]).round(5)
    inside = np.lib.stride_tricks.sliding_window_view(prices, STEPS + 1)[::STEPS]
    return pd.DataFrame(
        {
            "datetime": pd.date_range("2010-01-04", periods=bars, freq="h"),
            "open": inside[:, 0],
            "high": inside.max(axis=1),
            "low": inside.min(axis=1),
            "close": inside[:, -1],
            "volume": rng.poisson(500, bars),
        }
    )


def walk_file(folder: Path, seed: int, bars: int) -> Path:
    path = folder / f"walk{seed}.csv"
    random_walk(seed, bars).to_csv(path, index=False, float_format="%.5f")
    return path


def main(bars: int = 50_000) -> None:
    from bt_neuro import backtest
    from bt_neuro.metrics.verdict import PROFIT

    called_skill = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in SEEDS:
            path = walk_file(folder, seed, bars)
            result = backtest(path, out=folder / f"run{seed}")
            called_skill += result.metrics["money_verdict"] == PROFIT
            print(result, flush=True)
    print(f"{called_skill} of {len(SEEDS)} walks were called skill")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
