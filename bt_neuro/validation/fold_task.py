"""One run of a walk-forward: a part to train on, then one test part or several, each a fold.

A task is described by plain values, so that any process on any machine can run it. It gives back figures and
the bytes of files, so that one process alone writes the folder.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import backtrader as bt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import FoldError, NeuroError
from bt_neuro.learning.checkpoint import MODEL
from bt_neuro.learning.epochs import Epoch
from bt_neuro.learning.fit import rehearse
from bt_neuro.metrics.baselines import pretrained_baseline_probabilities
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.loading import load_strategy
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import build_cerebro
from bt_neuro.runs.era_tables import examples_table
from bt_neuro.runs.manifest import write_baselines
from bt_neuro.runs.number_tables import npy_bytes
from bt_neuro.runs.recording import add_run_observer
from bt_neuro.runs.results import Result
from bt_neuro.runs.resumed_rows import FEATURES, VOTES, ResumedRows
from bt_neuro.validation.fold_metrics import (
    account_figures,
    in_sample_figures,
    signal_figures,
)
from bt_neuro.validation.folds import Fold

BASELINES = "baselines.csv"


@dataclass(frozen=True)
class FoldTask:
    """What to run.

    Attributes
    ----------
    path, sha256, bars_options : the file of bars, what it holds, and how it is read
    strategy, strategy_sha256 : "FILE.py:Class" and what the file holds; or a class that can be imported
    parameters : of the strategy, but for ``pretrain``
    account : cash and costs
    folds : those to test, in order; the network first learns the training part of the first one
    """

    path: str
    sha256: str
    bars_options: dict[str, Any]
    strategy: str | type[NeuroStrategy]
    strategy_sha256: str | None
    parameters: dict[str, Any]
    account: Account
    folds: tuple[Fold, ...]

    @property
    def span(self) -> range:
        """All its bars."""
        return range(self.folds[0].train.start, self.folds[-1].test.stop)


@dataclass(frozen=True)
class FoldResult:
    """A finished fold: its row of ``folds.csv``, its files by name."""

    number: int
    row: dict[str, Any]
    device: str
    files: dict[str, bytes]


def run_fold_task(task: FoldTask) -> list[FoldResult]:
    """Run a task here and now.

    Raises
    ------
    NeuroError
        Whatever goes wrong, also in a user's strategy.
    """
    try:
        return _run(task)
    except NeuroError:
        raise
    except Exception as error:
        raise FoldError(f"{type(error).__name__}: {error}") from error


def _run(task: FoldTask) -> list[FoldResult]:
    whole = _read(task.path, task.sha256, tuple(task.bars_options.items()))
    frame = whole.frame.iloc[task.span.start : task.span.stop].reset_index(drop=True)
    bars = replace(whole, frame=frame)
    starts = [fold.test.start - task.span.start for fold in task.folds]
    training = frame["datetime"].iloc[: starts[0]]
    parameters = {**task.parameters, "pretrain": (str(training.iloc[0]), str(training.iloc[-1]))}
    data = BarsFeed(bars=bars.frame, name=bars.path.stem)
    cerebro = build_cerebro(data, _strategy(task), parameters, task.account, point=bars.point)
    with tempfile.TemporaryDirectory(prefix="bt-neuro-fold-") as name:
        folder = Path(name)
        with ExitStack() as files:
            add_run_observer(cerebro, folder, files, ResumedRows())
            cerebro.addanalyzer(_Marks, _name="marks", bars=starts[1:])
            cerebro.addanalyzer(_Rehearsal, _name="rehearsal")
            about = {"data": {"file": bars.path.name, "sha256": bars.sha256, "first_bar": task.span.start}}
            cerebro.addanalyzer(ModelCheckpoint, path=folder / MODEL, about=about)
            (ran,) = cerebro.run(exactbars=1)
        if len(ran.data) < len(frame):
            raise FoldError(f"the strategy ended the run after {len(ran.data):,} of {len(frame):,} bars")
        return _results(task, bars, ran, folder)


class _Marks(bt.Analyzer):
    """The squared error of each scored bar's outputs, and the moments when some bars came."""

    params = (("bars", ()),)

    def create_analysis(self) -> None:
        self.errors: dict[int, float] = {}
        self.moments = [time.perf_counter()]
        self._waited = set(self.p.bars)

    def next(self) -> None:
        if len(self.data) - 1 in self._waited:
            self.moments.append(time.perf_counter())
        for scored in self.strategy.scored:
            self.errors[scored.signal.bar] = scored.squared_error

    def stop(self) -> None:
        self.moments.append(time.perf_counter())

    def get_analysis(self) -> dict[str, Any]:
        return {"errors": self.errors, "moments": self.moments}


