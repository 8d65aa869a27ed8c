"""The folder of a comparison: what each pass said, and the networks between two eras, to go on from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bt_neuro.errors import CheckpointError, NeuroError
from bt_neuro.io import atomic_write, remove
from bt_neuro.nn.network import Network
from bt_neuro.runs.folder import new_or_begun, write_json

Array = NDArray[np.floating]

MANIFEST = "compare.json"


class ComparisonFolder:
    """A folder that only this process writes.

    Parameters
    ----------
    path : where it lies
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._passes = path / "passes"
        self._passes.mkdir(exist_ok=True)

    @classmethod
    def open(
        cls, out: str | Path | None, resume: str | Path | None, stem: str, manifest: dict[str, Any]
    ) -> ComparisonFolder:
        """Make a new folder, or go on with one; `manifest` is what this comparison would be.

        Raises
        ------
        NeuroError
            When a new folder holds something already, or the one to go on with is of another comparison.
        """
        path = new_or_begun(out, resume, f"{stem}-compare")
        if resume is not None:
            _require_same(path, manifest)
        write_json(path / MANIFEST, manifest)
        return cls(path)

    @property
    def done(self) -> int:
        """How many passes are there."""
        return len([*self._passes.glob("[!.]*.pass")])

    def said(self, name: str) -> Array | None:
        """Return the outputs of a pass, (lanes, bars, 3), or None where it has not ended."""
        path = self._passes / f"{name}.pass"
        return _read(path)[0]["outputs"] if path.exists() else None

    def keep(self, name: str, outputs: Array) -> None:
        """Write the outputs of a pass."""
        _write(self._passes / f"{name}.pass", {"outputs": outputs}, {})

    def keep_networks(self, name: str, network: Network, era: int) -> None:
        """Write networks as an era has left them, in the place of those that the era before left."""
        _write(self._passes / f"{name}.safetensors", network.state(), {"era": era, "steps": network.steps})

    def last_era(self, name: str) -> int:
        """Return after which era networks were written; 0 before the first."""
        path = self._passes / f"{name}.safetensors"
        return int(_read(path)[1]["era"]) if path.exists() else 0

    def restore(self, name: str, network: Network) -> None:
        """Make networks what the last era has left."""
        tensors, about = _read(self._passes / f"{name}.safetensors")
        network.set_state(tensors, int(about["steps"]))

    def forget_networks(self, name: str) -> None:
        """Remove networks from which nothing goes on any more."""
        (self._passes / f"{name}.safetensors").unlink(missing_ok=True)

    def write(self, manifest: dict[str, Any], **tables: pd.DataFrame) -> None:
        """Write what came of it: tables first, for a manifest that says complete must find them."""
        for name, table in tables.items():
            with atomic_write(self.path / f"{name}.csv") as partial:
                table.to_csv(partial, index=False, lineterminator="\n")
        write_json(self.path / MANIFEST, manifest)

    def remove(self) -> None:
        remove(self.path)


# Not as checkpoints are written: those refuse NaN, and here a network that diverged is a result.
def _write(path: Path, tensors: dict[str, Array], about: dict[str, Any]) -> None:
    try:
        with atomic_write(path) as partial:
            save_file(tensors, partial, metadata={name: str(value) for name, value in about.items()})
    except (OSError, SafetensorError) as error:
        raise NeuroError(f"cannot write {path}: {error}; make room, then go on with --resume") from error


def _read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}; remove it, and that pass runs again") from error


def _require_same(path: Path, manifest: dict[str, Any]) -> None:
    """Refuse to go on where anything that passes depend on has changed."""
    try:
        begun = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        before = {"data_sha256": begun["data"]["sha256"], "bt_neuro": begun["bt_neuro"], **begun["options"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NeuroError(f"{path} is no folder of a comparison that was begun: {error!r}") from error
    now = {"data_sha256": manifest["data"]["sha256"], "bt_neuro": manifest["bt_neuro"], **manifest["options"]}
    for name, value in json.loads(json.dumps(now)).items():
        if before.get(name) != value:
            raise NeuroError(
                f"{path} was begun with {name} {before.get(name)}, and this comparison has {value}.\n"
                "Give the same, or start anew in another folder."
            )
