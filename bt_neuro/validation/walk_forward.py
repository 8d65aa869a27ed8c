"""Walk-forward testing: many folds, each tested on bars it did not learn before, and one report."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import FoldError, StrategyError, did_you_mean
from bt_neuro.plugin.loading import load_strategy
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.backtest import WARM_UP_BARS
from bt_neuro.runs.folder import process_manifest
from bt_neuro.runs.manifest import manifest_of
from bt_neuro.runs.results import Result
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.validation.fold_task import FoldTask, file_sha256, run_fold_task
from bt_neuro.validation.folds import Fold, cut_folds
from bt_neuro.validation.parallel import cores, run_tasks
from bt_neuro.validation.walk_forward_folder import WalkForwardFolder

INGESTS = ("refit", "update", "freeze")


class WalkForward(Result):
    """A walk-forward that has ended, and its folder.

    Its tables are those of all folds, out of sample: in `equity` and `trades` each fold goes on with the
    money that the one before left.

    Attributes
    ----------
    folder : where everything lies
    manifest : the content of ``run.json``
    """

    @property
    def failed(self) -> dict[str, str]:
        """Number of each fold that failed, and its error."""
        return self.manifest["failed"]

    @cached_property
    def folds(self) -> pd.DataFrame:
        """One row a finished fold."""
        times = ["train_start", "train_end", "test_start", "test_end"]
        return pd.read_csv(self.folder / "folds.csv", parse_dates=times)


def walk_forward(
    path: str | Path,
    *,
    strategy: str | type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    account: Account | None = None,
    train: str = "24M",
    test: str = "6M",
    step: str | None = None,
    mode: str = "rolling",
    ingest: str = "refit",
    eras: int = 1,
    embargo_bars: int = 0,
    learn_in_test: bool = True,
    jobs: int | None = None,
    cluster: str | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    bars_options: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: bool = True,
) -> WalkForward:
    """Train on a part of the bars, test on the part after it, move on, and repeat to the end of the file.

    Parameters
    ----------
    path : bar file, whatever `read_bars` reads
    strategy : "FILE.py:Class", or a class that other processes can import
    parameters : its params
    account : cash and costs; each fold begins with that cash and no position
    train, test, step, mode : the folds, as `cut_folds` takes them
    ingest : "refit" starts a new network for each fold; "update" takes one network through all of them, which
        keeps what it learned; "freeze" tests one network that learned the first training part and no more
    eras : how often a training part is learned
    embargo_bars : bars before a test part that are not learned in training. Bars whose labels are not known
        when the test part begins never are: the last `wing` ones
    learn_in_test : go on learning in the test parts, bar by bar; "update" does nothing else
    jobs : processes at the same time; all cores by default
    cluster : address of a Dask scheduler, such as "tcp://10.0.0.1:8786", whose workers run the folds
    out : the folder to write, which must be new or empty; ``runs/<file stem>-walk-forward-<time>`` by default
    resume : the folder of a walk-forward that did not end: what is finished there is kept
    bars_options : of `read_bars`
    progress : called with (folds done, folds in all)
    report : write ``report.html``, which takes a second or two

    Returns
    -------
    WalkForward
        Also when some folds failed; see its `failed`.

    Raises
    ------
    NeuroError
        With a remedy, when there can be no folds, or every one of them failed.

    Notes
    -----
    What a fold predicts is the same to the bit with any number of jobs, and on a cluster of equal machines.
    Baselines learn the training parts too, and go on learning in every test part.

    Examples
    --------
    >>> import tempfile
    >>> from bt_neuro import walk_forward
    >>> result = walk_forward("data/SYNTHETIC_EURUSD_H1.csv", train="120b", test="100b", jobs=1,
    ...                       bars_options={"end": "2024-01-19"}, parameters={"device": "numpy"},
    ...                       out=tempfile.mkdtemp(), report=False)
    >>> result.folds[["train_bars", "test_bars", "scored_bars"]].values.tolist()
    [[120, 100, 99], [120, 100, 99]]
    """
    begun = time.perf_counter()
    account, bars_options = account or Account(), bars_options or {}
    bars = read_bars(path, **bars_options)
    spec, chosen = _importable(strategy)
    given = _checked(parameters or {}, chosen)
    given |= {"eras": eras, "embargo_bars": embargo_bars, "learning": learn_in_test and ingest != "freeze"}
    if ingest == "update" and not learn_in_test:
        raise FoldError("ingest update must learn in the test parts. Use ingest freeze to learn no more.")
    folds = _folds(bars, chosen, given, train, test, step, mode, ingest)
    options = {
        "train": train,
        "test": test,
        "step": step or test,
        "mode": mode,
        "ingest": ingest,
        "learn_in_test": learn_in_test,
        "bars_options": bars_options,
    }
    manifest = manifest_of(bars, bars_options, chosen, {**dict(chosen.params._getitems()), **given}, account)
    manifest = {"schema_version": 1, "kind": "walk-forward", **process_manifest(), **manifest}
    manifest["walk_forward"] = options
    if left := len(bars) - folds[-1].test.stop:
        manifest["data"]["notes"].append(f"The last {left} bars are too few for a test part and left out.")
    folder = WalkForwardFolder.open(out, resume, bars, account, manifest, len(folds))
    task = FoldTask(
        path=str(Path(path).resolve()),
        sha256=bars.sha256,
        bars_options=bars_options,
        strategy=spec,
        strategy_sha256=file_sha256(spec) if isinstance(spec, str) else None,
        parameters=given,
        account=account,
        folds=tuple(folds),
    )
    tasks = [replace(task, folds=(fold,)) for fold in folds] if ingest == "refit" else [task]
    waiting = [task for task in tasks if any(fold.number not in folder.finished for fold in task.folds)]
    try:
        with graceful_shutdown(_interrupt):
            _run(
                waiting, folder, jobs, cluster, report, lambda: progress and progress(folder.done, len(folds))
            )
    except KeyboardInterrupt:
        folder.end("interrupted", begun)
        if not folder.path.exists():
            raise
        raise KeyboardInterrupt(
            f"interrupted; {len(folder.finished)} of {len(folds)} folds are finished: "
            f"go on with --resume {folder.path}"
        ) from None
    except BaseException:
        folder.end("failed", begun)
        raise
    manifest = folder.end("failed" if folder.failed else "complete", begun)
    walked = WalkForward(folder.path, manifest)
    if folder.finished and report:
        from bt_neuro.report.page import write_report  # loads Bokeh, which no start waits for

        write_report(walked, bars)
    if len(folder.failed) == len(folds):
        number, error = min(folder.failed.items())
        raise type(error)(f"fold {number}, as all others: {error}") from error
    return walked


def _interrupt() -> None:
    raise KeyboardInterrupt


def _run(
    tasks: list[FoldTask],
    folder: WalkForwardFolder,
    jobs: int | None,
    cluster: str | None,
    report: bool,
    tell: Callable[[], object],
) -> None:
    tell()
    # The longest first, so that no core waits at the end.
    tasks = sorted(tasks, key=lambda task: len(task.span), reverse=True)
    at_once = min(jobs or len(cores()), max(len(tasks), 1))
    with closing(run_tasks(run_fold_task, tasks, jobs=at_once, cluster=cluster)) as results:
        for left, (task, outcome) in zip(reversed(range(len(tasks))), results, strict=True):
            if isinstance(outcome, list):
                for result in outcome:
                    folder.keep(result)
            else:
                folder.fail([fold.number for fold in task.folds], outcome)
            tell()
            if left == 1 and report:  # what the page takes longest to load, while the last one runs
                import bt_neuro.report.page  # noqa: F401


def _importable(strategy: str | type[NeuroStrategy]) -> tuple[str | type[NeuroStrategy], type[NeuroStrategy]]:
    """Return what another process can find the strategy by, and the strategy."""
    if isinstance(strategy, str):
        path, colon, name = strategy.rpartition(":")
        spec = (
            f"{Path(path).resolve()}:{name}"
            if colon and path.endswith(".py")
            else str(Path(strategy).resolve())
        )
        return spec, load_strategy(strategy)
    return strategy, strategy


def _checked(parameters: dict[str, Any], strategy: type[NeuroStrategy]) -> dict[str, Any]:
    own = {"pretrain": "train", "learning": "learn_in_test"}
    own |= {name: name for name in ("eras", "embargo_bars", "resume")}
    known = strategy.params._getkeys()
    for name in parameters:
        if name in own:
            raise StrategyError(f"{name} belongs to the walk-forward here: use its option {own[name]}")
        if name not in known:
            raise StrategyError(f"{strategy.__name__} has no parameter {name!r}.{did_you_mean(name, known)}")
    return dict(parameters)


def _folds(
    bars: Bars,
    strategy: type[NeuroStrategy],
    given: dict[str, Any],
    train: str,
    test: str,
    step: str | None,
    mode: str,
    ingest: str,
) -> list[Fold]:
    if ingest not in INGESTS:
        raise FoldError(f"ingest is {ingest!r}: give refit, update or freeze")
    folds = cut_folds(bars.frame["datetime"], train, test, step, mode)
    params = {**dict(strategy.params._getitems()), **given}
    history, wing = params["history_bars"], params["wing"]
    if isinstance(history, int) and isinstance(wing, int):  # else the strategy refuses them by name
        least, shortest = WARM_UP_BARS + history + wing, min(len(fold.train) for fold in folds)
        if shortest < least:
            raise FoldError(
                f"{bars.path}: a training part of {shortest} bars is too short: indicators and a window of "
                f"{history} bars need {least} to warm up.\nGive a longer train than {train}."
            )
    if ingest == "refit":
        return folds
    if any(late.test.start != early.test.stop for early, late in pairwise(folds)):
        raise FoldError(f"ingest {ingest} takes one network through all bars: leave no gap, step = test")
    start = folds[0].train.start
    if ingest == "update":
        return [replace(fold, train=range(start, fold.test.start)) for fold in folds]
    return [replace(fold, train=folds[0].train) for fold in folds]
