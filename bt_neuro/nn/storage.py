"""A file of tensors and of what is about them: safetensors, written whole, known again by a checksum.

safetensors itself checks shapes and sizes; that the numbers are those that were saved, only a checksum tells.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bt_neuro.errors import CheckpointError, LayerError
from bt_neuro.io import Fields, atomic_write
from bt_neuro.nn.config import from_config
from bt_neuro.nn.layer import Layer
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.losses import Loss
from bt_neuro.nn.optimizers import Optimizer, one_a_lane

FORMAT = "bt-neuro-network-2"
METADATA = "bt-neuro"  # the one key of the file's metadata, which holds everything as JSON
CHECKSUM = "checksum"
# What a damaged file may make us set aside before its shapes are compared with its tensors.
MOST_INPUTS, MOST_LANES = 2**24, 2**16
MEANS_OF_SQUARES = ("moving_variance", ".v")

Tensors = dict[str, NDArray[Any]]


def write(path: Path, tensors: Tensors, about: dict[str, Any]) -> None:
    """Write tensors and plain JSON values; equal contents give equal files.

    Raises
    ------
    CheckpointError
        When the file cannot be written, or a value is none that JSON knows.
    """
    try:
        plain = json.loads(json.dumps(about))  # as it will be read: a checksum of 1: is none of "1":
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: what is to be saved must be plain JSON values: {error}") from error
    # One key: safetensors writes several in an order of its own.
    metadata = {METADATA: json.dumps({**plain, CHECKSUM: checksum(tensors, plain)})}
    try:
        with atomic_write(path) as partial:
            partial.write_bytes(save(tensors, metadata))  # save_file lets nobody else read it
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write {path}: {error}; make room, or give another folder") from error


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """What a file says of a network, all of it checked.

    Attributes
    ----------
    about : all plain values of the file, whatever else was saved with the network
    """

    path: Path
    tensors: Tensors
    about: Fields
    layers: list[Layer]
    inputs: int
    optimizer: Optimizer | list[Optimizer]
    loss: Loss
    seeds: list[int]
    single_lane: bool
    precision: str
    steps: int

    @property
    def seed(self) -> int | list[int]:
        """As `Network` takes it."""
        return self.seeds[0] if self.single_lane else self.seeds

    @classmethod
    def read(cls, path: Path) -> SavedNetwork:
        """Return what `write` wrote.

        Raises
        ------
        CheckpointError
            When the file is missing, damaged, of another kind or newer than this version.
        """
        try:
            return cls._read(path)
        except (CheckpointError, LayerError) as error:
            raise CheckpointError(f"{path} is not a network this version can read: {error}") from error

    @classmethod
    def _read(cls, path: Path) -> SavedNetwork:
        tensors, values = _open(path)
        told = values.pop(CHECKSUM, None)
        about = Fields(values, "metadata")
        config = about.group("network")
        format_ = config.text("format")
        if format_ != FORMAT:
            raise CheckpointError(f"format {format_}; this version reads {FORMAT}: update bt-neuro")
        if told != checksum(tensors, values):
            raise CheckpointError("its checksum is of other contents, so it is damaged: use a copy")
        layers = [_described(layer, Layer, len(tensors)) for layer in config.items("layers")]
        optimizer = config.any("optimizer")
        if isinstance(optimizer, list):
            optimizer = [_described(one, Optimizer, len(tensors)) for one in optimizer]
        else:
            optimizer = _described(optimizer, Optimizer, len(tensors))
        loss = _described(config.any("loss"), Loss, len(tensors))
        inputs, seeds = config.integer("inputs", 1, MOST_INPUTS), config.integers("seeds")
        single_lane, precision = config.flag("single_lane"), config.text("precision")
        if precision not in ("single", "double"):
            raise config.refuse("precision", "single or double")
        if not 1 <= len(seeds) <= (1 if single_lane else MOST_LANES):
            raise config.refuse("seeds", "one number" if single_lane else "some numbers")
        layout = Layout(layers, inputs, one_a_lane(optimizer, len(seeds))[0], loss)
        require_shapes(layout, len(seeds), tensors)
        _require_numbers(layout, tensors, np.float64 if precision == "double" else np.float32)
        steps = config.integer("steps")
        return cls(
            path, tensors, about, layers, inputs, optimizer, loss, seeds, single_lane, precision, steps
        )


def _open(path: Path) -> tuple[Tensors, dict[str, Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(metadata[METADATA])
    except KeyError as error:
        raise CheckpointError(f"it has no metadata {error}") from error
    except (OSError, SafetensorError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(str(error)) from error
    return tensors, Fields(about, "metadata").values


def _described(config: Any, kind: Any, most_blocks: int) -> Any:
    """Return what it describes; the file's tensors bound the one option that costs time by itself."""
    options = Fields(config, "a layer, optimiser or loss")
    if "blocks" in options.values:
        options.integer("blocks", 1, most_blocks)
    try:
        described = from_config(options.values)
    except TypeError as error:  # an option is missing, or none that can be compared
        raise CheckpointError(str(error)) from error
    if not isinstance(described, kind):
        raise CheckpointError(f"{described} stands in the wrong place")
    return described


def require_shapes(layout: Layout, lanes: int, tensors: Tensors) -> None:
    """Raise CheckpointError unless each tensor of a network is there, in its shape."""
    for name, placed in layout.state():
        wanted = (lanes, *placed.tensor.shape)
        if name not in tensors or tensors[name].shape != wanted:
            shape = tensors[name].shape if name in tensors else "nothing"
            raise CheckpointError(f"tensor {name} should have shape {wanted}, found {shape}")


def _require_numbers(layout: Layout, tensors: Tensors, dtype: type[np.floating]) -> None:
    for name, _ in layout.state():
        if tensors[name].dtype != dtype:
            raise CheckpointError(f"tensor {name} is {tensors[name].dtype}, not {np.dtype(dtype)}")
        if not np.isfinite(tensors[name]).all():
            raise CheckpointError(f"tensor {name} holds NaN or infinity: the network had diverged")
        if name.endswith(MEANS_OF_SQUARES) and (tensors[name] < 0).any():
            raise CheckpointError(f"tensor {name} holds a mean of squares below 0")


def checksum(tensors: Tensors, about: dict[str, Any]) -> str:
    """Return a digest of everything: each tensor's name, type, shape and bytes, and the values."""
    digest = sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
        digest.update(tensor.data.cast("B") if tensor.size else b"")
    return digest.hexdigest()
