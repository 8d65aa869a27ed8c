"""bt-neuro: a neural network that learns on every bar inside backtrader, and says how good it really was."""

from bt_neuro.errors import (
    BarsError,
    CheckpointError,
    DeviceError,
    LayerError,
    NeuroError,
    NonFiniteError,
    StrategyError,
)
from bt_neuro.learner import Scored, Signal
from bt_neuro.market.bars import Bars, read_bars
from bt_neuro.market.fractals import FractalLabel
from bt_neuro.market.labels import Known, Label
from bt_neuro.nn.layers import (
    SGD,
    Adam,
    BatchNorm,
    Conv1D,
    Dense,
    Dropout,
    TransformerEncoder,
    article_layers,
)
from bt_neuro.nn.network import Network
from bt_neuro.plugin.analyzers import HitRate, StepTime
from bt_neuro.plugin.costs import Costs
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.features import default_features
from bt_neuro.plugin.strategy import NeuroStrategy

__version__ = "0.1.0"
__all__ = [
    "Adam",
    "Bars",
    "BarsError",
    "BarsFeed",
    "BatchNorm",
    "CheckpointError",
    "Conv1D",
    "Costs",
    "Dense",
    "DeviceError",
    "Dropout",
    "FractalLabel",
    "HitRate",
    "Known",
    "Label",
    "LayerError",
    "Network",
    "NeuroError",
    "NeuroStrategy",
    "NonFiniteError",
    "SGD",
    "Scored",
    "Signal",
    "StepTime",
    "StrategyError",
    "TransformerEncoder",
    "article_layers",
    "default_features",
    "read_bars",
]
