"""Optuna study of a parameter search, in a storage that processes share and later runs continue."""

from __future__ import annotations

import math
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

Metrics = dict[str, Any]
Work = Callable[[int, Parameters], Metrics]

DATABASE = "study.db"  # in the folder of a search without another storage
HEARTBEAT_S = 3
SILENCE_S = 60  # a trial on any machine that is silent for so long is lost
SILENCE_HERE_S = 15  # the same if only this machine uses the storage


class TuneStudy:
    """An Optuna study whose trials are chosen by a seed for each.

    States of a trial: "running", "complete", "failed" (with an error), and "lost" (interrupted or killed),
    which another trial replaces.

    Attributes
    ----------
    name, place : of the study, and URL of its storage without a password
    """

    def __init__(self, study: Any, objective: Objective, url: str, is_own: bool) -> None:
        from sqlalchemy.engine import make_url

        self._study, self._objective, self._is_own = study, objective, is_own
        self.name, self.place = study.study_name, make_url(url).render_as_string(hide_password=True)

    @classmethod
    @contextmanager
    def open(cls, folder: Path, url: str | None, name: str, objective: Objective) -> Iterator[TuneStudy]:
        """Open or create a study, in the folder without a URL; silence Optuna's log.

        Raises
        ------
        NeuroError
            If Optuna is not installed, or the storage cannot be used.
        """
        try:
            import optuna
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError as error:
            raise NeuroError('tune needs Optuna: pip install "bt-neuro[tune]"') from error

        is_own, before = url is None, optuna.logging.get_verbosity()
        url = url or f"sqlite:///{(folder / DATABASE).resolve()}"
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            with warnings.catch_warnings():
                # The heartbeat and PartialFixedSampler are "experimental" since Optuna 2.
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

    def settings(self, new: Metrics) -> Metrics:
        """Return the settings of the study; store `new` in a new one."""
        stored = self._study.user_attrs.get("settings")
        if stored is None:
            self._study.set_user_attr("settings", new)
        return new if stored is None else stored

    def trials(self, *states: str) -> list[Any]:
        """Return the trials in these states, by number."""
        trials = self._study.get_trials(deepcopy=False)
        return sorted((t for t in trials if _state(t) in states), key=lambda trial: trial.number)

    @property
    def best(self) -> Any:
        """The best complete trial, the first of equal ones; None if there is none, or all lost their money."""
        sign = -1 if self._objective.maximise else 1
        valued = (trial for trial in self.trials("complete") if math.isfinite(trial.value))
        return min(valued, key=lambda trial: (sign * trial.value, trial.number), default=None)

    @property
    def holdout(self) -> dict[str, Metrics]:
        """Metrics of the held-out bars, by the number of the trial that was tested on them."""
        return self._study.user_attrs.get("holdout", {})

    def keep_holdout(self, trial: int, metrics: Metrics) -> None:
        self._study.set_user_attr("holdout", {**self.holdout, str(trial): metrics})

    def run(
        self, space: Space, work: Work, *, n_trials: int, seed: int, first: Parameters, is_resumed: bool
    ) -> None:
        """Run trials until there are enough, or all combinations were tried.

        Parameters
        ----------
        space : search space
        work : called with the number and parameters of a trial, returns its metrics; a NeuroError fails the
            trial, not the search
        n_trials : number of running, complete and failed trials of all processes
        seed : of the choices. Each trial's seed derives from it and the trial's place, so that an interrupted
            search continues with the same trials
        first : parameters of the first trial, if the space contains them
        is_resumed : whether the study may contain trials whose process died
        """
        import optuna

        all_combinations = combinations(space, at_most=n_trials)
        target = n_trials if all_combinations is None else len(all_combinations)

        def attempt(trial: Any) -> float:
            before = [other for other in self._counted() if other.number < trial.number]
            fixed = _fixed(space, all_combinations, first, [other.params for other in before])
            own_seed = int(np.random.SeedSequence((seed, len(before))).generate_state(1)[0])
            sampler = optuna.samplers.TPESampler(seed=own_seed, multivariate=False, constant_liar=True)
            self._study.sampler = optuna.samplers.PartialFixedSampler(fixed, sampler)
            parameters = {name: _suggest(trial, name, part) for name, part in space.items()}
            same = next((other for other in self.trials("complete") if other.params == parameters), None)
            if same is not None:
                trial.set_user_attr("same_as", same.number)
                trial.set_user_attr("metrics", same.user_attrs["metrics"])
                return same.value
            try:
                metrics = work(trial.number, parameters)
                value = metrics[self._objective.metric]
                if value is None and metrics.get("lost_at"):
                    value = -math.inf  # a Sharpe ratio of ruin: the worst, so that the sampler avoids it
                if value is None:
                    raise NeuroError(f"no {self._objective.words}: no signals, no trades, or too few days")
            except NeuroError as error:
                trial.set_user_attr("error", " ".join(str(error).split()))
                raise
            trial.set_user_attr("metrics", metrics)
            return value

        def has_more() -> bool:
            # `optimize` fails stale trials too, but never runs while they fill the number.
            optuna.storages.fail_stale_trials(self._study)
            return len(self._counted()) < target

        if is_resumed and self._is_own:
            self._find_lost_trials()
        while has_more():
            self._study.optimize(attempt, n_trials=1, catch=(NeuroError,))

    def _counted(self) -> list[Any]:
        # One query: a trial of another process may end between two.
        return self.trials("complete", "failed", "running")

    def _find_lost_trials(self) -> None:
        import optuna

        deadline = time.monotonic() + SILENCE_HERE_S + HEARTBEAT_S
        while self.trials("running") and time.monotonic() < deadline:
            time.sleep(0.5)
            optuna.storages.fail_stale_trials(self._study)


def _state(trial: Any) -> str:
    name = str(trial.state.name).lower()
    if name != "fail":
        return name
    return "failed" if "error" in trial.user_attrs else "lost"


@contextmanager
def _storage(url: str, silence_s: int) -> Iterator[Any]:
    import optuna
    from sqlalchemy.exc import DBAPIError

    connect = partial(
        optuna.storages.RDBStorage,
        url.replace("{", "{{").replace("}", "}}"),  # Optuna formats it
        engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {},
        heartbeat_interval=HEARTBEAT_S,
        grace_period=silence_s,
    )
    try:
        try:
            storage = connect()
        except DBAPIError:  # another process creates the same tables just now, and Optuna does not wait
            time.sleep(1)
            storage = connect()
    except (ImportError, RuntimeError) as error:  # no driver; tables of another Optuna
        raise _unusable(error) from error
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _unusable(error: BaseException) -> NeuroError:
    reason = str(error).splitlines()[0]
    return NeuroError(
        f"The storage cannot be used: {reason}\nGive a URL in SQLAlchemy's form, such as sqlite:///tune.db."
    )


def _fixed(
    space: Space, all_combinations: list[Parameters] | None, first: Parameters, tried: list[Parameters]
) -> Parameters:
    """Return the parameters that the sampler does not choose."""
    if all_combinations is not None:
        return next((one for one in all_combinations if one not in tried), all_combinations[0])
    if not tried and all(first[name] in part for name, part in space.items()):
        return {name: first[name] for name in space}
    return {}


def _suggest(trial: Any, name: str, part: Range | Choice) -> Any:
    if isinstance(part, Choice):
        return trial.suggest_categorical(name, part.values)
    if part.is_integer:
        return trial.suggest_int(name, part.low, part.high, log=part.log)
    return trial.suggest_float(name, part.low, part.high, log=part.log)
