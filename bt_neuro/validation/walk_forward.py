"""Walk-forward testing: training and test spans that move through a file."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import FoldError, NeuroError, StrategyError
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.backtest import WARM_UP_BARS
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import manifest_of
from bt_neuro.runs.results import WalkForward
from bt_neuro.runs.vote_player import require_vote
from bt_neuro.validation.fold_store import FoldStore
from bt_neuro.validation.fold_task import FoldTask, run_fold_task
from bt_neuro.validation.folds import Fold, cut_folds
from bt_neuro.validation.parallel import run_tasks
from bt_neuro.validation.task import SAME, importable, interruptible, processes_of

RETRAINS = ("fold", "continue", "never")


def walk_forward(
    path: str | Path,
    *,
    strategy: str | type[NeuroStrategy] = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    account: Account | None = None,
    train: str = "24M",
    test: str = "6M",
    step: str | None = None,
    window: str = "rolling",
    retrain: str = "fold",
    eras: int = 1,
    embargo_bars: int = 0,
    learning: bool = True,
    jobs: int | None = None,
    cluster: str | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    bars_options: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: bool = True,
    seed_money: bool = False,
) -> WalkForward:
    """Train on a span of bars, test on the span after it, and repeat to the end of the file.

    Parameters
    ----------
    path : str or Path
        Bar file, in any format of `read_bars`.
    strategy : str or class
        "FILE.py:Class", or a class that other processes can import.
    parameters : dict, optional
        Parameters of the strategy.
    account : Account, optional
        Cash and costs. With `retrain` "fold" each fold starts with this cash and no position.
    train, test, step, window : str
        Folds, as in `cut_folds`.
    retrain : {"fold", "continue", "never"}
        Network of a fold: a new one, trained on the fold's training span; one network that learns through all
        folds; or one network that learns the first training span only.
    eras : int, default 1
        Number of epochs over a training span.
    embargo_bars : int, default 0
        Bars left out of training before a test span, besides the last `wing` bars, whose labels are not
        confirmed when it begins.
    learning : bool, default True
        Whether the network trains in the test spans, bar by bar. "continue" requires it.
    jobs : int, optional
        Number of processes. Default: one for each core.
    cluster : str, optional
        Address of a Dask scheduler whose workers run the folds, such as "tcp://10.0.0.1:8786".
    out : str or Path, optional
        Folder to write, new or empty. Default: ``runs/<file stem>-walk-forward-<time>``.
    resume : str or Path, optional
        Folder of a walk-forward that did not end. Its finished folds are kept.
    bars_options : dict, optional
        Options of `read_bars`.
    progress : callable, optional
        Called with the number of finished folds and of all folds.
    report : bool, default True
        Whether to write ``report.html``, in a second or two.
    seed_money : bool, default False
        Whether to trade each of several ``seeds`` alone too, which takes about as long again.

    Returns
    -------
    WalkForward
        Also if some folds failed; see its `failed`.

    Raises
    ------
    NeuroError
        If no fold can be cut, all of them fail, or `resume` has other settings.

    Notes
    -----
    Predictions are bit-identical for any number of jobs, and on a cluster of equal machines. The baselines
    learn the training spans too, and go on learning in every test span.

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
    started = time.perf_counter()
    account, bars_options = account or Account(), bars_options or {}
    bars = read_bars(path, **bars_options)
    spec, cls = importable(strategy)
    jobs = processes_of(spec, jobs, cluster)
    _require_free(parameters or {})
    given = {**(parameters or {}), "eras": eras, "embargo_bars": embargo_bars}
    given["learning"] = learning and retrain != "never"
    params = all_parameters(cls, given)
    require_vote(seed_money, params["seeds"])
    manifest = manifest_of(bars, bars_options, cls, params, account)
    manifest["options"] = {
        "train": train,
        "test": test,
        "step": step or test,
        "window": "rolling" if window == "rolling" else "expanding",
        "retrain": retrain,
        "learning": learning,
    }
    # Before folds are cut, so that a kind or length that differs is named first.
    RunFolder.require(out, resume, "walk-forward", manifest, SAME)
    folds = cut_folds(bars.frame["datetime"], train, test, step, window)
    if retrain == "continue" and not learning:
        raise FoldError("retrain continue must train in the test spans, got learning off. Use retrain never.")
    _require_warm_up(folds, params, bars, train)
    folds = _spans(folds, retrain)
    if left := len(bars) - folds[-1].test.stop:
        manifest["data"]["notes"].append(f"The last {left} bars are too few for a test part and left out.")
    task = FoldTask.of(bars, bars_options, spec, given, account, folds=tuple(folds), seed_money=seed_money)
    tasks = [replace(task, folds=(fold,)) for fold in folds] if retrain == "fold" else [task]
    folder = RunFolder.open(out, resume, f"{bars.path.stem}-walk-forward", "walk-forward", manifest, SAME)
    store = FoldStore(folder, len(folds))
    with folder.recording(lambda: bool(store.finished)):
        try:
            with interruptible(lambda: f"{len(store.finished)} of {len(folds)} folds are finished"):
                _run(tasks, store, jobs, cluster, progress)
        finally:
            store.save(bars, account, started)
        if len(store.failed) == len(folds):
            number, error = min(store.failed.items())
            raise type(error)(f"fold {number}, as all others: {error}") from error
        folder.save(status="failed" if store.failed else "complete")
    result = WalkForward(folder.path, folder.manifest)
    if store.finished and report:
        from bt_neuro.report.page import write_page  # loads Bokeh

        write_page(result, bars)
    return result


