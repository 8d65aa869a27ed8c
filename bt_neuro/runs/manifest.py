"""Manifest entries: strategy, data and account of a run."""

from __future__ import annotations

import hashlib
import inspect
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.learning.signals import CLASSES, signals_of
from bt_neuro.plugin.strategy import NeuroStrategy


def manifest_of(
    bars: Bars,
    bars_options: dict[str, Any],
    strategy: type[NeuroStrategy],
    parameters: dict[str, Any],
    account: Account,
) -> dict[str, Any]:
    """Return what is known of a run before it starts; `parameters` are all of the strategy's."""
    return {
        **strategy_manifest(strategy, parameters),
        "data": {
            **data_manifest(bars),
            "options": {name: _plain(value) for name, value in bars_options.items() if value},
            "timeframe_s": bars.timeframe.total_seconds(),
            "point": bars.point,
        },
        "account": {
            **asdict(account),
            "spread_source": _spread_source(account, bars),
            "mean_spread_points": _mean_spread(account, bars),
        },
    }


def strategy_manifest(strategy: type[NeuroStrategy], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of any process that runs a strategy."""
    return {
        "strategy": f"{strategy.__module__}:{strategy.__qualname__}",
        "strategy_sha256": _source_hash(strategy),
        "parameters": {name: _plain(value) for name, value in parameters.items()},
    }


def data_manifest(bars: Bars) -> dict[str, Any]:
    """Return which bars, and from which file."""
    times = bars.frame["datetime"]
    return {
        "file": str(bars.path),
        "sha256": bars.sha256,
        "format": bars.format,
        "bars": len(bars),
        "first": str(times.iloc[0]),
        "last": str(times.iloc[-1]),
        "notes": list(bars.notes),
    }


def _mean_spread(account: Account, bars: Bars) -> float:
    if account.spread is not None:
        return account.spread
    return float(bars.frame["spread"].mean()) if "spread" in bars.frame else 0.0


def _spread_source(account: Account, bars: Bars) -> str:
    if account.spread is not None:
        return "option"
    return "file" if "spread" in bars.frame else "none: 0"


def _source_hash(strategy: type[NeuroStrategy]) -> str | None:
    try:
        return hashlib.sha256(inspect.getsource(inspect.getmodule(strategy) or strategy).encode()).hexdigest()
    except (OSError, TypeError):
        return None


def _plain(value: Any) -> Any:
    is_plain = isinstance(value, str | int | bool | None) or (
        isinstance(value, float) and math.isfinite(value)
    )
    return value if is_plain else repr(value)


def write_baselines(path: Path, bars: pd.Series, answers: dict[str, NDArray[np.floating]]) -> None:
    """Write one row a predicted bar: the signal of each baseline."""
    names = pd.CategoricalDtype(list(CLASSES))
    signals = {
        name: pd.Categorical.from_codes(signals_of(answer), dtype=names) for name, answer in answers.items()
    }
    pd.DataFrame({"bar": bars, **signals}).to_csv(path, index=False)
