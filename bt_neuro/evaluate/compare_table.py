"""The figures of a comparison: one row a predictor and span of bars, each with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.eras import RunningFigures
from bt_neuro.evaluate.answers import Lessons, probabilities_of
from bt_neuro.evaluate.baselines import class_frequencies, last_two_bars, softmax_regression
from bt_neuro.evaluate.bootstrap import Interval, block_bootstrap
from bt_neuro.evaluate.compare_passes import CONTESTANTS, PLAIN
from bt_neuro.evaluate.compare_study import Study
from bt_neuro.evaluate.scores import MINIMUM_SIGNALS
from bt_neuro.evaluate.windows import HISTORY_BARS, WING
from bt_neuro.signals import signals_of

Array = NDArray[np.floating]
Figures = dict[str, Any]

SINGLE, SAME_BARS, AFTER, IN_SAMPLE = (
    "single pass",
    "single pass, test bars",
    "after eras",
    "in sample, last era",
)
LABELS = np.array([["none", "sell"], ["buy", "both"]])  # by bottom and top


@dataclass(frozen=True, eq=False)
class Answers:
    """What a predictor said of some bars.

    Attributes
    ----------
    who : expert, gradient, which, learning_rate: the first columns of its row
    outputs : (seeds, bars, 3); a baseline has one seed
    targets : (bars, 3)
    """

    who: Figures
    outputs: Array
    targets: Array

    @property
    def errors(self) -> Array:
        """Squared errors of each seed, the mean over the three outputs, (bars, seeds)."""
        return ((self.outputs - self.targets) ** 2).mean(axis=-1).T

    @property
    def diverged(self) -> int:
        """How many seeds ended in NaN."""
        return int((~np.isfinite(self.outputs)).any(axis=(1, 2)).sum())

    @property
    def signals(self) -> int:
        """How many signals all seeds gave together."""
        return int(self.hits_and_signals[:, 1].sum())

    @cached_property
    def hits_and_signals(self) -> Array:
        """Whether each seed gave a signal that hit, and whether any, (bars, 2, seeds)."""
        signals = [signals_of(probabilities_of(one)) for one in self.outputs]
        hits = [np.take_along_axis(self.targets, one[:, None], axis=1)[:, 0] * (one > 0) for one in signals]
        return np.stack([np.array(hits).T, np.array(signals).T > 0], axis=1).astype(float)


def comparison_rows(study: Study, frame: pd.DataFrame) -> dict[str, list[Answers]]:
    """Return all answers by regime, in the order of the table, those of the baselines last."""
    spans, last = study.spans, f"era-{study.eras}"
    regimes = {
        SINGLE: ("single", spans.rest, spans.rest),
        SAME_BARS: ("single", spans.rest, spans.test),
        AFTER: ("test", spans.test, spans.test),
        IN_SAMPLE: (last, spans.history, spans.history[:-WING]),
    }
    baselines = baseline_answers(study, frame)
    rows = {}
    for regime, (step, went, asked) in regimes.items():
        targets = study.windows.target(asked)
        known = np.isfinite(targets).all(axis=1)
        rows[regime] = [
            Answers(
                {"expert": one.expert, "gradient": one.gradient, "which": which, "learning_rate": rate},
                part_of(study.said(one, step, rate), went, asked)[:, known],
                targets[known],
            )
            for one in CONTESTANTS
            for which, rate in study.rates(one).items()
        ]
        if regime != IN_SAMPLE:
            rows[regime] += [
                Answers(baseline(name), part_of(said, whole, asked)[:, known], targets[known])
                for name, (whole, said) in baselines.items()
            ]
    return rows


def part_of(said: Array, went: range, asked: range) -> Array:
    return said[:, asked.start - went.start : asked.stop - went.start]


def baseline(name: str) -> Figures:
    return {"expert": name, "gradient": "", "which": "baseline", "learning_rate": None}


def baseline_answers(study: Study, frame: pd.DataFrame) -> dict[str, tuple[range, Array]]:
    """Return what baselines say, having begun where the single pass did, (1, bars, 3), and of which bars."""
    bars = range(study.spans.history.start, study.spans.rest.stop)
    lessons = lessons_of(study, bars)
    first = bars.start - HISTORY_BARS + 1 - study.windows.first_row
    features = study.windows.features[first:]
    said = {
        "class frequencies": class_frequencies(lessons),
        "last two bars": last_two_bars(frame, np.arange(bars.start, bars.stop)),
        "softmax regression": softmax_regression(lessons, features, HISTORY_BARS),
    }
    return {name: (bars, answers[None]) for name, answers in said.items()}


def lessons_of(study: Study, bars: range) -> Lessons:
    """Return the labels of consecutive bars as the baselines learn them, under the network's delay."""
    targets = study.windows.target(bars)
    known, numbers = np.isfinite(targets).all(axis=1), np.arange(bars.start, bars.stop)
    bottom, top = (np.nan_to_num(targets[:, column]).astype(int) for column in (1, 2))
    return Lessons.of(
        pd.DataFrame(
            {
                "bar": numbers,
                "label": np.where(known, LABELS[bottom, top], ""),
                "known_bar": np.where(known, numbers + WING, np.nan),
            }
        )
    )


