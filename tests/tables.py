"""Tables as a run writes them, without a run: a walk's fractals, and a network that half knows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from fractal_targets import fractal_targets
from random_walk import random_walk

HISTORY = 4
FEATURES = 3
NAMES = np.array(["none", "buy", "sell"])


@dataclass(frozen=True)
class Tables:
    predictions: pd.DataFrame
    bars: pd.DataFrame
    features: np.ndarray

    def answered(self, baseline_probabilities, **changed):
        """Call with these tables, or what has changed of them."""
        mine = {"predictions": self.predictions, "bars": self.bars, "features": self.features}
        return baseline_probabilities(**mine | changed, history_bars=HISTORY)


def make_tables(seed: int = 0, rows: int = 400, skill: float = 1.0, wing: int = 1) -> Tables:
    """Return tables of `rows` predictions; with more skill the network's answers lean to the truth."""
    rng = np.random.default_rng(seed)
    first = 10
    bars = random_walk(seed, first + rows)
    targets = np.nan_to_num(fractal_targets(bars["high"], bars["low"], wing))[first:]
    scores = rng.normal(size=(rows, 3)) + skill * targets
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    predictions = prediction_table(np.arange(first, first + rows), p, targets, delay=wing)
    predictions["datetime"] = bars["datetime"].to_numpy()[first:]
    # Features that know a little: the bars' own moves among noise.
    moves = np.stack([bars["high"].diff(), bars["low"].diff()], axis=1)[first - HISTORY + 1 :]
    noise = rng.normal(size=(len(moves), FEATURES - 2))
    return Tables(predictions, bars, np.hstack([1000 * moves, noise]).astype(np.float32))


def prediction_table(bar, probabilities, targets, delay: int = 1) -> pd.DataFrame:
    """Return a table as in predictions.csv; a target of three zeros is a label not yet known."""
    p, targets = np.asarray(probabilities, dtype=float), np.asarray(targets)
    known = targets.any(axis=1)
    best = p.argmax(axis=1)
    label = np.where(targets[:, 1:].all(axis=1), "both", NAMES[targets.argmax(axis=1)])
    hit = np.where(known & (best > 0), targets[np.arange(len(p)), best], np.nan)
    return pd.DataFrame(
        {
            "bar": bar,
            "datetime": pd.date_range("2020-01-01", periods=len(p), freq="h"),
            "p_none": p[:, 0],
            "p_buy": p[:, 1],
            "p_sell": p[:, 2],
            "signal": NAMES[best],
            "label": np.where(known, label, ""),
            "known_bar": np.where(known, np.asarray(bar) + delay, np.nan),
            "hit": hit,
        }
    ).astype({"signal": "str", "label": "str"})
