"""Files of networks: safetensors with plain JSON values, written whole, protected by a checksum.

safetensors checks shapes and sizes; the checksum finds numbers that have changed.
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
from bt_neuro.nn.layers import Layer
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.losses import Loss
from bt_neuro.nn.optimizers import Optimizer, optimizers_of

FORMAT = "bt-neuro-network-4"
METADATA = "bt-neuro"  # the one key of the file's metadata, which holds everything as JSON
CHECKSUM = "checksum"
# Bounds of the memory that a damaged file can claim before its shapes are compared with its tensors.
MOST_INPUTS, MOST_MEMBERS = 2**24, 2**16
MEANS_OF_SQUARES = ("moving_variance", ".v")

Tensors = dict[str, NDArray[Any]]


def write(path: Path, tensors: Tensors, about: dict[str, Any]) -> None:
    """Write tensors and plain JSON values; equal contents give equal files.

    Raises
    ------
    CheckpointError
        When the file cannot be written, or a value is not plain JSON.
    """
    try:
        plain = json.loads(json.dumps(about))  # as it will be read, for the checksum: the key 1 becomes "1"
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: `about` must be plain JSON values: {error}") from error
    # One key, so that equal contents give equal files: safetensors does not keep the order of several.
    metadata = {METADATA: json.dumps({**plain, CHECKSUM: checksum(tensors, plain)})}
    try:
        with atomic_write(path) as partial:
            partial.write_bytes(save(tensors, metadata))  # only its owner can read a file of save_file
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"cannot write {path}: {error}; free some space, or give another folder"
        ) from error


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """Contents of a network's file, all of it checked.

    Attributes
    ----------
    tensors : all arrays of the file
    about : all plain values of the file
    """

    path: Path
    tensors: Tensors
    about: Fields
    layers: list[Layer]
    inputs: int
    optimizer: Optimizer | list[Optimizer]
    loss: Loss
    seeds: list[int]
    single_member: bool
    precision: str
    steps: int

    @property
    def seed(self) -> int | list[int]:
        """Argument `seed` of `Network`."""
        return self.seeds[0] if self.single_member else self.seeds

    @classmethod
    def read(cls, path: Path) -> SavedNetwork:
        """Return the contents of a file of `write`.

        Raises
        ------
        CheckpointError
            When the file is missing, damaged, of another kind or newer than this version.
        """
        try:
            return cls._read(path)
        except FileNotFoundError:
            raise CheckpointError(
                f"{path} does not exist. Give the folder of a run, or its model.safetensors."
            ) from None
        except (CheckpointError, LayerError) as error:
            raise CheckpointError(f"{path} is not a network this version can read: {error}") from error

    @classmethod
    def _read(cls, path: Path) -> SavedNetwork:
        tensors, values = _open(path)
        expected = values.pop(CHECKSUM, None)
        about = Fields(values, "metadata")
        config = about.group("network")
        format_ = config.text("format")
        if format_ != FORMAT:
            raise CheckpointError(f"the format must be {FORMAT}, got {format_}. Update bt-neuro.")
        if expected != checksum(tensors, values):
            raise CheckpointError("the checksum differs, so the file is damaged. Use a copy.")
        layers = [_described(layer, Layer, len(tensors)) for layer in config.items("layers")]
        optimizer = config.any("optimizer")
        if isinstance(optimizer, list):
            optimizer = [_described(each, Optimizer, len(tensors)) for each in optimizer]
        else:
            optimizer = _described(optimizer, Optimizer, len(tensors))
        loss = _described(config.any("loss"), Loss, len(tensors))
        inputs, seeds = config.integer("inputs", 1, MOST_INPUTS), config.integers("seeds")
        single_member, precision = config.flag("single_member"), config.text("precision")
        if precision not in ("single", "double"):
            raise config.invalid("precision", "single or double")
        if not 1 <= len(seeds) <= (1 if single_member else MOST_MEMBERS):
            raise config.invalid("seeds", "one number" if single_member else "some numbers")
        layout = Layout(layers, inputs, optimizers_of(optimizer, len(seeds))[0], loss)
        require_shapes(layout, len(seeds), tensors)
        require_numbers(layout, tensors, np.float64 if precision == "double" else np.float32)
        steps = config.integer("steps")
        return cls(
            path, tensors, about, layers, inputs, optimizer, loss, seeds, single_member, precision, steps
        )


def _open(path: Path) -> tuple[Tensors, dict[str, Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(metadata[METADATA])
    except KeyError as error:
        raise CheckpointError(f"it has no metadata {error}") from error
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(str(error)) from error
    return tensors, Fields(about, "metadata").values


def _described(config: Any, kind: Any, most_blocks: int) -> Any:
    """Return a description; the file's tensors bound the one option that costs time by itself."""
    options = Fields(config, "a layer, optimiser or loss")
    if "blocks" in options.values:
        options.integer("blocks", 1, most_blocks)
    try:
        described = from_config(options.values)
    except TypeError as error:  # an option is missing, or cannot be compared
        raise CheckpointError(str(error)) from error
    if not isinstance(described, kind):
        raise CheckpointError(f"must be a {kind.__name__.lower()}, got {described}")
    return described


def require_shapes(layout: Layout, members: int, tensors: Tensors) -> None:
    """Raise CheckpointError unless each tensor of a network is there, in its shape."""
    for name, placed in layout.tensors():
        expected = (members, *placed.tensor.shape)
        if name not in tensors or tensors[name].shape != expected:
            shape = tensors[name].shape if name in tensors else "no such tensor"
            raise CheckpointError(f"tensor {name} must have the shape {expected}, got {shape}")


def require_numbers(layout: Layout, tensors: Tensors, dtype: type[np.floating]) -> None:
    for name, _ in layout.tensors():
        if tensors[name].dtype != dtype:
            raise CheckpointError(f"tensor {name} must be {np.dtype(dtype)}, got {tensors[name].dtype}")
        if not np.isfinite(tensors[name]).all():
            raise CheckpointError(
                f"tensor {name} must be finite, got NaN or infinity. The network has diverged."
            )
        if name.endswith(MEANS_OF_SQUARES) and (tensors[name] < 0).any():
            raise CheckpointError(f"tensor {name} must hold means of squares, got one below 0")


def checksum(tensors: Tensors, about: dict[str, Any]) -> str:
    """Return a digest of everything: each tensor's name, type, shape and bytes, and the values."""
    digest = sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
        digest.update(tensor.data.cast("B") if tensor.size else b"")
    return digest.hexdigest()