def row_of(answers: Answers, plain: Answers, regime: str, eras: int) -> Figures:
    """Return a row of ``compare.csv``."""
    sound, of_seeds = not answers.diverged, answers.errors.mean(axis=0)
    running = RunningFigures(len(answers.outputs))
    running.add(answers.outputs, answers.targets)
    article = np.array(running.figures(), dtype=float)  # None becomes NaN
    return {
        **answers.who,
        "regime": regime.replace("last era", f"era {eras}").replace("eras", counted(eras)),
        "in_sample": regime == IN_SAMPLE,
        "bars": len(answers.targets),
        "seeds": len(answers.outputs),
        "diverged": answers.diverged,
        **bounds("mean_squared_error", mean_error(answers)),
        "mean_squared_error_seeds_sd": float(of_seeds.std(ddof=1)) if sound and len(of_seeds) > 1 else None,
        **bounds("difference_to_plain", None if answers is plain else error_difference(answers, plain)),
        "signals": answers.signals,
        **bounds("hit_rate_pct", hit_rate(answers), 100),
        "coverage_pct": 100 * answers.signals / answers.errors.size if sound else None,
        **{
            name: float(values.mean()) if sound and np.isfinite(values).all() else None
            for name, values in zip(("error", "undefine_pct", "forecast_pct"), article.T, strict=True)
        },
    }


