"""The default features of a strategy: of its bars, of their coarser timeframes, and of other feeds."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from bt_neuro.errors import StrategyError, did_you_mean
from bt_neuro.plugin.defaults import ARTICLE
from bt_neuro.plugin.features import article_features, shape_features
from bt_neuro.plugin.timeframe_features import timeframe_features


def default_features(strategy: Any) -> dict[str, Any]:
    """Return the features that a strategy's parameters choose, as lines by name."""
    p, data = strategy.p, strategy.data
    if p.features == ARTICLE:
        lines = article_features(data)
    elif p.timeframes:
        lines = timeframe_features(data, p.timeframes, p.wing)
    else:
        lines = shape_features(data, p.wing)
    return {**lines, **_input_features(strategy)}


def input_files(inputs: Any) -> list[str]:
    """Return the files of ``"DXY_H1.csv,VIX_D1.csv"`` or a sequence; None has none.

    Examples
    --------
    >>> input_files("DXY_H1.csv, VIX_D1.csv")
    ['DXY_H1.csv', 'VIX_D1.csv']
    """
    words = inputs.split(",") if isinstance(inputs, str) else inputs or ()
    return [text for word in words if (text := str(word).strip())]


def _input_features(strategy: Any) -> dict[str, Any]:
    """Return the visible shape of other feeds, as of their last closed bar, such as ``DXY_H1_range``."""
    others = {data._name: data for data in strategy.datas[1:]}
    lines = {}
    for file in input_files(strategy.p.inputs):
        name = file if file in others else PurePath(file).stem
        if name not in others:
            hint = did_you_mean(name, others)
            raise StrategyError(f"inputs must be names of other feeds, got {file!r}.{hint} Add the feed.")
        for feature, line in shape_features(others[name], strategy.p.wing).items():
            lines[f"{name}_{feature}"] = line
    return lines
