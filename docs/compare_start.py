"""Measure how the statistics of RunningBatchNorm should start: python docs/compare_start.py FILE...

The article's network begins anew at many bars of each file; prints the mean squared error of its delayed
progressive predictions over the first bars, and the difference that the debiased start makes, paired by
beginning, with its 95 % interval over the beginnings, as docs/normalisation.md has it.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from compare_normalisation import windows_and_targets

import bt_neuro as bn

SEEDS, SPANS, RATES = (0, 1, 2, 3), (500, 1000, 2000, 5000), (2e-4, 1e-3)


def squared_errors(windows, targets, start, rate):
    """Return those of each bar, the mean over outputs and seeds."""
    layers = bn.article_layers(start=start)
    network = bn.Network(layers, windows.shape[1], optimizer=bn.Adam(rate), seed=SEEDS)
    network.predict(windows[0], update_statistics=True)
    predicted = network.learn_then_predict(windows[:-1], targets[:-1], windows[1:])
    return ((predicted - targets[1:]) ** 2).mean(axis=(0, 2))


def measure(path, rate):
    windows, targets = windows_and_targets(bn.read_bars(path, repair=True).frame)
    size = min(SPANS[-1], len(windows) - 1) + 1
    beginnings = range(0, len(windows) - size + 1, size)
    parts = [slice(first, first + size) for first in beginnings]
    errors = {
        start: np.array([squared_errors(windows[part], targets[part], start, rate) for part in parts])
        for start in ("published", "debiased")
    }
    print(f"\n{path}, learning rate {rate:g}, {len(parts)} beginnings, {len(SEEDS)} seeds")
    print("| first bars | published | debiased | difference | interval |")
    for bars in (span for span in SPANS if span < size):
        published, debiased = (errors[start][:, :bars].mean(axis=1) for start in ("published", "debiased"))
        differences = debiased - published
        half = 1.96 * differences.std(ddof=1) / math.sqrt(len(parts)) if len(parts) > 1 else math.nan
        mean = differences.mean()
        print(
            f"| {bars:,} | {published.mean():.4f} | {debiased.mean():.4f} "
            f"| {mean:+.4f} | {mean - half:+.4f} to {mean + half:+.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    for path in sys.argv[1:]:
        for rate in RATES:
            measure(path, rate)
