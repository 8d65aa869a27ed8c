"""The folder of a search: ``tune.json`` and ``trials.csv``, each written whole."""

from __future__ import annotations

import importlib.metadata
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.bars.reader import Bars
from bt_neuro.errors import NeuroError
from bt_neuro.io import atomic_write
from bt_neuro.metrics.objectives import OBJECTIVES
from bt_neuro.runs.folder import new_or_begun, write_json
from bt_neuro.validation.tune_metrics import Figures, luck_figures, sentence
from bt_neuro.validation.tune_study import TuneStudy, own_storage

FIGURES = ("sharpe_ratio", "return_pct", "hit_rate_pct", "brier_score", "max_drawdown_pct", "trades")


def open_folder(out: str | Path | None, resume: str | Path | None, storage: str | None, bars: Bars) -> Path:
    """Make a new folder, or find the one to go on with."""
    folder = new_or_begun(out, resume, f"{bars.path.stem}-tune")
    if resume is None:
        return folder
    begun = (folder / "tune.json").is_file()
    if not begun or (storage is None and not own_storage(folder).is_file()):
        hint = "its trials are in another storage: give that one" if begun else "start anew with out"
        raise NeuroError(f"{folder} holds no search to go on with; {hint}")
    return folder


class TuneFolder:
    """What one process writes of a study; another one that shares the study may write the same, or elsewhere.

    Parameters
    ----------
    path : the folder
    study : where the trials are
    bars : all of them
    options : what the study was begun with
    """

    def __init__(self, path: Path, study: TuneStudy, bars: Bars, options: Figures) -> None:
        self.path, self._study, self._begun = path, study, time.perf_counter()
        self._manifest: dict[str, Any] = {
            "bt_neuro": importlib.metadata.version("bt-neuro"),
            "status": "running",
            "started": datetime.now().isoformat(timespec="seconds"),
            "study": {"name": study.name, "storage": study.place},
            "data": {"file": str(bars.path), "sha256": bars.sha256, "bars": len(bars)},
            "options": options,
        }
        write_json(path / "tune.json", self._manifest)

    def place(self, trial: int) -> Path:
        return self.path / "trials" / f"{trial:03d}"

    def holdout_place(self, trial: int) -> Path:
        return self.path / "holdout" / f"{trial:03d}"

    def end(self, status: str) -> dict[str, Any]:
        """Write the report of what is done; return what ``tune.json`` says."""
        for trial in self._study.forgotten:
            shutil.rmtree(self.place(trial.number), ignore_errors=True)
        objective, metrics = self._manifest["options"]["objective"], None
        if self._study.best is not None:
            metrics = _metrics(self._study, objective)
            metrics["holds_out"] = self._manifest["options"]["holdout"] != "0"
            metrics["sentence"] = sentence(metrics, Path(self._manifest["data"]["file"]).name)
        self._manifest |= {
            "status": status,
            "metrics": metrics,
            "time": {"wall_s": time.perf_counter() - self._begun},
        }
        with atomic_write(self.path / "trials.csv") as partial:
            table = _table(self._study, objective)
            table.to_csv(partial, index=False, lineterminator="\n", float_format="%.10g")
        write_json(self.path / "tune.json", self._manifest)
        return self._manifest


def _metrics(study: TuneStudy, objective: str) -> Figures:
    best = study.best
    different = [trial for trial in study.complete if "same_as" not in trial.user_attrs]
    daily = [trial.user_attrs["figures"]["daily"] for trial in different]
    ratios = [moments["sharpe_ratio"] for moments in daily if moments is not None]
    figures = best.user_attrs["figures"]
    return {
        "objective": objective,
        "trials": len(different),
        "failed": len(study.failed),
        "best": {"trial": best.number, "parameters": best.params, **figures},
        **luck_figures(figures["daily"], ratios, len(different)),
        "holdout": study.holdout.get(str(best.number)),
        "holdout_looks": len(study.holdout),
    }


def _table(study: TuneStudy, objective: str) -> pd.DataFrame:
    metric, _, _, maximise = OBJECTIVES[objective]
    rows: list[Figures] = []
    for trial in study.ended:
        figures = trial.user_attrs.get("figures", {})
        folds = {f"fold_{fold['fold']}_{metric}": fold[metric] for fold in figures.get("folds", ())}
        rows.append(
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                **trial.params,
                **{name: figures.get(name) for name in FIGURES},
                "seconds": figures.get("seconds"),
                "same_as": trial.user_attrs.get("same_as"),
                "error": trial.user_attrs.get("error"),
                **folds,
            }
        )
    columns = ["trial", "state", *FIGURES, "seconds", "same_as", "error"]
    table = pd.DataFrame(rows, columns=None if rows else columns).astype({"same_as": "Int64"})
    # Failed ones have no figures, and so come last.
    return table.sort_values([metric, "trial"], ascending=[not maximise, True], kind="stable")
