"""The figures of a comparison: one row a predictor and span of bars, each with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.epochs import RunningFigures
from bt_neuro.metrics.baselines import class_frequencies
from bt_neuro.metrics.bootstrap import Interval
from bt_neuro.metrics.predictions import DelayedLabels, labels_of
from bt_neuro.metrics.shape_counters import shape_counters, visible_shapes
from bt_neuro.metrics.softmax_regression import softmax_regression
from bt_neuro.studies.experiment import PLAIN, VARIANTS, Study, Variant
from bt_neuro.studies.outputs import Answers, error_difference, hit_rate, mean_error
from bt_neuro.studies.windows import HISTORY_BARS, WING

Array = NDArray[np.floating]
Figures = dict[str, Any]

SINGLE, SAME_BARS, AFTER, IN_SAMPLE = (
    "single pass",
    "single pass, test bars",
    "after eras",
    "in sample, last era",
)


def comparison_rows(study: Study, frame: pd.DataFrame) -> dict[str, list[Answers]]:
    """Return all answers by regime, in the order of the table, those of the baselines last."""
    spans, last = study.spans, f"era-{study.eras}"
    regimes = {
        SINGLE: ("single", spans.rest, spans.rest),
        SAME_BARS: ("single", spans.rest, spans.test),
        AFTER: ("test", spans.test, spans.test),
        IN_SAMPLE: (last, spans.history, spans.history[:-WING]),
    }
    baselines = baseline_probabilities(study, frame)
    rows = {}
    for regime, (step, went, asked) in regimes.items():
        targets = study.windows.target(asked)
        known = np.isfinite(targets).all(axis=1)
        rows[regime] = [
            Answers(
                {"expert": one.expert, "gradient": one.gradient, "which": which, "learning_rate": rate},
                part_of(study.outputs(one, step, rate), went, asked)[:, known],
                targets[known],
            )
            for one in VARIANTS
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


def baseline_probabilities(study: Study, frame: pd.DataFrame) -> dict[str, tuple[range, Array]]:
    """Return what baselines say, having begun where the single pass did, (1, bars, 3), and of which bars."""
    bars = range(study.spans.history.start, study.spans.rest.stop)
    examples = delayed_labels_of(study, bars)
    first = bars.start - HISTORY_BARS + 1 - study.windows.first_row
    features = study.windows.features[first:]
    said = {
        "class frequencies": class_frequencies(examples),
        "visible shape": shape_counters(examples, visible_shapes(frame, np.arange(bars.start, bars.stop))),
        "softmax regression": softmax_regression(examples, features, HISTORY_BARS),
    }
    return {name: (bars, answers[None]) for name, answers in said.items()}


def delayed_labels_of(study: Study, bars: range) -> DelayedLabels:
    """Return the labels of consecutive bars as the baselines learn them, under the network's delay."""
    targets = study.windows.target(bars)
    known, numbers = np.isfinite(targets).all(axis=1), np.arange(bars.start, bars.stop)
    return DelayedLabels.of(
        pd.DataFrame(
            {
                "bar": numbers,
                "label": np.where(known, labels_of(np.nan_to_num(targets)), ""),
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


def table_of(rows: dict[str, list[Answers]], eras: int) -> pd.DataFrame:
    """Return ``compare.csv``: each difference is to plain at its own best rate on the same bars."""
    found = []
    for regime, answers in rows.items():
        plain = find(answers, PLAIN, "best")
        found += [row_of(one, plain, regime, eras) for one in answers]
    return pd.DataFrame(found)


def counted(eras: int) -> str:
    return "1 era" if eras == 1 else f"{eras} eras"


def find(answers: list[Answers], variant: Variant, which: str) -> Answers:
    """Return the answers of one variant at one kind of rate."""
    wanted = {"expert": variant.expert, "gradient": variant.gradient, "which": which}
    return next(one for one in answers if wanted.items() <= one.who.items())


def eras_table(study: Study) -> pd.DataFrame:
    """Return ``eras.csv``: the article's figures of each network at the end of each era, all in sample."""
    rows = []
    bars = study.spans.history[:-WING]
    for one in VARIANTS:
        for which, rate in study.rates(one).items():
            running = RunningFigures(len(study.seeds))
            for era in range(1, study.eras + 1):
                running.add(study.outputs(one, f"era-{era}", rate)[:, :-WING], study.windows.target(bars))
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
