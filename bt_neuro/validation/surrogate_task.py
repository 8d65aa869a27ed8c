"""Surrogate tasks: a strategy on one surrogate market, or on the market itself, to a few figures."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.reader import Bars
from bt_neuro.errors import FoldError
from bt_neuro.learning.progressive import feature_windows, progressive_outputs
from bt_neuro.learning.signals import CLASSES, signals_of
from bt_neuro.metrics.baselines import SHAPE, pretrained_baseline_probabilities
from bt_neuro.metrics.classification import NETWORK, Metrics, predictor_scores
from bt_neuro.metrics.predictions import PROBABILITIES, labels_of, probabilities_of
from bt_neuro.metrics.shape_counters import visible_shapes
from bt_neuro.metrics.trading import money_metrics
from bt_neuro.metrics.verdict import baseline_comparison
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.playback import FeatureRows, NeedsNetwork, feature_rows, playing
from bt_neuro.plugin.run_observer import RunObserver
from bt_neuro.plugin.strategy import NeuroStrategy, all_parameters
from bt_neuro.runs.cerebro import build_cerebro
from bt_neuro.runs.epoch_tables import EpochRecord, read_examples
from bt_neuro.runs.recording import (
    EQUITY,
    FEATURES,
    OUTPUTS,
    TRADES,
    EquityTable,
    Recording,
    TradeRecord,
    forget,
)
from bt_neuro.runs.results import Result
from bt_neuro.runs.tables import TextTable
from bt_neuro.validation.surrogates import surrogate
from bt_neuro.validation.task import RunTask, named_errors

Array = NDArray[np.floating]

SCORES = ("lift_pct", "brier_lead", "brier_lead_over_shape", "hit_rate_lead_pct")
MONEY = ("return_before_costs_pct", "return_pct", "sharpe_ratio_daily_annualised")


@dataclass(frozen=True)
class SurrogateTask(RunTask):
    """Settings of a run over a surrogate.

    Attributes
    ----------
    kind, seed, number : of the surrogate, see `surrogate`; number 0 is the market itself
    scores_only : whether to leave out the account
    """

    kind: str
    seed: int
    scores_only: bool
    number: int = 0


class _Predicted(NamedTuple):
    """Predictions of a run, and what its baselines need."""

    table: pd.DataFrame
    outputs: Array
    features: Array
    examples: pd.DataFrame
    history_bars: int
    delay_bars: int


def run_surrogate_task(task: SurrogateTask) -> dict[str, float]:
    """Run a task in this process; return its figures by name. All are better when larger, and 0 if undefined.

    Raises
    ------
    NeuroError
        For any error, also of a user's strategy.
    """
    with named_errors():
        return _run(task)


def _run(task: SurrogateTask) -> dict[str, float]:
    bars = task.bars
    if task.number:
        bars = surrogate(bars, task.kind, task.number, seed=task.seed)
    strategy, parameters = task.strategy_class, all_parameters(task.strategy_class, task.parameters)
    if (rows := feature_rows(bars.frame, strategy, parameters)) is not None:
        try:
            return _in_launches(task, bars, strategy, rows)
        except NeedsNetwork:
            pass
    return _bar_by_bar(task, bars, strategy, parameters)


def _in_launches(
    task: SurrogateTask, bars: Bars, strategy: type[NeuroStrategy], rows: FeatureRows
) -> dict[str, float]:
    windows = feature_windows(rows.rows, rows.history_bars)
    targets = rows.targets[rows.history_bars - 1 :]
    outputs = progressive_outputs(rows.network, windows, targets, rows.delay_bars).transpose(1, 0, 2)
    first_bar = len(bars) - len(outputs)
    figures = {}
    if not task.scores_only:
        equity, trades = _trade(task, bars, playing(strategy, rows, first_bar, outputs))
        figures = _money(task, bars, equity, trades, first_bar if len(outputs) else None)
    table = _prediction_table(np.arange(first_bar, len(bars)), outputs, targets, rows.delay_bars)
    none = pd.DataFrame({"bar": [], "label": [], "known_bar": []})
    return (
        _scores(bars, _Predicted(table, outputs, rows.rows, none, rows.history_bars, rows.delay_bars))
        | figures
    )


def _trade(
    task: SurrogateTask, bars: Bars, strategy: type[NeuroStrategy]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    with tempfile.TemporaryDirectory(prefix="bt-neuro-surrogate-") as name:
        folder = Path(name)
        cerebro = _cerebro(task, bars, strategy)
        with EquityTable(folder / EQUITY) as equity, TextTable(folder / TRADES, TradeRecord.header) as trades:
            cerebro.addanalyzer(TradeRecord, _name="trades", table=trades)
            subscribers = {"equity": equity}
            cerebro.addanalyzer(RunObserver, subscribers=subscribers, now_and_then=(forget,))
            _require_all_bars(cerebro, bars)
        run = Result(folder, {})
        return run.equity, run.trades


def _bar_by_bar(
    task: SurrogateTask, bars: Bars, strategy: type[NeuroStrategy], parameters: dict[str, Any]
) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bt-neuro-surrogate-") as name:
        folder = Path(name)
        cerebro = _cerebro(task, bars, strategy)
        with Recording(folder, has_account=not task.scores_only) as recording:
            recording.add_to(cerebro)
            if parameters["pretrain"] is not None:
                cerebro.addanalyzer(EpochRecord, folder=folder)
            ran = _require_all_bars(cerebro, bars)
        run, learner = Result(folder, {}), ran.learner
        has_predictions = len(run.predictions) > 0
        predicted = _Predicted(
            run.predictions,
            np.load(folder / OUTPUTS) if has_predictions else np.empty((0, 1, 3)),
            np.load(folder / FEATURES) if has_predictions else np.empty((0, 1)),
            read_examples(folder),
            learner.history_bars,
            learner.delay_bars,
        )
        figures = _scores(bars, predicted)
        if not task.scores_only:
            first_bar = int(run.predictions["bar"].iloc[0]) if has_predictions else None
            figures |= _money(task, bars, run.equity, run.trades, first_bar)
        return figures


def _cerebro(task: SurrogateTask, bars: Bars, strategy: type[NeuroStrategy]) -> Any:
    data = BarsFeed(bars=bars.frame, name=bars.path.stem)
    return build_cerebro(data, strategy, task.parameters, task.account, point=bars.point)


def _require_all_bars(cerebro: Any, bars: Bars) -> NeuroStrategy:
    (ran,) = cerebro.run(exactbars=1)
    if len(ran.data) < len(bars):
        done = f"{len(ran.data):,} of {len(bars):,} bars"
        raise FoldError(f"The strategy must run to the end, got {done}. Do not call runstop().")
    return ran


def _prediction_table(
    bars: NDArray[np.integer], outputs: Array, targets: Array, delay_bars: int
) -> pd.DataFrame:
    """Return the columns of ``predictions.csv`` that scores need, from outputs (n, members, 3)."""
    members = [probabilities_of(outputs[:, member].astype(float)) for member in range(outputs.shape[1])]
    p = np.mean(members, axis=0)
    signals = signals_of(outputs[:, 0] if len(members) == 1 else p)
    known = ~np.isnan(targets).any(axis=1)
    return pd.DataFrame(
        {
            "bar": bars,
            **{name: p[:, number] for number, name in enumerate(PROBABILITIES)},
            "signal": np.array(CLASSES)[signals],
            "label": np.where(known, labels_of(np.nan_to_num(targets)), ""),
            "known_bar": np.where(known, bars + delay_bars, np.nan),
        }
    )


def _scores(bars: Bars, run: _Predicted) -> dict[str, float]:
    baselines = pretrained_baseline_probabilities(
        run.examples, run.table, bars.frame, run.features, run.history_bars, run.delay_bars
    )
    shapes = visible_shapes(bars.frame, run.table["bar"].to_numpy(), run.delay_bars)
    scores = predictor_scores(run.table, run.outputs, baselines, shapes)
    network = scores.pop(NETWORK)
    compared = baseline_comparison(run.table, network, scores, baselines)
    return {
        "lift_pct": network["lift_pct"] or 0.0,
        "brier_lead": -(compared["brier_difference"] or 0.0),
        "brier_lead_over_shape": (scores[SHAPE]["brier_score"] or 0.0) - (network["brier_score"] or 0.0),
        "hit_rate_lead_pct": compared["difference_pct"] or 0.0,
    }


def _money(
    task: SurrogateTask, bars: Bars, equity: pd.DataFrame, trades: pd.DataFrame, first_bar: int | None
) -> dict[str, float]:
    metrics: Metrics = money_metrics(equity, trades, bars.frame, task.account, bars.point, first_bar)
    return {name: metrics[name] or 0.0 for name in MONEY}
