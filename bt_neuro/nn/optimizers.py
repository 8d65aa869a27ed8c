"""Frozen descriptions of optimisers: their options, and how many moments stand beside each parameter."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar

from bt_neuro.errors import LayerError


def check_numbers(description: Any) -> None:
    """Refuse an option of a layer or optimiser that is none of its type: a whole number, a finite one."""
    for field in fields(description):
        value, kind = getattr(description, field.name), str(field.type)
        if value is None and kind.endswith("None"):
            continue
        if kind.startswith("int") and (not isinstance(value, Integral) or not abs(int(value)) < 2**31):
            raise LayerError(f"{description}: {field.name} must be a whole number")
        if kind.startswith("float") and (not isinstance(value, Real) or not math.isfinite(value)):
            raise LayerError(f"{description}: {field.name} must be a number")
        if kind.startswith(("int", "float")) and isinstance(value, bool):
            raise LayerError(f"{description}: {field.name} must be a number, not {value}")


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015), bias-corrected, epsilon outside the root as in Keras and PyTorch."""

    learning_rate: float = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    kind: ClassVar[str] = "adam"
    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.learning_rate < 0 or self.epsilon < 0 or not min(self.beta_1, self.beta_2) >= 0:
            raise LayerError(f"{self}: rates must be 0 or more")
        if max(self.beta_1, self.beta_2) >= 1:
            raise LayerError(f"{self}: beta_1 and beta_2 must be below 1")

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

    def __post_init__(self) -> None:
        check_numbers(self)
        if min(self.learning_rate, self.momentum) < 0:
            raise LayerError(f"{self}: rates must be 0 or more")

    def rates(self, step: int) -> tuple[float, float]:
        return self.learning_rate, self.momentum


Optimizer = Adam | SGD
