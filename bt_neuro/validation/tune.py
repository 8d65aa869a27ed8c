"""Parameter search: trials are walk-forwards, and the best one is tested on bars that no trial has seen."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import FoldError, NeuroError, StrategyError, did_you_mean
from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.loading import load_strategy
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import manifest_of
from bt_neuro.runs.results import Tuning
from bt_neuro.runs.saved_manifest import read_manifest, require_same
from bt_neuro.validation.folds import cut_folds
from bt_neuro.validation.holdout import Split
from bt_neuro.validation.search_space import Parameters, combinations, parse_search
from bt_neuro.validation.task import SAME, interruptible
from bt_neuro.validation.tune_metrics import (
    Metrics,
    holdout_metrics,
    trial_metrics,
    trials_table,
    tune_metrics,
)
from bt_neuro.validation.tune_study import DATABASE, TuneStudy
from bt_neuro.validation.walk_forward import walk_forward

TRIALS = "trials.csv"
# Settings that trials of one study share; they may be of several versions.
SETTINGS = SAME[:-1]


def tune(
    path: str | Path,
    *,
    search: Mapping[str, Any] | Iterable[str],
    strategy: str | type[NeuroStrategy] = NeuroStrategy,
    parameters: Parameters | None = None,
    account: Account | None = None,
    trials: int = 30,
    objective: str = "sharpe",
    train: str = "24M",
    test: str = "6M",
    step: str | None = None,
    window: str = "rolling",
    eras: int = 1,
    embargo_bars: int = 0,
    learning: bool = True,
    holdout: str | None = None,
    seed: int = 0,
    jobs: int | None = None,
    cluster: str | None = None,
    storage: str | None = None,
    study: str = "tune",
    out: str | Path | None = None,
    resume: str | Path | None = None,
    bars_options: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    report: bool = True,
) -> Tuning:
    """Search a strategy's parameters over walk-forward folds, and test the best on held-out bars.

    Parameters
    ----------
    path : str or Path
        Bar file, in any format of `read_bars`.
    search : dict or iterable of str
        Values by parameter: "1e-5..1e-2:log", "10..40", "1,2,3" or a list; or texts such as "wing=1,2,3".
    parameters : dict, optional
        Fixed parameters of the strategy.
    strategy, account, bars_options, report
        As in `walk_forward`.
    trials : int, default 30
        Number of trials, with those of earlier runs and of other processes. If there are fewer combinations,
        each is tried once.
    objective : {"sharpe", "return", "hit_rate", "brier_score"}
        Metric of all test spans together. The Sharpe ratio is of daily returns, annualised. Hit rates and
        Brier scores compare only strategies with the same labels, so not one ``wing`` with another.
    train, test, step, window, eras, embargo_bars, learning
        As in `walk_forward`, which trains a new network for each fold.
    holdout : str, optional
        Length at the end of the file that no trial sees. The best trial trains on the `train` before it and
        is tested there once. Default: `test`. "0" holds nothing out.
    seed : int, default 0
        Seed of the choices. That of the networks is a parameter.
    jobs, cluster
        As in `walk_forward`. Trials run one after another, since each choice depends on those before. For
        parallel trials, start the same call again with the same storage.
    storage, study : str, optional
        Database of the trials, such as "postgresql://host/db", and the name in it. Default: a file in the
        folder.
    out : str or Path, optional
        Folder to write, new or empty. Default: ``runs/<file stem>-tune-<time>``.
    resume : str or Path, optional
        Folder of a search to continue.
    progress : callable, optional
        Called with the number of finished folds and of the folds of all trials.

    Returns
    -------
    Tuning
        Its ``metrics`` hold the best trial, the estimate of luck, and the metrics of the held-out bars.

    Raises
    ------
    NeuroError
        If there is nothing to search, Optuna is missing, or every trial failed. The error of a single trial
        is recorded, and the search continues.

    Notes
    -----
    With one process at a time, the same seed gives the same trials, also after an interruption.

    Examples
    --------
    >>> import tempfile
    >>> from bt_neuro import tune
    >>> tuning = tune("data/SYNTHETIC_EURUSD_H1.csv", strategy="tests/small.py:Small", search=["wing=1,2"],
    ...               objective="brier_score", train="120b", test="100b", bars_options={"end": "2024-01-20"},
    ...               jobs=1, out=tempfile.mkdtemp())
    >>> len(tuning.trials), sorted(tuning.best)
    (2, ['wing'])
    """
    started = time.perf_counter()
    account, bars_options, fixed = account or Account(), bars_options or {}, dict(parameters or {})
    if objective not in OBJECTIVES:
        raise NeuroError(f"There is no objective {objective!r}.{did_you_mean(objective, OBJECTIVES)}")
    if trials < 1:
        raise NeuroError(f"trials must be 1 or more, got {trials}. Give a higher number.")
    cls = load_strategy(strategy) if isinstance(strategy, str) else strategy
    defaults = all_parameters(cls, parameters)
    space = parse_search(search, cls)
    for name in fixed.keys() & space.keys():
        raise StrategyError(f"{name} must be fixed or searched, got both. Give one of them.")
    bars = read_bars(path, **bars_options)
    fold_options: dict[str, Any] = {
        "window": window,
        "eras": eras,
        "embargo_bars": embargo_bars,
        "learning": learning,
    }
    manifest = manifest_of(bars, bars_options, cls, defaults | fixed, account)
    manifest["options"] = {
        "search": {name: str(part) for name, part in space.items()},
        "objective": objective,
        "seed": seed,
        "train": train,
        "test": test,
        "step": step or test,
        "holdout": holdout or test,
        **fold_options,
    }
    RunFolder.require(out, resume, "tune", manifest, SETTINGS)  # a kind or length that differs is named first
    split = Split.of(bars, test if holdout is None else holdout)
    folds = cut_folds(bars.frame["datetime"][: split.holdout.start], train, test, step, window)
    if resume is not None and out is None:
        _require_storage(Path(resume), storage)
    folder = RunFolder.open(out, resume, f"{bars.path.stem}-tune", "tune", manifest, SETTINGS)
    walk = partial(
        walk_forward,
        path,
        strategy=strategy,
        account=account,
        jobs=jobs,
        cluster=cluster,
        **fold_options,
    )
    with (
        folder.recording((folder.path / TRIALS).exists),
        TuneStudy.open(folder.path, storage, study, OBJECTIVES[objective]) as trial_study,
    ):
        settings = {key: manifest[key] for key in {name.partition(".")[0] for name in SETTINGS}}
        require_same(trial_study.settings(settings), settings, SETTINGS, f"study {study}")
        folder.save(study={"name": trial_study.name, "storage": trial_study.place})
        all_combinations = combinations(space, at_most=trials)
        n_folds = len(folds) * (trials if all_combinations is None else len(all_combinations))

        def run_trial(number: int, values: Parameters) -> Metrics:
            before = len(folds) * len(trial_study.trials("complete", "failed"))
            trial_started = time.perf_counter()
            result = walk(
                parameters=fixed | values,
                train=train,
                test=test,
                step=step,
                out=_place(folder, "trials", number),
                bars_options=bars_options | split.until_holdout,
                progress=progress and (lambda fold, _: progress(before + fold, n_folds)),
                report=False,  # `bt-neuro report` draws the page of a trial that is worth a look
            )
            for fold, error in result.failed.items():
                raise FoldError(f"fold {fold}: {error}")
            return {
                **trial_metrics(result, account.cash, objective),
                "seconds": time.perf_counter() - trial_started,
            }

        def test_holdout() -> None:
            best = trial_study.best
            is_done = best is None or str(best.number) in trial_study.holdout
            if is_done or not split.holdout or trial_study.trials("running"):
                return
            training = len(folds[-1].train) if window == "rolling" else split.holdout.start
            place = _place(folder, "holdout", best.number)
            shutil.rmtree(place, ignore_errors=True)  # of a run that was interrupted here
            result = walk(
                parameters=fixed | best.params,
                train=f"{training}b",
                test=f"{len(split.holdout)}b",
                out=place,
                bars_options=bars_options | split.since(split.holdout.start - training),
                report=report,
            )
            trial_study.keep_holdout(best.number, holdout_metrics(result, account.cash))

        def done() -> str:
            return f"{len(trial_study.trials('complete', 'failed'))} of {trials} trials are done"

        try:
            with interruptible(done):
                trial_study.run(
                    space,
                    run_trial,
                    n_trials=trials,
                    seed=seed,
                    first=defaults,
                    is_resumed=resume is not None,
                )
                test_holdout()
        finally:
            _save(folder, trial_study, bars.path.name, started)
        if trial_study.best is None:
            errors = [trial.user_attrs["error"] for trial in trial_study.trials("failed")]
            errors += ["all money was lost" for _ in trial_study.trials("complete")]
            raise NeuroError(f"All trials failed. First error: {errors[0] if errors else 'none yet'}")
        folder.save(status="complete")
    result = Tuning(folder.path, folder.manifest)
    if report:
        from bt_neuro.report.page import write_page  # loads Bokeh

        write_page(result)
    return result


def _place(folder: RunFolder, kind: str, trial: int) -> Path:
    return folder.path / kind / f"{trial:03d}"


def _require_storage(folder: Path, storage: str | None) -> None:
    if storage is None and not (folder / DATABASE).is_file():
        manifest = read_manifest(folder)  # raises where it is no run folder at all
        if "study" not in manifest and not (folder / "trials").exists():
            return  # killed before its first trial
        raise NeuroError(f"{folder} must hold {DATABASE}, got none. Give the storage that holds its trials.")


def _save(folder: RunFolder, study: TuneStudy, file: str, started: float) -> None:
    """Write the trials that have ended, and the metrics of the best one."""
    for trial in study.trials("lost"):
        shutil.rmtree(_place(folder, "trials", trial.number), ignore_errors=True)
    if not study.trials("complete", "failed"):
        return
    objective = folder.manifest["options"]["objective"]
    folder.write_table(TRIALS, trials_table(study, objective), float_format="%.10g")
    has_holdout = folder.manifest["options"]["holdout"] != "0"
    metrics = tune_metrics(study, objective, has_holdout, file) if study.best is not None else None
    folder.save(metrics=metrics, time={"wall_s": time.perf_counter() - started})
