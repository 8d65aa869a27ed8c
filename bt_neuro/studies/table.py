"""Tables of a comparison: one row per predictor and regime, with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.learning.epochs import RunningFigures
from bt_neuro.metrics.baselines import SHAPE, class_frequencies
from bt_neuro.metrics.bootstrap import interval_metrics
from bt_neuro.metrics.predictions import DelayedLabels, labels_of
from bt_neuro.metrics.shape_counters import shape_counters, visible_shapes
from bt_neuro.metrics.softmax_regression import softmax_regression
from bt_neuro.studies.experiment import PLAIN, VARIANTS, Study, Variant
from bt_neuro.studies.outputs import Outputs, error_difference, hit_rate, mean_error
from bt_neuro.studies.windows import HISTORY_BARS, WING

Array = NDArray[np.floating]
Figures = dict[str, Any]

SINGLE, SAME_BARS, AFTER, IN_SAMPLE = (
    "single pass",
    "single pass, test bars",
    "after eras",
    "in sample, last era",
)
KEY = ("expert", "gradient", "which", "learning_rate")


def comparison_rows(study: Study, frame: pd.DataFrame) -> dict[str, list[Outputs]]:
    """Return all predictors' outputs by regime, in the order of the table, those of the baselines last."""
    spans, last = study.spans, f"era-{study.eras}"
    regimes = {
        SINGLE: ("single", spans.rest, spans.rest),
        SAME_BARS: ("single", spans.rest, spans.test),
        AFTER: ("test", spans.test, spans.test),
        IN_SAMPLE: (last, spans.history, spans.history[:-WING]),
    }
    trained, baselines = baseline_probabilities(study, frame)
    rows = {}
    for regime, (step, went, scored) in regimes.items():
        targets = study.windows.target(scored)
        known = np.isfinite(targets).all(axis=1)
        predictors: list[tuple[tuple[Any, ...], Array, range]] = [
            ((one.expert, one.gradient, which, rate), study.outputs(one, step, rate), went)
            for one in VARIANTS
            for which, rate in study.rates(one).items()
        ]
        if regime != IN_SAMPLE:
            predictors += [((name, "", "baseline", None), p[None], trained) for name, p in baselines.items()]
        rows[regime] = [
            Outputs(
                dict(zip(KEY, key, strict=True)),
                outputs[:, scored.start - bars.start : scored.stop - bars.start][:, known],
                targets[known],
            )
            for key, outputs, bars in predictors
        ]
    return rows


def baseline_probabilities(study: Study, frame: pd.DataFrame) -> tuple[range, dict[str, Array]]:
    """Return the bars from the start of the single pass on, and each baseline's probabilities, (bars, 3)."""
    bars = range(study.spans.history.start, study.spans.rest.stop)
    examples = delayed_labels_of(study, bars)
    first = bars.start - HISTORY_BARS + 1 - study.windows.first_row
    features = study.windows.features[first:]
    return bars, {
        "class frequencies": class_frequencies(examples),
        SHAPE: shape_counters(examples, visible_shapes(frame, np.arange(bars.start, bars.stop))),
        "softmax regression": softmax_regression(examples, features, HISTORY_BARS),
    }


def delayed_labels_of(study: Study, bars: range) -> DelayedLabels:
    """Return the labels of consecutive bars, under the network's delay."""
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


def row_of(one: Outputs, plain: Outputs, regime: str, eras: int) -> Figures:
    """Return a row of ``compare.csv``."""
    sound, of_seeds = not one.diverged, one.errors.mean(axis=0)
    running = RunningFigures(len(one.outputs))
    running.add(one.outputs, one.targets)
    article = np.array(running.figures(), dtype=float)  # None becomes NaN
    return {
        **one.key,
        "regime": regime.replace("last era", f"era {eras}").replace("eras", counted(eras)),
        "in_sample": regime == IN_SAMPLE,
        "bars": len(one.targets),
        "seeds": len(one.outputs),
        "diverged": one.diverged,
        **interval_metrics("mean_squared_error", mean_error(one)),
        "mean_squared_error_seeds_sd": float(of_seeds.std(ddof=1)) if sound and len(of_seeds) > 1 else None,
        **interval_metrics("difference_to_plain", None if one is plain else error_difference(one, plain)),
        "signals": one.signals,
        **interval_metrics("hit_rate_pct", hit_rate(one), scale=100),
        "coverage_pct": 100 * one.signals / one.errors.size if sound else None,
        **{
            name: float(values.mean()) if sound and np.isfinite(values).all() else None
            for name, values in zip(("error", "undefine_pct", "forecast_pct"), article.T, strict=True)
        },
    }


def table_of(rows: dict[str, list[Outputs]], eras: int) -> pd.DataFrame:
    """Return ``compare.csv``: each difference is to plain at its best rate on the same bars."""
    return pd.DataFrame(
        row_of(one, find(outputs, PLAIN, "best"), regime, eras)
        for regime, outputs in rows.items()
        for one in outputs
    )


def counted(eras: int) -> str:
    return "1 era" if eras == 1 else f"{eras} eras"


def find(outputs: list[Outputs], variant: Variant, which: str) -> Outputs:
    """Return the outputs of one variant at one kind of rate."""
    wanted = {"expert": variant.expert, "gradient": variant.gradient, "which": which}
    return next(one for one in outputs if wanted.items() <= one.key.items())


def eras_table(study: Study) -> pd.DataFrame:
    """Return ``eras.csv``: the article's figures of each network at the end of each era, all in sample."""
    rows, targets = [], study.windows.target(study.spans.history[:-WING])
    for one in VARIANTS:
        for which, rate in study.rates(one).items():
            names = {"expert": one.expert, "gradient": one.gradient, "learning_rate": rate, "which": which}
            running = RunningFigures(len(study.seeds))
            for era in range(1, study.eras + 1):
                running.add(study.outputs(one, f"era-{era}", rate)[:, :-WING], targets)
                for seed, figures in zip(study.seeds, running.figures(), strict=True):
                    rows.append({**names, "seed": seed, "era": era, **figures._asdict(), "in_sample": True})
    return pd.DataFrame(rows)
