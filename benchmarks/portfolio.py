"""Several instruments on two cores: networks sent in turns against one after another, and whole backtests.

    python benchmarks/portfolio.py                    # 8 random walks of 10,000 bars; some minutes
    python benchmarks/portfolio.py --bars 1000 --rounds 5 --part networks
    python benchmarks/portfolio.py --features article --device pocl

Both ways run in turns, and the minimum of each counts. CPU seconds are those of all threads or processes: where
other processes keep the cores busy, they show whether the work itself became less.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from bt_neuro import Adam, Network
from bt_neuro.learning.run_ahead import LAUNCH_BARS, LAUNCHES
from bt_neuro.nn.models import article_layers, shape_layers

FEATURES = 12


def network(features: str, seed: int, device: str) -> Network:
    if features == "article":
        return Network(article_layers(), 20 * FEATURES, optimizer=Adam(2e-4), seed=seed, device=device)
    return Network(shape_layers(), 3 * FEATURES, optimizer=Adam(3e-4, average=1000), seed=seed, device=device)


def in_turns(sends: list[Iterator[Callable[[], np.ndarray]]]) -> None:
    """Send a launch of each network in turn, a few of each under way at a time; receive all."""
    under_way = [deque[Callable[[], np.ndarray]]() for _ in sends]
    left = list(zip(sends, under_way, strict=True))
    while left:
        for send, waiting in list(left):
            receive = next(send, None)
            if receive is not None:
                waiting.append(receive)
            else:
                left.remove((send, waiting))
            while waiting and (receive is None or len(waiting) > LAUNCHES):
                waiting.popleft()()


def networks(args: argparse.Namespace, _: Path) -> dict[str, Callable[[], None]]:
    made = [network(args.features, seed, args.device) for seed in range(args.instruments)]
    rng = np.random.default_rng(7)
    shape = args.instruments, args.bars + 1, made[0].n_inputs
    windows = rng.normal(size=shape).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, shape[:2])]

    def launches(i: int) -> Iterator[Callable[[], np.ndarray]]:
        own = windows[i]
        for first in range(0, args.bars, LAUNCH_BARS):
            bars = slice(first, min(first + LAUNCH_BARS, args.bars))
            yield made[i].send(own[bars], targets[i, bars], own[bars.start + 1 : bars.stop + 1])

    def separate() -> None:
        for i in range(args.instruments):
            in_turns([launches(i)])

    return {
        "separate": separate,
        "together": lambda: in_turns([launches(i) for i in range(args.instruments)]),
    }


def walk(bars: int, seed: int) -> pd.DataFrame:
    """Return hourly bars of a random walk."""
    rng = np.random.default_rng(seed)
    closes = 1.1 + 1e-4 * np.cumsum(rng.integers(-20, 21, bars))
    opens = np.append(1.1, closes[:-1])
    times = pd.date_range("2015-01-01", periods=bars, freq="h")
    frame = pd.DataFrame({"datetime": times, "open": opens, "high": opens, "low": opens, "close": closes})
    frame["high"] = frame[["open", "close"]].max(axis=1) + 1e-5 * rng.integers(0, 100, bars)
    frame["low"] = frame[["open", "close"]].min(axis=1) - 1e-5 * rng.integers(0, 100, bars)
    prices = ["open", "high", "low", "close"]
    frame[prices] = frame[prices].round(5)
    return frame.assign(volume=rng.integers(100, 5000, bars), spread=rng.integers(5, 40, bars))


def backtests(args: argparse.Namespace, folder: Path) -> dict[str, Callable[[], None]]:
    paths = []
    for i in range(args.instruments):
        paths.append(folder / f"I{i}.csv")
        walk(args.bars, i).to_csv(paths[-1], index=False)

    def run(*files: Path) -> None:
        options = ["--device", args.device, "--param", f"features={args.features}", "--quiet"]
        out = tempfile.mkdtemp(dir=folder)
        words = [
            sys.executable,
            "-m",
            "bt_neuro",
            "backtest",
            *map(str, files),
            "--out",
            f"{out}/run",
            *options,
        ]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

    def separate() -> None:
        for path in paths:
            run(path)

    return {"separate": separate, "together": lambda: run(*paths)}


def measure(ways: dict[str, Callable[[], None]], rounds: int, bars: int) -> dict[str, float]:
    """Run the ways in turns; return microseconds a bar and instrument of each, and the ratio."""
    wall, cpu = dict.fromkeys(ways, np.inf), dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for name, way in ways.items():
            before, start = os.times(), time.perf_counter()
            way()
            wall[name] = min(wall[name], time.perf_counter() - start)
            after = os.times()
            cpu[name] = min(cpu[name], sum(after[:4]) - sum(before[:4]))
    found = {f"{name}_us": 1e6 * seconds / bars for name, seconds in wall.items()}
    found |= {f"{name}_cpu_us": 1e6 * seconds / bars for name, seconds in cpu.items()}
    return found | {"ratio": wall["together"] / wall["separate"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instruments", type=int, default=8)
    parser.add_argument("--bars", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--features", choices=("shape", "article"), default="shape")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--part", choices=("networks", "backtests"))
    args = parser.parse_args()
    bars = args.instruments * args.bars
    with tempfile.TemporaryDirectory() as folder:
        for part, ways_of in (("networks", networks), ("backtests", backtests)):
            if args.part in (None, part):
                ways = ways_of(args, Path(folder))
                ways["together"]()  # builds programs, fills caches
                found = {name: round(value, 3) for name, value in measure(ways, args.rounds, bars).items()}
                print(json.dumps({"part": part, **found}), flush=True)


if __name__ == "__main__":
    main()
