"""Results of runs, read from their folders: one class per kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.errors import NeuroError, did_you_mean
from bt_neuro.io import open_no_follow
from bt_neuro.learning.checkpoint import MODEL
from bt_neuro.runs import columns
from bt_neuro.runs.columns import Columns, parse_table
from bt_neuro.runs.saved_manifest import MANIFEST, RUNNING, damaged, read_manifest, require_intact
from bt_neuro.runs.tables import ARRAY_DAMAGE


@dataclass(frozen=True, eq=False)
class RunResult:
    """A run and its folder; printed, it is one sentence.

    Attributes
    ----------
    folder : pathlib.Path
    manifest : dict
        Content of ``run.json``.
    """

    folder: Path
    manifest: dict[str, Any] = field(repr=False)

    tables: ClassVar[tuple[str, ...]] = ()  # read by `open_run`, so that it finds damage

    @property
    def metrics(self) -> dict[str, Any]:
        return self.manifest["metrics"]

    def __str__(self) -> str:
        if self.manifest.get("metrics"):
            return str(self.metrics["sentence"])
        status, error = self.manifest.get("status"), self.manifest.get("error", "no bar was scored")
        return f"{self.folder}: {status}, {error}"

    def _repr_html_(self) -> str:
        from bt_neuro.report.summary import notebook_html

        return notebook_html(self)

    def read_table(self, name: str, columns: Columns) -> pd.DataFrame:
        """Return a CSV file of the folder; the types of columns outside `columns` are inferred.

        Raises
        ------
        NeuroError
            If the file is missing, or its columns, types or number of rows differ from what the run wrote.
        """
        path = self.folder / name
        try:
            with open_no_follow(path, "r", encoding="utf-8", newline="") as file:
                table = parse_table(file, columns)
        except (OSError, ValueError, OverflowError) as error:
            raise self._unreadable(path, error) from error
        rows = self.manifest.get("rows", {}).get(name, len(table))
        if rows != len(table):
            raise damaged(path, f"it must have {rows} rows, got {len(table)}")
        return table

    def read_array(self, name: str) -> NDArray[Any]:
        """Return a ``.npy`` file of the folder.

        Raises
        ------
        NeuroError
            If the file is missing or damaged.
        """
        path = self.folder / name
        try:
            with open_no_follow(path, "rb") as file:
                return np.load(file, allow_pickle=False)
        except ARRAY_DAMAGE as error:
            raise self._unreadable(path, error) from error

    def _unreadable(self, path: Path, error: Exception) -> NeuroError:
        if isinstance(error, FileNotFoundError) and not self.manifest.get("metrics"):
            return NeuroError(
                f"{path} is missing: the run broke off before it was written.\n"
                f"Continue it with --resume {self.folder}, if it has a checkpoint, or run the command again."
            )
        return damaged(path, error)


def _table(file: str, columns: Columns, doc: str) -> cached_property[pd.DataFrame]:
    """Return a property that reads a CSV file of the folder once."""

    def read(result: RunResult) -> pd.DataFrame:
        return result.read_table(file, columns)

    read.__doc__ = doc
    return cached_property(read)


class PredictedRun(RunResult):
    """A run with predictions."""

    predictions = _table("predictions.csv", columns.PREDICTIONS, "One row per predicted bar.")

    @cached_property
    def outputs(self) -> NDArray[Any]:
        """Outputs of each network at each predicted bar, (bars, networks, 3)."""
        return self.read_array("outputs.npy") if len(self.predictions) else np.empty((0, 1, 3))

    @cached_property
    def features(self) -> NDArray[Any]:
        """Features of all bars of the predictions' windows, (rows, features of a bar)."""
        return self.read_array("features.npy") if len(self.predictions) else np.empty((0, 1))


class Result(PredictedRun):
    """A backtest and its folder; see `RunResult`."""

    tables: ClassVar[tuple[str, ...]] = ("predictions", "trades", "equity")

    trades = _table("trades.csv", columns.TRADES, "One row per closed trade.")
    equity = _table("equity.csv", columns.EQUITY, "One row per bar.")

    def plot(self) -> Any:
        """Return the figures of ``report.html`` as a Bokeh layout, which a notebook shows, offline too.

        Candles need the bar file as it was. Without it closes are drawn instead.
        """
        from bt_neuro.report.page import plot

        return plot(self)


class WalkForward(Result):
    """A walk-forward and its folder; see `RunResult`.

    The tables are those of all folds, out of sample. In `equity` and `trades` a fold starts with the money
    that the fold before left.
    """

    tables = (*Result.tables, "folds")

    folds = _table("folds.csv", columns.FOLDS, "One row per finished fold.")

    @property
    def failed(self) -> dict[str, str]:
        """Number of each failed fold, and its error."""
        return self.manifest["failed"]


class Tuning(RunResult):
    """A parameter search and its folder; see `RunResult`."""

    tables = ("trials",)

    trials = _table("trials.csv", columns.TRIALS, "One row per trial, the best first, failed ones last.")

    @property
    def best(self) -> dict[str, Any]:
        """Parameters of the best trial."""
        return self.metrics["best"]["parameters"]


