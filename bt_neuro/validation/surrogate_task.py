"""Surrogate tasks: figures of a strategy on one surrogate market, or on the market itself."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.bars.reader import Bars
from bt_neuro.learning.progressive import feature_windows, progressive_outputs
from bt_neuro.learning.signals import CLASSES, signals_of
from bt_neuro.metrics.baselines import SHAPE, Predictors
from bt_neuro.metrics.classification import NETWORK, predictor_scores
from bt_neuro.metrics.predictions import PROBABILITIES, labels_of, probabilities_of
from bt_neuro.metrics.trading import money_metrics
from bt_neuro.metrics.verdict import baseline_comparison
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.playback import FeatureRows, NeedsNetwork, feature_rows, playing
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.epoch_tables import EpochRecord, read_examples
from bt_neuro.runs.money_tables import run_money
from bt_neuro.runs.recording import Recording
from bt_neuro.runs.results import Result
from bt_neuro.validation.surrogates import surrogate
from bt_neuro.validation.task import RunTask, named_errors, require_end, run_to_end

Array = NDArray[np.floating]

SCORES = ("lift_pct", "brier_lead", "brier_lead_over_shape", "hit_rate_lead_pct")
MONEY = ("return_before_costs_pct", "return_pct", "sharpe_ratio_daily_annualised")


@dataclass(frozen=True, eq=False)
class SurrogateTask(RunTask):
    """Settings of a run over a surrogate.

    Attributes
    ----------
    kind, seed, number : of the surrogate, see `surrogate`; number 0 is the market itself
    scores_only : whether to leave out the account
    coin_times : as of `surrogate`
    """

    kind: str
    seed: int
    scores_only: bool
    number: int = 0
    coin_times: NDArray[np.datetime64] | None = None


@named_errors()
def run_surrogate_task(task: SurrogateTask) -> dict[str, float]:
    """Run a task in this process and return its figures by name; any error is raised as a NeuroError.

    All figures are better when larger; NaN if undefined, and -inf the Sharpe ratio of a ruined account.
    """
    bars = task.bars
    if task.number:
        bars = surrogate(bars, task.kind, task.number, seed=task.seed, coin_times=task.coin_times)
    parameters = all_parameters(task.strategy_class, task.parameters)
    if (rows := feature_rows(bars.frame, task.strategy_class, parameters)) is not None:
        try:
            return _in_launches(task, bars, rows)
        except NeedsNetwork:
            pass
    return _bar_by_bar(task, bars, parameters)


def _in_launches(task: SurrogateTask, bars: Bars, rows: FeatureRows) -> dict[str, float]:
    windows = feature_windows(rows.rows, rows.history_bars)
    targets = rows.targets[rows.history_bars - 1 :]
    outputs = progressive_outputs(rows.network, windows, targets, rows.delay_bars).transpose(1, 0, 2)
    first_bar = len(bars) - len(outputs)
    figures = {}
    if not task.scores_only:
        equity, trades = _trade(
            task, bars, playing(task.strategy_class, rows.first_bar + 1, first_bar, outputs)
        )
        figures = _money(task, bars, equity, trades, first_bar if len(outputs) else None)
    table = _prediction_table(np.arange(first_bar, len(bars)), outputs, targets, rows.delay_bars)
    examples = pd.DataFrame({"bar": [], "label": [], "known_bar": []})
    sizes = rows.history_bars, rows.delay_bars
    return _scores(Predictors.of(table, outputs, bars.frame, rows.rows, *sizes, examples)) | figures


def _trade(
    task: SurrogateTask, bars: Bars, strategy: type[NeuroStrategy]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    ran, equity, trades = run_money(task.cerebro(bars, strategy))
    require_end(ran, bars)
    return equity, trades


def _bar_by_bar(task: SurrogateTask, bars: Bars, parameters: dict[str, Any]) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bt-neuro-surrogate-") as name:
        folder, cerebro = Path(name), task.cerebro(bars)
        with Recording(folder) as recording:
            recording.add_to(cerebro)
            if parameters["pretrain"] is not None:
                cerebro.addanalyzer(EpochRecord, folder=folder)
            strategy = run_to_end(cerebro, bars)
        learner, pretraining = strategy.learner, strategy.pretraining
        passes = pretraining.epochs if pretraining is not None else 1
        run, sizes = Result(folder, {}), (learner.history_bars, learner.delay_bars)
        predictions = run.predictions
        figures = _scores(
            Predictors.of(
                predictions, run.outputs, bars.frame, run.features, *sizes, read_examples(folder), passes
            )
        )
        if not task.scores_only:
            first_bar = int(predictions["bar"].iloc[0]) if len(predictions) else None
            figures |= _money(task, bars, run.equity, run.trades, first_bar)
        return figures


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


def _scores(run: Predictors) -> dict[str, float]:
    scores = predictor_scores(*run)
    compared, network = baseline_comparison(run.predictions, scores, run.baselines), scores[NETWORK]
    return {
        "lift_pct": _number(network["lift_pct"]),
        "brier_lead": -_number(compared["brier_difference"]),
        "brier_lead_over_shape": _number(scores[SHAPE]["brier_score"]) - _number(network["brier_score"]),
        "hit_rate_lead_pct": _number(compared["difference_pct"]),
    }


def _money(
    task: SurrogateTask, bars: Bars, equity: pd.DataFrame, trades: pd.DataFrame, first_bar: int | None
) -> dict[str, float]:
    metrics = money_metrics(equity, trades, bars.frame, task.account, bars.point, first_bar)
    undefined = -math.inf if metrics["lost_at"] is not None else math.nan
    return {name: _number(metrics[name], undefined) for name in MONEY}


def _number(value: float | None, undefined: float = math.nan) -> float:
    return undefined if value is None else value
