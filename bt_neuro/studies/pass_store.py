"""Outputs of finished passes, and the networks between two epochs, in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bt_neuro.errors import CheckpointError, NeuroError
from bt_neuro.io import atomic_write
from bt_neuro.nn.network import Network

Array = NDArray[np.floating]


class PassStore:
    """The folder ``passes`` of a comparison."""

    def __init__(self, folder: Path) -> None:
        self._passes = folder / "passes"
        self._passes.mkdir(exist_ok=True)

    @property
    def n_finished(self) -> int:
        """Number of finished passes."""
        return len([*self._passes.glob("[!.]*.pass")])

    def outputs(self, name: str) -> Array | None:
        """Return the outputs of a pass, (members, bars, 3), or None if it is not finished."""
        path = self._passes / f"{name}.pass"
        return _read(path)[0]["outputs"] if path.exists() else None

    def write(self, name: str, outputs: Array) -> None:
        _write(self._passes / f"{name}.pass", {"outputs": outputs}, {})

    def write_networks(self, name: str, network: Network, era: int) -> None:
        """Write the networks after an era, in place of those of the era before."""
        _write(self._passes / f"{name}.safetensors", network.state(), {"era": era, "steps": network.steps})

    def last_era(self, name: str) -> int:
        """Return the era after which networks were written; 0 before the first."""
        path = self._passes / f"{name}.safetensors"
        return int(_read(path)[1]["era"]) if path.exists() else 0

    def restore(self, name: str, network: Network) -> None:
        """Set networks to their state after the last era."""
        tensors, about = _read(self._passes / f"{name}.safetensors")
        network.set_state(tensors, int(about["steps"]))

    def remove_networks(self, name: str) -> None:
        """Remove networks that no pass needs any more."""
        (self._passes / f"{name}.safetensors").unlink(missing_ok=True)


# Checkpoints require finite numbers; here a diverged network is a result.
def _write(path: Path, tensors: dict[str, Array], about: dict[str, Any]) -> None:
    try:
        with atomic_write(path) as partial:
            save_file(tensors, partial, metadata={name: str(value) for name, value in about.items()})
    except (OSError, SafetensorError) as error:
        raise NeuroError(
            f"{path} cannot be written: {error}. Free some space, then continue with --resume."
        ) from error


def _read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Remove it, and that pass runs again.") from error
