"""Figures computed from counts and sums: pure functions."""

from __future__ import annotations

from typing import Any

MINIMUM_SIGNALS = 30  # below this no verdict is given


def wilson_interval(hits: int, signals: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the interval that holds the true hit rate with that confidence; None without signals.

    Wilson's score interval (1927): honest for few signals and for rates near 0 or 1. Signals of neighbouring
    bars are not independent, so the true interval is somewhat wider.

    Examples
    --------
    >>> low, high = wilson_interval(60, 100)
    >>> round(low, 3), round(high, 3)
    (0.502, 0.691)
    """
    if not signals:
        return None
    from scipy.stats import binomtest

    interval = binomtest(hits, signals).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def verdict(hits: int, signals: int, best: tuple[str, float] | None) -> str:
    """Return in plain words whether the signals are better than the best baseline's.

    Parameters
    ----------
    hits, signals : of the network
    best : name and hit rate of the best baseline, None when none gave enough signals

    Examples
    --------
    >>> verdict(4, 7, ("last two bars", 0.44))
    'too few signals for a verdict: 7 of 30'
    >>> verdict(600, 1000, ("last two bars", 0.44))
    'better than every baseline'
    >>> verdict(450, 1000, ("last two bars", 0.44))
    'not clearly better than a simple baseline'
    >>> verdict(400, 1000, ("last two bars", 0.44))
    'worse than a simple baseline'
    """
    if signals < MINIMUM_SIGNALS:
        return f"too few signals for a verdict: {signals} of {MINIMUM_SIGNALS}"
    interval = wilson_interval(hits, signals)
    if best is None or interval is None:
        return "no baseline to compare with"
    if interval[0] > best[1]:
        return "better than every baseline"
    if interval[1] < best[1]:
        return "worse than a simple baseline"
    return "not clearly better than a simple baseline"


def best_baseline(baselines: dict[str, dict[str, Any]]) -> tuple[str, float] | None:
    """Return name and hit rate of the baseline whose signals hit most, among those with enough of them."""
    rates = {
        name: figures["hit_rate"]
        for name, figures in baselines.items()
        if figures["signals"] >= MINIMUM_SIGNALS and figures["hit_rate"] is not None
    }
    return max(rates.items(), key=lambda item: item[1]) if rates else None


def percent(part: float | None) -> float | None:
    return None if part is None else 100 * part
