"""Outputs of a predictor on some bars, and intervals over bars and seeds."""

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
class Outputs:
    """Outputs of a predictor on some bars.

    Attributes
    ----------
    key : expert, gradient, which, learning_rate: the first columns of its row
    outputs : (seeds, bars, 3); a baseline has one seed
    targets : (bars, 3)

    Notes
    -----
    A resample draws blocks of bars, equal ones for all predictors of as many bars, and then seeds, each
    predictor's own. Seeds drawn of n seeds vary by too little, so their distance from the mean is widened by
    sqrt(n / (n - 1)) (Davison and Hinkley 1997, section 2.3). Intervals of one seed are those of its bars.
    """

    key: dict[str, Any]
    outputs: Array
    targets: Array

    @cached_property
    def errors(self) -> Array:
        """Squared errors, means over the three outputs, (bars, seeds)."""
        return ((self.outputs - self.targets) ** 2).mean(axis=-1).T

    @cached_property
    def _signals(self) -> NDArray[np.intp]:
        return signals_of(probabilities_of(self.outputs.reshape(-1, 3))).reshape(self.outputs.shape[:2]).T

    @property
    def signals(self) -> int:
        """Number of signals of all seeds."""
        return int(np.count_nonzero(self._signals))

    @cached_property
    def diverged(self) -> int:
        """Number of seeds that ended in NaN."""
        return int((~np.isfinite(self.outputs)).any(axis=(1, 2)).sum())

    @cached_property
    def _counts(self) -> Array:
        hits = np.take_along_axis(self.targets, self._signals, axis=1) * (self._signals > 0)
        return np.stack([self.errors, hits, self._signals > 0], axis=1)  # (bars, 3, seeds)

    @cached_property
    def measured(self) -> Array:
        """Error, hits and signals of a bar, means over bars and seeds."""
        return np.asarray(self._counts.mean(axis=(0, 2)))

    @cached_property
    def drawn(self) -> Array:
        """`measured` of each resample, (resamples, 3)."""
        bars, quantities, seeds = self._counts.shape
        # Whole blocks may hold a few bars more: the ones count them.
        totals = block_totals(np.concatenate([self._counts.reshape(bars, -1), np.ones((bars, 1))], axis=1))
        means = (totals[:, :-1] / totals[:, -1:]).reshape(-1, quantities, seeds)
        mean = means.mean(axis=2)
        if seeds == 1:
            return np.asarray(mean)
        # Drawn by the networks, not by the row: two rows of the same networks have equal draws.
        networks = {name: value for name, value in self.key.items() if name != "which"}
        rng = np.random.default_rng(zlib.crc32(repr(networks).encode()))
        places = np.broadcast_to(rng.integers(0, seeds, (len(means), 1, seeds)), means.shape)
        moved = np.take_along_axis(means, places, axis=2).mean(axis=2) - mean
        return np.asarray(mean + math.sqrt(seeds / (seeds - 1)) * moved)


def mean_error(one: Outputs) -> Interval | None:
    """Return the mean squared error; None if a seed diverged."""
    return percentile_interval(float(one.measured[0]), one.drawn[:, 0])


def error_difference(one: Outputs, other: Outputs) -> Interval | None:
    """Return one mean squared error less another on the same bars; None if a seed diverged."""
    value = float(one.measured[0] - other.measured[0])
    return percentile_interval(value, one.drawn[:, 0] - other.drawn[:, 0])


def hit_rate(one: Outputs) -> Interval | None:
    """Return hits / signals of all seeds; None if there are too few signals, or a seed diverged."""
    if not _has_rate(one):
        return None
    return percentile_interval(float(_rate(one.measured)), np.clip(_rate(one.drawn), 0, 1))


def hit_rate_difference(one: Outputs, other: Outputs) -> Interval | None:
    """Return one hit rate less another on the same bars; None if one of them has none."""
    if not (_has_rate(one) and _has_rate(other)):
        return None
    value = float(_rate(one.measured) - _rate(other.measured))
    return percentile_interval(value, _rate(one.drawn) - _rate(other.drawn))


def _has_rate(one: Outputs) -> bool:
    return not one.diverged and one.signals >= MINIMUM_SIGNALS


def _rate(figures: Array) -> Array:
    hits, signals = figures[..., 1], figures[..., 2]
    return np.asarray(hits / np.where(signals > 0, signals, np.nan))
