"""What a comparison says of the article's claims, and the sentence that sums it up."""

from __future__ import annotations

from typing import Any

import numpy as np

from bt_neuro.evaluate.answers import Array
from bt_neuro.evaluate.baselines import class_frequencies
from bt_neuro.evaluate.bootstrap import Interval
from bt_neuro.evaluate.compare_passes import BATCH_NORM, DROPOUT, PLAIN, Contestant
from bt_neuro.evaluate.compare_study import Study
from bt_neuro.evaluate.compare_table import (
    AFTER,
    SINGLE,
    Answers,
    counted,
    error_difference,
    find,
    hit_rate_difference,
    lessons_of,
)

HOLDS, NOT, OPEN = "holds", "does not hold", "cannot be told"
CLOSE_PCT = 2.0  # hit rates closer than this are close: it is less than a spread leaves to be earned

Rows = dict[str, list[Answers]]
Figures = dict[str, Any]


def claims_of(study: Study, rows: Rows) -> list[Figures]:
    """Return each claim of the article with its verdict, the figures behind it and a sentence.

    A verdict is that of the single pass; the bars after many eras stand beside it as figures.
    """
    return [
        lower_error(rows),
        higher_rate(study),
        close_hit_rates(rows),
        no_dropout(rows),
        slips_cost(rows),
    ]


def lower_error(rows: Rows) -> Figures:
    """Batch normalisation at 1e-3 against the other two at 1e-6."""
    others = [PLAIN.expert, DROPOUT.expert]
    figures = {
        f"batch_norm less {other}, {regime}": _errors(
            rows[regime], (BATCH_NORM.expert, "article"), (other, "article")
        )
        for regime in (SINGLE, AFTER)
        for other in others
    }
    return _claim(
        "With batch normalisation and a 1,000 times higher learning rate the error is lower",
        _all_below([figures[f"batch_norm less {other}, {SINGLE}"] for other in others]),
        figures,
    )


def higher_rate(study: Study) -> Figures:
    """At the highest rate of the grid: better than class frequencies with normalisation, and not without."""
    bars = study.scored_choice
    targets = study.windows.target(bars)
    constant = class_frequencies(lessons_of(study, bars))
    highest = int(np.argmax(study.grid))
    found, figures = {}, {}
    for contestant in (PLAIN, DROPOUT, BATCH_NORM):
        said = study.grid_outputs(contestant)
        one = Answers({}, said[highest : highest + 1], targets)
        found[contestant] = error_difference(one, Answers({}, constant[None], targets))
        figures[f"{contestant.expert} at {study.grid[highest]:g} less class frequencies, first half"] = (
            _shown(found[contestant])
        )
        figures[f"best rate of {contestant.expert}"] = study.best_rate(contestant)
    with_it, without = found[BATCH_NORM], found[PLAIN]
    return _claim(
        "A higher learning rate becomes usable",
        _usable(with_it, without),
        figures,
    )


def _usable(with_it: Interval | None, without: Interval | None) -> str:
    if with_it is None or with_it.low > 0:  # diverged, or worse than a constant
        return NOT
    if without is not None and without.high < 0:
        return NOT
    useless = without is None or without.low > 0
    return HOLDS if with_it.high < 0 and useless else OPEN


def close_hit_rates(rows: Rows) -> Figures:
    """All three pairs, at the article's rates; those at the best ones are figures."""
    names = [contestant.expert for contestant in (PLAIN, DROPOUT, BATCH_NORM)]
    figures, verdicts = {}, []
    for which in ("article", "best"):
        for number, one in enumerate(names):
            for other in names[:number]:
                pair = (find(rows[SINGLE], name, which) for name in (one, other))
                found = hit_rate_difference(*pair)
                figures[f"{one} less {other}, {which} rates, hit rate, {SINGLE}"] = _shown(found)
                if which == "article":
                    verdicts.append(_close(found))
    verdict = NOT if NOT in verdicts else HOLDS if set(verdicts) == {HOLDS} else OPEN
    return _claim("The hit rates of the three are close, none is clearly better", verdict, figures)


