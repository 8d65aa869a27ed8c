"""Run tasks: settings of a run as plain values, for any process on any machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, Self

import backtrader as bt

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import FoldError, NeuroError, StrategyError
from bt_neuro.io import file_sha256
from bt_neuro.plugin.feed import BarsFeed
from bt_neuro.plugin.loading import failure_text, load_strategy
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import build_cerebro
from bt_neuro.runs.portfolio import bar_files
from bt_neuro.runs.shutdown import graceful_shutdown
from bt_neuro.validation.parallel import cores

# Settings of a manifest that a resumed run must share.
SAME = (
    *("data.sha256", "data.options", "strategy", "strategy_sha256", "parameters", "account", "options"),
    "versions.bt-neuro",
)


@dataclass(frozen=True)
class RunTask:
    """Settings of a run.

    Attributes
    ----------
    path, sha256, bars_options : bar file, its hash, options of `read_bars`
    strategy, strategy_sha256 : "FILE.py:Class" and the hash of the file; or an importable class
    parameters : of the strategy
    account : cash and costs
    """

    path: str
    sha256: str
    bars_options: dict[str, Any]
    strategy: str | type[NeuroStrategy]
    strategy_sha256: str | None
    parameters: dict[str, Any]
    account: Account

    @classmethod
    def of(
        cls,
        bars: Bars,
        bars_options: dict[str, Any],
        strategy: str | type[NeuroStrategy],
        parameters: dict[str, Any],
        account: Account,
        **more: Any,
    ) -> Self:
        """Return a task with hashes of its files; `strategy` is of `importable`."""
        sha256 = file_sha256(_file_of(strategy)) if isinstance(strategy, str) else None
        path = str(bars.path.resolve())
        return cls(path, bars.sha256, bars_options, strategy, sha256, parameters, account, **more)

    @property
    def bars(self) -> Bars:
        """Bars of the file, which must not have changed."""
        return _read(self.path, self.sha256, tuple(self.bars_options.items()))

    @property
    def strategy_class(self) -> type[NeuroStrategy]:
        """The strategy, whose file must not have changed."""
        if isinstance(self.strategy, str):
            return _load(self.strategy, self.strategy_sha256)
        return self.strategy

    def cerebro(
        self, bars: Bars, strategy: type[NeuroStrategy] | None = None, **parameters: Any
    ) -> bt.Cerebro:
        """Return a Cerebro over bars, with another strategy or more parameters."""
        data = BarsFeed(bars=bars.frame, name=bars.path.stem)
        parameters = self.parameters | parameters
        return build_cerebro(
            data,
            strategy or self.strategy_class,
            parameters,
            self.account,
            point=bars.point,
            bars_options=self.bars_options,
        )


@lru_cache(maxsize=1)  # a process runs many tasks over one file
def _read(path: str, sha256: str, options: tuple[tuple[str, Any], ...]) -> Bars:
    bars = read_bars(path, **dict(options))
    if bars.sha256 != sha256:
        raise FoldError(f"{path} must be the file that the run began with. Its content differs.")
    return bars


@lru_cache(maxsize=1)
def _load(spec: str, sha256: str | None) -> type[NeuroStrategy]:
    strategy = load_strategy(spec)
    if file_sha256(_file_of(spec)) != sha256:
        raise FoldError(f"{spec} must be the strategy that the run began with. Its file differs.")
    return strategy


def run_to_end(cerebro: bt.Cerebro, bars: Bars) -> NeuroStrategy:
    """Run a Cerebro; raise FoldError if the strategy ends before the last bar."""
    (ran,) = cerebro.run(exactbars=1)
    require_end(ran, bars)
    return ran


def require_end(ran: NeuroStrategy, bars: Bars) -> None:
    """Raise FoldError if a strategy has ended before the last bar."""
    if len(ran.data) < len(bars):
        done = f"{len(ran.data):,} of {len(bars):,} bars"
        raise FoldError(f"The strategy must run to the end, got {done}. Do not call runstop().")


@contextmanager
def named_errors() -> Iterator[None]:
    """Raise any error but a NeuroError as a FoldError, since a strategy may raise anything."""
    try:
        yield
    except NeuroError:
        raise
    except Exception as error:
        raise FoldError(failure_text(error)) from error


@contextmanager
def interruptible(done: Callable[[], str]) -> Iterator[None]:
    """Raise KeyboardInterrupt at Ctrl-C or SIGTERM, with a message of what is done."""
    try:
        with graceful_shutdown(_interrupt):
            yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {done()}") from None


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


def _file_of(spec: str) -> str:
    """Return the file in "FILE.py:Class"."""
    return spec if spec.endswith(".py") else spec.rpartition(":")[0]


def processes_of(strategy: str | type[NeuroStrategy], jobs: int | None, cluster: str | None = None) -> int:
    """Return the number of processes; 1 by default where only this one knows the strategy, as in a notebook.

    Raises
    ------
    StrategyError
        If others are to run a class of a notebook or of a function.
    """
    if isinstance(strategy, str) or _is_found_elsewhere(strategy):
        return jobs or len(cores())
    if cluster is not None or (jobs or 1) > 1:
        raise StrategyError(
            f"{strategy.__name__} must be in a file, got a class of a notebook or a function, which other processes "
            "do not find. Give strategy='FILE.py:CLASS', or jobs=1."
        )
    return 1


def _is_found_elsewhere(strategy: type[NeuroStrategy]) -> bool:
    if "<locals>" in strategy.__qualname__:
        return False
    file = getattr(sys.modules.get(strategy.__module__), "__file__", None)
    return strategy.__module__ != "__main__" or (file is not None and Path(file).is_file())


def importable(strategy: str | type[NeuroStrategy]) -> tuple[str | type[NeuroStrategy], type[NeuroStrategy]]:
    """Return a reference that works in another process, and the class."""
    if not isinstance(strategy, str):
        return strategy, strategy
    path, colon, name = strategy.rpartition(":")
    is_named = colon and path.endswith(".py")
    spec = f"{Path(path).resolve()}:{name}" if is_named else str(Path(strategy).resolve())
    return spec, load_strategy(strategy)


def read_several(paths: Sequence[str | Path], options: dict[str, Any] | None) -> dict[str, Bars]:
    """Return the bars of two or more files, or folders of them, by the files' names."""
    files = bar_files(paths)
    names = [file.stem for file in files]
    if len(set(names)) < max(2, len(names)):
        raise NeuroError(f"Files must be two or more with names of their own, got {', '.join(names)}.")
    return {file.stem: read_bars(file, **(options or {})) for file in files}


def progress_of_all(
    progress: Callable[[int, int], None] | None, number: int, files: int
) -> Callable[[int, int], None] | None:
    """Return what the runs of file `number` call in place of `progress`; other files may have more or fewer runs."""
    if progress is None:
        return None
    return lambda done, runs: progress(number * runs + done, files * runs)
