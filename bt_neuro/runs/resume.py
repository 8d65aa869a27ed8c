"""Rows of the run before that a resumed run continues."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.bars.fingerprint import last_values
from bt_neuro.bars.reader import Bars
from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.runs.epoch_tables import EXAMPLES
from bt_neuro.runs.recording import ARRAYS, EQUITY, FEATURES, OUTPUTS, PREDICTIONS, TRADES
from bt_neuro.runs.tables import copy_text, read_array, truncate_array, truncate_text, write_array

FORMING = "forming"  # in a checkpoint: unfinished bars as they were learned, by number
VALUES = ["open", "high", "low", "close", "volume"]


def keep_learned_bars(saved: Checkpoint, bars: Bars) -> tuple[Bars, dict[str, list[float]]]:
    """Restore unfinished bars as they were learned; return all bars, and the restored ones.

    The last row of a vendor's file often grows until the next bar opens: same open, more range and volume. Later
    bars follow in the run, so it keeps the prices that the network and the account have seen, and a note says so.
    A row that differs in another way stays, for the fingerprint to find.
    """
    earlier: dict[str, Any] = saved.network.about.values.get(FORMING) or {}
    last = last_values(saved.bars)
    if last is not None and saved.last_bar is not None:
        earlier = {**earlier, str(saved.last_bar): list(last)}
    frame, kept = bars.frame, dict[str, list[float]]()
    for index, row in earlier.items():
        if int(index) >= len(frame):
            continue
        now = [float(frame[name].iloc[int(index)]) for name in VALUES]
        grown = all(then <= value for then, value in zip((row[1], row[4]), (now[1], now[4]), strict=True))
        if now != row and now[0] == row[0] and grown and now[2] <= row[2]:
            kept[index] = row
    if not kept:
        return bars, kept
    frame = frame.copy()
    frame.loc[[int(index) for index in kept], VALUES] = list(kept.values())
    times = ", ".join(str(frame["datetime"].iloc[int(index)]) for index in kept)
    note = f"The bar of {times} was still forming when learned; its prices of that time are kept."
    return replace(bars, frame=frame, notes=(*bars.notes, note)), kept


def resume_tables(
    saved: Checkpoint, folder: Path, *, has_account: bool = False, all_features: bool = False
) -> dict[str, int]:
    """Start the tables of a resumed run; return their numbers of rows by file.

    Rows after the checkpoint are left out; the resumed run writes them again. A model without tables beside
    it starts its predictions with the bars that wait for a label, and `PREDICTIONS` is missing from the
    result.

    Parameters
    ----------
    saved : the checkpoint, beside which the tables lie
    folder : folder to write to; may be that of the checkpoint
    has_account : whether the account continues, and its tables too
    all_features : whether features of a model without tables are left out, since a `LearnedBars` collects them all

    Raises
    ------
    CheckpointError
        If a table beside the checkpoint has fewer rows than the checkpoint.
    """
    old, states = saved.path.parent, saved.analyzers
    if not (old / PREDICTIONS).exists():
        arrays = {OUTPUTS: _waiting_outputs(saved)}
        if not all_features:
            arrays[FEATURES] = _waiting_features(saved)
    else:
        arrays = read_arrays(saved, old)
    for name, rows in arrays.items():
        write_array(folder / name, rows)
    counts = {name: len(rows) for name, rows in arrays.items()}
    if (old / EXAMPLES).exists() and old != folder:
        shutil.copyfile(old / EXAMPLES, folder / EXAMPLES)
    if (old / PREDICTIONS).exists():
        counts[PREDICTIONS] = states.group("predictions").integer("rows")
        copy_text(old / PREDICTIONS, folder / PREDICTIONS, counts[PREDICTIONS])
    for name in (EQUITY, TRADES) if has_account else ():
        counts[name] = _rows(states, name)
        copy_text(old / name, folder / name, counts[name])
    return counts


def read_arrays(saved: Checkpoint, folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the rows of the arrays in a folder that belong to a checkpoint; raises as `resume_tables`."""
    return {name: read_array(folder / name, rows) for name, rows in rows_of(saved).items()}


def rows_of(saved: Checkpoint) -> dict[str, int]:
    """Return the number of rows of each array that belong to a checkpoint."""
    return {name: _rows(saved.analyzers, name) for name in ARRAYS}


def resume_in_place(saved: Checkpoint) -> dict[str, int]:
    """Cut the tables beside a checkpoint back to its rows; return these by file.

    Raises
    ------
    CheckpointError
        If a table has fewer rows than the checkpoint.
    """
    folder, states, counts = saved.path.parent, saved.analyzers, dict[str, int]()
    for name in (PREDICTIONS, EQUITY, TRADES):
        if Path(name).stem in states.values:
            state = states.group(Path(name).stem)
            counts[name] = state.integer("rows")
            truncate_text(folder / name, counts[name], state.integer("size"))
    for name in ARRAYS:
        counts[name] = _rows(states, name)
        truncate_array(folder / name, counts[name])
    return counts


def _rows(states: Fields, name: str) -> int:
    stem = Path(name).stem
    return states.group(stem).integer("rows") if stem in states.values else 0


def _waiting_features(saved: Checkpoint) -> NDArray[np.float32]:
    # The baselines need the windows of all predicted bars, from that of the first waiting bar on.
    tensors = saved.network.tensors
    last, history = saved.last_bar or 0, tensors["learner.history"]
    rows = dict(zip(range(last + 1 - len(history), last + 1), history, strict=True))
    waiting = saved.network.about.group("learner").integers("pending_bars")
    for bar, window in zip(waiting, tensors["learner.pending_windows"], strict=True):
        part = window.reshape(-1, history.shape[1])
        rows |= zip(range(bar + 1 - len(part), bar + 1), part, strict=True)
    if rows and len(rows) != last + 1 - min(rows):
        raise CheckpointError(
            f"{saved.path} alone does not hold all bars since bar {min(rows)}, whose label is still to come. "
            "Give the folder of its run, with the tables."
        )
    return np.array([rows[bar] for bar in sorted(rows)], np.float32)


def _waiting_outputs(saved: Checkpoint) -> NDArray[np.float32]:
    outputs = []
    if "predictions" in saved.analyzers.values:  # not in a checkpoint of a script's own
        for values in saved.analyzers.group("predictions").items("unknown"):
            row = Fields(values, "predictions.unknown")
            outputs.append(row.numbers("outputs"))
            if len(outputs[-1]) != 3 * len(saved.network.seeds):
                raise row.invalid("outputs", "three numbers a network")
    return np.array(outputs, np.float32).reshape(len(outputs), len(saved.network.seeds), 3)