class _Rehearsal(bt.Analyzer):
    """In-sample outputs of the network that has learned the training part."""

    def notify_epoch(self, epochs: tuple[Epoch, ...]) -> None:
        strategy = self.strategy
        if strategy.pretraining.is_done:
            delay = strategy.learner.delay_bars if strategy.learner.learning else None
            self.examples = strategy.pretraining.examples
            self.outputs = rehearse(strategy.network, self.examples, delay)


def _results(task: FoldTask, bars: Bars, ran: NeuroStrategy, folder: Path) -> list[FoldResult]:
    """Cut the tables of a run into folds; from here on bars have their numbers in the file."""
    first, run = task.span.start, Result(folder, {})
    answers = _baseline_answers(run.predictions, bars, ran, np.load(folder / FEATURES))
    moments = ran.analyzers.marks.moments
    errors = pd.Series(ran.analyzers.marks.errors, dtype=float)
    in_sample = in_sample_figures(ran.analyzers.rehearsal.examples, ran.analyzers.rehearsal.outputs)
    cash, results = task.account.cash, []
    for index, fold in enumerate(task.folds):
        inside = range(fold.test.start - first, fold.test.stop - first)
        predictions, equity = (_rows(table, "bar", inside) for table in (run.predictions, run.equity))
        trades = _rows(run.trades, "exit_bar", inside)
        said = {name: answer[predictions.index] for name, answer in answers.items()}
        row = {
            **_span_figures(fold, bars.frame["datetime"], first),
            **(in_sample if index == 0 else dict.fromkeys(in_sample)),
            **signal_figures(predictions, said, errors[errors.index.isin(inside)].to_numpy()),
            **account_figures(equity, trades, bars, replace(task.account, cash=cash)),
            "seconds": moments[index + 1] - moments[index],
        }
        files = {
            "predictions.csv": _csv(predictions, first, "bar", "known_bar"),
            "equity.csv": _csv(equity, first, "bar"),
            "trades.csv": _csv(trades, first, "entry_bar", "exit_bar"),
        }
        write_baselines(folder / BASELINES, predictions["bar"] + first, said)
        files[BASELINES] = (folder / BASELINES).read_bytes()
        if (folder / VOTES).exists():
            files[VOTES] = npy_bytes(np.load(folder / VOTES)[predictions.index])
        if fold is task.folds[-1]:
            files[MODEL] = (folder / MODEL).read_bytes()
        results.append(FoldResult(fold.number, row, ran.network.device_name, files))
        cash = row["equity_end"]
    return results


def _baseline_answers(
    predictions: pd.DataFrame, bars: Bars, ran: NeuroStrategy, features: NDArray[np.floating]
) -> dict[str, NDArray[np.floating]]:
    """Return what the baselines say of the predicted bars; they learn the training part too."""
    examples = examples_table(ran.analyzers.rehearsal.examples)
    return pretrained_baseline_probabilities(
        examples, predictions, bars.frame, features, ran.learner.history_bars
    )


def _span_figures(fold: Fold, times: pd.Series, first: int) -> dict[str, Any]:
    stamps = [fold.train.start, fold.train.stop - 1, fold.test.start, fold.test.stop - 1]
    names = ("train_start", "train_end", "test_start", "test_end")
    return {
        "fold": fold.number,
        **{name: str(times[bar - first]) for name, bar in zip(names, stamps, strict=True)},
        "train_bars": len(fold.train),
        "test_bars": len(fold.test),
    }


def _rows(table: pd.DataFrame, column: str, bars: range) -> pd.DataFrame:
    return table[(table[column] >= bars.start) & (table[column] < bars.stop)]


def _csv(table: pd.DataFrame, first: int, *numbered: str) -> bytes:
    table = table.assign(**{name: table[name].astype("Int64") + first for name in numbered})
    if "hit" in table:
        table["hit"] = table["hit"].astype("Int64")
    return table.to_csv(index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S").encode()


@lru_cache(maxsize=1)  # a process runs many tasks over one file
def _read(path: str, sha256: str, options: tuple[tuple[str, Any], ...]) -> Bars:
    bars = read_bars(path, **dict(options))
    if bars.sha256 != sha256:
        raise FoldError(f"{path} is not the file that the folds were cut from: its content differs")
    return bars


def _strategy(task: FoldTask) -> type[NeuroStrategy]:
    if isinstance(task.strategy, str):
        return _load(task.strategy, task.strategy_sha256)
    return task.strategy


@lru_cache(maxsize=1)
def _load(spec: str, sha256: str | None) -> type[NeuroStrategy]:
    strategy = load_strategy(spec)
    if file_sha256(spec) != sha256:
        raise FoldError(f"{spec} is not the strategy that the walk-forward began with: its file differs")
    return strategy


def file_sha256(spec: str) -> str:
    """Return the hash of the file that "FILE.py:Class" names."""
    path = Path(spec if spec.endswith(".py") else spec.rpartition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest()
