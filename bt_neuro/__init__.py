"""bt-neuro: a neural network that learns on every bar inside backtrader, with measured skill.

The names of `__all__` are the public face; the others live in the namespaces ``bt_neuro.layers``,
``.optimizers``, ``.losses``, ``.models``, ``.features``, ``.labels``, ``.analyzers``, ``.results`` and
``.errors``, and can be imported from the top too. Everything loads when first used: pandas and backtrader
take half a second, which ``bt-neuro --help`` does without.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_FACE = {
    "account.account": "Account margin_account",
    "bars.reader": "read_bars",
    "errors": "NeuroError",
    "learning.labels": "Label",
    "learning.signals": "Signal",
    "nn.network": "Network",
    "plugin.feed": "BarsFeed",
    "plugin.live_feed": "LiveFeed",
    "plugin.strategy": "NeuroStrategy",
    "runs.backtest": "backtest",
    "runs.portfolio": "portfolio",
    "runs.results": "open_run",
    "studies.compare": "compare",
    "validation.lookahead": "lookahead_check",
    "validation.permutation": "permutation_test",
    "validation.tune": "tune",
    "validation.walk_forward": "walk_forward",
    "validation.warmup": "warmup_check",
}
_NAMESPACES = {
    "analyzers": "plugin.analyzers",
    "errors": "errors",
    "features": "plugin.features",
    "indicators": "plugin.indicators",
    "labels": "learning.fractals",
    "layers": "nn.layers",
    "losses": "nn.losses",
    "models": "nn.models",
    "optimizers": "nn.optimizers",
    "results": "runs.results",
}
_OTHERS = {
    "account.broker": "MarginBroker",
    "account.instrument": "Instrument",
    "bars.line_reader": "Bar LineReader",
    "bars.reader": "Bars",
    "errors": "BarsError CheckpointError DeviceError FoldError LayerError NonFiniteError StrategyError",
    "learning.fractals": "FractalLabel",
    "learning.labels": "ConfirmedLabel",
    "learning.signals": "ScoredSignal",
    "nn.layers": "Activation AveragePooling1D BatchNormalization Conv1D Dense Dropout LSTM "
    "LayerNormalization MaxPooling1D Reshape RunningBatchNorm TransformerEncoder",
    "nn.losses": "CategoricalCrossentropy CategoricalFocalCrossentropy MeanSquaredError",
    "nn.models": "article_layers",
    "nn.optimizers": "Adam AdamW CosineDecay SGD",
    "plugin.analyzers": "HitRate StepTime",
    "plugin.features": "article_features shape_features",
    "plugin.model_checkpoint": "ModelCheckpoint",
    "plugin.observers": "HitRateLine RunningStatistics Signals",
    "plugin.shared": "SharedNetwork",
    "plugin.stamps": "stamped",
    "runs.run_record": "RunRecord",
    "runs.results": "Comparison PermutationTest Portfolio Result Tuning WalkForward",
    "validation.lookahead_result": "LookaheadResult",
    "validation.permutation_portfolio": "permutation_test_portfolio",
    "validation.walk_forward_portfolio": "walk_forward_portfolio",
    "validation.warmup": "WarmupResult",
}
_MODULE = {
    name: module
    for modules in (_FACE, _OTHERS)
    for module, names in modules.items()
    for name in names.split()
}

__all__ = sorted([*" ".join(_FACE.values()).split(), *_NAMESPACES])


class _Namespace(ModuleType):
    """What ``from bt_neuro.layers import Dense`` finds: the names of a module that lies deeper."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # above all __path__: it is no package
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(__getattr__(self.__name__.removeprefix(f"{__name__}.")), name)


sys.modules.update(
    {f"{__name__}.{name}": _Namespace(f"{__name__}.{name}") for name in _NAMESPACES if name != "errors"}
)


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return importlib.import_module(f"bt_neuro.{_NAMESPACES[name]}")
    if name not in _MODULE:
        raise AttributeError(f"module 'bt_neuro' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bt_neuro.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
