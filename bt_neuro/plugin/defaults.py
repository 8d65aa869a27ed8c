"""Defaults of a strategy's parameters that depend on its features."""

from __future__ import annotations

from typing import Any

from bt_neuro.errors import StrategyError

SHAPE, ARTICLE = "shape", "article"
AVERAGE_STEPS = 1_000
# Defaults that depend on the features; docs/explanation/defaults.md has the measurements.
DEFAULTS: dict[str, dict[str, Any]] = {
    SHAPE: {"history_bars": 3, "learning_rate": 3e-4},
    ARTICLE: {"history_bars": 20, "learning_rate": 2e-4},
}


def all_parameters(strategy: Any, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return every parameter of a strategy: those given, and the defaults of the others."""
    params = {**dict(strategy.params._getitems()), **(parameters or {})}
    if params["features"] not in DEFAULTS:
        known = " or ".join(DEFAULTS)
        raise StrategyError(f"features must be {known}, got {params['features']!r}. Give one of them.")
    if params["timeframes"] and params["features"] == ARTICLE:
        raise StrategyError("timeframes need features='shape', got 'article'. Leave one of them out.")
    for name, default in DEFAULTS[params["features"]].items():
        params[name] = default if params[name] is None else params[name]
    return params
