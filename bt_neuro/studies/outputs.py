"""What predictors said of the same bars, and how far bars and seeds leave their figures open."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.learning.signals import signals_of
from bt_neuro.metrics.bootstrap import Interval, block_totals, percentile_interval
from bt_neuro.metrics.predictions import probabilities_of
from bt_neuro.metrics.verdict import MINIMUM_SIGNALS

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a predictor said of some bars.

    Attributes
    ----------
    who : expert, gradient, which, learning_rate: the first columns of its row
    outputs : (seeds, bars, 3); a baseline has one seed
    targets : (bars, 3)

    Notes
    -----
    A resample draws blocks of bars, the same ones for all answers to as many bars, and then seeds, each
    predictor's own. Three seeds drawn of three vary by a third too little, so their distance from their mean
    is widened by sqrt(n / (n - 1)) (Davison and Hinkley 1997, section 2.3). What another seed would have done
    is not known of one seed: its intervals are those of its bars.
    """

    who: dict[str, Any]
    outputs: Array
    targets: Array

    @cached_property
    def errors(self) -> Array:
        """Squared errors, the mean over the three outputs, (bars, seeds)."""
        return ((self.outputs - self.targets) ** 2).mean(axis=-1).T

    @cached_property
    def given(self) -> NDArray[np.intp]:
        """Signals, (bars, seeds): 0 none, 1 buy, 2 sell."""
        return signals_of(probabilities_of(self.outputs.reshape(-1, 3))).reshape(self.outputs.shape[:2]).T

    @property
    def signals(self) -> int:
        """How many signals all seeds gave together."""
        return int(np.count_nonzero(self.given))

    @cached_property
    def diverged(self) -> int:
        """How many seeds ended in NaN."""
        return int((~np.isfinite(self.outputs)).any(axis=(1, 2)).sum())

    @cached_property
    def _counts(self) -> Array:
        hits = np.take_along_axis(self.targets, self.given, axis=1) * (self.given > 0)
        return np.stack([self.errors, hits, self.given > 0], axis=1)  # (bars, 3, seeds)

    @cached_property
    def measured(self) -> Array:
        """Error, hits and signals of a bar, means over bars and seeds."""
        return np.asarray(self._counts.mean(axis=(0, 2)))

    @cached_property
    def drawn(self) -> Array:
        """The same of each resample, (resamples, 3)."""
        bars, quantities, seeds = self._counts.shape
        # Whole blocks hold a few bars more than there are: the ones count them.
        columns = np.concatenate([self._counts.reshape(bars, -1), np.ones((bars, 1))], axis=1)
        totals = block_totals(columns)
        means = (totals[:, :-1] / totals[:, -1:]).reshape(-1, quantities, seeds)
        mean = means.mean(axis=2)
        if seeds == 1:
            return np.asarray(mean)
        # Of the networks, not of the row: two rows of the same networks differ by nothing.
        networks = {name: value for name, value in self.who.items() if name != "which"}
        rng = np.random.default_rng(zlib.crc32(repr(networks).encode()))
        places = np.broadcast_to(rng.integers(0, seeds, (len(means), 1, seeds)), means.shape)
        moved = np.take_along_axis(means, places, axis=2).mean(axis=2) - mean
        return np.asarray(mean + math.sqrt(seeds / (seeds - 1)) * moved)


def mean_error(answers: Answers) -> Interval | None:
    """Return the mean squared error; None where a seed diverged."""
    return percentile_interval(float(answers.measured[0]), answers.drawn[:, 0])


def error_difference(one: Answers, other: Answers) -> Interval | None:
    """Return one's mean squared error less another's on the same bars; None where a seed diverged."""
    value = float(one.measured[0] - other.measured[0])
    return percentile_interval(value, one.drawn[:, 0] - other.drawn[:, 0])


def hit_rate(answers: Answers) -> Interval | None:
    """Return hits / signals of all seeds together; None where there are too few, or a seed diverged."""
    if not _speaks(answers):
        return None
    return percentile_interval(float(_rate(answers.measured)), np.clip(_rate(answers.drawn), 0, 1))


def hit_rate_difference(one: Answers, other: Answers) -> Interval | None:
    """Return one's hit rate less another's on the same bars; None where one of them has none."""
    if not (_speaks(one) and _speaks(other)):
        return None
    value = float(_rate(one.measured) - _rate(other.measured))
    return percentile_interval(value, _rate(one.drawn) - _rate(other.drawn))


def _speaks(answers: Answers) -> bool:
    return not answers.diverged and answers.signals >= MINIMUM_SIGNALS


def _rate(figures: Array) -> Array:
    hits, signals = figures[..., 1], figures[..., 2]
    return np.asarray(hits / np.where(signals > 0, signals, np.nan))
