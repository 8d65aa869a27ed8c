"""Measure the figures of docs/explanation/speed.md that `bt-neuro bench` does not.

python benchmarks/speed.py batches                   # microseconds a window by batch size; half a minute
python benchmarks/speed.py precisions EURUSD_H1.csv  # single against double; half a minute
python benchmarks/speed.py memory EURUSD_H1.csv      # largest memory of a backtest by its length; a minute
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import bt_neuro as bn

WINDOWS, LAUNCHES = 256, 25
SIZES = (1, 8, 16, 32, 64)
STARTS = (50, 500, None)  # bars over which precisions are compared
BARS = 5_948
RATES = (2e-4, 1e-3)
LENGTHS = ("2005-02-01", "2009-01-01")  # ends of the backtests whose memory is measured
SMALL = Path(__file__).resolve().parent.parent / "strategies" / "dense.py"


def main(part, *files):
    {"batches": batches, "precisions": precisions, "memory": memory}[part](*files)


def batches():
    dense = [
        *(bn.RunningBatchNorm(), bn.Dense(256, "tanh"), bn.RunningBatchNorm()),
        *(bn.Dense(256, "tanh"), bn.Dense(3, "sigmoid")),
    ]
    random = np.random.default_rng(0)
    windows = random.normal(size=(WINDOWS, 240)).astype(np.float32)
    targets = np.eye(3, dtype=np.float32)[random.integers(0, 3, WINDOWS)]
    print("| network | one a call | " + " | ".join(f"{size} a step" for size in SIZES) + " |")
    for name, layers in (("the article's", bn.article_layers()), ("dense", dense)):
        network = bn.Network(layers, 240, optimizer=bn.Adam(2e-4))

        def one_by_one(network=network):
            for window, target in zip(windows, targets, strict=True):
                network.learn(window, target)

        calls = [one_by_one]
        calls += [lambda size=size, n=network: n.learn(windows, targets, batch_size=size) for size in SIZES]
        seconds = np.full(len(calls), np.inf)
        for _ in range(LAUNCHES):  # in turns
            for number, call in enumerate(calls):
                begun = time.perf_counter()
                call()
                seconds[number] = min(seconds[number], time.perf_counter() - begun)
        print(f"| {name} | " + " | ".join(f"{1e6 * each / WINDOWS:.0f}" for each in seconds) + " |")


def precisions(path):
    print("| learning rate | " + " | ".join(f"{bars or 'all'} bars" for bars in STARTS) + " |")
    end = str(bn.read_bars(path).frame["datetime"].iloc[BARS - 1])
    for rate in RATES:
        p = []
        for precision in ("single", "double"):
            with tempfile.TemporaryDirectory() as folder:
                result = bn.backtest(
                    path,
                    parameters={"features": "article", "learning_rate": rate, "precision": precision},
                    bars_options={"end": end},
                    out=Path(folder, "run"),
                    report=False,
                )
                p.append(result.predictions[["p_none", "p_buy", "p_sell"]].to_numpy())
        difference = np.abs(p[0] - p[1]).max(axis=1)
        print(f"| {rate:g} | " + " | ".join(f"{difference[:bars].max():.1g}" for bars in STARTS) + " |")


def memory(path):
    for end in LENGTHS:
        with tempfile.TemporaryDirectory() as folder:
            words = [
                path,
                "--to",
                end,
                "--strategy",
                SMALL,
                "--out",
                Path(folder, "run"),
                "--no-report",
                "--quiet",
            ]
            code = (
                "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2);"
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
            )
            command = [
                sys.executable,
                "-c",
                code,
                sys.executable,
                "-m",
                "bt_neuro",
                "backtest",
                *map(str, words),
            ]
            peak = int(
                subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            )
        unit = 1 if sys.platform == "darwin" else 1024
        bars = len(bn.read_bars(path, end=end).frame)
        print(f"{bars:,} bars: {peak * unit / 1e6:.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
