"""Folder of a stream: created whole, reopened at its last checkpoint."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bt_neuro.account.account import Account
from bt_neuro.bars.limits import Limits
from bt_neuro.bars.line_reader import Bar
from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import CheckpointError, NeuroError
from bt_neuro.io import open_no_follow
from bt_neuro.learning.checkpoint import MODEL, Checkpoint
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.bars_log import BARS, BarsLog
from bt_neuro.runs.epoch_tables import EXAMPLES
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.manifest import account_of, strategy_manifest
from bt_neuro.runs.recording import ARRAYS, EQUITY, PREDICTIONS, TRADES
from bt_neuro.runs.resume import keep_learned_bars, resume_in_place, resume_tables
from bt_neuro.runs.saved_manifest import MANIFEST, read_manifest, require_same

COMMANDS = "commands.jsonl"
ORIGIN = "origin"  # the initial model, until the first checkpoint
BARS_COUNT = "bars"  # name of the analyzer


@dataclass
class StreamStart:
    """Start of a stream: its checkpoint, and the rows of its tables.

    Parameters
    ----------
    checkpoint : to resume, if any
    is_fast : whether it has the state of all indicators, so that no bar before it passes again
    first_live : number of the first bar that was traded
    counts : rows of the tables that are kept
    reason : why all bars must pass again at a restart; None where they need not, or it is no restart
    """

    checkpoint: Checkpoint | None
    is_fast: bool
    first_live: int
    counts: dict[str, int]
    reason: str | None = None

    @property
    def next_bar(self) -> int:
        """Number of the first bar after the checkpoint."""
        last = self.checkpoint.last_bar if self.checkpoint is not None else None
        return 0 if last is None else last + 1

    def open_log(self, folder: Path) -> BarsLog:
        """Open the bars; after a fast start only those that are new."""
        if self.is_fast and self.checkpoint is not None:
            return BarsLog(folder / BARS, self.checkpoint.analyzers.group(BARS_COUNT))
        return BarsLog(folder / BARS)

    def history(self, log: BarsLog) -> Iterator[Bar]:
        """Yield the bars to learn or to verify, which are not traded."""
        if self.is_fast:
            return
        for bar, _ in zip(log.read(), range(max(self.first_live, self.next_bar)), strict=False):
            yield bar

    def again(self, log: BarsLog) -> Iterator[Bar | dict[str, Any]]:
        """Yield the bars and commands since the checkpoint."""
        number, commands = max(self.first_live, self.next_bar), list(read_commands(log.path.parent))
        waiting = [one for one in commands if one["after"] >= self.next_bar - 1]
        for bar in log.read(number):
            while waiting and waiting[0]["after"] < number:
                yield waiting.pop(0)["values"]
            yield bar
            number += 1
        for one in waiting:
            yield one["values"]


def open_folder(
    out: str | Path | None,
    resume: str | Path | None,
    history: str | Path | None,
    strategy: type[NeuroStrategy],
    params: dict[str, Any],
    account: Account | None,
    point: float | None,
    limits: Limits,
) -> tuple[RunFolder, Account, float | None]:
    """Create the folder of a stream, or reopen it; return it, its account and its point."""
    manifest = strategy_manifest(strategy, params) | {"limits": asdict(limits)}
    if resume is not None and is_stream(Path(resume)):
        if out is not None or history is not None:
            raise NeuroError(f"{resume} is a stream and is resumed in place: leave out --out and --history")
        before = read_manifest(Path(resume))
        found = account_of(before)
        if account is not None:
            require_same({"account": asdict(found)}, {"account": asdict(account)}, ("account",), str(resume))
        if point is not None:
            require_same(before, {"point": point}, ("point",), str(resume))
        kept: dict[str, Any] = {
            name: before[name] for name in ("first_live_bar", "point", "account") if name in before
        }
        folder = RunFolder.resume(str(resume), "stream", {**manifest, **kept})
        return folder, found, before.get("point")
    origin = None if resume is None else Checkpoint.read(resume)
    past, found_point = _past(origin, history)
    account, point = account or Account(), point if point is not None else found_point
    manifest |= {
        "account": asdict(account),
        "point": point,
        "first_live_bar": 0 if past is None else len(past),
    }
    if origin is not None:
        _require_bars(origin, manifest["first_live_bar"])

    def fill(path: Path) -> None:
        BarsLog.create(path / BARS, past)
        if origin is not None:
            (path / ORIGIN).mkdir()
            for name in (MODEL, PREDICTIONS, EXAMPLES, *ARRAYS):
                source = origin.path if name == MODEL else origin.path.with_name(name)
                if source.exists():
                    shutil.copyfile(source, path / ORIGIN / name)

    return RunFolder.create(out, "stream", "stream", manifest, fill), account, point


def start_of(folder: RunFolder, signature: dict[str, Any]) -> StreamStart:
    """Return where a stream starts, and cut its tables back to there.

    Parameters
    ----------
    folder : of the stream
    signature : what must be as in the checkpoint for a fast start
    """
    path, first_live = folder.path, folder.manifest["first_live_bar"]
    if (path / MODEL).exists():
        shutil.rmtree(path / ORIGIN, ignore_errors=True)
        checkpoint = Checkpoint.read(path)
        reason = None
        if not checkpoint.has_account:
            reason = "the checkpoint has no state of the account"
        elif checkpoint.network.about.values.get("run") != signature:
            reason = "the strategy, a parameter or bt-neuro is not that of the checkpoint"
        return StreamStart(checkpoint, reason is None, first_live, resume_in_place(checkpoint), reason)
    remove_tables(path)
    if (path / ORIGIN).exists():
        checkpoint = Checkpoint.read(path / ORIGIN / MODEL)
        return StreamStart(checkpoint, False, first_live, resume_tables(checkpoint, path))
    return StreamStart(None, False, first_live, {})


def remove_tables(folder: Path) -> None:
    """Remove the tables and arrays of a run that begins again."""
    for name in (PREDICTIONS, EQUITY, TRADES, *ARRAYS):
        (folder / name).unlink(missing_ok=True)


def is_stream(folder: Path) -> bool:
    """Return whether a folder holds a stream."""
    return (folder / MANIFEST).exists() and read_manifest(folder)["kind"] == "stream"


def add_command(folder: Path, after: int, values: dict[str, Any]) -> None:
    """Write a command down before it is carried out."""
    with open_no_follow(folder / COMMANDS, "ab") as file:
        file.write(json.dumps({"after": after, "values": values}).encode() + b"\n")


def remove_cut_command(folder: Path) -> None:
    """Remove a command that a kill cut off; it was never answered, and the next one would be joined to it."""
    if (folder / COMMANDS).exists():
        with open_no_follow(folder / COMMANDS, "r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def read_commands(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the commands so far, each ``{"after": bar, "values": {...}}``."""
    path = folder / COMMANDS
    if not path.exists():
        return
    with open_no_follow(path, "rb") as file:
        for line in file:
            try:
                found = json.loads(line)
                if isinstance(found["after"], int) and isinstance(found["values"], dict):
                    yield found
                    continue
            except (ValueError, LookupError, TypeError):
                pass
            raise NeuroError(f"{path} is damaged: {line[:60]!r} is no command. Remove the line.")


