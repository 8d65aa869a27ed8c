"""Fold tasks: one run over a training span and the test spans after it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd

from bt_neuro.account.books import OrderCounts
from bt_neuro.bars.reader import Bars
from bt_neuro.learning.checkpoint import MODEL
from bt_neuro.learning.epochs import Epoch
from bt_neuro.learning.fit import rehearse
from bt_neuro.metrics.baselines import Predictors
from bt_neuro.metrics.seeds import SeedMoney
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.epoch_tables import examples_table
from bt_neuro.runs.recording import FEATURES, OUTPUTS, Recording
from bt_neuro.runs.results import Result
from bt_neuro.runs.tables import npy_bytes
from bt_neuro.runs.vote_player import NOT_WANTED
from bt_neuro.validation.fold_metrics import account_metrics, in_sample_metrics, signal_metrics
from bt_neuro.validation.fold_seeds import FoldPlayer, fold_seeds
from bt_neuro.validation.folds import Fold
from bt_neuro.validation.task import RunTask, named_errors, run_to_end

BASELINES, SEED_GROWTH = "baselines.csv", "seed_growth.npy"


@dataclass(frozen=True)
class FoldTask(RunTask):
    """Settings of a run over one fold, or over several that share a network.

    Attributes
    ----------
    parameters : of the strategy, without ``pretrain``
    folds : in order; the network first learns the training span of the first one
    seed_money : whether to trade each network of a vote alone
    """

    folds: tuple[Fold, ...]
    seed_money: bool = False

    @property
    def span(self) -> range:
        """All bars of the task."""
        return range(self.folds[0].train.start, self.folds[-1].test.stop)


@dataclass(frozen=True)
class FoldResult:
    """A finished fold: its row of ``folds.csv``, the content of its files by name, and further facts."""

    number: int
    row: dict[str, Any]
    device: str
    files: dict[str, bytes]  # the process that owns the run folder writes them
    seeds: dict[str, Any]  # of `FoldSeeds`, but its growth


@named_errors()
def run_fold_task(task: FoldTask) -> list[FoldResult]:
    """Run a task in this process; any error is raised as a NeuroError."""
    first, whole = task.span.start, task.bars
    bars = replace(whole, frame=whole.frame.iloc[first : task.span.stop].reset_index(drop=True))
    starts = [fold.test.start - first for fold in task.folds]
    training = bars.frame["datetime"].iloc[: starts[0]]
    cerebro = task.cerebro(bars, pretrain=(str(training.iloc[0]), str(training.iloc[-1])))
    with tempfile.TemporaryDirectory(prefix="bt-neuro-fold-") as name:
        folder = Path(name)
        with Recording(folder) as recording:
            recording.add_to(cerebro)
            cerebro.addanalyzer(_FoldObserver, _name="fold", bars=starts[1:])
            about = {"data": {"file": bars.path.name, "sha256": bars.sha256, "first_bar": first}}
            cerebro.addanalyzer(ModelCheckpoint, path=folder / MODEL, about=about)
            strategy = run_to_end(cerebro, bars)
        run = Result(folder, {})
        settings = task.strategy_class, task.parameters, task.account, bars, task.bars_options
        money = FoldPlayer(strategy, run, *settings).play() if task.seed_money else NOT_WANTED
        return _results(task, bars, strategy, run, money)


class _FoldObserver(bt.Analyzer):
    """Start times of folds, orders up to each, and the outputs in sample."""

    params = (("bars", ()),)

    def create_analysis(self) -> None:
        super().create_analysis()
        self.moments = [time.perf_counter()]
        self.orders = [OrderCounts().as_dict()]

    def notify_epoch(self, epochs: tuple[Epoch, ...]) -> None:
        strategy = self.strategy
        if strategy.pretraining.is_done:
            delay = strategy.learner.delay_bars if strategy.learner.learning else None
            self.examples, self.epochs = strategy.pretraining.examples, strategy.pretraining.epochs
            self.outputs = rehearse(strategy.network, self.examples, delay)

    def next(self) -> None:
        if len(self.data) - 1 in self.p.bars:
            self.stop()

    def stop(self) -> None:
        self.moments.append(time.perf_counter())
        self.orders.append(self.strategy.broker.counts.as_dict())


def _results(
    task: FoldTask, bars: Bars, strategy: NeuroStrategy, run: Result, money: SeedMoney
) -> list[FoldResult]:
    """Cut the tables of a run into folds, with bars numbered as in the file."""
    first, folder, observed = task.span.start, run.folder, strategy.analyzers.fold
    predictors = Predictors.of(
        run.predictions,
        np.load(folder / OUTPUTS),
        bars.frame,
        np.load(folder / FEATURES),
        strategy.learner.history_bars,
        strategy.learner.delay_bars,
        examples_table(observed.examples),
        observed.epochs,
    )
    in_sample = in_sample_metrics(observed.examples, observed.outputs)
    cash, results = task.account.cash, []
    tests = [range(fold.test.start - first, fold.test.stop - first) for fold in task.folds]
    seeds = fold_seeds(money, tests, cash)
    for index, (fold, test) in enumerate(zip(task.folds, tests, strict=True)):
        predictions, equity = (_rows(table, "bar", test) for table in (run.predictions, run.equity))
        trades, own = _rows(run.trades, "exit_bar", test), predictors.part(predictions)
        orders, later_orders = observed.orders[index : index + 2]
        row = {
            **_spans(fold, bars.frame["datetime"], first),
            **(in_sample if index == 0 else dict.fromkeys(in_sample)),
            **signal_metrics(own),
            **account_metrics(equity, trades, bars, task.account, cash),
            **{name: count - orders[name] for name, count in later_orders.items()},
            "seconds": observed.moments[index + 1] - observed.moments[index],
        }
        files = {
            "predictions.csv": _csv(predictions, first, "bar", "known_bar"),
            "equity.csv": _csv(equity, first, "bar"),
            "trades.csv": _csv(trades, first, "entry_bar", "exit_bar"),
            BASELINES: own.table(first).to_csv(index=False, float_format="%.6g").encode(),
            OUTPUTS: npy_bytes(own.outputs),
        }
        if seeds[index].trades:
            files[SEED_GROWTH] = seeds[index].growth_bytes()
        if fold is task.folds[-1]:
            files[MODEL] = (folder / MODEL).read_bytes()
        facts = {"trades": seeds[index].trades, "reason": seeds[index].reason}
        results.append(FoldResult(fold.number, row, strategy.network.device_name, files, facts))
        cash = row["equity_end"]
    return results


def _spans(fold: Fold, times: pd.Series, first: int) -> dict[str, Any]:
    bars = [fold.train.start, fold.train.stop - 1, fold.test.start, fold.test.stop - 1]
    names = ("train_start", "train_end", "test_start", "test_end")
    return {
        "fold": fold.number,
        **{name: str(times[bar - first]) for name, bar in zip(names, bars, strict=True)},
        "train_bars": len(fold.train),
        "test_bars": len(fold.test),
    }


def _rows(table: pd.DataFrame, column: str, bars: range) -> pd.DataFrame:
    return table[(table[column] >= bars.start) & (table[column] < bars.stop)]


def _csv(table: pd.DataFrame, first: int, *bar_columns: str) -> bytes:
    table = table.assign(**{name: table[name].astype("Int64") + first for name in bar_columns})
    if "hit" in table:
        table["hit"] = table["hit"].astype("Int64")
    return table.to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S").encode()
