"""bt-neuro: a neural network that learns on every bar inside backtrader, and says how good it really was.

Users import from here alone. Names are loaded when first asked for: pandas and backtrader take half a second,
which ``bt-neuro --help`` need not wait for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bt_neuro.article import article_layers
    from bt_neuro.errors import (
        BarsError,
        CheckpointError,
        DeviceError,
        FoldError,
        LayerError,
        NeuroError,
        NonFiniteError,
        StrategyError,
    )
    from bt_neuro.evaluate.account import Account
    from bt_neuro.evaluate.checks.lookahead import LookaheadResult, lookahead_check
    from bt_neuro.evaluate.checks.warmup import WarmupResult, warmup_check
    from bt_neuro.evaluate.compare.run import Comparison, compare
    from bt_neuro.evaluate.folder import Result, open_run
    from bt_neuro.evaluate.runs import backtest
    from bt_neuro.evaluate.tune.run import Tuning, tune
    from bt_neuro.evaluate.walk_forward.run import WalkForward, walk_forward
    from bt_neuro.market.bars import Bars, read_bars
    from bt_neuro.market.fractals import FractalLabel
    from bt_neuro.market.labels import Known, Label
    from bt_neuro.market.lines import Bar, LineReader
    from bt_neuro.nn.layers import (
        LSTM,
        Activation,
        AveragePooling1D,
        Conv1D,
        Dense,
        Dropout,
        MaxPooling1D,
        Reshape,
        TransformerEncoder,
    )
    from bt_neuro.nn.losses import CategoricalCrossentropy, CategoricalFocalCrossentropy, MeanSquaredError
    from bt_neuro.nn.network import Network
    from bt_neuro.nn.normalization import (
        BatchNorm,
        BatchNormalization,
        LayerNormalization,
    )
    from bt_neuro.nn.optimizers import SGD, Adam, AdamW, CosineDecay
    from bt_neuro.plugin.analyzers import HitRate, StepTime
    from bt_neuro.plugin.checkpoint import Checkpoint
    from bt_neuro.plugin.costs import Costs
    from bt_neuro.plugin.features import default_features
    from bt_neuro.plugin.feed import BarsFeed
    from bt_neuro.plugin.live import LiveFeed
    from bt_neuro.plugin.observers import RunningStatistics
    from bt_neuro.plugin.strategy import NeuroStrategy
    from bt_neuro.signals import Scored, Signal

_HOME = {
    "article": "article_layers",
    "errors": "BarsError CheckpointError DeviceError FoldError LayerError NeuroError NonFiniteError "
    "StrategyError",
    "evaluate.account": "Account",
    "evaluate.compare.run": "Comparison compare",
    "evaluate.folder": "Result open_run",
    "evaluate.checks.lookahead": "LookaheadResult lookahead_check",
    "evaluate.runs": "backtest",
    "evaluate.tune.run": "Tuning tune",
    "evaluate.walk_forward.run": "WalkForward walk_forward",
    "evaluate.checks.warmup": "WarmupResult warmup_check",
    "market.bars": "Bars read_bars",
    "market.fractals": "FractalLabel",
    "market.labels": "Known Label",
    "market.lines": "Bar LineReader",
    "nn.layers": "Activation AveragePooling1D Conv1D Dense Dropout LSTM MaxPooling1D Reshape "
    "TransformerEncoder",
    "nn.losses": "CategoricalCrossentropy CategoricalFocalCrossentropy MeanSquaredError",
    "nn.network": "Network",
    "nn.normalization": "BatchNorm BatchNormalization LayerNormalization",
    "nn.optimizers": "Adam AdamW CosineDecay SGD",
    "plugin.analyzers": "HitRate StepTime",
    "plugin.checkpoint": "Checkpoint",
    "plugin.costs": "Costs",
    "plugin.features": "default_features",
    "plugin.feed": "BarsFeed",
    "plugin.live": "LiveFeed",
    "plugin.observers": "RunningStatistics",
    "plugin.strategy": "NeuroStrategy",
    "signals": "Scored Signal",
}
_MODULE = {name: f"bt_neuro.{module}" for module, names in _HOME.items() for name in names.split()}

__version__ = "0.1.0"
__all__ = [
    "Account",
    "Activation",
    "Adam",
    "AdamW",
    "AveragePooling1D",
    "Bar",
    "Bars",
    "BarsError",
    "BarsFeed",
    "BatchNorm",
    "BatchNormalization",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "Checkpoint",
    "CheckpointError",
    "Comparison",
    "Conv1D",
    "CosineDecay",
    "Costs",
    "Dense",
    "DeviceError",
    "Dropout",
    "FoldError",
    "FractalLabel",
    "HitRate",
    "Known",
    "LSTM",
    "Label",
    "LayerError",
    "LayerNormalization",
    "LineReader",
    "LiveFeed",
    "LookaheadResult",
    "MaxPooling1D",
    "MeanSquaredError",
    "Network",
    "NeuroError",
    "NeuroStrategy",
    "NonFiniteError",
    "Reshape",
    "Result",
    "RunningStatistics",
    "SGD",
    "Scored",
    "Signal",
    "StepTime",
    "StrategyError",
    "TransformerEncoder",
    "Tuning",
    "WalkForward",
    "WarmupResult",
    "article_layers",
    "backtest",
    "compare",
    "default_features",
    "lookahead_check",
    "open_run",
    "read_bars",
    "tune",
    "walk_forward",
    "warmup_check",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'bt_neuro' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
