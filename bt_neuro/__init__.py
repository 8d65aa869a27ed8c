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
from bt_neuro.market.bars import Bars, read_bars
from bt_neuro.market.fractals import FractalLabel
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

__version__ = "0.1.0"
__all__ = [
    "SGD",
    "Adam",
    "Bars",
    "BarsError",
    "BatchNorm",
    "CheckpointError",
    "Conv1D",
    "Dense",
    "DeviceError",
    "Dropout",
    "FractalLabel",
    "LayerError",
    "Network",
    "NeuroError",
    "NonFiniteError",
    "StrategyError",
    "TransformerEncoder",
    "article_layers",
    "read_bars",
]
