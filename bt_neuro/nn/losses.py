"""Frozen descriptions of losses: Keras's names and options. A batch's loss is the mean over its windows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import LayerError, did_you_mean
from bt_neuro.nn.optimizers import require


@dataclass(frozen=True)
class MeanSquaredError:
    """Mean of (output - target)^2 over the outputs."""

    needs_softmax: ClassVar[bool] = False
    gamma: ClassVar[float] = 0.0
    weights: ClassVar[None] = None

    def wanted(self, targets: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return what the kernels are given for these targets, (windows, outputs)."""
        return targets


class _Categorical:
    """Cross-entropies: minus the sum of weight target (1 - output)^gamma log(output) over the classes."""

    needs_softmax: ClassVar[bool] = True

    def __post_init__(self) -> None:
        weights = self.weights if isinstance(self.weights, tuple) else (self.weights or 0.0,)
        holds = all(isinstance(weight, Real) and 0 <= weight < math.inf for weight in weights)
        require(holds, self, "weights are numbers, 0 or more, those of several classes in a tuple")

    @property
    def weights(self) -> float | tuple[float, ...] | None:
        raise NotImplementedError

    def wanted(self, targets: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return what the kernels are given: each class's share of the target, times its weight."""
        totals = targets.sum(axis=-1, keepdims=True)
        shares = targets / np.where(totals > 0, totals, 1)
        return shares * np.asarray(1.0 if self.weights is None else self.weights, targets.dtype)


@dataclass(frozen=True)
class CategoricalCrossentropy(_Categorical):
    """Minus the sum of class_weight target log(output) over the classes; the outputs must be a softmax's.

    Parameters
    ----------
    class_weight : one number a class, such as ``(1, 5, 5)`` where fractals are rare; 1 by default

    Notes
    -----
    A target is divided by its sum: a bar that is both buy and sell, (0, 1, 1), counts half to each.
    """

    class_weight: tuple[float, ...] | None = None
    gamma: ClassVar[float] = 0.0

    @property
    def weights(self) -> tuple[float, ...] | None:
        return self.class_weight


@dataclass(frozen=True)
class CategoricalFocalCrossentropy(_Categorical):
    """Cross-entropy in which a class counts less, the surer the network is of it already.

    Parameters
    ----------
    alpha : weight of every class (0.25), or one number a class
    gamma : how much less, as a factor (1 - output)^gamma (2)

    Notes
    -----
    Lin et al. 2017, with Keras's defaults. Targets are divided by their sum, as in `CategoricalCrossentropy`.
    """

    alpha: float | tuple[float, ...] = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.gamma >= 0, self, "gamma must be 0 or more")

    @property
    def weights(self) -> float | tuple[float, ...]:
        return self.alpha


Loss = MeanSquaredError | CategoricalCrossentropy | CategoricalFocalCrossentropy
_BY_NAME: dict[str, type] = {
    "mean_squared_error": MeanSquaredError,
    "categorical_crossentropy": CategoricalCrossentropy,
    "categorical_focal_crossentropy": CategoricalFocalCrossentropy,
}


def loss_of(wanted: str | Loss) -> Loss:
    """Return a loss by Keras's name for it, or as it is."""
    if isinstance(wanted, Loss):
        return wanted
    if wanted not in _BY_NAME:
        raise LayerError(f"unknown loss {wanted!r}.{did_you_mean(str(wanted), _BY_NAME)}")
    return _BY_NAME[wanted]()