def _close(found: Interval | None) -> str:
    if found is None:
        return OPEN
    if max(abs(found.low), abs(found.high)) * 100 <= CLOSE_PCT:
        return HOLDS
    return NOT if found.low > 0 or found.high < 0 else OPEN


def no_dropout(rows: Rows) -> Figures:
    """Batch normalisation without dropout against dropout without it, each at its best rate."""
    pair = (BATCH_NORM.expert, "best"), (DROPOUT.expert, "best")
    figures = {f"batch_norm less dropout, {regime}": _errors(rows[regime], *pair) for regime in (SINGLE, AFTER)}
    figures |= {
        f"dropout less plain, {regime}": _errors(rows[regime], pair[1], (PLAIN.expert, "best"))
        for regime in (SINGLE, AFTER)
    }
    return _claim(
        "Dropout is not needed where there is batch normalisation",
        _all_below([figures[f"batch_norm less dropout, {SINGLE}"]]),
        figures,
    )


def slips_cost(rows: Rows) -> Figures:
    """The published gradient and Adam against the exact ones, at the article's rate."""
    figures = {
        f"published less exact, {regime}": _shown(
            error_difference(
                find(rows[regime], BATCH_NORM.expert, "article", "published"),
                find(rows[regime], BATCH_NORM.expert, "article"),
            )
        )
        for regime in (SINGLE, AFTER)
    }
    of_single = figures[f"published less exact, {SINGLE}"]
    opposite = {HOLDS: NOT, NOT: HOLDS, OPEN: OPEN}
    return _claim("The published slips cost accuracy", opposite[_all_below([of_single])], figures)


def _errors(answers: list[Answers], one: tuple[str, str], other: tuple[str, str]) -> Figures | None:
    return _shown(error_difference(find(answers, *one), find(answers, *other)))


def _all_below(differences: list[Figures | None]) -> str:
    """Whether all errors are lower: the intervals must say so."""
    if any(found is not None and found["low"] > 0 for found in differences):
        return NOT
    return HOLDS if all(found is not None and found["high"] < 0 for found in differences) else OPEN


def _shown(found: Interval | None) -> Figures | None:
    return None if found is None else {"difference": found.value, "low": found.low, "high": found.high}


def _claim(claim: str, verdict: str, figures: Figures) -> Figures:
    return {"claim": claim, "verdict": verdict, "figures": figures}


def sentence_of(file: str, study: Study, rows: Rows, spans: Figures) -> str:
    """Return in one plain sentence whether the normalisation helps."""
    found = {
        regime: error_difference(
            find(rows[regime], BATCH_NORM.expert, "best"), find(rows[regime], PLAIN.expert, "best")
        )
        for regime in (SINGLE, AFTER)
    }
    rest = spans["rest"]
    normal, plain = (find(rows[SINGLE], one.expert, "best") for one in (BATCH_NORM, PLAIN))
    text = (
        f"{file}, {rest['first'][:10]} to {rest['last'][:10]}, {rest['bars']:,} bars that no choice has seen: "
        f"batch normalisation {_help(found[SINGLE])}"
    )
    if (single := found[SINGLE]) is not None:
        text += (
            f", its mean squared error is {normal.errors.mean():.4f} and {plain.errors.mean():.4f} without it, "
            f"each at its best of {len(study.grid)} learning rates "
            f"(difference {_signed(single.value)}, 95 % interval {_signed(single.low)} to {_signed(single.high)})"
        )
    return f"{text}; after {counted(study.eras)} of the history before it {_help(found[AFTER])}{_in_brackets(found[AFTER])}."


def _help(found: Interval | None) -> str:
    if found is None:
        return "cannot be judged, for a network diverged"
    if found.high < 0:
        return "helps this network"
    if found.low > 0:
        return "does not help this network"
    return "neither clearly helps nor harms this network"


def _in_brackets(found: Interval | None) -> str:
    if found is None:
        return ""
    return f" ({_signed(found.value)}, {_signed(found.low)} to {_signed(found.high)})"


def _signed(value: float) -> str:
    return f"{value:+.4f}"