def _run(
    tasks: list[FoldTask],
    store: FoldStore,
    jobs: int,
    cluster: str | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    def show() -> None:
        if progress:
            progress(len(store.finished) + len(store.failed), store.n_folds)

    finished = store.finished
    tasks = [task for task in tasks if any(fold.number not in finished for fold in task.folds)]
    tasks.sort(key=lambda task: len(task.span), reverse=True)  # so that no core idles at the end
    show()
    with closing(run_tasks(run_fold_task, tasks, jobs=jobs, cluster=cluster)) as results:
        for task, outcome in results:
            # A task of several folds runs again for one of them, and returns the finished ones too.
            if isinstance(outcome, NeuroError):
                store.failed |= {fold.number: outcome for fold in task.folds if fold.number not in finished}
            else:
                for result in outcome:
                    if result.number not in finished:
                        store.write(result)
            show()


def _require_free(parameters: dict[str, Any]) -> None:
    options = {"pretrain": "train"}
    options |= {name: name for name in ("learning", "eras", "embargo_bars", "resume")}
    for name in sorted(parameters.keys() & options.keys()):
        raise StrategyError(
            f"{name} must be set by the walk-forward, got a parameter. Use the option {options[name]}."
        )


def _require_warm_up(folds: list[Fold], parameters: dict[str, Any], bars: Bars, train: str) -> None:
    history, wing = parameters["history_bars"], parameters["wing"]
    if not (isinstance(history, int) and isinstance(wing, int)):
        return  # the strategy names them in its error
    least, shortest = WARM_UP_BARS + history + wing, min(len(fold.train) for fold in folds)
    if shortest < least:
        raise FoldError(
            f"{bars.path}: a training part must have {least} bars, for indicators and a window of {history} "
            f"bars to warm up, got {shortest}.\nGive a longer train than {train}."
        )
    embargo = parameters["embargo_bars"]
    if isinstance(embargo, int) and embargo >= shortest:
        raise FoldError(
            f"embargo_bars must be below the training part, {shortest} bars, got {embargo}. Give fewer."
        )


def _spans(folds: list[Fold], retrain: str) -> list[Fold]:
    """Return the folds with the training spans of their network."""
    if retrain not in RETRAINS:
        raise FoldError(f"retrain must be fold, continue or never, got {retrain!r}. Give one of them.")
    if retrain == "fold":
        return folds
    if any(late.test.start != early.test.stop for early, late in pairwise(folds)):
        raise FoldError(
            f"step must equal test where one network goes through all bars (retrain {retrain}), "
            "so that there is no gap. Leave step out."
        )
    start = folds[0].train.start
    if retrain == "continue":
        return [replace(fold, train=range(start, fold.test.start)) for fold in folds]
    return [replace(fold, train=folds[0].train) for fold in folds]
