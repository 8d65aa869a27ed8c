"""Checkpoint: network, learner and the fingerprint of the bars so far, in one file."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields
from bt_neuro.learning.learner import Learner
from bt_neuro.nn.network import Network
from bt_neuro.nn.storage import SavedNetwork, Tensors

MODEL = "model.safetensors"
RUN_STATE = "run_state"  # name of the analyzer


def contents(
    learner: Learner, *, bars: dict[str, Any], analyzers: dict[str, Any], about: dict[str, Any]
) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors and plain values of a checkpoint, copies, for `bt_neuro.nn.storage.write`.

    Parameters
    ----------
    learner : with its network
    bars : fingerprint of the bars up to the last one learned
    analyzers : state of each analyzer that has one, by name
    about : further plain JSON values
    """
    network = learner.network
    arrays, parts = _parts(learner, bars, analyzers)
    parts["versions"] = _versions()
    return {**network.state(), **arrays}, {**about, **parts, "network": network.config()}


def shared_contents(
    learners: dict[str, Learner],
    parts: dict[str, tuple[dict[str, Any], dict[str, Any]]],
    about: dict[str, Any],
) -> tuple[Tensors, dict[str, Any]]:
    """Return the contents of a checkpoint of one network with the learners of several instruments.

    Parameters
    ----------
    learners : by instrument
    parts : the arguments `bars` and `analyzers` of `contents`, by instrument
    about : further plain JSON values
    """
    network = next(iter(learners.values())).network
    tensors, instruments = network.state(), {}
    for name, learner in learners.items():
        arrays, instruments[name] = _parts(learner, *parts[name])
        tensors |= {f"{name}/{key}": array for key, array in arrays.items()}
    values = {"instruments": instruments, "versions": _versions(), "network": network.config()}
    return tensors, {**about, **values}


def _parts(
    learner: Learner, bars: dict[str, Any], analyzers: dict[str, Any]
) -> tuple[Tensors, dict[str, Any]]:
    arrays, values = learner.state()
    values["label_kind"] = {"class": type(learner.label).__name__, "delay_bars": learner.delay_bars}
    return arrays, {"learner": values, "bars": bars, "analyzers": analyzers}


@cache
def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("bt-neuro", "numpy", "backtrader")}
    return {"python": platform.python_version(), **versions}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint as read from its file.

    Attributes
    ----------
    network : the saved network, with all tensors and metadata of the file
    last_bar : number of the last bar learned; None before the first
    """

    network: SavedNetwork
    last_bar: int | None

    @property
    def seeds(self) -> dict[str, int]:
        """Parameters ``seed`` and ``seeds`` of a strategy with this network."""
        return {"seed": self.network.seeds[0], "seeds": len(self.network.seeds)}

    @classmethod
    def read(cls, path: str | Path) -> Checkpoint:
        """Read a checkpoint: a file, or the folder of a run.

        Raises
        ------
        CheckpointError
            When it is missing, damaged, of a newer version, or a network without bars.
        """
        path = Path(path)
        if path.is_dir() and not (path / MODEL).exists():
            raise CheckpointError(f"{path} must hold a {MODEL}, got none. Start a new run with --out.")
        network = SavedNetwork.read(path / MODEL if path.is_dir() else path)
        if "learner" not in network.about.values:
            raise CheckpointError(
                f"{network.path} must hold the state of a run, got a network alone. Use Network.load."
            )
        return cls(network, network.about.group("learner").integer_or_none("last_bar"))

    @classmethod
    def read_shared(cls, path: Path) -> dict[str, Checkpoint]:
        """Read a checkpoint of `shared_contents`: one of each instrument, with the same network; raises as `read`."""
        network, found = SavedNetwork.read(path), dict[str, Checkpoint]()
        instruments = network.about.group("instruments")
        for name in instruments.values:
            part, prefix = instruments.group(name), f"{name}/"
            arrays = {key.removeprefix(prefix): array for key, array in network.tensors.items()}
            about = Fields({**network.about.values, **part.values}, part.where)
            last_bar = part.group("learner").integer_or_none("last_bar")
            found[name] = cls(replace(network, tensors=arrays, about=about), last_bar)
        return found

    @property
    def path(self) -> Path:
        return self.network.path

    @property
    def bars(self) -> Fields:
        """Fingerprint of the bars up to the last one learned."""
        return self.network.about.group("bars")

    @property
    def analyzers(self) -> Fields:
        """State of the analyzers, by name."""
        return self.network.about.group("analyzers")

    @property
    def has_account(self) -> bool:
        """Whether the file holds the state of the account, see `RunState`."""
        states = self.analyzers
        return RUN_STATE in states.values and states.group(RUN_STATE).integer_or_none("bar") is not None

    def restore(self, learner: Learner) -> None:
        """Set a learner and its network to this state.

        Raises
        ------
        CheckpointError
            When features, layers, label or optimiser differ; names the first difference.
        """
        self.restore_network(learner)
        try:
            learner.restore(self.network.tensors, self.network.about.group("learner"))
        except CheckpointError as error:
            raise CheckpointError(f"cannot resume {self.path}: {error}") from error

    def restore_network(self, learner: Learner) -> None:
        """Set the network alone to this state, for a learner that sees all bars again; raises the same."""
        for difference in self._differences(learner):
            raise CheckpointError(f"cannot resume {self.path}: {difference}")
        learner.network.set_state(self.network.tensors, self.network.steps)

    def _differences(self, learner: Learner) -> Iterator[str]:
        values, network, saved = self.network.about.group("learner"), learner.network, self.network
        kind = values.group("label_kind")
        pairs: list[tuple[str, Any, Any]] = [
            ("features", values.texts("features"), list(learner.feature_names)),
            ("history_bars", values.integer("history_bars", 1), learner.history_bars),
            ("label", kind.text("class"), type(learner.label).__name__),
            ("wing, the label's delay", kind.integer("delay_bars", 1), learner.delay_bars),
            ("number of layers", len(saved.layers), len(network.layout.layers)),
        ]
        layers = enumerate(zip(saved.layers, network.layout.layers, strict=False))
        pairs += [(f"layer {index}", then, now) for index, (then, now) in layers]
        pairs += [
            ("optimizer", saved.optimizer, _optimizer_of(network)),
            ("loss", saved.loss, network.layout.loss),
            ("precision", saved.precision, network.precision),
        ]
        for name, then, now in pairs:
            if then != now:
                yield f"{name} must be {then}, got {now}"


def _optimizer_of(network: Network) -> Any:
    """Return the optimiser of all networks, or a list with that of each."""
    each = list(network.optimizers)
    return each if len(each) > 1 else each[0]
