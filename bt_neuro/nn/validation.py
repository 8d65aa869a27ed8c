"""Validation of a network's arguments: windows, targets, seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bt_neuro.errors import LayerError, NonFiniteError
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.opencl.device import Device
from bt_neuro.nn.reference.passes import Array

LARGEST = 1e15  # larger inputs and targets leave no room in float32 for squares, sums and moments


def windows_of(inputs: ArrayLike, n_inputs: int, dtype: Any) -> tuple[Array, bool]:
    """Return windows as (steps, n_inputs), and whether `inputs` is a single one.

    A window is flat, or (bars, features).
    """
    windows = np.asarray(inputs, dtype)
    ndim, shape = windows.ndim, windows.shape
    if not (ndim in (1, 2) and shape[-1] == n_inputs):
        ndim -= 1  # (bars, features), or several of these
        if not (ndim in (1, 2) and math.prod(shape[-2:]) == n_inputs):
            raise LayerError(f"windows have shape {shape}: give (steps, {n_inputs})")
    return _bounded(windows.reshape(-1, n_inputs), "input"), ndim == 1


def targets_of(targets: ArrayLike, layout: Layout, dtype: Any) -> Array:
    """Return targets as (steps, n_outputs), weighted by the loss."""
    numbers = np.asarray(targets, dtype)
    if numbers.ndim not in (1, 2) or numbers.shape[-1] != layout.n_outputs:
        raise LayerError(f"targets have shape {numbers.shape}: give (steps, {layout.n_outputs})")
    numbers = _bounded(numbers.reshape(-1, layout.n_outputs), "target")
    if layout.loss.needs_softmax and numbers.size and numbers.min() < 0:
        raise LayerError(
            f"targets of {layout.loss} must be 0 or more, got {numbers.min()}. Give class shares."
        )
    return layout.loss.weighted(numbers)


def _bounded(numbers: Array, what: str) -> Array:
    """Return the numbers; raise NonFiniteError with the place of one that is NaN or too large to square."""
    good = np.abs(numbers) <= LARGEST
    if 0 in good.tobytes():  # a third of the time of good.all()
        row, column = np.argwhere(~good)[0]
        raise NonFiniteError(
            f"{what} {column} of step {row} is {numbers[row, column]}; nothing was run; "
            f"give finite numbers of at most {LARGEST:g}"
        )
    return numbers


def require_finite_outputs(outputs: Array, first_step: int) -> None:
    """Raise NonFiniteError with the place of an output, (members, steps, n_outputs), that is not finite."""
    good = np.isfinite(outputs)
    if 0 in good.tobytes():
        member, step, _ = np.argwhere(~good)[0]
        raise NonFiniteError(
            f"the outputs of step {first_step + step}, member {member}, must be finite, got "
            f"{outputs[member, step].tolist()}. Lower the learning rate, or scale inputs and targets."
        )


def require_arguments(inputs: Any, device: Any, precision: Any) -> None:
    """Raise LayerError where an argument of a network is of another kind than it should be."""
    if not isinstance(inputs, Integral) or isinstance(inputs, bool):
        raise LayerError(f"inputs is {inputs!r}: give a whole number, those of one window")
    if not isinstance(device, str | Device):
        raise LayerError(f"device is {device!r}: give text, such as 'auto', 'numpy' or the index '0'")
    if precision not in ("single", "double"):
        raise LayerError(f"precision is {precision!r}: use single or double")


def seeds_of(seed: Any) -> tuple[tuple[int, ...], bool]:
    """Return a seed for each member, and whether `seed` is a single one."""
    is_single = not isinstance(seed, Sequence | np.ndarray)
    seeds = [seed] if is_single else list(seed)
    good = [isinstance(s, Integral) and not isinstance(s, bool) and int(s) >= 0 for s in seeds]
    if not good or not all(good):
        raise LayerError(f"seed is {seed!r}: give a whole number, 0 or more, or several")
    return tuple(map(int, seeds)), is_single