def _require_bars(checkpoint: Checkpoint, bars: int) -> None:
    if checkpoint.last_bar is not None and checkpoint.last_bar >= bars:
        raise CheckpointError(
            f"{checkpoint.path} has learned up to bar {checkpoint.last_bar}, "
            f"but there are only {bars} bars. Give all of them as --history."
        )


def require_bars(start: StreamStart, log: BarsLog) -> None:
    """Raise CheckpointError unless the log has the bars of the checkpoint."""
    if start.checkpoint is not None:
        _require_bars(start.checkpoint, log.rows)


def _past(
    checkpoint: Checkpoint | None, history: str | Path | None
) -> tuple[pd.DataFrame | None, float | None]:
    """Return the bars before the stream, if any, and their point."""
    if checkpoint is None:
        bars = None if history is None else read_bars(history)
        return (None, None) if bars is None else (bars.frame, bars.point)
    manifest = checkpoint.path.with_name(MANIFEST)
    if not manifest.exists():
        if history is None:
            raise CheckpointError(
                f"{checkpoint.path} has no {MANIFEST} beside it. Give its bars as --history FILE."
            )
        return _learned(checkpoint, read_bars(history))
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))["data"]
        file, options = data["file"], data.get("options", {})
    except (ValueError, LookupError, TypeError) as error:
        raise CheckpointError(f"{manifest} cannot be read: {error}") from error
    # The fingerprint finds a file that has changed since; one that has grown is welcome.
    return _learned(checkpoint, read_bars(file if history is None else history, **options))


def _learned(checkpoint: Checkpoint, bars: Bars) -> tuple[pd.DataFrame, float]:
    kept, forming = keep_learned_bars(checkpoint, bars)
    if forming:
        warnings.warn(kept.notes[-1], stacklevel=2)
    return kept.frame, kept.point
