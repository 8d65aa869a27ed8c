"""What a comparison says of the article's claims, and the sentence that sums it up."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from bt_neuro.metrics.baselines import class_frequencies
from bt_neuro.metrics.bootstrap import Interval
from bt_neuro.studies.experiment import BATCH_NORM, DROPOUT, PLAIN, PUBLISHED, Study, Variant
from bt_neuro.studies.outputs import Answers, error_difference, hit_rate_difference
from bt_neuro.studies.table import AFTER, SINGLE, counted, delayed_labels_of, find

HOLDS, NOT, OPEN = "holds", "does not hold", "cannot be told"
CLOSE = 0.02  # hit rates that differ by no more are close: two signals of a hundred

Rows = dict[str, list[Answers]]
Figures = dict[str, Any]


def hypotheses_of(study: Study, rows: Rows) -> list[Figures]:
    """Answer the claims that the article and others make of batch normalisation.

    Returns
    -------
    list of dicts
        ``claim``; ``verdict``: holds, does not hold, cannot be told; ``figures``: those behind it, each
        ``what``, ``value``, ``low``, ``high``, the last two None of what has no interval, and all of them
        where a network diverged or gave too few signals. Errors are mean squared errors. The verdict is that
        of the single pass (of the first half where rates are meant); what the others say stands beside it.
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
        (regime, other.expert): error_difference(
            _at(rows, regime, BATCH_NORM, "article"), _at(rows, regime, other, "article")
        )
        for regime in (SINGLE, AFTER)
        for other in (PLAIN, DROPOUT)
    }
    return {
        "claim": "With batch normalisation and a 1,000 times higher learning rate the error is lower",
        "verdict": _lower([found[SINGLE, other.expert] for other in (PLAIN, DROPOUT)]),
        "figures": [
            _figure(f"error, batch_norm less {other}, article's rates, {regime}", interval)
            for (regime, other), interval in found.items()
        ],
    }


def higher_rate(study: Study) -> Figures:
    """Ask for a rate at which normalisation beats a constant, and its lack no more."""
    bars = study.scored_choice
    targets = study.windows.target(bars)
    constant = Answers({}, class_frequencies(delayed_labels_of(study, bars))[None], targets)
    found = {
        (variant, rate): error_difference(Answers({}, said[None], targets), constant)
        for variant in (PLAIN, DROPOUT, BATCH_NORM)
        for rate, said in zip(study.grid, study.grid_outputs(variant), strict=True)
    }
    usable = {who: _lower([interval]) if interval else NOT for who, interval in found.items()}  # or diverged
    highest = max((rate for rate in study.grid if usable[PLAIN, rate] == HOLDS), default=0.0)
    above = [rate for rate in study.grid if rate > highest and usable[BATCH_NORM, rate] == HOLDS]
    verdict = NOT if not above else HOLDS if any(usable[PLAIN, rate] == NOT for rate in above) else OPEN
    return {
        "claim": "A higher learning rate becomes usable",
        "verdict": verdict,
        "figures": [
            _figure(f"error, {variant.expert} at {rate:g} less class frequencies, first half", interval)
            for (variant, rate), interval in found.items()
        ],
    }


def close_hit_rates(rows: Rows) -> Figures:
    """Compare hit rates pair by pair; those at the best rates stand beside."""
    found = {
        (which, one.expert, other.expert): hit_rate_difference(
            _at(rows, SINGLE, one, which), _at(rows, SINGLE, other, which)
        )
        for which in ("article", "best")
        for other, one in combinations((PLAIN, DROPOUT, BATCH_NORM), 2)
    }
    verdicts = {_close(interval) for (which, *_), interval in found.items() if which == "article"}
    return {
        "claim": "The hit rates of the three are close, none is clearly better",
        "verdict": NOT if NOT in verdicts else HOLDS if verdicts == {HOLDS} else OPEN,
        "figures": [
            _figure(f"hit rate, {one} less {other}, {which} rates, {SINGLE}", interval)
            for (which, one, other), interval in found.items()
        ],
    }


def no_dropout(rows: Rows) -> Figures:
    """Compare batch normalisation without dropout with dropout without it, each at its best rate."""
    pairs = ((BATCH_NORM, DROPOUT), (DROPOUT, PLAIN))
    found = {
        (regime, one.expert, other.expert): error_difference(
            _at(rows, regime, one, "best"), _at(rows, regime, other, "best")
        )
        for one, other in pairs
        for regime in (SINGLE, AFTER)
    }
    return {
        "claim": "Dropout is not needed where there is batch normalisation",
        "verdict": _lower([found[SINGLE, BATCH_NORM.expert, DROPOUT.expert]]),
        "figures": [
            _figure(f"error, {one} less {other}, best rates, {regime}", interval)
            for (regime, one, other), interval in found.items()
        ],
    }


def slips_cost(rows: Rows) -> Figures:
    """Compare the published gradient and Adam with the exact ones, at the best rate and at the article's."""
    found = {
        (which, regime): error_difference(
            _at(rows, regime, BATCH_NORM, which), _at(rows, regime, PUBLISHED, which)
        )
        for which in ("best", "article")
        for regime in (SINGLE, AFTER)
    }
    return {
        "claim": "The published slips cost accuracy",
        "verdict": _lower([found["best", SINGLE]]),
        "figures": [
            _figure(f"error, exact less published gradient, {which} rate, {regime}", interval)
            for (which, regime), interval in found.items()
        ],
    }


def _at(rows: Rows, regime: str, variant: Variant, which: str) -> Answers:
    return find(rows[regime], variant, which)


def _lower(differences: list[Interval | None]) -> str:
    """Tell whether all of them are below 0, as far as their intervals allow."""
    if any(found is not None and found.low > 0 for found in differences):
        return NOT
    return HOLDS if all(found is not None and found.high < 0 for found in differences) else OPEN


def _close(found: Interval | None) -> str:
    if found is None:
        return OPEN
    if found.low >= -CLOSE and found.high <= CLOSE:
        return HOLDS
    return NOT if found.low > 0 or found.high < 0 else OPEN


def _figure(what: str, found: Interval | None) -> Figures:
    value, low, high = found or (None, None, None)
    return {"what": what, "value": value, "low": low, "high": high}


def sentence_of(file: str, study: Study, rows: Rows, spans: Figures) -> str:
    """Return in one plain sentence whether the normalisation helps."""
    rest, eras = spans["rest"], counted(study.eras)
    days = f"{rest['first'][:10]} to {rest['last'][:10]}"
    return (
        f"{file}, {days}, {rest['bars']:,} bars that no choice has seen, "
        f"each network at its best of {len(study.grid)} learning rates: in a single pass "
        f"{_helped(rows[SINGLE])}; after {eras} of the history {_helped(rows[AFTER])}."
    )


def _helped(answers: list[Answers]) -> str:
    normal, plain = (find(answers, one, "best") for one in (BATCH_NORM, PLAIN))
    found = error_difference(normal, plain)
    if found is None:
        return "a network diverged, so that nothing can be said of batch normalisation"
    verdict = {
        HOLDS: "batch normalisation helps this network",
        NOT: "batch normalisation does not help this network",
        OPEN: "it cannot be told whether batch normalisation helps this network",
    }[_lower([found])]
    return (
        f"{verdict}, mean squared error {normal.errors.mean():.4f} against {plain.errors.mean():.4f} without "
        f"it (difference {found.value:+.4f}, 95 % interval {found.low:+.4f} to {found.high:+.4f})"
    )
