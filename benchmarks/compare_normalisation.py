"""Measure the normalisations for a batch of one on real bars: python benchmarks/compare_normalisation.py FILE.

The article's network with each normalisation in the place of its second and third; prints the mean squared
error of the delayed progressive predictions, mean and deviation over seeds (docs/explanation/normalisation.md).
"""

from __future__ import annotations

import sys
from functools import partial

import backtrader as bt
import numpy as np

import bt_neuro as bn

SEEDS, BARS, HISTORY, SPANS = (0, 1, 2), 20_000, 20, (20_000, 60_000)


class Recorder(bt.Strategy):
    """Writes down the article's features and the fractals, bar by bar."""

    def __init__(self):
        self.lines_of_bar = bn.article_features(self.data)
        self.label, self.rows, self.targets = bn.FractalLabel(1), {}, {}

    def next(self):
        bar, data = len(self.data) - 1, self.data
        self.rows[bar] = [line[0] for line in self.lines_of_bar.values()]
        for known in self.label.update(bar, data.high[0], data.low[0], data.close[0]):
            self.targets[known.bar] = known.target


def windows_and_targets(bars):
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bn.BarsFeed(bars=bars))
    cerebro.addstrategy(Recorder)
    found = cerebro.run()[0]
    first, last = min(found.rows), max(found.targets)
    rows = np.array([found.rows[bar] for bar in range(first, last + 1)])
    windows = np.lib.stride_tricks.sliding_window_view(rows, HISTORY, axis=0).transpose(0, 2, 1)
    targets = np.array([found.targets[bar] for bar in range(first + HISTORY - 1, last + 1)])
    return windows.reshape(len(windows), -1), targets


def network(norm):
    """Return the article's layers; its first normalisation stays, for the features come as they are."""
    return [
        bn.RunningBatchNorm(100, activation="tanh"),
        bn.Conv1D(24, kernel_size=12, strides=12),
        norm(activation="sigmoid"),
        bn.TransformerEncoder(activation="sigmoid"),
        bn.Dense(200),
        norm(activation="tanh"),
        bn.Dense(200, activation="tanh"),
        bn.Dense(3, activation="sigmoid"),
    ]


def none(activation):
    return bn.RunningBatchNorm(1)


VARIANTS = {
    "the article's, window 100": partial(bn.RunningBatchNorm, 100),
    "none": none,
    "batch normalisation, a channel's positions together": bn.BatchNormalization,
    "layer normalisation, each position": bn.LayerNormalization,
    "layer normalisation, all neurons": partial(bn.LayerNormalization, per_channel=False),
}


def main(path):
    frame = bn.read_bars(path).frame
    for start in SPANS:
        windows, targets = windows_and_targets(frame.iloc[start : start + BARS].reset_index(drop=True))
        base = ((targets - targets.mean(axis=0)) ** 2).mean()
        print(f"bars {start} to {start + BARS}: frequencies alone {base:.4f}")
        for name, norm in VARIANTS.items():
            learner = bn.Network(network(norm), windows.shape[1], optimizer=bn.Adam(2e-4), seed=SEEDS)
            learner.predict(windows[0], update_statistics=True)
            predicted = learner.learn_then_predict(windows[:-1], targets[:-1], windows[1:])
            errors = ((predicted - targets[1:]) ** 2).mean(axis=(1, 2))
            print(f"| {name} | {errors.mean():.4f} | {errors.std(ddof=1):.4f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
