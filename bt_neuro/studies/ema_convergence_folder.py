"""The folder of `ema-convergence`: what was found, the draws behind it, the page."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from datetime import datetime
from functools import cached_property
from pathlib import Path

import pandas as pd

from bt_neuro.errors import NeuroError
from bt_neuro.io import atomic_write
from bt_neuro.runs.folder import new_folder, write_json
from bt_neuro.runs.results import RunResult
from bt_neuro.studies.ema_convergence import DRAWS, SAMPLES, WINDOW, measure_ema_convergence

MANIFEST = "statistics.json"


class EmaConvergenceResult(RunResult):
    """When the averages join, and the folder that holds it.

    Attributes
    ----------
    folder : where everything lies
    manifest : the content of ``statistics.json``
    """

    @cached_property
    def draws(self) -> pd.DataFrame:
        """One row a draw, statistic and start: when it joined."""
        return pd.read_csv(self.folder / "draws.csv")

    @cached_property
    def lines(self) -> pd.DataFrame:
        """Averages of the first draws, one row a draw, statistic and sample."""
        return pd.read_csv(self.folder / "lines.csv")


def compare_statistics(out: str | Path | None = None, *, seed: int = 0) -> EmaConvergenceResult:
    """Test the article's claim of when the exponential averages of `RunningBatchNorm` join the moving ones.

    Parameters
    ----------
    out : folder to write; ``runs/statistics-<time>`` by default
    seed : of the draws

    Raises
    ------
    NeuroError
        When the folder holds something already or cannot be written to.
    """
    begun = time.perf_counter()
    folder = new_folder(out, "statistics")
    study = measure_ema_convergence(seed)
    for name, table in (("draws", study.draws), ("lines", study.lines)):
        with atomic_write(folder / f"{name}.csv") as partial:
            table.to_csv(partial, index=False, lineterminator="\n")
    manifest = {
        "kind": "ema-convergence",
        "bt_neuro": importlib.metadata.version("bt-neuro"),
        "status": "complete",
        "started": datetime.now().isoformat(timespec="seconds"),
        "options": {"window": WINDOW, "samples": SAMPLES, "draws": DRAWS, "seed": seed},
        "versions": {"python": platform.python_version(), "numpy": importlib.metadata.version("numpy")},
        "time": {"wall_s": time.perf_counter() - begun},
        "metrics": study.metrics(),
    }
    write_json(folder / MANIFEST, manifest)  # last, for it says that all is there
    result = EmaConvergenceResult(folder, manifest)

    from bt_neuro.report.page import write_page  # loads Bokeh, half a second that no start waits for

    write_page(result)
    return result


def open_ema_convergence(folder: str | Path) -> EmaConvergenceResult:
    """Return what `compare_statistics` wrote.

    Raises
    ------
    NeuroError
        When the folder holds no such thing, or not all of it.
    """
    result = EmaConvergenceResult(Path(folder), {})
    try:
        result.manifest.update(json.loads((result.folder / MANIFEST).read_text(encoding="utf-8")))
        result.metrics["claims"], result.draws["band"], result.lines["moving"]  # to refuse what is broken
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NeuroError(f"{folder} cannot be read: {error}.\nRun bt-neuro ema-convergence again.") from error
    return result
