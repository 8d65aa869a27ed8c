"""The folder of a run: its manifest before the run, its tables after it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import itertools
import json
import math
import platform
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.errors import NeuroError
from bt_neuro.io import atomic_write
from bt_neuro.learning.signals import CLASSES, signals_of
from bt_neuro.plugin.strategy import NeuroStrategy

PACKAGES = ("bt-neuro", "numpy", "pandas", "backtrader", "pyopencl", "river")


@dataclass(frozen=True, eq=False)
class RunResult:
    """What has ended, and its folder; printed, it is one sentence.

    Attributes
    ----------
    folder : where everything lies
    manifest : what its JSON file says
    """

    folder: Path
    manifest: dict[str, Any] = field(repr=False)

    @property
    def metrics(self) -> dict[str, Any]:
        return self.manifest["metrics"]

    def __str__(self) -> str:
        if "metrics" in self.manifest:
            return str(self.metrics["sentence"])
        status, error = self.manifest.get("status"), self.manifest.get("error", "nothing was scored")
        return f"{self.folder}: {status}, {error}"


class Result(RunResult):
    """A finished run and its folder.

    Attributes
    ----------
    folder : where everything lies
    manifest : the content of ``run.json``
    """

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row a predicted bar."""
        text = {"signal": str, "label": str}
        return pd.read_csv(
            self.folder / "predictions.csv",
            parse_dates=["datetime"],
            dtype=text,
            keep_default_na=False,
            na_values={"hit": [""], "known_bar": [""]},
        )

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row a closed trade."""
        return pd.read_csv(self.folder / "trades.csv", parse_dates=["entry_datetime", "exit_datetime"])

    @cached_property
    def equity(self) -> pd.DataFrame:
        """One row a bar."""
        return pd.read_csv(self.folder / "equity.csv", parse_dates=["datetime"])

    def plot(self) -> Any:
        """Return the figures of ``report.html`` as a Bokeh layout; in a notebook, `bokeh.io.show` shows it.

        Needs the bar file as it was; without it closes are drawn instead of candles.
        """
        from bt_neuro.report.sections import plot

        return plot(self)


def open_run(folder: str | Path) -> Result:
    """Return the run that a folder holds, finished or not.

    Raises
    ------
    NeuroError
        When the folder holds no ``run.json`` that can be read.
    """
    path = Path(folder, "run.json")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or not manifest.keys() >= {"status", "started", "strategy", "data"}:
            raise ValueError("no manifest of a run")
    except FileNotFoundError:
        raise NeuroError(f"{folder} is no run: it has no run.json.\nGive the folder of a backtest.") from None
    except (OSError, ValueError) as error:
        raise NeuroError(f"{path} cannot be read: {error}.\nGive the folder of a backtest.") from error
    if manifest.get("status") == "running":
        raise NeuroError(f"{folder}: the run has not ended.\nWait for it, or run it again if it was killed.")
    result = Result(Path(folder), manifest)
    try:
        result.predictions, result.equity, result.trades  # noqa: B018  # read now, to refuse what is broken
    except (OSError, ValueError) as error:
        raise NeuroError(f"{folder}: a table cannot be read: {error}.\nRun the backtest again.") from error
    return result


def new_folder(out: str | Path | None, stem: str) -> Path:
    """Make the folder of a run, ``runs/<stem>-<time>`` by default; refuse one that holds something."""
    try:
        if out is None:
            return _fresh_folder(Path("runs", f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"))
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise NeuroError(f"{folder} holds something already; give another --out")
        return folder
    except OSError as error:
        raise NeuroError(f"cannot write a run to {out or 'runs/'}: {error}; give another --out") from error


def new_or_begun(out: str | Path | None, resume: str | Path | None, stem: str) -> Path:
    """Make a new folder, as `new_folder` does, or return the one to go on with.

    Raises
    ------
    NeuroError
        When both are given.
    """
    if resume is None:
        return new_folder(out, stem)
    if out is not None:
        raise NeuroError("give out for a new folder, or resume for one that was begun, not both")
    return Path(resume)


def _fresh_folder(folder: Path) -> Path:
    """Make a folder that nobody has, for another run may have begun in the same second."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        try:
            numbered = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
            numbered.mkdir()
            return numbered
        except FileExistsError:
            continue
    raise AssertionError


def manifest_of(
    bars: Bars,
    bars_options: dict[str, Any],
    strategy: type[NeuroStrategy],
    parameters: dict[str, Any],
    account: Account,
) -> dict[str, Any]:
    """Return what is known of a run before it starts; `parameters` are all of the strategy's."""
    return {
        **strategy_manifest(strategy, parameters),
        "data": {
            **data_manifest(bars),
            "options": {name: _plain(value) for name, value in bars_options.items() if value},
            "timeframe_s": bars.timeframe.total_seconds(),
            "point": bars.point,
        },
        "account": {
            **asdict(account),
            "spread_source": _spread_source(account, bars),
            "mean_spread_points": _mean_spread(account, bars),
        },
    }


def strategy_manifest(strategy: type[NeuroStrategy], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of any process that runs a strategy."""
    return {
        **process_manifest(),
        "strategy": f"{strategy.__module__}:{strategy.__qualname__}",
        "strategy_sha256": _source_hash(strategy),
        "parameters": {name: _plain(value) for name, value in parameters.items()},
    }


def process_manifest() -> dict[str, Any]:
    """Return what is known of any process that begins to write a folder."""
    return {
        "bt_neuro": importlib.metadata.version("bt-neuro"),
        "status": "running",
        "started": datetime.now().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()}
        | {p: importlib.metadata.version(p) for p in PACKAGES},
        "platform": platform.platform(),
    }


def data_manifest(bars: Bars) -> dict[str, Any]:
    """Return which bars, and from which file."""
    times = bars.frame["datetime"]
    return {
        "file": str(bars.path),
        "sha256": bars.sha256,
        "format": bars.format,
        "bars": len(bars),
        "first": str(times.iloc[0]),
        "last": str(times.iloc[-1]),
        "notes": list(bars.notes),
    }


def _mean_spread(account: Account, bars: Bars) -> float:
    if account.spread is not None:
        return account.spread
    return float(bars.frame["spread"].mean()) if "spread" in bars.frame else 0.0


def _spread_source(account: Account, bars: Bars) -> str:
    if account.spread is not None:
        return "option"
    return "file" if "spread" in bars.frame else "none: 0"


def _source_hash(strategy: type[NeuroStrategy]) -> str | None:
    try:
        return hashlib.sha256(inspect.getsource(inspect.getmodule(strategy) or strategy).encode()).hexdigest()
    except (OSError, TypeError):
        return None


def _plain(value: Any) -> Any:
    is_plain = isinstance(value, str | int | bool | None) or (
        isinstance(value, float) and math.isfinite(value)
    )
    return value if is_plain else repr(value)


def write_baselines(path: Path, bars: pd.Series, answers: dict[str, NDArray[np.floating]]) -> None:
    """Write one row a predicted bar: the signal of each baseline."""
    names = pd.CategoricalDtype(list(CLASSES))
    signals = {
        name: pd.Categorical.from_codes(signals_of(answer), dtype=names) for name, answer in answers.items()
    }
    pd.DataFrame({"bar": bars, **signals}).to_csv(path, index=False)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")
