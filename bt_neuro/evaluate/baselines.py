"""What a network must beat: simple predictors on the same bars, scored and taught under the same delay."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import backtrader as bt
import numpy as np
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


class Baselines(bt.Analyzer):
    """Run the baselines beside a `NeuroStrategy` and score them on the bars that the network is scored on.

    They are asked and taught in rounds of ``round_bars`` bars, at the end of which only labels known by then
    are used: never more than the network saw, up to a round less. A call of scikit-learn costs too much for
    every bar; on EURUSD H1 rounds of 16 and 64 bars score alike to 0.0001, and 256 cost the regression 0.0005
    (docs/defaults.md).

    Params:
      - ``round_bars`` (default: ``128``)

    Methods
    -------
      - ``get_analysis``: dict by name of dicts with the keys ``scored_bars``, ``signals``, ``hits``,
        ``hit_rate``, ``coverage``, ``mean_squared_error``
    """

    params = (("round_bars", 128),)

    def create_analysis(self) -> None:
        self._baselines: list[Baseline] = [ClassFrequencies(), LastTwoBars(), LogisticRegression()]
        self._tallies = [_Tally() for _ in self._baselines]
        self._asked: list[tuple[int, Array, float, float]] = []  # bars of this round
        self._waiting: dict[int, tuple[Array, Array]] = {}  # window and answers, until the label is known
        self._known: list[tuple[int, Sequence[float]]] = []

    def next(self) -> None:
        strategy = self.strategy
        signal = strategy.signal
        self._known += [(scored.signal.bar, scored.target) for scored in strategy.scored]
        if signal is not None and signal.bar == len(self.data) - 1:
            data = self.data
            self._asked.append((signal.bar, strategy.learner.window, data.high[0], data.low[0]))
        if len(self._asked) == self.p.round_bars:
            self._end_round()

    def stop(self) -> None:
        if self._asked:
            self._end_round()

    def _end_round(self) -> None:
        bars, windows, highs, lows = zip(*self._asked, strict=True)
        self._asked = []
        stacked = np.array(windows)
        answers = np.stack(
            [b.predict(stacked, np.array(highs), np.array(lows)) for b in self._baselines], axis=1
        )
        self._waiting.update(zip(bars, zip(stacked, answers, strict=True), strict=True))
        lessons = [(*self._waiting.pop(bar), target) for bar, target in self._known if bar in self._waiting]
        self._known = []
        if lessons:
            learned, said, targets = (np.array(column) for column in zip(*lessons, strict=True))
            for index, (baseline, tally) in enumerate(zip(self._baselines, self._tallies, strict=True)):
                tally.add(said[:, index], targets)
                baseline.learn(learned, targets)

    def get_analysis(self) -> dict[str, dict[str, Any]]:
        return {
            baseline.name: tally.figures()
            for baseline, tally in zip(self._baselines, self._tallies, strict=True)
        }


class _Tally:
    """Counts of one baseline, with the same meanings as in `HitRate`."""

    def __init__(self) -> None:
        self._bars = self._signals = self._hits = 0
        self._squared_error = 0.0

    def add(self, probabilities: Array, targets: Array) -> None:
        none, buy, sell = probabilities.T
        said_buy, said_sell = (buy > none) & (buy > sell), (sell > none) & (sell > buy)
        self._bars += len(targets)
        self._signals += int(said_buy.sum() + said_sell.sum())
        self._hits += int(targets[said_buy, 1].sum() + targets[said_sell, 2].sum())
        self._squared_error += float(((probabilities - targets) ** 2).mean(axis=1).sum())

    def figures(self) -> dict[str, Any]:
        return {
            "scored_bars": self._bars,
            "signals": self._signals,
            "hits": self._hits,
            "hit_rate": self._hits / self._signals if self._signals else None,
            "coverage": self._signals / self._bars if self._bars else None,
            "mean_squared_error": self._squared_error / self._bars if self._bars else None,
        }
