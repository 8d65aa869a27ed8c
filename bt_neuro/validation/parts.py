"""Parts: a run of each of several files, in one folder that can be resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bt_neuro.errors import NeuroError
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.saved_manifest import MANIFEST, read_manifest
from bt_neuro.validation.task import SAME

Run = TypeVar("Run")


def open_folder(
    out: str | Path | None, resume: str | Path | None, kind: str, name: str, manifest: dict[str, Any]
) -> RunFolder:
    """Create the folder of a run over several files, or reopen `resume`; see `RunFolder.open`.

    Raises
    ------
    NeuroError
        If `resume` was started with other files or settings. The bars of each file are for its own run to compare.
    """
    if resume is not None and (before := read_manifest(Path(resume)))["kind"] == kind:
        then, now = _names(before), _names(manifest)
        if then != now:
            raise NeuroError(
                f"files must be {', '.join(then)}, as {resume} was started with, got {', '.join(now)}.\n"
                "Give the same files, or start a new run in another folder."
            )
    same = [key for key in SAME if not key.startswith("data.")]
    return RunFolder.open(out, resume, name, kind, manifest, same)


def _names(manifest: dict[str, Any]) -> list[str]:
    data = manifest["data"]
    return list(data.get("instruments", data))


def has_parts(folder: RunFolder) -> bool:
    """Return whether the run of some file has begun."""
    return any(folder.path.glob(f"*/{MANIFEST}"))


def run_part(folder: RunFolder, name: str, run: Callable[..., Run]) -> Run:
    """Run one file in a folder of its name: called with ``out``, or with ``resume`` if it has begun before."""
    place = folder.path / name
    begun = (place / MANIFEST).exists()
    try:
        return run(**{"resume" if begun else "out": place})
    except KeyboardInterrupt as interrupt:  # with a hint on the folder of this file alone
        raise KeyboardInterrupt(f"interrupted in {name}") from interrupt
