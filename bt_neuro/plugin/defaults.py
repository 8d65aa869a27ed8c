"""Parameters of a strategy: known names, and defaults that depend on its features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bt_neuro.errors import StrategyError, did_you_mean

SHAPE, ARTICLE = "shape", "article"
AVERAGE_STEPS = 1_000
# Defaults that depend on the features; docs/explanation/defaults.md has the measurements.
DEFAULTS: dict[str, dict[str, Any]] = {
    SHAPE: {"history_bars": 3, "learning_rate": 3e-4},
    ARTICLE: {"history_bars": 20, "learning_rate": 2e-4},
}


def require_known(strategy: Any, names: Iterable[str]) -> None:
    """Raise StrategyError for a name that is no parameter of a strategy or indicator."""
    known = strategy.params._getkeys()
    for name in names:
        if name not in known:
            raise StrategyError(f"{strategy.__name__} has no parameter {name!r}.{did_you_mean(name, known)}")


def all_parameters(strategy: Any, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return every parameter of a strategy or indicator: those given, and the defaults of the others."""
    require_known(strategy, parameters or ())
    params = {**dict(strategy.params._getitems()), **(parameters or {})}
    if params["features"] not in DEFAULTS:
        known = " or ".join(DEFAULTS)
        raise StrategyError(f"features must be {known}, got {params['features']!r}. Give one of them.")
    if params.get("timeframes") and params["features"] == ARTICLE:
        raise StrategyError("timeframes need features='shape', got 'article'. Leave one of them out.")
    for name, default in DEFAULTS[params["features"]].items():
        share = getattr(strategy, "_rate_share", 1.0) if name == "learning_rate" else 1
        params[name] = default * share if params[name] is None else params[name]
    return params
