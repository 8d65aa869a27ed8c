"""A search for a strategy's parameters over walk-forward folds, and how much of it luck explains."""

from __future__ import annotations

import hashlib
import inspect
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import FoldError, NeuroError, StrategyError, did_you_mean
from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.plugin.loading import load_strategy
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.results import RunResult
from bt_neuro.validation.folds import Length, cut_folds
from bt_neuro.validation.search_space import Parameters, combinations, parse_search
from bt_neuro.validation.tune_folder import TuneFolder, open_folder
from bt_neuro.validation.tune_metrics import Figures, holdout_figures, trial_figures
from bt_neuro.validation.tune_study import TuneStudy
from bt_neuro.validation.walk_forward import walk_forward


class Tuning(RunResult):
    """A search that has ended, and its folder.

    Attributes
    ----------
    folder : where everything lies
    manifest : the content of ``tune.json``
    """

    @property
    def best(self) -> Parameters:
        """The parameters of the best trial."""
        return self.metrics["best"]["parameters"]

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial, the best first, those that failed last."""
        return pd.read_csv(self.folder / "trials.csv")


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
) -> Tuning:
    """Search a strategy's parameters: each trial is a walk-forward, and the best is tested on unseen bars.

    Parameters
    ----------
    path : bar file, whatever `read_bars` reads
    search : what to choose from, by name: "1e-5..1e-2:log", "10..40", "1,2,3" or a list of values
    strategy : "FILE.py:Class", or a class that other processes can import
    parameters : its params that are not searched
    account : cash and costs
    trials : in all, those of earlier runs and of other processes included. Where there are fewer
        combinations than that, each is tried once
    objective : of the test parts together: "sharpe" (daily, annualised), "return", "hit_rate", "brier_score".
        The last two compare only what learns the same labels: not one ``wing`` with another
    train, test, step, window, eras, embargo_bars, learning : of each `walk_forward`, which refits
    holdout : length at the end of the file that no trial sees. The best trains once more on the `train`
        before it, and is tested there, once. As `test` by default; "0" keeps nothing
    seed : of the choices; that of the networks is among `parameters`
    jobs, cluster : of each `walk_forward`; trials run one after another, for each learns from those before.
        For trials side by side start the command again on the same storage
    storage, study : where trials are kept, a URL such as "postgresql://host/db", and under which name; a file
        in the folder by default
    out : the folder to write, which must be new or empty; ``runs/<file stem>-tune-<time>`` by default
    resume : the folder of a search to go on with
    bars_options : of `read_bars`
    progress : called with (folds done, folds in all trials)

    Returns
    -------
    Tuning
        Its ``metrics`` hold the best trial, the figures of luck and of the held-out bars, and the sentence.

    Raises
    ------
    NeuroError
        With a remedy, when there is nothing to search, Optuna is missing, or every trial failed. A trial that
        fails for itself is recorded, and the search goes on.

    Notes
    -----
    The same seed gives the same trials, also after an interruption, if one process works at a time.

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
    account, bars_options, given = account or Account(), bars_options or {}, dict(parameters or {})
    if objective not in OBJECTIVES:
        raise NeuroError(f"no objective {objective!r}.{did_you_mean(objective, OBJECTIVES)}")
    if trials < 1:
        raise NeuroError(f"trials is {trials}: give 1 or more")
    chosen = load_strategy(strategy) if isinstance(strategy, str) else strategy
    space = parse_search(search, chosen)
    for name in given:
        if name in space:
            raise StrategyError(f"{name} is both fixed and searched: give one of them")
    bars = read_bars(path, **bars_options)
    parts = _Parts.of(bars, test if holdout is None else holdout)
    folds = cut_folds(bars.frame["datetime"][: parts.middle], train, test, step, window)
    how: dict[str, Any] = {
        "window": window,
        "eras": eras,
        "embargo_bars": embargo_bars,
        "learning": learning,
    }
    begun_with = {
        "data": bars.sha256,
        "bars_options": {name: str(value) for name, value in bars_options.items() if value},
        "strategy": f"{chosen.__name__}, SHA-256 {_source_sha256(chosen)}",
        "parameters": {name: str(value) for name, value in given.items()},
        "account": asdict(account),
        "search": {name: str(one) for name, one in space.items()},
        "objective": objective,
        "seed": seed,
        "train": train,
        "test": test,
        "step": step or test,
        "holdout": holdout or test,
        **how,
    }
    walk = partial(walk_forward, path, strategy=strategy, account=account, jobs=jobs, cluster=cluster, **how)
    place = open_folder(out, resume, storage, bars)
    with TuneStudy.open(place, storage, study, OBJECTIVES[objective]) as kept:
        kept.require_same(begun_with)
        folder = TuneFolder(place, kept, bars, begun_with)
        every = combinations(space, at_most=trials)
        in_all = len(folds) * (trials if every is None else len(every))

        def work(number: int, values: Parameters) -> Figures:
            done, begun = len(kept.ended), time.perf_counter()
            result = walk(
                parameters=given | values,
                train=train,
                test=test,
                step=step,
                out=folder.place(number),
                bars_options=bars_options | parts.seen,
                progress=progress and (lambda fold, _: progress(done * len(folds) + fold, in_all)),
                report=False,  # `bt-neuro report` draws the page of a trial that is worth a look
            )
            for fold, error in result.failed.items():
                raise FoldError(f"fold {fold}: {error}")
            return {**trial_figures(result, account.cash), "seconds": time.perf_counter() - begun}

        def test_unseen() -> None:
            best = kept.best
            if not parts.unseen or best is None or kept.running or str(best.number) in kept.holdout:
                return
            training = parts.middle if window != "rolling" else len(folds[-1].train)
            out = folder.holdout_place(best.number)
            shutil.rmtree(out, ignore_errors=True)  # of a run that was interrupted here
            result = walk(
                parameters=given | best.params,
                train=f"{training}b",
                test=f"{parts.unseen}b",
                out=out,
                bars_options=bars_options | parts.from_bar(parts.middle - training),
            )
            kept.keep_holdout(best.number, holdout_figures(result, account.cash))

        try:
            first = dict(chosen.params._getitems())
            kept.run(space, work, trials=trials, seed=seed, first=first, goes_on=resume is not None)
            test_unseen()
        except KeyboardInterrupt:
            folder.end("interrupted")
            raise KeyboardInterrupt(
                f"interrupted; {len(kept.ended)} of {trials} trials are done: go on with --resume {place}"
            ) from None
        except BaseException:
            folder.end("failed")
            raise
        manifest = folder.end("running elsewhere" if kept.running else "complete")
        if kept.best is None:
            raise NeuroError(f"no trial has ended well; the first one: {kept.first_error}")
    return Tuning(place, manifest)


