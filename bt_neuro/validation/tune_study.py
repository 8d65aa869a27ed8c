"""A search that Optuna keeps in a storage: it can go on later, and processes on the same storage share it."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bt_neuro.errors import NeuroError
from bt_neuro.metrics.objectives import Objective
from bt_neuro.validation.search_space import Choice, Parameters, Range, Space, combinations
from bt_neuro.validation.tune_metrics import Figures

Work = Callable[[int, Parameters], Figures]

HEARTBEAT_S = 3
SILENCE_S = 60  # of a trial on any machine, until it is taken for dead
SILENCE_HERE_S = 15  # the same, where only this machine uses the storage
INSTALL = 'tune needs Optuna: pip install "bt-neuro[tune]"'


class TuneStudy:
    """A study, and how its trials are chosen.

    A trial counts once it is complete, failed with an error, or runs. One that was interrupted, or whose
    process died, is forgotten, and its place is taken by the next one.

    Attributes
    ----------
    name, place : of the study, and where its storage lies, without a password
    """

    def __init__(self, study: Any, objective: Objective, url: str, is_own: bool) -> None:
        from sqlalchemy.engine import make_url

        self._study, self._objective, self._is_own = study, objective, is_own
        self.name, self.place = study.study_name, make_url(url).render_as_string(hide_password=True)

    @classmethod
    @contextmanager
    def open(cls, folder: Path, url: str | None, name: str, objective: Objective) -> Iterator[TuneStudy]:
        """Open a study, or begin it, with Optuna silent meanwhile; without a URL it lies in the folder.

        Raises
        ------
        NeuroError
            When Optuna is not installed, or the storage cannot be used.
        """
        try:
            import optuna
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError as error:
            raise NeuroError(INSTALL) from error

        is_own, before = url is None, optuna.logging.get_verbosity()
        url = url or f"sqlite:///{own_storage(folder).resolve()}"
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            with warnings.catch_warnings():
                # Of the heartbeat and of PartialFixedSampler, both there since Optuna 2.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                with _storage(url, SILENCE_HERE_S if is_own else SILENCE_S) as storage:
                    study = optuna.create_study(
                        storage=storage,
                        study_name=name,
                        direction="maximize" if objective.maximise else "minimize",
                        load_if_exists=True,
                    )
                    yield cls(study, objective, url, is_own)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            raise _unusable(error.__cause__ or error) from error
        finally:
            optuna.logging.set_verbosity(before)

    def require_same(self, begun_with: Figures) -> None:
        """Take note of what a new study is of; refuse to go on with one that is of something else."""
        begun_with = json.loads(json.dumps(begun_with))
        before = self._study.user_attrs.get("begun_with")
        if before is None:
            self._study.set_user_attr("begun_with", begun_with)
            return
        for name in sorted(before.keys() | begun_with.keys()):
            if before.get(name) != begun_with.get(name):
                raise NeuroError(
                    f"study {self.name} was begun with {name} {before.get(name)}, and this run has "
                    f"{begun_with.get(name)}.\nGive the same, or start anew with another --out or --study."
                )

    # -- its trials ------------------------------------------------------------------------------------------
    def _trials(self, *states: str) -> list[Any]:
        every = self._study.get_trials(deepcopy=False)
        return [trial for trial in every if _state(trial) in states]

    @property
    def complete(self) -> list[Any]:
        return self._trials("complete")

    @property
    def failed(self) -> list[Any]:
        """Those that ended with an error."""
        return self._trials("failed")

    @property
    def forgotten(self) -> list[Any]:
        return self._trials("forgotten")

    @property
    def running(self) -> list[Any]:
        return self._trials("running")

    @property
    def ended(self) -> list[Any]:
        return self._trials("complete", "failed")

    @property
    def counted(self) -> list[Any]:
        # In one look: a trial of another process may end between two.
        return self._trials("complete", "failed", "running")

    @property
    def best(self) -> Any:
        """The best complete trial, or None; of equal ones the first."""
        sign = -1 if self._objective.maximise else 1
        return min(self.complete, key=lambda trial: (sign * trial.value, trial.number), default=None)

    @property
    def first_error(self) -> str:
        return (
            min(self.failed, key=lambda trial: trial.number).user_attrs["error"] if self.failed else "running"
        )

    # -- what it remembers of the held-out bars --------------------------------------------------------------
    @property
    def holdout(self) -> dict[str, Figures]:
        """Figures of the held-out bars by the number of the trial that was run on them."""
        return self._study.user_attrs.get("holdout", {})

    def keep_holdout(self, trial: int, figures: Figures) -> None:
        self._study.set_user_attr("holdout", {**self.holdout, str(trial): figures})

    # -- the search ------------------------------------------------------------------------------------------
    def run(
        self,
        space: Space,
        work: Work,
        *,
        trials: int,
        seed: int,
        first: Parameters,
        goes_on: bool,
    ) -> None:
        """Run trials until so many count, or all combinations were tried.

        Parameters
        ----------
        space : what to choose from
        work : makes figures of a trial's number and parameters; a NeuroError fails the trial, not the search
        trials : how many shall count in the end, those of other processes included
        seed : of the choices. The n-th trial has its own one, made from this, so that a search that was
            interrupted goes on as if it had not been
        first : parameters of the first trial, where the space holds them
        goes_on : whether trials may be there whose process died
        """
        import optuna

        every = combinations(space, at_most=trials)
        wanted = trials if every is None else len(every)

        def attempt(trial: Any) -> float:
            before = [other for other in self.counted if other.number < trial.number]
            fixed = _fixed(space, every, first, [other.params for other in before])
            own_seed = int(np.random.SeedSequence((seed, len(before))).generate_state(1)[0])
            sampler = optuna.samplers.TPESampler(seed=own_seed, multivariate=False, constant_liar=True)
            self._study.sampler = optuna.samplers.PartialFixedSampler(fixed, sampler)
            chosen = {name: _suggest(trial, name, one) for name, one in space.items()}
            twin = next((other for other in self.complete if other.params == chosen), None)
            if twin is not None:
                trial.set_user_attr("same_as", twin.number)
                trial.set_user_attr("figures", twin.user_attrs["figures"])
                return twin.value
            try:
                figures = work(trial.number, chosen)
                value = figures[self._objective.metric]
                if value is None:
                    raise NeuroError(f"no {self._objective.words}: no signals, no trades, or too few days")
            except NeuroError as error:
                trial.set_user_attr("error", " ".join(str(error).split()))
                raise
            trial.set_user_attr("figures", figures)
            return value

        if goes_on and self._is_own:
            self._await_the_dead()
        while len(self.counted) < wanted:
            self._study.optimize(attempt, n_trials=1, catch=(NeuroError,))

    def _await_the_dead(self) -> None:
        """Wait until those trials that nobody runs any more are known."""
        import optuna

        until = time.monotonic() + SILENCE_HERE_S + HEARTBEAT_S
        while self.running and time.monotonic() < until:
            time.sleep(0.5)
            optuna.storages.fail_stale_trials(self._study)


def _state(trial: Any) -> str:
    name = str(trial.state.name).lower()
    if name != "fail":
        return name
    return "failed" if "error" in trial.user_attrs else "forgotten"


def own_storage(folder: Path) -> Path:
    """Return the file of a study that lies in its folder."""
    return folder / "study.db"


@contextmanager
def _storage(url: str, silence_s: int) -> Iterator[Any]:
    import optuna
    from sqlalchemy.exc import DBAPIError

    begin = partial(
        optuna.storages.RDBStorage,
        url.replace("{", "{{").replace("}", "}}"),  # Optuna formats it
        engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {},
        heartbeat_interval=HEARTBEAT_S,
        grace_period=silence_s,
    )
    try:
        try:
            storage = begin()
        except DBAPIError:  # another process makes the same tables in this moment, and Optuna does not wait
            time.sleep(1)
            storage = begin()
    except (ImportError, RuntimeError) as error:  # no driver; tables of another Optuna
        raise _unusable(error) from error
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _unusable(error: BaseException) -> NeuroError:
    why = str(error).splitlines()[0]
    return NeuroError(
        f"the storage cannot be used: {why}\nGive a URL as SQLAlchemy reads it, such as sqlite:///tune.db"
    )


def _fixed(
    space: Space, every: list[Parameters] | None, first: Parameters, tried: list[Parameters]
) -> Parameters:
    """Return the parameters that are not left to the sampler."""
    if every is not None:
        return next((one for one in every if one not in tried), every[0])
    if not tried and all(first[name] in one for name, one in space.items()):
        return {name: first[name] for name in space}
    return {}


def _suggest(trial: Any, name: str, one: Range | Choice) -> Any:
    if isinstance(one, Choice):
        return trial.suggest_categorical(name, one.values)
    if one.is_whole:
        return trial.suggest_int(name, one.low, one.high, log=one.log)
    return trial.suggest_float(name, one.low, one.high, log=one.log)
