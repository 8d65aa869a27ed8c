"""What a network must beat: simple predictors on the same bars, scored and taught under the same delay."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bt_neuro.learner import CLASSES

Array = NDArray[np.floating]


class Baseline(Protocol):
    """A predictor that sees what the network sees, when it sees it."""

    name: str

    def predict(self, windows: Array, highs: Array, lows: Array) -> Array:
        """Return (bars, 3): what each output is expected to be; the largest is the signal."""

    def learn(self, windows: Array, targets: Array) -> None: ...


class ClassFrequencies:
    """How often each output was 1 so far: the best constant answer, known only from the past."""

    name = "class frequencies"

    def __init__(self) -> None:
        self._sum, self._bars = np.zeros(len(CLASSES)), 0

    def predict(self, windows: Array, highs: Array, lows: Array) -> Array:
        start = np.full(len(CLASSES), 1 / len(CLASSES))
        return np.tile(self._sum / self._bars if self._bars else start, (len(windows), 1))

    def learn(self, windows: Array, targets: Array) -> None:
        self._sum += targets.sum(axis=0)
        self._bars += len(targets)


class LastTwoBars:
    """Sell at a higher high, buy at a lower low, else nothing: half of a fractal shows already."""

    name = "last two bars"

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None

    def predict(self, windows: Array, highs: Array, lows: Array) -> Array:
        if self._last is None:
            self._last = float(highs[0]), float(lows[0])
        before_high = np.concatenate([[self._last[0]], highs[:-1]])
        before_low = np.concatenate([[self._last[1]], lows[:-1]])
        self._last = float(highs[-1]), float(lows[-1])
        higher, lower = highs > before_high, lows < before_low
        sell, buy = higher & ~lower, lower & ~higher
        return np.stack([~(sell | buy), buy, sell], axis=1).astype(float)

    def learn(self, windows: Array, targets: Array) -> None:
        pass


class LogisticRegression:
    """scikit-learn's online logistic regression on the same windows, standardised by what came before.

    One class against the rest, made to sum to 1, at the learning rate that did best on EURUSD H1 of 0.0001 to
    0.01; a softmax regression (its MLPClassifier without hidden layers) did worse there (docs/defaults.md).
    """

    name = "logistic regression"

    def __init__(self) -> None:
        from sklearn import config_context
        from sklearn.linear_model import SGDClassifier
        from sklearn.preprocessing import StandardScaler

        # The learner has seen that the numbers are finite.
        self._unchecked = partial(config_context, assume_finite=True, skip_parameter_validation=True)

        self._scaler = StandardScaler()
        self._model = SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=0.003, alpha=1e-4, random_state=0
        )
        self._learned = False

    def predict(self, windows: Array, highs: Array, lows: Array) -> Array:
        if not self._learned:
            return np.full((len(windows), len(CLASSES)), 1 / len(CLASSES))
        with self._unchecked():
            probabilities: Array = self._model.predict_proba(self._scaler.transform(windows))
        return probabilities

    def learn(self, windows: Array, targets: Array) -> None:
        classes = np.where(targets[:, 1] == 1, 1, np.where(targets[:, 2] == 1, 2, 0))
        with self._unchecked(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # exp overflows on wild bars: probability 0 or 1
            self._scaler.partial_fit(windows)
            self._model.partial_fit(self._scaler.transform(windows), classes, classes=[0, 1, 2])
        self._learned = True


def baseline_answers(
    predictions: pd.DataFrame, bars: pd.DataFrame, features: Array, history_bars: int, round_bars: int = 128
) -> dict[str, Array]:
    """Return what each baseline says of each bar that a network predicted, (rows, 3), by name.

    They are asked and taught in rounds of `round_bars` bars, at the end of which only labels known by then
    are used: never more than the network saw, up to a round less. A call of scikit-learn costs too much for
    every bar; on EURUSD H1 rounds of 16 and 64 bars score alike to 0.0001, and 256 cost the regression 0.0005
    (docs/defaults.md).

    Parameters
    ----------
    predictions : of the run, as in ``predictions.csv``
    bars : the frame of bars, all of the file
    features : (rows, features), as in ``features.npy``: window j, of the j-th prediction, starts at row j
    history_bars : rows in a window
    """
    baselines: list[Baseline] = [ClassFrequencies(), LastTwoBars(), LogisticRegression()]
    numbers = predictions["bar"].to_numpy()
    highs, lows = (bars[name].to_numpy(float)[numbers] for name in ("high", "low"))
    targets, known_bar = targets_of(predictions), predictions["known_bar"].to_numpy(float)
    order, taught = np.argsort(known_bar, kind="stable"), 0  # labels may come late, or never: NaN is last
    answers = np.empty((len(baselines), len(numbers), len(CLASSES)))
    for first in range(0, len(numbers), round_bars):
        asked = np.arange(first, min(first + round_bars, len(numbers)))
        windows = _windows(features, asked, history_bars)
        for index, baseline in enumerate(baselines):
            answers[index, asked] = baseline.predict(windows, highs[asked], lows[asked])
        known = int(np.searchsorted(known_bar[order], numbers[asked[-1]], side="right"))
        if known > taught:
            lessons = order[taught:known]
            learned = _windows(features, lessons, history_bars)
            for baseline in baselines:
                baseline.learn(learned, targets[lessons])
            taught = known
    return {baseline.name: answer for baseline, answer in zip(baselines, answers, strict=True)}


def targets_of(predictions: pd.DataFrame) -> Array:
    """Return (rows, 3) of 0 and 1: what each output should have been; all 0 while the label is unknown."""
    label = predictions["label"]
    names = (["none"], ["buy", "both"], ["sell", "both"])
    return np.stack([label.isin(holding) for holding in names], axis=1).astype(float)


def score_answers(answers: dict[str, Array], predictions: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Score answers on the bars whose labels are known, with the same meanings as in `HitRate`.

    Returns
    -------
    dict by name of dicts with the keys ``scored_bars``, ``signals``, ``hits``, ``hit_rate``, ``coverage``,
    ``mean_squared_error``
    """
    targets = targets_of(predictions)
    known = targets.any(axis=1)
    return {name: _scores(answer[known], targets[known]) for name, answer in answers.items()}


def _scores(answers: Array, targets: Array) -> dict[str, Any]:
    none, buy, sell = answers.T
    said_buy, said_sell = (buy > none) & (buy > sell), (sell > none) & (sell > buy)
    bars, signals = len(targets), int(said_buy.sum() + said_sell.sum())
    hits = int(targets[said_buy, 1].sum() + targets[said_sell, 2].sum())
    return {
        "scored_bars": bars,
        "signals": signals,
        "hits": hits,
        "hit_rate": hits / signals if signals else None,
        "coverage": signals / bars if bars else None,
        "mean_squared_error": float(((answers - targets) ** 2).mean()) if bars else None,
    }


def _windows(features: Array, which: NDArray[np.intp], history_bars: int) -> Array:
    windows = sliding_window_view(features, history_bars, axis=0)[which]  # (windows, features, bars)
    return windows.transpose(0, 2, 1).reshape(len(windows), -1).astype(float)
