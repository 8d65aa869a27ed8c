"""Frozen descriptions of optimisers: their options, and how many moments stand beside each parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015), bias-corrected, epsilon outside the root as in Keras and PyTorch."""

    learning_rate: float = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    kind: ClassVar[str] = "adam"
    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def rates(self, step: int) -> tuple[float, float]:
        """Return (step size, epsilon) of learning step 1, 2, ... with both bias corrections folded in.

        In double precision on the host: 1 - beta_2^t loses three digits in float32.
        """
        root = math.sqrt(1 - self.beta_2**step)
        return self.learning_rate * root / (1 - self.beta_1**step), self.epsilon * root


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum: delta = learning_rate g + momentum delta, parameter -= delta."""

    learning_rate: float = 1e-3
    momentum: float = 0.0
    kind: ClassVar[str] = "sgd"
    moments: ClassVar[tuple[str, ...]] = ("delta",)

    def rates(self, step: int) -> tuple[float, float]:
        return self.learning_rate, self.momentum


Optimizer = Adam | SGD
