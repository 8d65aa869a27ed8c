"""Hypotheses of a comparison: claims of the article with verdicts, and the sentence on them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from bt_neuro.metrics.baselines import class_frequencies
from bt_neuro.metrics.bootstrap import Interval
from bt_neuro.studies.experiment import BATCH_NORM, DROPOUT, PLAIN, PUBLISHED, Study, Variant
from bt_neuro.studies.outputs import Outputs, error_difference, hit_rate_difference
from bt_neuro.studies.table import AFTER, SINGLE, counted, delayed_labels_of, find

HOLDS, NOT, OPEN = "holds", "does not hold", "inconclusive"
CLOSE = 0.02  # largest difference of close hit rates: two signals of a hundred

Rows = dict[str, list[Outputs]]
Figures = dict[str, Any]


def hypotheses_of(study: Study, rows: Rows) -> list[Figures]:
    """Return the claims of the article and of others on batch normalisation, with verdicts.

    Returns
    -------
    list of dicts
        ``claim``; ``verdict``: holds, does not hold, inconclusive; ``figures``: each ``what``, ``value``,
        ``low``, ``high``, None if undefined. Errors are mean squared errors. The verdict is that of the
        single pass, for learning rates that of the first half; other figures stand beside it.
    """
    return [
        lower_error(rows),
        higher_rate(study),
        close_hit_rates(rows),
        no_dropout(rows),
        slips_cost(rows),
    ]


def lower_error(rows: Rows) -> Figures:
    """Compare batch normalisation at 1e-3 with the other two at 1e-6."""
    found = {
        (regime, other.expert): _difference(rows, regime, (BATCH_NORM, "article"), (other, "article"))
        for regime in (SINGLE, AFTER)
        for other in (PLAIN, DROPOUT)
    }
    return _claim(
        "With batch normalisation and a 1,000 times higher learning rate the error is lower",
        _lower([found[SINGLE, other.expert] for other in (PLAIN, DROPOUT)]),
        "error, batch_norm less {1}, article's rates, {0}",
        found,
    )


def higher_rate(study: Study) -> Figures:
    """Search a rate at which only normalisation has a lower error than a constant."""
    bars = study.scored_choice
    targets = study.windows.target(bars)
    constant = Outputs({}, class_frequencies(delayed_labels_of(study, bars))[None], targets)
    found = {
        (variant.expert, rate): error_difference(Outputs({}, outputs[None], targets), constant)
        for variant in (PLAIN, DROPOUT, BATCH_NORM)
        for rate, outputs in zip(study.grid, study.grid_outputs(variant), strict=True)
    }
    usable = {key: _lower([interval]) if interval else NOT for key, interval in found.items()}  # or diverged
    plain, normal = PLAIN.expert, BATCH_NORM.expert
    highest = max((rate for rate in study.grid if usable[plain, rate] == HOLDS), default=0.0)
    above = [rate for rate in study.grid if rate > highest and usable[normal, rate] == HOLDS]
    return _claim(
        "A higher learning rate becomes usable",
        NOT if not above else HOLDS if any(usable[plain, rate] == NOT for rate in above) else OPEN,
        "error, {0} at {1:g} less class frequencies, first half",
        found,
    )


def close_hit_rates(rows: Rows) -> Figures:
    """Compare hit rates pair by pair; those at the best rates stand beside."""
    found = {
        (which, one.expert, other.expert): hit_rate_difference(
            find(rows[SINGLE], one, which), find(rows[SINGLE], other, which)
        )
        for which in ("article", "best")
        for other, one in combinations((PLAIN, DROPOUT, BATCH_NORM), 2)
    }
    verdicts = {_close(interval) for (which, *_), interval in found.items() if which == "article"}
    return _claim(
        "The hit rates of the three are close, none is clearly better",
        NOT if NOT in verdicts else HOLDS if verdicts == {HOLDS} else OPEN,
        f"hit rate, {{1}} less {{2}}, {{0}} rates, {SINGLE}",
        found,
    )


def no_dropout(rows: Rows) -> Figures:
    """Compare batch normalisation without dropout with dropout alone, each at its best rate."""
    found = {
        (one.expert, other.expert, regime): _difference(rows, regime, (one, "best"), (other, "best"))
        for one, other in ((BATCH_NORM, DROPOUT), (DROPOUT, PLAIN))
        for regime in (SINGLE, AFTER)
    }
    return _claim(
        "Dropout is not needed where there is batch normalisation",
        _lower([found[BATCH_NORM.expert, DROPOUT.expert, SINGLE]]),
        "error, {0} less {1}, best rates, {2}",
        found,
    )


def slips_cost(rows: Rows) -> Figures:
    """Compare the published gradient and Adam with the exact ones, at the best rate and at the article's."""
    found = {
        (which, regime): _difference(rows, regime, (BATCH_NORM, which), (PUBLISHED, which))
        for which in ("best", "article")
        for regime in (SINGLE, AFTER)
    }
    return _claim(
        "The published slips cost accuracy",
        _lower([found["best", SINGLE]]),
        "error, exact less published gradient, {0} rate, {1}",
        found,
    )


def _difference(
    rows: Rows, regime: str, one: tuple[Variant, str], other: tuple[Variant, str]
) -> Interval | None:
    return error_difference(*(find(rows[regime], *variant) for variant in (one, other)))


def _claim(claim: str, verdict: str, what: str, found: Mapping[tuple[Any, ...], Interval | None]) -> Figures:
    figures = []
    for key, interval in found.items():
        value, low, high = interval or (None, None, None)
        figures.append({"what": what.format(*key), "value": value, "low": low, "high": high})
    return {"claim": claim, "verdict": verdict, "figures": figures}


def _lower(differences: list[Interval | None]) -> str:
    """Return whether all differences are below 0, by their intervals."""
    if any(found is not None and found.low > 0 for found in differences):
        return NOT
    return HOLDS if all(found is not None and found.high < 0 for found in differences) else OPEN


def _close(found: Interval | None) -> str:
    if found is None:
        return OPEN
    if found.low >= -CLOSE and found.high <= CLOSE:
        return HOLDS
    return NOT if found.low > 0 or found.high < 0 else OPEN


def sentence_of(file: str, study: Study, rows: Rows, spans: Figures) -> str:
    """Return in one sentence whether the normalisation helps."""
    rest, eras = spans["rest"], counted(study.eras)
    days = f"{rest['first'][:10]} to {rest['last'][:10]}"
    return (
        f"{file}, {days}, {rest['bars']:,} bars that no choice has seen, "
        f"each network at its best of {len(study.grid)} learning rates: in a single pass "
        f"{_helped(rows[SINGLE])}. After {eras} of the history {_helped(rows[AFTER])}."
    )


def _helped(outputs: list[Outputs]) -> str:
    normal, plain = (find(outputs, one, "best") for one in (BATCH_NORM, PLAIN))
    found = error_difference(normal, plain)
    if found is None:
        return "a network diverged, so that nothing can be said of batch normalisation"
    verdict = {
        HOLDS: "batch normalisation helps this network",
        NOT: "batch normalisation does not help this network",
        OPEN: "the effect of batch normalisation on this network is inconclusive",
    }[_lower([found])]
    return (
        f"{verdict}, mean squared error {normal.errors.mean():.4f} against {plain.errors.mean():.4f} without "
        f"it (difference {found.value:+.4f}, 95 % interval {found.low:+.4f} to {found.high:+.4f})"
    )