def bounds(name: str, found: Interval | None, scale: float = 1.0) -> Figures:
    value, low, high = (scale * number for number in found) if found else (None, None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def mean_error(answers: Answers) -> Interval | None:
    """Return the mean squared error with the interval that bars and seeds leave it; None if one diverged."""
    return _bootstrap([answers.errors[:, None]], lambda means: means[0][..., 0])


def error_difference(one: Answers, other: Answers) -> Interval | None:
    """Return one's mean squared error less another's on the same bars, which are drawn for both at once."""
    return _bootstrap(
        [one.errors[:, None], other.errors[:, None]], lambda means: means[0][..., 0] - means[1][..., 0]
    )


def hit_rate(answers: Answers) -> Interval | None:
    """Return hits / signals of all seeds together; None where there are too few, or one diverged."""
    if answers.diverged or answers.signals < MINIMUM_SIGNALS:
        return None
    found = _bootstrap([answers.hits_and_signals], lambda means: _ratio(means[0]))
    return found and Interval(found.value, max(found.low, 0.0), min(found.high, 1.0))


def hit_rate_difference(one: Answers, other: Answers) -> Interval | None:
    """Return one's hit rate less another's on the same bars."""
    if any(answers.diverged or answers.signals < MINIMUM_SIGNALS for answers in (one, other)):
        return None
    return _bootstrap(
        [one.hits_and_signals, other.hits_and_signals], lambda means: _ratio(means[0]) - _ratio(means[1])
    )


def _ratio(hits_and_signals: Array) -> Array:
    hits, signals = np.moveaxis(hits_and_signals, -1, 0)
    return np.asarray(hits / np.where(signals > 0, signals, np.nan))


def _bootstrap(groups: list[Array], statistic: Any) -> Interval | None:
    """Return a statistic of means over bars and seeds; blocks of bars are drawn, and seeds of each group.

    Parameters
    ----------
    groups : each (bars, quantities, seeds); their bars are the same, their seeds independent
    statistic : of a list of (..., quantities), one a group

    Notes
    -----
    Three seeds drawn from three vary by a third too little: their distance from the mean is widened by
    sqrt(n / (n - 1)) (Davison and Hinkley 1997, section 2.3). Of one seed nothing is known.
    """
    rng, shapes = np.random.default_rng(0), [group.shape[1:] for group in groups]
    bars = len(groups[0])
    columns = np.concatenate([*(group.reshape(bars, -1) for group in groups), np.ones((bars, 1))], axis=1)
    ends = np.cumsum([math.prod(shape) for shape in shapes])

    def of_sums(sums: Array) -> Array:
        *parts, drawn_bars = np.split(sums, ends, axis=-1)  # a few more than there are, of whole blocks
        parts = [part / drawn_bars for part in parts]
        groups = [part.reshape(*part.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True)]
        return statistic([_over_seeds(group, rng) for group in groups])

    return block_bootstrap(columns, of_sums)


def _over_seeds(sums: Array, rng: np.random.Generator) -> Array:
    seeds, mean = sums.shape[-1], sums.mean(axis=-1)
    if sums.ndim == 2 or seeds == 1:  # what was measured, not drawn
        return mean
    drawn = rng.integers(0, seeds, (len(sums), 1, seeds))
    moved = np.take_along_axis(sums, np.broadcast_to(drawn, sums.shape), axis=-1).mean(axis=-1) - mean
    return mean + math.sqrt(seeds / (seeds - 1)) * moved


def table_of(rows: dict[str, list[Answers]], eras: int) -> pd.DataFrame:
    """Return ``compare.csv``: each difference is to plain at its own best rate on the same bars."""
    found = []
    for regime, answers in rows.items():
        plain = find(answers, PLAIN.expert, "best")
        found += [row_of(one, plain, regime, eras) for one in answers]
    return pd.DataFrame(found)


def counted(eras: int) -> str:
    return "1 era" if eras == 1 else f"{eras} eras"


def find(answers: list[Answers], expert: str, which: str, gradient: str = "exact") -> Answers:
    """Return the answers of one contestant at one kind of rate."""
    wanted = {"expert": expert, "which": which, "gradient": gradient}
    return next(one for one in answers if wanted.items() <= one.who.items())


def eras_table(study: Study) -> pd.DataFrame:
    """Return ``eras.csv``: the article's figures of each network at the end of each era, all in sample."""
    rows = []
    bars = study.spans.history[:-WING]
    for one in CONTESTANTS:
        for which, rate in study.rates(one).items():
            running = RunningFigures(len(study.seeds))
            for era in range(1, study.eras + 1):
                running.add(study.said(one, f"era-{era}", rate)[:, :-WING], study.windows.target(bars))
                for seed, figures in zip(study.seeds, running.figures(), strict=True):
                    rows.append(
                        {
                            "expert": one.expert,
                            "gradient": one.gradient,
                            "learning_rate": rate,
                            "which": which,
                            "seed": seed,
                            "era": era,
                            **figures._asdict(),
                            "in_sample": True,
                        }
                    )
    return pd.DataFrame(rows)
