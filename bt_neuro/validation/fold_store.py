"""Fold store: a folder for each finished fold of a walk-forward, and the tables of all folds."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.bars.reader import Bars
from bt_neuro.errors import NeuroError
from bt_neuro.io import PARTIAL, read_csv, remove_partials
from bt_neuro.metrics.baselines import Predictors, table_probabilities
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.recording import OUTPUTS
from bt_neuro.runs.results import Result
from bt_neuro.runs.tables import write_array
from bt_neuro.validation.fold_metrics import sentence, walk_forward_metrics
from bt_neuro.validation.fold_seeds import FoldSeeds, seeds_of_folds
from bt_neuro.validation.fold_task import BASELINES, SEED_GROWTH, FoldResult

FOLD = "fold.json"
# Tables of a fold, and their columns of money.
TABLES: dict[str, tuple[str, ...]] = {
    "predictions": (),
    "baselines": (),
    "equity": ("cash", "equity", "position", "costs", "deposits"),
    "trades": ("size", "gross", "costs", "net"),
}


class FoldStore:
    """The folders of finished folds, inside the folder of a walk-forward.

    Attributes
    ----------
    n_folds : number of all folds
    failed : errors of the folds that failed, by number
    """

    def __init__(self, folder: RunFolder, n_folds: int) -> None:
        self._folder, self.n_folds = folder, n_folds
        remove_partials(folder.path / "folds")  # of a killed run
        self.failed: dict[int, NeuroError] = {}

    @property
    def finished(self) -> list[int]:
        """Numbers of the finished folds, ascending."""
        return sorted(int(path.parent.name) for path in self._folder.path.glob(f"folds/[0-9]*/{FOLD}"))

    def write(self, result: FoldResult) -> None:
        """Write a finished fold atomically."""
        place = self._place(result.number)
        partial = place.with_name(f".{place.name}.{secrets.token_hex(8)}{PARTIAL}")
        partial.mkdir(parents=True)
        for name, content in result.files.items():
            (partial / name).write_bytes(content)
        about = {"row": result.row, "device": result.device, "seeds": result.seeds}
        (partial / FOLD).write_text(json.dumps(about, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        partial.rename(place)

    def save(self, bars: Bars, account: Account, started: float) -> None:
        """Write the tables and metrics of the finished folds, and the errors of those that failed.

        Parameters
        ----------
        bars, account : what was run over, and the money
        started : value of `time.perf_counter` at the start
        """
        manifest, finished = self._folder.manifest, self.finished
        errors = {str(number): str(error) for number, error in sorted(self.failed.items())}
        manifest |= {"folds": self.n_folds, "failed": errors}
        if not finished:
            return
        folds = [json.loads((self._place(number) / FOLD).read_text(encoding="utf-8")) for number in finished]
        rows = pd.DataFrame([fold["row"] for fold in folds])
        tables = self._stitch(rows)
        outputs = np.concatenate([np.load(self._place(number) / OUTPUTS) for number in finished])
        write_array(self._folder.path / OUTPUTS, outputs)
        baselines = tables["baselines"]
        probabilities, shapes = table_probabilities(baselines), baselines["shape"].to_numpy()
        run = Predictors(tables["predictions"], outputs, probabilities, shapes)
        parts = [self._seeds(number, fold["seeds"]) for number, fold in zip(finished, folds, strict=True)]
        equity = tables["equity"]
        money = seeds_of_folds(parts, equity["datetime"], account.cash)
        metrics = walk_forward_metrics(rows, run, equity, tables["trades"], bars, account, money)
        missing = self.n_folds - len(finished)
        metrics["sentence"] = sentence(metrics, bars.path.name, manifest["options"], missing)
        self._folder.write_table("folds.csv", rows)
        self._folder.save(
            devices=sorted({fold["device"] for fold in folds}),
            metrics=metrics,
            time={"wall_s": time.perf_counter() - started, "folds_s": float(rows["seconds"].sum())},
        )

    def _stitch(self, rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Write each table of all folds; a fold starts with the money that the fold before left."""
        parts: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
        money = float(rows["equity_start"].iloc[0])
        for number, start, end in rows[["fold", "equity_start", "equity_end"]].itertuples(index=False):
            tables = self._tables(number)
            if money <= 0:  # after ruin nothing trades
                flat = {**dict.fromkeys(TABLES["equity"], 0.0), "cash": money, "equity": money}
                tables["equity"], tables["trades"] = tables["equity"].assign(**flat), tables["trades"][:0]
            scale = money / start if money > 0 else 1.0
            for name, table in tables.items():
                scaled = {column: (table[column] * scale).round(10) for column in TABLES[name]}
                parts[name].append(table.assign(**scaled, fold=number))
            money = end * scale if money > 0 else money
        stitched = {
            name: pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
            for name, tables in parts.items()
        }
        for name, table in stitched.items():
            integers = {
                column: table[column].astype("Int64") for column in ("known_bar", "hit") if column in table
            }
            self._folder.write_table(f"{name}.csv", table.assign(**integers))
        return stitched

    def _place(self, number: int) -> Path:
        return self._folder.path / "folds" / f"{number:0{max(2, len(str(self.n_folds)))}d}"

    def _seeds(self, number: int, facts: dict[str, Any]) -> FoldSeeds:
        growth = np.load(self._place(number) / SEED_GROWTH) if facts["trades"] else np.empty((0, 0))
        return FoldSeeds(growth, **facts)

    def _tables(self, number: int) -> dict[str, pd.DataFrame]:
        place = self._place(number)
        fold, baselines = Result(place, {}), read_csv(place / BASELINES, keep_default_na=False)
        tables = {name: getattr(fold, name) for name in TABLES if name != "baselines"}
        return {**tables, "baselines": baselines}
