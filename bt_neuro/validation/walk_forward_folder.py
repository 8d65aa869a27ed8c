"""The folder of a walk-forward: finished folds, each whole or not there, and the report of them all."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.errors import FoldError, NeuroError
from bt_neuro.io import atomic_write, remove
from bt_neuro.runs.folder import new_or_begun, write_json
from bt_neuro.runs.number_tables import write_numbers
from bt_neuro.runs.results import Result
from bt_neuro.runs.resumed_rows import VOTES
from bt_neuro.validation.fold_metrics import sentence, summary
from bt_neuro.validation.fold_task import BASELINES, FoldResult

FOLD = "fold.json"
# What must be the same for a walk-forward to go on.
SAME = ("walk_forward", "strategy", "strategy_sha256", "parameters", "account", "bt_neuro")
# The tables of a fold, and their columns in money or of it.
TABLES: dict[str, tuple[str, ...]] = {
    "predictions": (),
    "baselines": (),
    "equity": ("cash", "equity", "position"),
    "trades": ("size", "gross", "costs", "net"),
}


class WalkForwardFolder:
    """A folder that only this process writes.

    Attributes
    ----------
    path : where it lies
    finished : numbers of the folds that are there
    failed : number and error of those that are not and will not be
    """

    def __init__(
        self, path: Path, manifest: dict[str, Any], bars: Bars, account: Account, folds: int, resumed: bool
    ) -> None:
        self.path, self._manifest, self._bars, self._account = path, manifest, bars, account
        self._folds, self._resumed = folds, resumed
        self.failed: dict[int, NeuroError] = {}

    @classmethod
    def open(
        cls,
        out: str | Path | None,
        resume: str | Path | None,
        bars: Bars,
        account: Account,
        manifest: dict[str, Any],
        folds: int,
    ) -> WalkForwardFolder:
        """Make a new folder, or go on with one; `manifest` is what this run would be.

        Raises
        ------
        NeuroError
            When there is something in a new folder already, or the one to go on with is of another run.
        """
        path = new_or_begun(out, resume, f"{bars.path.stem}-walk-forward")
        if resume is not None:
            _require_same(path, manifest)
        manifest |= {"folds": folds, "failed": {}}
        write_json(path / "run.json", manifest)
        return cls(path, manifest, bars, account, folds, resume is not None)

    @property
    def finished(self) -> set[int]:
        return {int(path.parent.name) for path in self.path.glob(f"folds/[0-9]*/{FOLD}")}

    @property
    def done(self) -> int:
        return len(self.finished) + len(self.failed)

    def keep(self, result: FoldResult) -> None:
        """Write a finished fold, whole or not at all."""
        place = self._place(result.number)
        partial = place.with_name(f".{place.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed here
        partial.mkdir(parents=True)
        for name, content in result.files.items():
            (partial / name).write_bytes(content)
        about = {"row": result.row, "device": result.device}
        write_json(partial / FOLD, about)
        partial.rename(place)

    def fail(self, folds: list[int], error: NeuroError) -> None:
        """Take note of folds that could not be run."""
        self.failed |= dict.fromkeys(folds, error)

    def end(self, status: str, begun: float) -> dict[str, Any]:
        """Write the report of what is finished, if anything is; return what ``run.json`` says."""
        finished = sorted(self.finished)
        if not finished:
            if not self._resumed:
                remove(self.path)
            return self._manifest
        about = [json.loads((self._place(number) / FOLD).read_text(encoding="utf-8")) for number in finished]
        rows = pd.DataFrame([fold["row"] for fold in about])
        tables = self._stitch(rows)
        votes = self._stitch_votes(finished)
        metrics = summary(rows, **tables, votes=votes, bars=self._bars, account=self._account)
        file, options = Path(self._manifest["data"]["file"]).name, self._manifest["walk_forward"]
        metrics["sentence"] = sentence(metrics, file, options, missing=self._folds - len(finished))
        self._manifest |= {
            "status": status,
            "failed": {str(number): str(error) for number, error in sorted(self.failed.items())},
            "devices": sorted({fold["device"] for fold in about}),
            "metrics": metrics,
            "time": {"wall_s": time.perf_counter() - begun, "folds_s": float(rows["seconds"].sum())},
        }
        self._write("folds.csv", rows)
        write_json(self.path / "run.json", self._manifest)
        return self._manifest

    def _place(self, number: int) -> Path:
        return self.path / "folds" / f"{number:0{max(2, len(str(self._folds)))}d}"

    def _stitch(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Write the tables of all folds as one; money as if each fold went on with what the last one left."""
        parts: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
        money = float(rows["equity_start"].iloc[0])
        columns = rows[["fold", "equity_start", "equity_end"]].itertuples(index=False)
        for number, start, end in columns:
            scale, tables = money / start, _tables(self._place(number))
            for name, scaled in TABLES.items():
                table = tables[name]
                table = table.assign(
                    **{column: (table[column] * scale).round(10) for column in scaled}, fold=number
                )
                parts[name].append(table)
            money = end * scale
        whole = {
            name: pd.concat([part for part in some if len(part)] or some[:1], ignore_index=True)
            for name, some in parts.items()
        }
        for name, table in whole.items():
            self._write(f"{name}.csv", table)
        return whole

    def _stitch_votes(self, finished: list[int]) -> NDArray[np.float32] | None:
        """Write what each of several networks said, if there were several."""
        paths = [path for number in finished if (path := self._place(number) / VOTES).exists()]
        if not paths:
            return None
        votes = np.concatenate([np.load(path) for path in paths])
        write_numbers(self.path / VOTES, votes)
        return votes

    def _write(self, name: str, table: pd.DataFrame) -> None:
        whole = {column: table[column].astype("Int64") for column in ("known_bar", "hit") if column in table}
        with atomic_write(self.path / name) as partial:
            table.assign(**whole).to_csv(
                partial, index=False, lineterminator="\n", date_format="%Y-%m-%d %H:%M:%S"
            )


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    run = Result(folder, {})
    baselines = pd.read_csv(folder / BASELINES, keep_default_na=False)
    return {
        "predictions": run.predictions,
        "baselines": baselines,
        "equity": run.equity,
        "trades": run.trades,
    }


def _require_same(path: Path, manifest: dict[str, Any]) -> None:
    """Refuse to go on where anything that folds depend on has changed."""
    try:
        begun = json.loads((path / "run.json").read_text(encoding="utf-8"))
        before = _flat({"data_sha256": begun["data"]["sha256"]} | {name: begun[name] for name in SAME})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FoldError(f"{path} is no folder of a walk-forward that was begun: {error!r}") from error
    now = _flat({"data_sha256": manifest["data"]["sha256"]} | {name: manifest[name] for name in SAME})
    for name in before | now:
        if before.get(name) != now.get(name):
            raise FoldError(
                f"{path} was begun with {name} {before.get(name)}, and this run has {now.get(name)}.\n"
                "Give the same, or start anew in another folder."
            )


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in json.loads(json.dumps(tree, default=str)).items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return flat
