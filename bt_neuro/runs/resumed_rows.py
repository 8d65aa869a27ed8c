"""What a resumed run takes over from the folder of the run before: table rows up to the checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields, atomic_write
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.runs.era_tables import EXAMPLES
from bt_neuro.runs.number_tables import write_numbers

PREDICTIONS = "predictions.csv"
FEATURES, VOTES, STATISTICS = NUMBERS = "features.npy", "votes.npy", "statistics.npy"


@dataclass(frozen=True)
class ResumedRows:
    """Rows that lie in the tables of a folder already, by file; `has_tables` is False for a bare model."""

    rows: Mapping[str, int] = field(default_factory=dict)
    has_tables: bool = True


def resume_rows(saved: Checkpoint, folder: Path) -> ResumedRows:
    """Begin the tables of a run that goes on from a checkpoint; return how many rows they hold then.

    Rows after the checkpoint, which a killed run may have written, are left out: the resumed run writes them
    again. Beside a bare model lie no tables; predictions then begin with the bars whose labels it waits for.

    Parameters
    ----------
    saved : the checkpoint, beside which the tables lie
    folder : to write to; may be the same one

    Raises
    ------
    CheckpointError
        When the tables beside the checkpoint end before it.
    """
    old = saved.path.parent
    has_tables = (old / PREDICTIONS).exists()
    if has_tables:
        kept = {name: _numbers(old / name, saved) for name in NUMBERS}
    else:
        kept = {FEATURES: _last_windows(saved), VOTES: _last_votes(saved)}
    for name, numbers in kept.items():
        if len(numbers):
            write_numbers(folder / name, numbers)
        else:  # there may be a file of a run that was killed early
            (folder / name).unlink(missing_ok=True)
    rows = {name: len(numbers) for name, numbers in kept.items()}
    if (old / EXAMPLES).exists() and old != folder:
        shutil.copyfile(old / EXAMPLES, folder / EXAMPLES)
    if has_tables:
        rows[PREDICTIONS] = saved.analyzers.group("predictions").integer("rows")
        with atomic_write(folder / PREDICTIONS) as new, (old / PREDICTIONS).open("rb") as table:
            _copy(table, new, rows[PREDICTIONS])
    return ResumedRows(rows, has_tables)


def _copy(table: IO[bytes], new: Path, rows: int) -> None:
    kept = 0
    with new.open("wb") as copy:
        for line in islice(table, rows + 1):  # and the header
            kept += line.endswith(b"\n")
            copy.write(line)
    if kept < rows + 1:
        raise CheckpointError(
            f"{table.name} ends before the checkpoint's {rows} rows; it belongs to another run"
        )


def _numbers(path: Path, saved: Checkpoint) -> NDArray[Any]:
    """Return the rows up to the checkpoint; none where the run did not write such a file."""
    states = saved.analyzers
    rows = states.group(path.stem).integer("rows") if path.stem in states.values else 0
    if rows == 0:
        return np.empty(0, np.float32)
    try:
        # Not mapped: in the run's own folder the file is about to be written.
        numbers = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if numbers.dtype != np.float32 or len(numbers) < rows:
        raise CheckpointError(f"{path} ends before the checkpoint's {rows} rows: it is another run's")
    return numbers[:rows]


def _last_windows(saved: Checkpoint) -> NDArray[np.float32]:
    """Return the rows that a folder begins with where none were kept: of the first bar still waiting on."""
    tensors = saved.network.tensors
    last, history = saved.last_bar or 0, tensors["learner.history"]
    rows = dict(zip(range(last + 1 - len(history), last + 1), history, strict=True))
    waiting = saved.network.about.group("learner").integers("pending_bars")
    for bar, window in zip(waiting, tensors["learner.pending_windows"], strict=True):
        part = window.reshape(-1, history.shape[1])
        rows |= zip(range(bar + 1 - len(part), bar + 1), part, strict=True)
    if rows and len(rows) != last + 1 - min(rows):
        raise CheckpointError(
            f"{saved.path} alone does not hold all bars since bar {min(rows)}, whose label is still to come; "
            "give the folder of its run, with the tables"
        )
    return np.array([rows[bar] for bar in sorted(rows)], np.float32)


def _last_votes(saved: Checkpoint) -> NDArray[np.float32]:
    """Return the outputs of the bars whose rows still wait, where there are several networks."""
    if saved.network.single_member or "predictions" not in saved.analyzers.values:
        return np.empty(0, np.float32)
    waiting = saved.analyzers.group("predictions").items("unknown")
    outputs = [Fields(row, "predictions.unknown").numbers("outputs") for row in waiting]
    return np.array(outputs, np.float32).reshape(len(outputs), len(saved.network.seeds), -1)
