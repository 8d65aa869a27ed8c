"""The gallery's dense network beside a logistic regression refit every 1,500 bars on the same numbers and bars.

python benchmarks/logistic_peer.py EURUSD_H1.csv USDJPY_H1.csv ...

Both predict each bar before its label is confirmed. The regression is scikit-learn's, on all bars so far whose label
is confirmed, standardised by them; a bar that is top and bottom counts half as each. Bars before its first fit are
left out for both. The interval is that of a paired block bootstrap.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bt_neuro import read_bars
from bt_neuro.learning.progressive import feature_windows, progressive_outputs
from bt_neuro.metrics.predictions import brier_scores, shares_of
from bt_neuro.metrics.skill import hits_at_coverage, mean_difference
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.loading import load_strategy
from bt_neuro.plugin.playback import feature_rows

REFIT_BARS = 1_500
DENSE = Path(__file__).parent.parent / "strategies" / "dense.py"


def regression_probabilities(windows, shares, delay_bars):
    """Return probabilities of none, buy and sell from the first refit on; NaN before."""
    probabilities = np.full(shares.shape, np.nan)
    for start in range(REFIT_BARS, len(windows), REFIT_BARS):
        known = start + 1 - delay_bars  # labels confirmed at the close of bar `start`
        rows, classes = np.nonzero(shares[:known])
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
        weights = shares[rows, classes]
        model.fit(windows[rows], classes, logisticregression__sample_weight=weights)
        stop = start + REFIT_BARS
        probabilities[start:stop] = model.predict_proba(windows[start:stop])
    return probabilities


def compare(path):
    """Return Brier scores and hit rates of both on one file."""
    bars = read_bars(path)
    strategy = load_strategy(str(DENSE))
    rows = feature_rows(bars.frame, strategy, all_parameters(strategy, {}))
    windows = feature_windows(rows.rows, rows.history_bars)
    targets = rows.targets[rows.history_bars - 1 :]
    (network,) = progressive_outputs(rows.network, windows, targets, rows.delay_bars)
    shares = shares_of(np.nan_to_num(targets))
    regression = regression_probabilities(windows.astype(float), shares, rows.delay_bars)
    scored = np.isfinite(regression).all(axis=1) & np.isfinite(targets).all(axis=1)
    labels = targets[scored]
    n = int(0.4 * len(labels))
    both = network[scored].astype(float), regression[scored]
    scores = [brier_scores(p, labels) for p in both]
    hits = [100 * hits_at_coverage(p, labels, n)[:, 0].sum() / n for p in both]
    difference = mean_difference(*scores)
    return {
        "file": bars.path.stem,
        "bars": len(labels),
        "network": scores[0].mean(),
        "regression": scores[1].mean(),
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "network_hit_pct": hits[0],
        "regression_hit_pct": hits[1],
    }


if __name__ == "__main__":
    table = pd.DataFrame([compare(path) for path in sys.argv[1:]])
    print(table.to_string(index=False, float_format="%.4f"))
