"""Manifest entries: strategy, data and account of a run."""

from __future__ import annotations

import hashlib
import inspect
import math
from dataclasses import asdict, fields
from datetime import date
from typing import Any

from bt_neuro.account.account import Account
from bt_neuro.account.costs import costs_used
from bt_neuro.bars.reader import Bars
from bt_neuro.io import file_sha256
from bt_neuro.plugin.default_features import input_files
from bt_neuro.plugin.loading import strategy_file
from bt_neuro.plugin.strategy import NeuroStrategy


def manifest_of(
    bars: Bars,
    bars_options: dict[str, Any],
    strategy: type[NeuroStrategy],
    parameters: dict[str, Any],
    account: Account,
) -> dict[str, Any]:
    """Return the keys of a run over a file; `parameters` are all params of the strategy."""
    return {
        **strategy_manifest(strategy, parameters),
        "inputs": {file: file_sha256(file) for file in input_files(parameters["inputs"])},
        "data": {
            **data_manifest(bars),
            "options": {
                name: plain(str(value) if isinstance(value, date) else value)
                for name, value in bars_options.items()
                if value
            },
            "timeframe_s": bars.timeframe.total_seconds(),
            "point": bars.point,
        },
        "account": {
            **asdict(account),
            **costs_used(account, bars.frame, bars.point),
        },
    }


def strategy_manifest(strategy: type[NeuroStrategy], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of any run of a strategy."""
    return {
        "strategy": f"{strategy.__module__}:{strategy.__qualname__}",
        "strategy_file": strategy_file(strategy),
        "strategy_sha256": _source_hash(strategy),
        "parameters": {name: plain(value) for name, value in parameters.items()},
    }


def data_manifest(bars: Bars) -> dict[str, Any]:
    """Return file, hash, format, number and times of the bars."""
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


def account_of(manifest: dict[str, Any]) -> Account:
    """Return the account that a manifest describes."""
    names = {field.name for field in fields(Account)}
    return Account(**{name: value for name, value in manifest.get("account", {}).items() if name in names})


def _source_hash(strategy: type[NeuroStrategy]) -> str | None:
    try:
        return hashlib.sha256(inspect.getsource(inspect.getmodule(strategy) or strategy).encode()).hexdigest()
    except (OSError, TypeError):
        return None


def plain(value: Any) -> Any:
    """Return a parameter as JSON values: a tuple as a list, an object as ``{"repr": text}``."""
    if type(value) in (list, tuple):
        return [plain(item) for item in value]
    is_plain = isinstance(value, str | int | bool | None) or (
        isinstance(value, float) and math.isfinite(value)
    )
    return value if is_plain else {"repr": repr(value)}
