"""The public face, for type checkers; `__init__.py` loads it when first used."""

from bt_neuro import errors as errors
from bt_neuro.account.account import Account as Account
from bt_neuro.account.account import margin_account as margin_account
from bt_neuro.account.broker import MarginBroker as MarginBroker
from bt_neuro.account.instrument import Instrument as Instrument
from bt_neuro.bars.line_reader import Bar as Bar
from bt_neuro.bars.line_reader import LineReader as LineReader
from bt_neuro.bars.reader import Bars as Bars
from bt_neuro.bars.reader import read_bars as read_bars
from bt_neuro.errors import BarsError as BarsError
from bt_neuro.errors import CheckpointError as CheckpointError
from bt_neuro.errors import DeviceError as DeviceError
from bt_neuro.errors import FoldError as FoldError
from bt_neuro.errors import LayerError as LayerError
from bt_neuro.errors import NeuroError as NeuroError
from bt_neuro.errors import NonFiniteError as NonFiniteError
from bt_neuro.errors import StrategyError as StrategyError
from bt_neuro.learning import fractals as labels
from bt_neuro.learning.fractals import FractalLabel as FractalLabel
from bt_neuro.learning.labels import ConfirmedLabel as ConfirmedLabel
from bt_neuro.learning.labels import Label as Label
from bt_neuro.learning.signals import ScoredSignal as ScoredSignal
from bt_neuro.learning.signals import Signal as Signal
from bt_neuro.nn import layers as layers
from bt_neuro.nn import losses as losses
from bt_neuro.nn import models as models
from bt_neuro.nn import optimizers as optimizers
from bt_neuro.nn.layers import LSTM as LSTM
from bt_neuro.nn.layers import Activation as Activation
from bt_neuro.nn.layers import AveragePooling1D as AveragePooling1D
from bt_neuro.nn.layers import BatchNormalization as BatchNormalization
from bt_neuro.nn.layers import Conv1D as Conv1D
from bt_neuro.nn.layers import Dense as Dense
from bt_neuro.nn.layers import Dropout as Dropout
from bt_neuro.nn.layers import LayerNormalization as LayerNormalization
from bt_neuro.nn.layers import MaxPooling1D as MaxPooling1D
from bt_neuro.nn.layers import Reshape as Reshape
from bt_neuro.nn.layers import RunningBatchNorm as RunningBatchNorm
from bt_neuro.nn.layers import TransformerEncoder as TransformerEncoder
from bt_neuro.nn.losses import CategoricalCrossentropy as CategoricalCrossentropy
from bt_neuro.nn.losses import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from bt_neuro.nn.losses import MeanSquaredError as MeanSquaredError
from bt_neuro.nn.models import article_layers as article_layers
from bt_neuro.nn.network import Network as Network
from bt_neuro.nn.optimizers import SGD as SGD
from bt_neuro.nn.optimizers import Adam as Adam
from bt_neuro.nn.optimizers import AdamW as AdamW
from bt_neuro.nn.optimizers import CosineDecay as CosineDecay
from bt_neuro.plugin import analyzers as analyzers
from bt_neuro.plugin import features as features
from bt_neuro.plugin import indicators as indicators
from bt_neuro.plugin.analyzers import HitRate as HitRate
from bt_neuro.plugin.analyzers import StepTime as StepTime
from bt_neuro.plugin.features import article_features as article_features
from bt_neuro.plugin.features import shape_features as shape_features
from bt_neuro.plugin.feed import BarsFeed as BarsFeed
from bt_neuro.plugin.live_feed import LiveFeed as LiveFeed
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint as ModelCheckpoint
from bt_neuro.plugin.observers import HitRateLine as HitRateLine
from bt_neuro.plugin.observers import RunningStatistics as RunningStatistics
from bt_neuro.plugin.observers import Signals as Signals
from bt_neuro.plugin.shared import SharedNetwork as SharedNetwork
from bt_neuro.plugin.stamps import stamped as stamped
from bt_neuro.plugin.strategy import NeuroStrategy as NeuroStrategy
from bt_neuro.runs import results as results
from bt_neuro.runs.backtest import backtest as backtest
from bt_neuro.runs.portfolio import portfolio as portfolio
from bt_neuro.runs.results import Comparison as Comparison
from bt_neuro.runs.results import PermutationTest as PermutationTest
from bt_neuro.runs.results import Portfolio as Portfolio
from bt_neuro.runs.results import Result as Result
from bt_neuro.runs.results import Tuning as Tuning
from bt_neuro.runs.results import WalkForward as WalkForward
from bt_neuro.runs.results import open_run as open_run
from bt_neuro.runs.run_record import RunRecord as RunRecord
from bt_neuro.studies.compare import compare as compare
from bt_neuro.validation.lookahead import lookahead_check as lookahead_check
from bt_neuro.validation.lookahead_result import LookaheadResult as LookaheadResult
from bt_neuro.validation.permutation import permutation_test as permutation_test
from bt_neuro.validation.permutation_portfolio import permutation_test_portfolio as permutation_test_portfolio
from bt_neuro.validation.tune import tune as tune
from bt_neuro.validation.walk_forward import walk_forward as walk_forward
from bt_neuro.validation.walk_forward_portfolio import walk_forward_portfolio as walk_forward_portfolio
from bt_neuro.validation.warmup import WarmupResult as WarmupResult
from bt_neuro.validation.warmup import warmup_check as warmup_check

__all__ = [
    "Account",
    "BarsFeed",
    "Label",
    "LiveFeed",
    "Network",
    "NeuroError",
    "NeuroStrategy",
    "Signal",
    "analyzers",
    "backtest",
    "compare",
    "errors",
    "features",
    "indicators",
    "labels",
    "layers",
    "lookahead_check",
    "losses",
    "margin_account",
    "models",
    "open_run",
    "optimizers",
    "permutation_test",
    "portfolio",
    "read_bars",
    "results",
    "tune",
    "walk_forward",
    "warmup_check",
]
__version__: str
