"""Objectives of a parameter search."""

from __future__ import annotations

from typing import NamedTuple


class Objective(NamedTuple):
    """Objective of a parameter search: metric, name in words, format, and which direction is better."""

    metric: str
    words: str
    form: str
    maximise: bool = True


OBJECTIVES = {
    "sharpe": Objective("sharpe_ratio", "Sharpe ratio", ".2f"),
    "return": Objective("return_pct", "return in %", "+.1f"),
    "hit_rate": Objective("hit_rate_pct", "hit rate in %", ".1f"),
    "brier_score": Objective("brier_score", "Brier score", ".4f", maximise=False),
}
