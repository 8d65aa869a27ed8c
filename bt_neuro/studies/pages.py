"""The page of a folder, whichever command wrote it."""

from __future__ import annotations

import json
from pathlib import Path

from bt_neuro.errors import NeuroError
from bt_neuro.report.page import write_page
from bt_neuro.runs.results import open_run
from bt_neuro.studies.compare import Comparison
from bt_neuro.studies.compare_folder import MANIFEST as COMPARISON
from bt_neuro.studies.ema_convergence_folder import MANIFEST as STATISTICS
from bt_neuro.studies.ema_convergence_folder import open_ema_convergence

MANIFESTS = ("run.json", COMPARISON, STATISTICS)


def write_page_of(folder: str | Path | None = None, runs: str | Path = "runs") -> Path:
    """Write the page of a folder anew, from what it holds.

    Parameters
    ----------
    folder : of a backtest, a walk-forward, a comparison or ``ema-convergence``; by default the one in
        `runs` that was written last
    runs : where to look

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    NeuroError
        When there is none, or what it holds has not ended or cannot be read.
    """
    path = latest(runs) if folder is None else Path(folder)
    if (path / COMPARISON).is_file():
        return write_page(open_comparison(path))
    if (path / STATISTICS).is_file():
        return write_page(open_ema_convergence(path))
    return write_page(open_run(path))


def latest(runs: str | Path) -> Path:
    """Return the folder in `runs` whose manifest was written last.

    Raises
    ------
    NeuroError
        When there is none.
    """
    written = {
        path.parent: path.stat().st_mtime for name in MANIFESTS for path in Path(runs).glob(f"*/{name}")
    }
    if not written:
        raise NeuroError(f"no run in {runs}/; run bt-neuro backtest first, or name a run's folder")
    return max(written, key=lambda folder: written[folder])


def open_comparison(folder: str | Path) -> Comparison:
    """Return the comparison that a folder holds.

    Raises
    ------
    NeuroError
        When it has not ended, or cannot be read.
    """
    path = Path(folder, COMPARISON)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["status"] != "complete":
            raise NeuroError(f"{folder}: the comparison has not ended.\nGo on with --resume {folder}.")
        comparison = Comparison(path.parent, manifest)
        (
            comparison.metrics["claims"],
            comparison.table["regime"],
            comparison.eras["era"],
        )  # read now, to refuse it
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NeuroError(f"{path} cannot be read: {error!r}.\nRun bt-neuro compare again.") from error
    return comparison
