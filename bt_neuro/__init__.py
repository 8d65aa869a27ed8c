"""bt-neuro: a neural network that learns on every bar inside backtrader, and says how good it really was.

Users import from here alone. Names are loaded when first asked for: pandas and backtrader take half a second,
which ``bt-neuro --help`` need not wait for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bt_neuro.account.account import Account, margin_account
    from bt_neuro.account.broker import MarginBroker
    from bt_neuro.account.instrument import Instrument
    from bt_neuro.bars.line_reader import Bar, LineReader
    from bt_neuro.bars.reader import Bars, read_bars
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
    from bt_neuro.learning.fractals import FractalLabel
    from bt_neuro.learning.labels import ConfirmedLabel, Label
    from bt_neuro.learning.signals import ScoredSignal, Signal
    from bt_neuro.nn.layers import (
        LSTM,
        Activation,
        AveragePooling1D,
        BatchNormalization,
        Conv1D,
        Dense,
        Dropout,
        LayerNormalization,
        MaxPooling1D,
        Reshape,
        RunningBatchNorm,
        TransformerEncoder,
    )
    from bt_neuro.nn.losses import CategoricalCrossentropy, CategoricalFocalCrossentropy, MeanSquaredError
    from bt_neuro.nn.models import article_layers
    from bt_neuro.nn.network import Network
    from bt_neuro.nn.optimizers import SGD, Adam, AdamW, CosineDecay
    from bt_neuro.plugin.analyzers import HitRate, StepTime
    from bt_neuro.plugin.features import article_features, shape_features
    from bt_neuro.plugin.feed import BarsFeed
    from bt_neuro.plugin.live_feed import LiveFeed
    from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
    from bt_neuro.plugin.observers import RunningStatistics
    from bt_neuro.plugin.strategy import NeuroStrategy
    from bt_neuro.runs.backtest import backtest
    from bt_neuro.runs.results import Result, Tuning, WalkForward, open_run
    from bt_neuro.studies.compare import Comparison, compare
    from bt_neuro.validation.lookahead import LookaheadResult, lookahead_check
    from bt_neuro.validation.tune import tune
    from bt_neuro.validation.walk_forward import walk_forward
    from bt_neuro.validation.warmup import WarmupResult, warmup_check

_HOME = {
    "nn.models": "article_layers",
    "errors": "BarsError CheckpointError DeviceError FoldError LayerError NeuroError NonFiniteError "
    "StrategyError",
    "account.account": "Account margin_account",
    "account.broker": "MarginBroker",
    "account.instrument": "Instrument",
    "studies.compare": "Comparison compare",
    "runs.results": "Result Tuning WalkForward open_run",
    "validation.lookahead": "LookaheadResult lookahead_check",
    "runs.backtest": "backtest",
    "validation.tune": "tune",
    "validation.walk_forward": "walk_forward",
    "validation.warmup": "WarmupResult warmup_check",
    "bars.reader": "Bars read_bars",
    "learning.fractals": "FractalLabel",
    "learning.labels": "ConfirmedLabel Label",
    "bars.line_reader": "Bar LineReader",
    "nn.layers": "Activation AveragePooling1D BatchNormalization Conv1D Dense Dropout LSTM "
    "LayerNormalization MaxPooling1D Reshape RunningBatchNorm TransformerEncoder",
    "nn.losses": "CategoricalCrossentropy CategoricalFocalCrossentropy MeanSquaredError",
    "nn.network": "Network",
    "nn.optimizers": "Adam AdamW CosineDecay SGD",
    "plugin.analyzers": "HitRate StepTime",
    "plugin.model_checkpoint": "ModelCheckpoint",
    "plugin.features": "article_features shape_features",
    "plugin.feed": "BarsFeed",
    "plugin.live_feed": "LiveFeed",
    "plugin.observers": "RunningStatistics",
    "plugin.strategy": "NeuroStrategy",
    "learning.signals": "ScoredSignal Signal",
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
    "BatchNormalization",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CheckpointError",
    "Comparison",
    "ConfirmedLabel",
    "Conv1D",
    "CosineDecay",
    "Dense",
    "DeviceError",
    "Dropout",
    "FoldError",
    "FractalLabel",
    "HitRate",
    "Instrument",
    "LSTM",
    "Label",
    "LayerError",
    "LayerNormalization",
    "LineReader",
    "LiveFeed",
    "LookaheadResult",
    "MarginBroker",
    "MaxPooling1D",
    "MeanSquaredError",
    "ModelCheckpoint",
    "Network",
    "NeuroError",
    "NeuroStrategy",
    "NonFiniteError",
    "Reshape",
    "Result",
    "RunningBatchNorm",
    "RunningStatistics",
    "SGD",
    "ScoredSignal",
    "Signal",
    "StepTime",
    "StrategyError",
    "TransformerEncoder",
    "Tuning",
    "WalkForward",
    "WarmupResult",
    "article_features",
    "article_layers",
    "backtest",
    "compare",
    "lookahead_check",
    "margin_account",
    "open_run",
    "read_bars",
    "shape_features",
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
