"""Compare one network for several instruments with one each: Brier scores of all bars, and of the last quarter.

    python benchmarks/compare_shared.py AUDUSD_H1.csv GBPUSD_H1.csv USDCAD_H1.csv   # a minute for 30,000 bars each
    python benchmarks/compare_shared.py *.csv --from 2013-01-01 --to 2014-12-31

The order of bars, labels and features is that of `bt-neuro backtest --shared`, without its event loop.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bt_neuro import Adam, Network, NeuroStrategy, SharedNetwork, read_bars
from bt_neuro.learning.running_scale import RunningScale
from bt_neuro.nn.models import shape_layers
from bt_neuro.plugin.defaults import AVERAGE_STEPS, all_parameters
from bt_neuro.plugin.playback import feature_rows

LAUNCH = 500


class Instrument(NamedTuple):
    name: str
    times: np.ndarray
    windows: np.ndarray
    targets: np.ndarray  # NaN where the label is never known


def instrument(path: str, options: dict[str, Any], scaled: bool) -> Instrument:
    bars = read_bars(path, **options).frame
    found = feature_rows(bars, NeuroStrategy, all_parameters(NeuroStrategy))
    assert found is not None
    rows, history, scale = found.rows, found.history_bars, RunningScale()
    if scaled:
        rows = np.array([scale.scaled(row) for row in rows], np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(rows, history, axis=0).transpose(0, 2, 1)
    first = found.first_bar + history - 1
    times = bars["datetime"].to_numpy()[first:]
    return Instrument(Path(path).stem, times, windows.reshape(len(windows), -1), found.targets[history - 1 :])


def scores(together: list[Instrument], rate: float, device: str) -> list[np.ndarray]:
    """Learn bar by bar from instruments, in the order of time; return the Brier scores of each one's bars."""
    size = together[0].windows.shape[1]
    optimizer = Adam(rate, average=AVERAGE_STEPS)
    network = Network(shape_layers(), size, optimizer=optimizer, seed=0, device=device)
    order = sorted((time, k, i) for k, one in enumerate(together) for i, time in enumerate(one.times))
    outputs = [np.zeros((len(one.times), 3)) for one in together]
    step: list[tuple[int, int]] = []

    def launch(learns: bool) -> None:
        if step:
            inputs = np.array([together[k].windows[i - 1] for k, i in step if learns]).reshape(-1, size)
            targets = np.array([together[k].targets[i - 1] for k, i in step if learns]).reshape(-1, 3)
            predicted = network.send(inputs, targets, np.array([together[k].windows[i] for k, i in step]))()[
                0
            ]
            for (k, i), row in zip(step, predicted, strict=True):
                outputs[k][i] = row
            step.clear()

    learned = False
    for _, k, i in order:
        learns = i > 0 and bool(np.isfinite(together[k].targets[i - 1]).all())
        if learns != learned or len(step) == LAUNCH:
            launch(learned)
        learned = learns
        step.append((k, i))
    launch(learned)
    found = []
    for one, row in zip(together, outputs, strict=True):
        known = np.isfinite(one.targets).all(axis=1)
        probabilities, shares = (each / each.sum(axis=1, keepdims=True) for each in (row, one.targets))
        found.append(((probabilities - shares) ** 2).sum(axis=1)[known])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+")
    parser.add_argument("--from", dest="start")
    parser.add_argument("--to", dest="end")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    span = {"start": args.start, "end": args.end}
    alone, scaled = ([instrument(path, span, each) for path in sorted(args.files)] for each in (False, True))
    rates = [
        all_parameters(each)["learning_rate"] for each in (NeuroStrategy, SharedNetwork().of(NeuroStrategy))
    ]
    apart = [scores([one], rates[0], args.device)[0] for one in alone]
    shared = scores(scaled, rates[1], args.device)
    rows = []
    for one, own, of_all in zip(alone, apart, shared, strict=True):
        last = len(own) // 4
        figures = [
            values.mean()
            for part in (slice(None), slice(-last, None))
            for values in (own[part], of_all[part])
        ]
        rows.append((one.name, len(own), *figures))
    columns = ["", "bars", "alone", "shared", "alone, last quarter", "shared, last quarter"]
    table = pd.DataFrame(rows, columns=columns)
    print(table.to_string(index=False, float_format="%.4f"))
    print(table.iloc[:, 2:].mean().round(4).to_dict())


if __name__ == "__main__":
    main()