@dataclass(frozen=True)
class _Parts:
    """The bars that trials see, up to `middle`, and those after them that none of them does."""

    times: pd.Series
    middle: int

    @classmethod
    def of(cls, bars: Bars, holdout: str) -> _Parts:
        times, middle = bars.frame["datetime"], len(bars)
        if holdout != "0":
            length = Length.parse(holdout)
            if length.bars:
                middle -= length.bars
            else:
                first = length.moment(times.iloc[-1], -1)
                middle = 0 if first is None else int(times.searchsorted(first, side="right"))
        if middle < 1:
            raise FoldError(f"{bars.path}: {len(bars):,} bars are too few to hold out {holdout}; give less")
        return cls(times, middle)

    @property
    def unseen(self) -> int:
        """Return how many bars no trial sees."""
        return len(self.times) - self.middle

    @property
    def seen(self) -> dict[str, str]:
        """Return what makes `read_bars` stop in time."""
        # A second before the first unseen bar, not the time of the one before that: it may be built from
        # finer bars.
        return {"end": str(self.times[self.middle] - pd.Timedelta(seconds=1))} if self.unseen else {}

    def from_bar(self, bar: int) -> dict[str, str]:
        """Return what makes `read_bars` begin with a bar."""
        return {"start": str(self.times[bar])}


def _source_sha256(strategy: type[NeuroStrategy]) -> str | None:
    try:
        return hashlib.sha256(Path(inspect.getfile(strategy)).read_bytes()).hexdigest()
    except (OSError, TypeError):  # typed into an interpreter
        return None
