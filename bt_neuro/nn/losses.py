"""Losses: frozen descriptions with Keras's names and options. A batch's loss is the mean over its windows."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import LayerError, did_you_mean
from bt_neuro.nn.config import Config

Array = NDArray[np.floating]


class Loss(Config, internal=True):
    """Base of the losses.

    Attributes
    ----------
    kernel : the function of loss.cl that gives its gradient, without "_backward"
    needs_softmax : the gradient is the one before a softmax, which must end the network
    gamma : exponent of the focal factor, 0 for none
    weights : of the classes, one number for all or one for each; None for 1
    """

    kernel: ClassVar[str] = "categorical_crossentropy"
    needs_softmax: ClassVar[bool] = True
    gamma: ClassVar[float] = 0.0

    @property
    def weights(self) -> float | tuple[float, ...] | None:
        return None

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = self.weights if isinstance(self.weights, tuple) else (self.weights or 0.0,)
        holds = all(isinstance(weight, Real) and 0 <= weight < math.inf for weight in weights)
        self.require(holds, "weights are numbers, 0 or more, those of several classes in a tuple")

    def weighted(self, targets: Array) -> Array:
        """Return the targets as the kernels read them: each class's share of the sum, times its weight."""
        totals = targets.sum(axis=-1, keepdims=True)
        shares = targets / np.where(totals > 0, totals, 1)
        return shares * np.asarray(1.0 if self.weights is None else self.weights, targets.dtype)

    def value(self, outputs: Array, weighted: Array) -> Array:
        """Return the loss of each window; outputs and weighted targets are (..., n_outputs)."""
        smallest = np.finfo(outputs.dtype).tiny
        logs = np.log(np.maximum(outputs, smallest))
        return -(weighted * (1 - outputs) ** self.gamma * logs).sum(axis=-1)


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Mean of (output - target)^2 over the outputs."""

    kernel: ClassVar[str] = "mean_squared_error"
    needs_softmax: ClassVar[bool] = False

    def weighted(self, targets: Array) -> Array:
        return targets

    def value(self, outputs: Array, weighted: Array) -> Array:
        return ((outputs - weighted) ** 2).mean(axis=-1)


@dataclass(frozen=True)
class CategoricalCrossentropy(Loss):
    """Minus the sum of class_weight target log(output) over the classes; the outputs must be a softmax's.

    Parameters
    ----------
    class_weight : one number per class, such as ``(1, 5, 5)`` where fractals are rare; 1 by default

    Notes
    -----
    A target is divided by its sum: a bar that is both buy and sell, (0, 1, 1), counts half to each.
    """

    class_weight: tuple[float, ...] | None = None

    @property
    def weights(self) -> tuple[float, ...] | None:
        return self.class_weight


@dataclass(frozen=True)
class CategoricalFocalCrossentropy(Loss):
    """Cross-entropy with a weight that falls as the predicted probability of the true class rises.

    Parameters
    ----------
    alpha : weight of every class (0.25), or one number per class
    gamma : exponent of the weight (1 - output)^gamma (2)

    Notes
    -----
    Lin et al. 2017, with Keras's defaults. Targets are divided by their sum, as in `CategoricalCrossentropy`.
    """

    alpha: float | tuple[float, ...] = 0.25
    gamma: float = 2.0  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.gamma >= 0, "gamma must be 0 or more")

    @property
    def weights(self) -> float | tuple[float, ...]:
        return self.alpha


def loss_of(loss: str | Loss) -> Loss:
    """Return the loss of a Keras name, such as "categorical_crossentropy"; a loss is returned unchanged.

    Raises
    ------
    LayerError
        When there is none of that name.
    """
    if isinstance(loss, Loss):
        return loss
    losses = {_snake_case(name): cls for name, cls in Config.registry.items() if issubclass(cls, Loss)}
    if loss not in losses:
        raise LayerError(
            f"loss must be a Loss or the name of one, got {loss!r}.{did_you_mean(str(loss), losses)}"
        )
    return losses[loss]()


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
