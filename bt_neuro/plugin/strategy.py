"""NeuroStrategy: a backtrader strategy whose network learns and predicts every bar."""

from __future__ import annotations

from typing import Any

from bt_neuro.account.bar_time import opening_time
from bt_neuro.account.target import repeat_targets, share_left, target_orders
from bt_neuro.bars.fingerprint import Fingerprint
from bt_neuro.errors import LayerError, NonFiniteError, StrategyError
from bt_neuro.learning.epochs import Epoch
from bt_neuro.learning.fractals import FractalLabel
from bt_neuro.learning.labels import Label
from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.nn.layers import Layer
from bt_neuro.nn.losses import Loss, MeanSquaredError
from bt_neuro.nn.models import article_layers, shape_layers
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import Adam, Optimizer
from bt_neuro.plugin import checks
from bt_neuro.plugin.bar_loop import LeanStrategy, values_of
from bt_neuro.plugin.bars_ahead import run_ahead
from bt_neuro.plugin.default_features import default_features
from bt_neuro.plugin.defaults import ARTICLE, AVERAGE_STEPS, all_parameters, require_known
from bt_neuro.plugin.feed_signal import FeedSignal
from bt_neuro.plugin.learned_feed import LearnedFeedFirst, feeds_of, require_feeds_together, require_one_clock
from bt_neuro.plugin.make_learner import make_learner, read_checkpoint, resume_learner
from bt_neuro.plugin.phase import Phase
from bt_neuro.plugin.pretraining import Pretraining
from bt_neuro.plugin.recorded import end_playback
from bt_neuro.plugin.resume import ResumeVerification


