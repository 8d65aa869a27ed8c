"""What a network must beat: simple predictors on the same bars, taught under the same delay.

They are computed after the run, from its tables: the loop over bars stays the network's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.evaluate.answers import PROBABILITIES, Lessons
from bt_neuro.signals import CLASSES

Array = NDArray[np.floating]

RATE = 0.002
AVERAGED_LESSONS = 256
_ROWS = 16_384  # of the features that are standardised at a time


def baseline_answers(
    predictions: pd.DataFrame, bars: pd.DataFrame, features: Array, history_bars: int, *, seed: int = 0
) -> dict[str, Array]:
    """Return what each baseline says of each predicted bar, as probabilities of none, buy and sell.

    Parameters
    ----------
    predictions : as in ``predictions.csv``, n rows of consecutive bars
    bars : as `read_bars` returns them; row = number of the bar
    features : (n + history_bars - 1, features of a bar), the rows that the learner saw; row j +
        history_bars - 1 is that of the j-th predicted bar
    history_bars : bars in a window
    seed : of the random signals

    Returns
    -------
    dict of (n, 3) arrays, by name

    Notes
    -----
    An answer for bar t uses features and prices of bars up to t, and labels known by the close of t, as the
    network does. Only "random signals" use the network's answers, and with them how many signals it gave in
    all.
    """
    rows = len(predictions) + history_bars - 1
    if len(predictions) and len(features) != rows:
        raise ValueError(f"{len(features)} rows of features; windows of {history_bars} bars need {rows}")
    lessons = Lessons.of(predictions)
    return {
        "class frequencies": class_frequencies(lessons),
        "commonest class": commonest_class(lessons),
        "last two bars": last_two_bars(bars, predictions["bar"].to_numpy()),
        "softmax regression": softmax_regression(lessons, features, history_bars),
        "random signals": random_signals(predictions, seed),
    }


def trained_answers(
    training: pd.DataFrame, predictions: pd.DataFrame, bars: pd.DataFrame, features: Array, history_bars: int
) -> dict[str, Array]:
    """Return what the baselines say of the predicted bars where they learned a training part too.

    What there is to beat must not be weaker than a network that was trained before its test.

    Parameters
    ----------
    training : ``bar``, ``label`` and ``known_bar`` of what the network learned in one go; may be empty
    features : the rows that the learner saw, up to that of the last predicted bar
    predictions, bars, history_bars : as `baseline_answers` takes them
    """
    if predictions.empty:
        return baseline_answers(predictions, bars, features, history_bars)
    first_bar, last_bar = int(predictions["bar"].iloc[0]), int(predictions["bar"].iloc[-1])
    before = pd.DataFrame({"bar": range(last_bar - len(features) + history_bars, first_bar)})
    learned = before.merge(training, how="left", on="bar").fillna({"label": ""}).assign(signal="none")
    whole = pd.concat([learned, predictions], ignore_index=True) if len(learned) else predictions
    answers = baseline_answers(whole, bars, features, history_bars)
    answers = {name: answer[len(learned) :] for name, answer in answers.items()}
    return answers | {"random signals": random_signals(predictions)}  # of the test alone


def class_frequencies(lessons: Lessons) -> Array:
    """Return how often each class came so far: the best constant answer, known only from the past.

    Counting begins at one of each (Laplace), so that no class is called impossible.
    """
    return (lessons.counts() + 1) / (lessons.known[:, None] + len(CLASSES))


def commonest_class(lessons: Lessons) -> Array:
    """Return 1 for the class that came most often so far; none before the first label."""
    return np.eye(len(CLASSES))[lessons.counts().argmax(axis=1)]


def last_two_bars(bars: pd.DataFrame, asked: NDArray[np.integer]) -> Array:
    """Return sell at a higher high, buy at a lower low, else none: half of a fractal shows already."""
    now, before = bars.iloc[asked], bars.iloc[np.maximum(asked - 1, 0)]
    higher = now["high"].to_numpy() > before["high"].to_numpy()
    lower = now["low"].to_numpy() < before["low"].to_numpy()
    sell, buy = higher & ~lower, lower & ~higher
    return np.stack([~(sell | buy), buy, sell], axis=1).astype(float)


def random_signals(predictions: pd.DataFrame, seed: int = 0) -> Array:
    """Return the network's own answers, dealt out to the bars at random: the same coverage, no knowledge."""
    answers: Array = predictions[PROBABILITIES].to_numpy()
    return np.random.default_rng(seed).permutation(answers)


