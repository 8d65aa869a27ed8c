"""Losses and optimisers in NumPy; see `layers`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bt_neuro.nn.optimizers import AVERAGE_EVERY
from bt_neuro.nn.reference.normalization import LARGEST_SQUARE
from bt_neuro.nn.reference.passes import Array

SMALL_SQUARES = 1e33  # a sum of squares that no second moment can make infinite


# loss.cl ----------------------------------------------------------------------------------------------------
def mean_squared_error_backward(out: Array, target: Array, gamma: float) -> Array:
    """Return dout, (windows, outputs)."""
    return (2 / out.shape[-1]) * (out - target) / len(out)


def categorical_crossentropy_backward(out: Array, target: Array, gamma: float) -> Array:
    """Return the gradient before the softmax: finite, however sure the softmax is."""
    pull = target
    if gamma:
        log = np.log(np.maximum(out, np.finfo(out.dtype).tiny))
        rest = 1 - out
        # 0 to a power below 1: where all is known, nothing pulls.
        slope = np.where(rest > 0, rest, 1) ** (gamma - 1) * (rest > 0)
        pull = (target * (rest**gamma - gamma * slope * out * log)).astype(out.dtype)
    return (out * pull.sum(axis=-1, keepdims=True) - pull) / len(out)


# optimizer.cl -----------------------------------------------------------------------------------------------
def clipped(gradient: Array, optimizer: Any) -> Array:
    """Return the whole gradient, flat, within the optimiser's limit, if it has one."""
    if (limit := optimizer.global_clipnorm) is not None:
        gradient *= limit / max(math.sqrt(gradient @ gradient), limit)
    return gradient


def optimizer_step(
    optimizer: Any, parameter: Array, gradient: Array, moments: list[Array], rates: Sequence[float]
) -> None:
    """Move parameters and moments in place; the gradient is scratch. `rates` as of `Optimizer.rates`."""
    if optimizer.kind == "sgd":
        (delta,) = moments
        delta *= rates[1]
        delta += rates[0] * gradient
        parameter -= delta
        return
    m, v = moments
    m *= optimizer.beta_1
    m += gradient
    v *= optimizer.beta_2
    may_overflow = not gradient @ gradient < SMALL_SQUARES
    gradient *= gradient
    v += gradient
    if may_overflow:  # a minimum costs as much as the root
        np.minimum(v, LARGEST_SQUARE, out=v)
    np.sqrt(v, out=gradient)
    gradient += rates[1]
    np.divide(m, gradient, out=gradient)
    gradient *= rates[0]
    if rates[2]:
        parameter *= 1 - rates[2]
    parameter -= gradient


def average_weights(averaged: Array, parameters: Array, average: int, step: int) -> None:
    """Move averaged parameters in place, after learning step 1, 2, ...: their plain mean at first."""
    share = averaged.dtype.type(max(AVERAGE_EVERY / average, AVERAGE_EVERY / step))
    averaged += share * (parameters - averaged)