class NeuroStrategy(LeanStrategy, metaclass=LearnedFeedFirst):
    """A strategy that learns every bar, predicts every bar and trades the signals.

    At the close of bar t the network learns from the bar whose label t confirms, then predicts t from bars up
    to t. `decide` gets that signal; its orders execute at the open of t + 1. Subclasses override the methods
    from `features` to `decide`.

    Params:

      - ``data`` (default: ``None``): name or index of the feed to learn and trade, which becomes ``self.data``;
        the others follow it in ``self.datas`` and may serve as inputs. None is the first
      - ``wing`` (default: ``1``): bars on either side of a fractal, and the delay of its label
      - ``features`` (default: ``"shape"``): ``"shape"`` describes the visible half of a fractal (see
        `VisibleShape`) to the article's network with averaged weights; ``"article"`` is the article's twelve
        features and its exact network
      - ``timeframes`` (default: ``None``): coarser timeframes of the same bars, such as ``"H4,D1"``: the shape of
        their last closed bars joins the features
      - ``inputs`` (default: ``None``): other feeds by name, or by file such as ``"DXY_H1.csv"``: the shape of their
        last closed bars joins the features
      - ``history_bars`` (default: ``None``): bars in a feature window; 3, or 20 for the article
      - ``learning_rate`` (default: ``None``): of Adam; 3e-4, or 2e-4 for the article
      - ``size`` (default: ``0.95``): share of the equity in a position of the default `decide`
      - ``budget`` (default: ``1.0``): share of the account's equity that ``size`` and `target` are shares of: an
        equal part for each instrument of a portfolio, which then trades before other feeds begin
      - ``learning`` (default: ``True``): False predicts without learning
      - ``pretrain`` (default: ``None``): span of bars to learn before the first prediction,
        ``"2003-05-05..2005-12-31"`` or a pair of times, both inclusive; see Notes
      - ``eras`` (default: ``1``): number of epochs over ``pretrain``
      - ``until_settled`` (default: ``False``): end with the epoch in which the figures settle
      - ``embargo_bars`` (default: ``0``): bars at the end of ``pretrain`` that are not learned
      - ``resume`` (default: ``None``): checkpoint, or folder of a run, to resume; see Notes
      - ``seeds`` (default: ``1``): number of networks, from ``seed`` on; they vote by the mean of their probabilities
      - ``seed`` (default: ``0``), ``device`` (``"auto"``), ``precision`` (``"single"``): as in `Network`

    Attributes
    ----------
    signal : the last `Signal`, or None; read-only
    scored : list of `ScoredSignal`, those whose labels the last bar confirmed; read-only
    learner, network : made when the run starts; read-only
    phase : the `Phase`; read-only
    pretraining : the `Pretraining`; None without ``pretrain``

    Notes
    -----
    ``resume`` needs all bars from the first one on. Bars up to the checkpoint's last one warm up the
    indicators; they are verified and not learned again, without signals, `decide` or orders. From the next
    bar on the results are bit-identical to one long run. Other bars, features, layers, label or optimiser are
    a CheckpointError. Seed and seeds are the checkpoint's, and others an error.

    ``pretrain`` predicts and trades nothing up to the end of the span. Bars before it warm up the indicators
    and fill the first window. At its end, its bars are learned ``eras`` times in their order, with the labels
    that its bars confirm. Figures of the epochs are in-sample. `notify_epoch` of the strategy and of every
    analyzer is called after each epoch; a `ModelCheckpoint` saves there, and ``resume`` continues with the
    epochs left.

    Bars of a live feed with the status ``DELAYED``, backtrader's history, are learned and not traded.

    Examples
    --------
    >>> import backtrader as bt
    >>> from bt_neuro import NeuroStrategy, Dense
    >>> class TrendOnly(NeuroStrategy):
    ...     params = (("threshold", 0.6),)
    ...     def features(self):
    ...         return {**super().features(), "slope": bt.ind.ROC(period=20)}
    ...     def layers(self, inputs):
    ...         return [Dense(64, "tanh"), Dense(3, "sigmoid")]
    ...     def decide(self, signal):
    ...         if signal.is_buy and signal.confidence > self.p.threshold:
    ...             self.target(0.9)
    """

    params = (
        ("data", None),
        ("wing", 1),
        ("features", "shape"),
        ("timeframes", None),
        ("inputs", None),
        ("history_bars", None),
        ("learning_rate", None),
        ("size", 0.95),
        ("budget", 1.0),
        ("learning", True),
        ("pretrain", None),
        ("eras", 1),
        ("until_settled", False),
        ("embargo_bars", 0),
        ("resume", None),
        ("seeds", 1),
        ("seed", 0),
        ("device", "auto"),
        ("precision", "single"),
    )

    signal = checks.ReadOnly()
    scored = checks.ReadOnly()
    learner = checks.ReadOnly()
    network = checks.ReadOnly()
    phase = checks.ReadOnly()
    _rate_share = 1.0  # of the default learning rate

    def __init__(self, **unknown: Any) -> None:
        # backtrader passes on names that are no params; Python's TypeError would give no hint.
        require_known(type(self), unknown)
        checks.check_names(type(self))
        for name, value in all_parameters(type(self), self.p._getkwargs()).items():
            setattr(self.p, name, value)
        checks.check_parameters(self.p, dict(type(self).params._getitems()))
        self._signal: Signal | None = None
        self._scored: list[ScoredSignal] = []
        self._phase = Phase.WARM_UP
        self.pretraining = Pretraining.of(self.p)
        self._feature_lines = checks.checked_features(self)
        require_one_clock(self, self._feature_lines)
        lines = self._feature_lines.values()
        feeds = (feed for line in lines for feed in feeds_of(line, self.datas, as_of=True))
        self._inputs = {self.data, *feeds}
        self._is_checked = False
        self._framework = frozenset(vars(self))  # `RunState` saves what a subclass adds

    # -- to override -----------------------------------------------------------------------------------------
    def features(self) -> dict[str, Any]:
        """Return the features of one bar as backtrader lines by name, from bars up to it; called once."""
        return default_features(self)

    def layers(self, inputs: int) -> list[Layer]:
        """Return the layers for that many inputs; the last one has three sigmoids or a softmax."""
        network = article_layers if self.p.features == ARTICLE else shape_layers
        return network(inputs // self.p.history_bars)

    def optimizer(self) -> Optimizer:
        """Return the optimiser; Adam by default, with averaged weights but for the article's network."""
        return Adam(self.p.learning_rate, average=None if self.p.features == ARTICLE else AVERAGE_STEPS)

    def loss(self) -> Loss:
        """Return the loss; all but `MeanSquaredError`, the default, need a softmax at the end."""
        return MeanSquaredError()

    def label(self) -> Label:
        """Return the label of the classes none, buy and sell, by default a fractal; called once."""
        return FractalLabel(self.p.wing)

    def decide(self, signal: Signal) -> None:
        """Trade ``signal.data``; called at the close of each bar with a signal. Orders execute at the next open.

        By default a buy signal holds ``size`` of the equity long until a sell signal reverses it.
        """
        if signal.is_buy:
            self.target(self.p.size)
        elif signal.is_sell:
            self.target(-self.p.size)

    def target(self, share: float, data: Any = None, rebalance: float | None = None, **options: Any) -> Any:
        """Send the order that is missing for a position of `share` of the budget; see `target_orders`."""
        data, budget = self.data if data is None else data, self.p.budget
        # With less than all, others use the rest.
        share = share_left(self, share, budget, data) if 0 < budget < 1 else share * budget
        return target_orders(self, share, data, rebalance, **options)

    def notify_epoch(self, epochs: tuple[Epoch, ...]) -> None:
        """Receive an epoch of ``pretrain`` that has ended, one `Epoch` a network; in-sample."""

    # -- the order of a run ----------------------------------------------------------------------------------
    def start(self) -> None:
        """Make the network: here, not in ``__init__``, so that a device belongs to the process that runs."""
        checks.require_init(self)
        require_feeds_together(self)
        checkpoint = self._read_checkpoint()
        try:
            self._learner = self._make_learner(checkpoint)
        except LayerError as error:
            raise StrategyError(f"{type(self).__name__}: {error}") from error
        if self.pretraining is not None:
            self.pretraining.begin(len(self._network.seeds))
            self._phase = Phase.FIT
        if checkpoint is not None:
            resume_learner(self, checkpoint)
        self._verification = ResumeVerification(self.data, checkpoint, list(self._feature_lines))

    _read_checkpoint, _make_learner, _run_ahead = read_checkpoint, make_learner, run_ahead

    @property
    def fingerprint(self) -> Fingerprint:
        """Fingerprint of all bars so far."""
        return self._verification.fingerprint

    @property
    def _network(self) -> Network:
        return self._learner.network

    @property
    def _is_fitting(self) -> bool:
        return self.pretraining is not None and self.pretraining.is_pending

    def prenext(self) -> None:
        """Take a bar while other feeds have not begun: as `next` where all features are known, without orders."""
        if len(self.datas) > 1 and self._has_features():
            self._take_bar(trades=self.p.budget < 1)  # in a portfolio it does not wait for the others
        elif len(self.data) > self.fingerprint.bars:  # or another feed's bar has come
            self._verification.add()

    def _has_features(self) -> bool:
        lengths = zip(self.datas, self._minperiods, strict=True)
        return all(len(data) >= least for data, least in lengths if data in self._inputs)

    def next(self) -> None:
        """Take a bar: change the phase, verify, learn, predict, decide."""
        self._take_bar(trades=True)

    def _take_bar(self, trades: bool) -> None:
        self._scored = []
        data, bar = self.data, len(self.data) - 1
        if bar + 1 == self.fingerprint.bars:  # another feed's bar
            return
        try:
            self._change_phase(bar)  # first: a checkpoint saved there ends with the bar before
            high, low, close = self._verification.add()
            row = values_of(self._feature_lines.values())
            if self._phase is Phase.RESUME:
                self._verification.compare(bar, row)
            if self._is_fitting:
                self._learner.observe(bar, row, high, low, close)
            if self._phase not in (Phase.LIVE, Phase.PLAYBACK):
                return
            signal, self._scored = self._learner.on_bar(bar, row, high, low, close)
        except NonFiniteError as error:
            raise NonFiniteError(f"{opening_time(data)}, {error}") from error
        if signal is not None:
            self._signal = signal
            if trades and data._laststatus != data.DELAYED:
                repeat_targets(self)
                self.decide(FeedSignal.at(data, signal))

    def _change_phase(self, bar: int) -> None:
        if self._phase is Phase.LIVE:  # to the end
            return
        pretraining: Any = self.pretraining
        if not self._verification.is_past(bar):
            self._phase = Phase.FIT if self._is_fitting else Phase.LIVE
        if self._is_fitting and pretraining.is_over(bar, opening_time(self.data)):
            pretraining.learn(self)
            self._phase = Phase.LIVE
        if self._phase is Phase.LIVE:
            end_playback(self)
            self._run_ahead()

    def _next_analyzers(self, minperstatus: int, once: bool = False) -> None:
        if minperstatus <= 0 and not self._is_checked:  # the first bar that next() has had
            checks.require_counted(self, len(self.data))
            self._is_checked = True
        super()._next_analyzers(minperstatus, once)

    def _start(self) -> None:
        super()._start()
        if not hasattr(self, "_verification"):
            raise StrategyError(f"{type(self).__name__}.start must call super().start()")

    def _stop(self) -> None:
        # Not stop(), which subclasses override without calling it here.
        if not self.env._event_stop:
            checks.require_counted(self, len(self.data))
            self._verification.require_end(self.fingerprint.bars)
            if self.pretraining is not None:
                self.pretraining.require_over()
        end_playback(self)
        super()._stop()