def softmax_regression(
    lessons: Lessons,
    features: Array,
    history_bars: int,
    *,
    rate: float = RATE,
    averaged_lessons: int = AVERAGED_LESSONS,
) -> Array:
    """Return the answers of a softmax regression on the network's windows, learned label by label.

    Parameters
    ----------
    rate : of the gradient descent
    averaged_lessons : the answers come from weights averaged over about that many lessons; 1 is the last
        weights alone

    Notes
    -----
    This is river's ``StandardScaler | SoftmaxRegression(SGD(rate))``, and with ``averaged_lessons=1`` a test
    holds the two together to 1e-12. river is not used because its dictionaries of 240 inputs take
    620 microseconds a bar, 51 s for EURUSD H1; this takes some 15. Neighbouring windows share all bars but
    one and pull the weights towards the last label: the average, which river does not have, brings the mean
    squared error on EURUSD H1 from 0.1829 to 0.1710. Rate and average did best there of 0.0005 to 0.004 and 1
    to 1,024 (docs/defaults.md). Averaging: Polyak and Juditsky 1992, here with an exponential window.
    """
    n, width = len(lessons.known), history_bars * features.shape[1]
    weights, averaged = np.zeros((3, width)), np.zeros((3, width))
    bias, averaged_bias = [0.0] * 3, [0.0] * 3
    share = 1 / averaged_lessons
    step = np.empty((3, width))
    answers = np.empty((n, 3))
    teaches = lessons.shares.any(axis=1)
    waiting: dict[int, Array] = {}
    learned = 0
    for row, window in enumerate(standardised_windows(features, history_bars)):
        while learned < lessons.known[row]:
            lesson = lessons.order[learned]
            learned += 1
            seen = waiting.pop(lesson)
            said = _softmax(weights.dot(seen), bias)  # half the time of @ at this size
            error = [rate * (p - y) for p, y in zip(said, lessons.shares[lesson].tolist(), strict=True)]
            np.multiply(np.array(error)[:, None], seen, out=step)
            weights -= step
            bias = [b - e for b, e in zip(bias, error, strict=True)]
            np.subtract(weights, averaged, out=step)
            step *= share
            averaged += step
            averaged_bias = [a + share * (b - a) for a, b in zip(averaged_bias, bias, strict=True)]
        answers[row] = _softmax(averaged.dot(window), averaged_bias)
        if teaches[row]:
            waiting[row] = window
    return answers


def _softmax(scores: Array, bias: list[float]) -> tuple[float, float, float]:
    # Three numbers: plain floats take a third of NumPy's time.
    none, buy, sell = (score + b for score, b in zip(scores.tolist(), bias, strict=True))
    largest = max(none, buy, sell)
    none, buy, sell = math.exp(none - largest), math.exp(buy - largest), math.exp(sell - largest)
    total = none + buy + sell
    return none / total, buy / total, sell / total


def standardised_windows(features: Array, history_bars: int) -> Iterator[Array]:
    """Yield each window, flat, its bars less the mean and over the deviation of all bars up to each.

    Population deviation, as river's ``StandardScaler``; a feature that has not moved yet is 0. Memory does
    not grow with the number of bars.
    """
    width = features.shape[1]
    mean, squares = np.asarray(features[:1], dtype=float).sum(axis=0), np.zeros(width)
    tail = np.empty((0, width))
    for start in range(0, len(features), _ROWS):
        rows = np.asarray(features[start : start + _ROWS], dtype=float)
        seen = np.arange(start + 1, start + len(rows) + 1)[:, None]
        # Chan, Golub and LeVeque 1983: sums about the mean so far, or large means would drown small moves.
        moved = rows - mean
        sums = np.cumsum(moved, axis=0)
        deviations = squares + np.cumsum(moved**2, axis=0) - sums**2 / seen
        variance = np.maximum(deviations / seen, 0)
        moving = variance > 1e-18 * mean**2
        scaled = np.divide(moved - sums / seen, np.sqrt(variance), out=np.zeros_like(rows), where=moving)
        mean, squares = mean + sums[-1] / seen[-1], deviations[-1]
        block = np.concatenate([tail, scaled])
        flat = block.reshape(-1)
        for first in range(0, (len(block) - history_bars + 1) * width, width):
            yield flat[first : first + history_bars * width]
        tail = block[max(len(block) - history_bars + 1, 0) :]
