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
_LARGEST_SQUARE = LARGEST**2
_SMALL = 4096  # numbers; of many more BLAS would wake threads to sum their squares


def windows_of(inputs: ArrayLike, n_inputs: int, dtype: Any) -> tuple[Array, bool]:
    """Return windows as (steps, n_inputs), and whether `inputs` is a single one.

    A window is flat, or (bars, features).
    """
    windows = np.asarray(inputs, dtype)
    ndim, shape = windows.ndim, windows.shape
    if ndim not in (1, 2) or shape[-1] != n_inputs:
        if ndim not in (2, 3) or math.prod(shape[-2:]) != n_inputs:
            raise LayerError(f"windows must have the shape (steps, {n_inputs}), got {shape}.")
        windows, ndim = windows.reshape(*shape[:-2], n_inputs), ndim - 1
    return _bounded(windows if ndim == 2 else windows[None], "input"), ndim == 1


def targets_of(targets: ArrayLike, layout: Layout, dtype: Any) -> Array:
    """Return targets as (steps, n_outputs), weighted by the loss."""
    numbers = np.asarray(targets, dtype)
    if numbers.ndim not in (1, 2) or numbers.shape[-1] != layout.n_outputs:
        raise LayerError(f"targets must have the shape (steps, {layout.n_outputs}), got {numbers.shape}.")
    numbers = _bounded(numbers if numbers.ndim == 2 else numbers[None], "target")
    if layout.loss.needs_softmax and numbers.size and numbers.min() < 0:
        raise LayerError(
            f"targets of {layout.loss} must be 0 or more, got {numbers.min()}. Give class shares."
        )
    return layout.loss.weighted(numbers)


def _bounded(numbers: Array, what: str) -> Array:
    """Return the numbers; raise NonFiniteError with the place of one that is NaN or too large to square."""
    if numbers.size <= _SMALL and np.vdot(numbers, numbers) <= _LARGEST_SQUARE:
        return numbers  # if all squares together are small enough, each number is
    good = np.abs(numbers) <= LARGEST
    if 0 in good.tobytes():  # a third of the time of good.all()
        row, column = np.argwhere(~good)[0]
        raise NonFiniteError(
            f"{what} {column} of step {row} must be finite and at most {LARGEST:g}, got "
            f"{numbers[row, column]}. Nothing was run."
        )
    return numbers


def require_finite_outputs(learned: Array, predicted: Array, first_step: int) -> None:
    """Raise NonFiniteError with the place of an output, (members, steps, n_outputs), that is not finite."""
    # A sum of products is finite only if every factor is.
    if learned.size == predicted.size <= _SMALL and math.isfinite(np.vdot(learned, predicted)):
        return
    for outputs in (learned, predicted):
        good = np.isfinite(outputs)
        if 0 in good.tobytes():
            member, step, _ = np.argwhere(~good)[0]
            raise NonFiniteError(
                f"the outputs of step {first_step + step}, member {member}, must be finite, got "
                f"{outputs[member, step].tolist()}. Lower the learning rate, or scale inputs and targets."
            )


def require_arguments(inputs: Any, device: Any, precision: Any) -> None:
    """Raise LayerError for an argument of a wrong type."""
    if not isinstance(inputs, Integral) or isinstance(inputs, bool):
        raise LayerError(f"inputs must be an integer, the numbers in one window, got {inputs!r}.")
    if not isinstance(device, str | Device):
        raise LayerError(f"device must be text, such as 'auto', 'numpy' or the index '0', got {device!r}.")
    if precision not in ("single", "double"):
        raise LayerError(f"precision must be single or double, got {precision!r}.")


def seeds_of(seed: Any) -> tuple[tuple[int, ...], bool]:
    """Return a seed for each member, and whether `seed` is a single one."""
    is_single = not isinstance(seed, Sequence | np.ndarray)
    seeds = [seed] if is_single else list(seed)
    good = [isinstance(s, Integral) and not isinstance(s, bool) and int(s) >= 0 for s in seeds]
    if not good or not all(good):
        raise LayerError(f"seed must be an integer, 0 or more, or several, got {seed!r}.")
    return tuple(map(int, seeds)), is_single
