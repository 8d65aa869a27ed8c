"""Checkpoints of a portfolio that a run resumes: each instrument's own, or one that all share.

A run that was killed may have saved one instrument later than another. That is no mixture: their networks are
independent, and the account is traded again from the first bar.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.bars.reader import Bars
from bt_neuro.errors import CheckpointError
from bt_neuro.learning.checkpoint import MODEL, Checkpoint
from bt_neuro.plugin.feed import backtrader_timeframe
from bt_neuro.plugin.recorded import RecordedCheckpoint
from bt_neuro.plugin.stamps import closings_of
from bt_neuro.runs.recording import OUTPUTS
from bt_neuro.runs.resume import keep_learned_bars, read_arrays, rows_of
from bt_neuro.runs.saved_manifest import read_manifest
from bt_neuro.runs.tables import write_array


@dataclass(frozen=True)
class SavedPortfolio:
    """The run of a portfolio that is resumed.

    Attributes
    ----------
    folder : of the run
    checkpoints : by instrument; one that had none begins with its first bar
    """

    folder: Path
    checkpoints: dict[str, RecordedCheckpoint]

    @classmethod
    def read(cls, path: str | Path, bars: dict[str, Bars], *, shared: bool) -> SavedPortfolio:
        """Read the checkpoints in the folder of a run.

        Raises
        ------
        CheckpointError
            If it has none, is no portfolio of the same instruments, or there are no new bars.
        """
        folder = Path(path)
        if folder.is_file():
            raise _error(folder, "it must be the folder of a run, got a file. Give the portfolio's folder.")
        manifest = read_manifest(folder)
        if manifest["kind"] != "portfolio":
            raise _error(folder, f"it must hold a portfolio, got a {manifest['kind']}. Give another folder.")
        expected = {"shared": shared, "instruments": list(bars)}
        found = {**manifest, "instruments": list(manifest["data"])}
        for key, value in expected.items():
            if found.get(key) != value:
                raise _error(
                    folder, f"{key} must be {found.get(key)}, got {value}. Give the same files and options."
                )
        models = _shared_models(folder) if shared else _own_models(folder, bars)
        saved = {name: one for name, one in models.items() if one.last_bar is not None}
        if not saved:
            raise _error(folder, f"it must hold a {MODEL} with bars, got none. Start a new run with --out.")
        _require_new_bars(folder, bars, saved, is_scored="metrics" in manifest)
        if shared:
            _require_later_bars(folder, bars, models)
        return cls(folder, {name: _recorded(one, folder / name) for name, one in saved.items()})

    def keep_learned_bars(
        self, bars: dict[str, Bars]
    ) -> tuple[dict[str, Bars], dict[str, dict[str, list[float]]]]:
        """Return the bars with the prices that were learned, and these, by instrument."""
        kept = {name: keep_learned_bars(one, bars[name]) for name, one in self.checkpoints.items()}
        return {**bars, **{n: pair[0] for n, pair in kept.items()}}, {n: pair[1] for n, pair in kept.items()}

    def copy_to(self, folder: Path) -> None:
        """Copy what is not computed again to a new folder, which can then be resumed too."""
        for name, checkpoint in self.checkpoints.items():
            for table, array in read_arrays(checkpoint, self.folder / name).items():
                write_array(folder / name / table, array)
        for path in sorted({checkpoint.path for checkpoint in self.checkpoints.values()}):
            shutil.copyfile(path, folder / path.relative_to(self.folder))

    def rows(self, name: str) -> dict[str, int]:
        """Return the number of rows in each array of an instrument that `copy_to` copies, by file."""
        return rows_of(self.checkpoints[name]) if name in self.checkpoints else {}

    @property
    def seeds(self) -> dict[str, int]:
        """Parameters ``seed`` and ``seeds``, the same of all instruments."""
        return next(iter(self.checkpoints.values())).seeds

    @property
    def manifest(self) -> dict[str, Any]:
        """Entry of the manifest of the run that resumes."""
        return {
            "from": str(self.folder),
            "last_bars": {n: one.last_bar for n, one in self.checkpoints.items()},
        }


def _own_models(folder: Path, names: Iterable[str]) -> dict[str, Checkpoint]:
    return {
        name: Checkpoint.read(folder / name / MODEL) for name in names if (folder / name / MODEL).exists()
    }


def _shared_models(folder: Path) -> dict[str, Checkpoint]:
    return Checkpoint.read_shared(folder / MODEL) if (folder / MODEL).exists() else {}


def _recorded(checkpoint: Checkpoint, folder: Path) -> RecordedCheckpoint:
    if checkpoint.network.precision != "single":
        raise _error(
            folder, "precision must be single, got double: outputs are recorded in single. Run it anew."
        )
    outputs = read_arrays(checkpoint, folder)[OUTPUTS]
    return RecordedCheckpoint(checkpoint.network, checkpoint.last_bar, outputs)


def _require_new_bars(
    folder: Path, bars: dict[str, Bars], saved: dict[str, Checkpoint], *, is_scored: bool
) -> None:
    ends = {name: len(one) - 1 for name, one in bars.items()}
    for name, one in saved.items():
        if one.last_bar is not None and one.last_bar > ends[name]:
            raise _error(
                folder, f"{name} must reach bar {one.last_bar}, got {ends[name]}. Give all its bars."
            )
    if is_scored and all(name in saved and saved[name].last_bar == end for name, end in ends.items()):
        raise _error(folder, "it has learned all bars of these files. Give longer files.")


def _require_later_bars(folder: Path, bars: dict[str, Bars], models: dict[str, Checkpoint]) -> None:
    """Raise an error if a new bar closes before one that was learned: one long run would learn it earlier."""
    counts = {name: one.bars.integer("bars") for name, one in models.items()}
    closings = {name: _closings(one.frame["datetime"]) for name, one in bars.items()}
    learned = max(closings[name].iloc[count - 1] for name, count in counts.items() if count)
    for name, count in counts.items():
        if count < len(closings[name]) and (closing := closings[name].iloc[count]) <= learned:
            raise _error(
                folder,
                f"new bars of {name} must close after {learned}, the last one learned, got {closing}: a shared "
                "network learns in the order of time. Start a new run with --out.",
            )


def _closings(opens: pd.Series) -> pd.Series:
    return closings_of(opens, *backtrader_timeframe(opens))


def _error(folder: Path, message: str) -> CheckpointError:
    return CheckpointError(f"cannot resume {folder}: {message}")
