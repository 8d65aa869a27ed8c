"""Measure what hour, weekday and month are worth to the network: python benchmarks/compare_time_features.py FILE.

The article gives them as plain numbers; the alternatives are none of them, a sine and a cosine of each, and
one input a value, which the convolution turns into a learned embedding. Prints the mean squared error of the
delayed progressive predictions, mean and deviation over seeds, as docs/explanation/defaults.md has it.
"""

from __future__ import annotations

import sys

import numpy as np
from compare_normalisation import BARS, HISTORY, SEEDS, SPANS, windows_and_targets

import bt_neuro as bn

FEATURES, TIMES, VALUES = 12, [4, 5, 6], (24, 7, 12)  # hour, weekday, month


def ways(rows):
    """Yield a name and the features of each bar, (bars, features)."""
    others = np.delete(rows, TIMES, axis=1)
    times = list(zip(rows[:, TIMES].T, VALUES, strict=True))
    circles = [turn(2 * np.pi * time / values) for time, values in times for turn in (np.sin, np.cos)]
    embedded = [np.eye(values)[time.astype(int) % values] for time, values in times[:2]]
    yield "plain numbers, the article's", rows
    yield "none", others
    yield "sine and cosine of each", np.column_stack([others, *circles])
    yield "an embedding of hour and weekday", np.column_stack([others, *embedded])


def main(path):
    frame = bn.read_bars(path).frame
    for start in SPANS:
        windows, targets = windows_and_targets(frame.iloc[start : start + BARS].reset_index(drop=True))
        bars = np.concatenate([windows[0].reshape(HISTORY, FEATURES), windows[1:, -FEATURES:]])
        print(f"bars {start} to {start + BARS}")
        for name, rows in ways(bars):
            seen = np.lib.stride_tricks.sliding_window_view(rows, HISTORY, axis=0).transpose(0, 2, 1)
            inputs = seen.reshape(len(targets), -1)
            layers = bn.article_layers(rows.shape[1])
            network = bn.Network(layers, inputs.shape[1], optimizer=bn.Adam(2e-4), seed=SEEDS)
            network.predict(inputs[0], update_statistics=True)
            predicted = network.learn_then_predict(inputs[:-1], targets[:-1], inputs[1:])
            errors = ((predicted - targets[1:]) ** 2).mean(axis=(1, 2))
            print(f"| {name} | {errors.mean():.4f} | {errors.std(ddof=1):.4f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