class PermutationTest(RunResult):
    """A permutation test and its folder; see `RunResult`."""

    tables = ("surrogates",)

    surrogates = _table(
        "surrogates.csv", columns.SURROGATES, "One row per run; number 0 is the market itself."
    )

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """For each figure its ``value``, those of the ``surrogates`` and the ``p_value``."""
        return self.manifest["figures"]


class Comparison(RunResult):
    """A comparison of the article's networks and its folder; see `RunResult`."""

    tables = ("table", "eras")

    table = _table("compare.csv", columns.COMPARISON, "One row per predictor and regime, with intervals.")
    eras = _table("eras.csv", columns.ERAS, "One row per network and era: the article's figures, in sample.")

    @property
    def claims(self) -> list[dict[str, Any]]:
        """Each claim of the article: its verdict and figures."""
        return self.metrics["claims"]


class EmaConvergence(RunResult):
    """A study of exponential and moving averages, and its folder; see `RunResult`."""

    tables = ("draws", "lines")

    draws = _table(
        "draws.csv",
        columns.DRAWS,
        "One row per draw, statistic and start: the sample from which the averages agree.",
    )
    lines = _table("lines.csv", columns.LINES, "Averages of the first draws, one row per sample.")


class Stream(PredictedRun):
    """A stream and its folder; see `RunResult`."""

    tables = ("predictions", "bars")

    bars = _table("bars.csv", columns.BARS, "One row per bar.")
    trades = _table("trades.csv", columns.TRADES, "One row per closed trade.")
    equity = _table("equity.csv", columns.EQUITY, "One row per bar.")


class Check(RunResult):
    """A look-ahead or warm-up check and its folder; see `RunResult`."""


class Portfolio(RunResult):
    """A backtest of several files on one account, and its folder; see `RunResult`."""

    tables: ClassVar[tuple[str, ...]] = ("equity",)

    equity = _table("equity.csv", columns.PORTFOLIO_EQUITY, "One row for each time at which some bar closed.")

    @property
    def names(self) -> list[str]:
        """Names of the instruments."""
        return list(self.manifest["names"])

    def instrument(self, name: str) -> Result:
        """Return the tables of one instrument: predictions, outputs, features, trades, equity.

        Its equity is that of the whole account; its position is its own.
        """
        if name not in self.names:
            raise NeuroError(f"{self.folder} has no instrument {name!r}.{did_you_mean(name, self.names)}")
        all_rows, own = self.manifest["rows"].items(), f"{name}/"
        rows = {file.removeprefix(own): n for file, n in all_rows if file.startswith(own)}
        metrics = self.manifest.get("metrics", {}).get("instruments", {}).get(name, {})
        manifest = {"rows": rows, "metrics": metrics, "status": self.manifest["status"]}
        return Result(self.folder / name, manifest)


class PortfolioStream(Portfolio):
    """A stream of several instruments on one account, and its folder; see `RunResult`."""

    tables: ClassVar[tuple[str, ...]] = ("equity", "bars")

    bars = _table("bars.csv", columns.SYMBOL_BARS, "One row per bar, in the order in which they came.")


KINDS: dict[str, type[RunResult]] = {
    "backtest": Result,
    "walk-forward": WalkForward,
    "permutation-test": PermutationTest,
    "tune": Tuning,
    "compare": Comparison,
    "ema-convergence": EmaConvergence,
    "stream": Stream,
    "portfolio-stream": PortfolioStream,
    "portfolio": Portfolio,
    "lookahead-check": Check,
    "warmup-check": Check,
}


def open_run(folder: str | Path) -> RunResult:
    """Return the run that a folder holds, complete, interrupted or failed, as the class of its kind.

    Raises
    ------
    NeuroError
        If the folder holds no run that has ended, or a file is damaged. The file is named.

    Examples
    --------
    >>> open_run("docs")
    Traceback (most recent call last):
    bt_neuro.errors.NeuroError: docs is no run folder: it has no run.json. Give another folder.
    """
    path = Path(folder)
    manifest = read_manifest(path)
    kind = KINDS.get(manifest["kind"])
    if kind is None:
        allowed = ", ".join(KINDS)
        raise NeuroError(f"{path / MANIFEST}: kind must be one of {allowed}, got {manifest['kind']}.")
    if manifest["status"] == RUNNING:
        remedy = "Wait for it, or continue one that was killed with --resume."
        if kind is Result and not (path / MODEL).exists():  # killed early, or of a RunRecord
            remedy = "Wait for it, or run one that was killed again: it has no checkpoint."
        raise NeuroError(f"{path}: the run has not ended.\n{remedy}")
    if manifest["status"] == "complete" and not isinstance(manifest.get("metrics"), dict):
        raise damaged(path / MANIFEST, "metrics are missing")
    require_intact(path, manifest)
    result = kind(path, manifest)
    for table in kind.tables:
        # A run that broke off may lack a table; one that is there must be sound.
        if manifest["status"] == "complete" or kind is Result:
            getattr(result, table)
    return result
