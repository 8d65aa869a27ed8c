"""List of runs, read from the manifests of their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bt_neuro.errors import NeuroError
from bt_neuro.runs.saved_manifest import MANIFEST, read_manifest

FIGURES = (
    *("bars", "signals", "hit_rate_pct", "lift_pct", "brier_score", "return_pct"),
    *("max_drawdown_pct", "sharpe_ratio_daily_annualised", "trades"),
)


def list_runs(runs: str | Path = "runs") -> list[dict[str, Any]]:
    """Return one row per run folder in `runs`, the last started first.

    Parameters
    ----------
    runs : folder of run folders

    Returns
    -------
    list of dict
        ``run`` (path), ``kind``, ``status``, ``started``, ``file``, ``strategy``, main figures (None where a run
        has none) and ``problem`` of a folder whose manifest cannot be read, else None.

    Examples
    --------
    >>> list_runs("docs")
    []
    """
    rows = [_row(path.parent) for path in Path(runs).glob(f"*/{MANIFEST}")]
    return sorted(rows, key=lambda row: (row["started"] or "", row["run"]), reverse=True)


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"run": str(folder), "problem": None}
    row |= dict.fromkeys(("kind", "status", "started", "file", "strategy", *FIGURES))
    try:
        manifest = read_manifest(folder)
    except NeuroError as error:
        return row | {"status": "damaged", "problem": str(error)}
    metrics, file = manifest.get("metrics") or {}, manifest.get("data", {}).get("file")
    row |= {key: manifest.get(key) for key in ("kind", "status", "started", "strategy")}
    row |= {key: metrics.get(key) for key in FIGURES}
    return row | {"file": Path(file).name if file else None}


def latest_run(runs: str | Path = "runs") -> Path:
    """Return the run folder with the newest manifest in `runs`.

    Raises
    ------
    NeuroError
        If there is none.
    """
    manifests = list(Path(runs).glob(f"*/{MANIFEST}"))
    if not manifests:
        raise NeuroError(f"no run in {runs}/. Run bt-neuro backtest first, or give a run's folder.")
    return max(manifests, key=lambda path: path.stat().st_mtime).parent
