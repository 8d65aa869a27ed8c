"""The strategy that carries the network: subclass it and override what you want to be different."""

from __future__ import annotations

from typing import Any

import backtrader as bt

from bt_neuro.account.target import repeat_targets, target_orders
from bt_neuro.bars.fingerprint import Fingerprint
from bt_neuro.errors import CheckpointError, LayerError, NonFiniteError, StrategyError, did_you_mean
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.learning.epochs import Epoch
from bt_neuro.learning.fractals import FractalLabel
from bt_neuro.learning.labels import Label
from bt_neuro.learning.learner import Learner
from bt_neuro.learning.signals import ScoredSignal, Signal
from bt_neuro.nn.layers import Layer
from bt_neuro.nn.losses import Loss, MeanSquaredError
from bt_neuro.nn.models import article_layers
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import Adam, Optimizer
from bt_neuro.plugin.checks import check_parameters, checked_features, require_counted
from bt_neuro.plugin.features import default_features
from bt_neuro.plugin.head_start import HeadStart
from bt_neuro.plugin.pretraining import Pretraining
from bt_neuro.plugin.resume import ResumeVerification
from bt_neuro.plugin.run_observer import with_state


class NeuroStrategy(bt.Strategy):
    """Learn on every bar, predict every bar, trade the signals.

    At the close of bar t the network first learns from the bar whose label has just become known, then
    predicts t from bars up to and including t; `decide` sees that signal, and its orders execute at the open
    of t + 1.

    Params:
      - ``wing`` (default: ``1``): bars on either side of a fractal; its label is known that many bars later
      - ``history_bars`` (default: ``20``): bars in the network's window
      - ``learning_rate`` (default: ``2e-4``): of Adam
      - ``size`` (default: ``0.95``): share of the equity that the default `decide` puts into a position
      - ``learning`` (default: ``True``): False only predicts
      - ``pretrain`` (default: ``None``): bars that are learned before the first prediction, again and again:
        ``"2003-05-05..2005-12-31"`` or a pair of times, both inclusive; see Notes
      - ``eras`` (default: ``1``): how often it goes through what it learns in one go
      - ``until_settled`` (default: ``False``): end the eras of ``pretrain`` sooner, when their figures settle
      - ``embargo_bars`` (default: ``0``): bars before the end of what is learned in one go that never are
        learned; bars whose labels are not known by then never are
      - ``resume`` (default: ``None``): a checkpoint, or the folder of a run, to go on from; see Notes
      - ``seeds`` (default: ``1``): how many networks learn side by side, from ``seed`` on; the signal is
        their vote, the mean of their probabilities
      - ``seed`` (default: ``0``), ``device`` (default: ``"auto"``), ``precision`` (default: ``"single"``):
        as in `Network`

    Attributes
    ----------
    signal : the `Signal` of the last bar that had one, or None
    scored : the predictions whose labels the last bar made known, a list of `ScoredSignal`
    training : whether bars are only learned, up to the end of ``pretrain``
    pretraining : the `Pretraining`, whose ``ended`` are the eras so far; None without ``pretrain``
    learner, network : what learns; made when the run starts, so that a strategy can be pickled before
    replaying : whether the bars up to the checkpoint's last one are still passing

    Notes
    -----
    With ``resume`` the feed begins with the bars that were learned, from the very first one on, as the file
    or the history of a live feed holds them. They warm up the indicators; the learner does not see them
    again, there are no signals and no calls of `decide`, and the broker stays flat. From the next bar on all
    goes on to the bit. Bars that differ from those learned, other features, layers, label or optimiser are a
    CheckpointError before anything was learned. Seed and seeds are the checkpoint's.

    With ``pretrain`` nothing is predicted or traded up to the end of the span. Bars before it warm up the
    indicators and fill the first window; at its end its bars are learned in their order, as often as ``eras``
    says, from no bar after it and no label that its bars do not make known. The figures of each era are
    in-sample. `notify_epoch` is called after each, of the strategy and of every analyzer that has it; a
    `ModelCheckpoint` saves there, and ``resume`` goes on with the eras that are missing.

    Bars that a live feed delivers as ``DELAYED``, as backtrader calls its history, are learned from and not
    traded.

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
        ("wing", 1),
        ("history_bars", 20),
        ("learning_rate", 2e-4),
        ("size", 0.95),
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

    def __init__(self, **unknown: Any) -> None:
        # backtrader hands over what is no param; without this it is a TypeError without a hint.
        for name in unknown:
            known = self.params._getkeys()
            raise StrategyError(
                f"{type(self).__name__} has no parameter {name!r}.{did_you_mean(name, known)}"
            )
        check_parameters(self.p, dict(type(self).params._getitems()))
        self.signal: Signal | None = None
        self.scored: list[ScoredSignal] = []
        self.pretraining = Pretraining.of(self.p)
        self.training = self.pretraining is not None
        self.replaying = False
        self._seen_bars = 0
        self._feature_lines = checked_features(self.features, type(self).__name__)

    # -- to override -----------------------------------------------------------------------------------------
    def features(self) -> dict[str, Any]:
        """Return the backtrader lines that describe one bar, by name; called once.

        They may see bars up to the one they stand on. The default is the article's twelve.
        """
        return default_features(self.data)

    def layers(self, inputs: int) -> list[Layer]:
        """Return the network for that many inputs; ending in three sigmoids or a softmax: none, buy, sell."""
        return article_layers(inputs // self.p.history_bars)

    def optimizer(self) -> Optimizer:
        """Return what moves the weights."""
        return Adam(self.p.learning_rate)

    def loss(self) -> Loss:
        """Return what learning makes small; those but `MeanSquaredError` want a softmax at the end."""
        return MeanSquaredError()

    def label(self) -> Label:
        """Return what is to be learned: confirmed fractals of ``wing`` bars by default; called once.

        Its classes must be none, buy, sell.
        """
        return FractalLabel(self.p.wing)

    def decide(self, signal: Signal) -> None:
        """Trade; called at the close of each bar that has a signal. Orders execute at the next open.

        By default a buy signal holds ``size`` of the equity long until a sell signal turns it round.
        """
        if signal.is_buy:
            self.target(self.p.size)
        elif signal.is_sell:
            self.target(-self.p.size)

    target = target_orders

    def notify_epoch(self, eras: tuple[Epoch, ...]) -> None:
        """Take note of an era of ``pretrain`` that has ended, of each network; in-sample."""

    # -- what backtrader calls -------------------------------------------------------------------------------
    def start(self) -> None:
        """Make the network: here, not in ``__init__``, so that a device belongs to the process that runs."""
        name = type(self).__name__
        if not hasattr(self, "_feature_lines"):
            raise StrategyError(f"{name}.__init__ must call super().__init__()")
        inputs = self.p.history_bars * len(self._feature_lines)
        layers, label = self.layers(inputs), self.label()
        if not isinstance(layers, list | tuple):
            raise StrategyError(f"{name}.layers() must return a list of layers; it returned {layers!r}")
        if not isinstance(label, Label):
            raise StrategyError(f"{name}.label() must return a Label, got {label!r}. See bt_neuro.Label.")
        saved = None if self.p.resume is None else Checkpoint.read(self.p.resume)
        if saved is not None and self.p.seeds not in (1, len(saved.network.seeds)):
            raise CheckpointError(
                f"cannot go on from {saved.path}: it holds {len(saved.network.seeds)} networks, "
                f"and seeds is {self.p.seeds}; leave seeds out"
            )
        try:
            self.network = Network(
                layers,
                inputs,
                optimizer=self.optimizer(),
                loss=self.loss(),
                seed=self._seeds() if saved is None else saved.network.seed,
                device=self.p.device,
                precision=self.p.precision,
            )
            self.learner = Learner(
                self.network, label, list(self._feature_lines), self.p.history_bars, learning=self.p.learning
            )
        except LayerError as error:
            raise StrategyError(f"{type(self).__name__}: {error}") from error
        if self.pretraining is not None:
            self.pretraining.begin(len(self.network.seeds))
        if saved is not None:
            self._go_on(saved)
        self._head_start = HeadStart(self, NeuroStrategy, self.learner)
        self._replay = ResumeVerification(self.data, saved, list(self._feature_lines))

    def _seeds(self) -> int | range:
        return self.p.seed if self.p.seeds == 1 else range(self.p.seed, self.p.seed + self.p.seeds)

    def _go_on(self, saved: Checkpoint) -> None:
        if self.pretraining is not None and self.pretraining.restore(saved):
            saved.restore_network(self.learner)
            self.replaying = True
        else:
            saved.restore(self.learner)
            self.replaying = saved.last_bar is not None
            self.training = self.training and not self.replaying
        for name, keeper in with_state(self.analyzers.getitems()).items():
            if hasattr(keeper, "restore") and name in saved.analyzers.values:
                keeper.restore(saved.analyzers.group(name))

    @property
    def fingerprint(self) -> Fingerprint:
        """Of all bars so far."""
        return self._replay.fingerprint

    def _next(self) -> None:
        bars = len(self.data)
        waits = self.training or self.replaying or bars == self._seen_bars
        if self._head_start.allowed and not waits:
            try:
                self._head_start.begin(bars - 1)
            except NonFiniteError as error:
                raise self._with_time(error) from error
        super()._next()

    def prenext(self) -> None:
        bars = len(self.data)
        if bars > self._seen_bars:  # or another feed's has come
            self._seen_bars = bars
            self._replay.see()

    def next(self) -> None:
        self.scored = []
        data, bars = self.data, len(self.data)
        if bars == self._seen_bars:
            return
        bar = bars - 1
        try:
            self._train_before(bar)  # the bar is not seen yet: what is saved there ends with the one before
            self._seen_bars = bars
            high, low, close = self._replay.see()
            row = [line[0] for line in self._feature_lines.values()]
            self.replaying = self._replay.is_past(bar)
            if self.replaying:
                self._replay.compare(bar, row)
            if self.training:
                self.learner.observe(bar, row, high, low, close)
                return
            if self.replaying:
                return
            signal, self.scored = self.learner.on_bar(bar, row, high, low, close)
        except NonFiniteError as error:
            raise self._with_time(error) from error
        if signal is not None:
            self.signal = signal
            if data._laststatus != data.DELAYED:
                repeat_targets(self)
                self.decide(signal)

    def _with_time(self, error: NonFiniteError) -> NonFiniteError:
        self.learner.catch_up()  # with the bars before, which were whole
        return NonFiniteError(f"{self.data.datetime.datetime(0)}, {error}")

    def _start(self) -> None:
        super()._start()
        if not hasattr(self, "_replay"):
            raise StrategyError(f"{type(self).__name__}.start must call super().start()")

    def _stop(self) -> None:
        # Not stop(), which subclasses override without calling it here.
        if not self.env._event_stop:
            require_counted(self, len(self.data))
            self._replay.require_end(self._seen_bars)
            if self.training:
                until = f"pretrain {self.p.pretrain}"
                raise StrategyError(f"no bar came after {until}: nothing was predicted; end it sooner")
        super()._stop()

    def _train_before(self, bar: int) -> None:
        pretraining = self.pretraining if self.training else None
        if pretraining and pretraining.is_over(bar, self.data.datetime.datetime(0)):
            pretraining.learn(self)
            self.training = False
