"""Frozen descriptions of optimisers and of learning rates that change: Keras's names and options."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from bt_neuro.errors import LayerError


@dataclass(frozen=True)
class CosineDecay:
    """Learning rate that rises to its target in a line, then falls along half a cosine.

    Parameters
    ----------
    initial_learning_rate : at the first step; without warm-up, where the decay starts
    decay_steps : steps of the decay
    alpha : what remains at its end, as a share of where it started (0)
    warmup_target, warmup_steps : where the warm-up ends, and after how many steps; by default there is none

    Notes
    -----
    A step is one update of the weights. Loshchilov and Hutter 2016, as Keras has it.
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        _require(self.decay_steps >= 1, self, "decay_steps must be 1 or more")
        _require((self.warmup_target is None) == (not self.warmup_steps), self, "a warm-up needs both")

    def __call__(self, step: int) -> float:
        """Return the rate of an update, of which 0 is the first."""
        peak = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return peak + (self.warmup_target - peak) * step / self.warmup_steps
            peak, step = self.warmup_target, step - self.warmup_steps
        cosine = 0.5 * (1 + math.cos(math.pi * min(step / self.decay_steps, 1)))
        return peak * ((1 - self.alpha) * cosine + self.alpha)


@dataclass(frozen=True)
class ExponentialDecay:
    """Learning rate multiplied by `decay_rate` every `decay_steps` steps, smoothly unless `staircase`."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        _require(self.decay_steps >= 1, self, "decay_steps must be 1 or more")

    def __call__(self, step: int) -> float:
        """Return the rate of an update, of which 0 is the first."""
        power = step // self.decay_steps if self.staircase else step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate**power


Schedule = CosineDecay | ExponentialDecay


class _Described:
    """What the optimisers have in common: a rate that may change, and at most one limit of the gradient."""

    moments: ClassVar[tuple[str, ...]]
    learning_rate: float | Schedule
    clipvalue: float | None
    global_clipnorm: float | None

    def __post_init__(self) -> None:
        limits = [limit for limit in (self.clipvalue, self.global_clipnorm) if limit is not None]
        _require(len(limits) < 2, self, "give clipvalue or global_clipnorm, not both")
        _require(all(limit > 0 for limit in limits), self, "a limit of the gradient must be positive")

    def rate(self, step: int) -> float:
        """Return the learning rate of learning step 1, 2, ..."""
        return self.learning_rate(step - 1) if callable(self.learning_rate) else self.learning_rate


@dataclass(frozen=True)
class Adam(_Described):
    """Adam (Kingma and Ba 2015), bias-corrected, epsilon outside the root as in Keras and PyTorch.

    Parameters
    ----------
    learning_rate : a number, or a schedule such as `CosineDecay`
    beta_1, beta_2, epsilon : of the moments
    clipvalue : keeps each element of the gradient within plus and minus this
    global_clipnorm : scales the gradient of all parameters down to this length; give one of the two, if any
    """

    learning_rate: float | Schedule = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    kind: ClassVar[str] = "adam"
    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def rates(self, step: int) -> tuple[float, float, float]:
        """Return (step size, epsilon, decay) of learning step 1, 2, ..., bias corrections folded in.

        In double precision on the host: 1 - beta_2^t loses three digits in float32.
        """
        root = math.sqrt(1 - self.beta_2**step)
        return self.rate(step) * root / (1 - self.beta_1**step), self.epsilon * root, 0.0


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam that also pulls every parameter towards 0 by learning_rate x weight_decay of itself.

    Loshchilov and Hutter 2017; the default is Keras's.
    """

    weight_decay: float = 0.004
    kind: ClassVar[str] = "adamw"

    def rates(self, step: int) -> tuple[float, float, float]:
        size, epsilon, _ = super().rates(step)
        return size, epsilon, self.rate(step) * self.weight_decay


@dataclass(frozen=True)
class SGD(_Described):
    """Gradient descent with momentum: delta = learning_rate g + momentum delta, parameter -= delta.

    `clipvalue` and `global_clipnorm` are as in `Adam`.
    """

    learning_rate: float | Schedule = 1e-3
    momentum: float = 0.0
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    kind: ClassVar[str] = "sgd"
    moments: ClassVar[tuple[str, ...]] = ("delta",)

    def rates(self, step: int) -> tuple[float, float, float]:
        return self.rate(step), self.momentum, 0.0


Optimizer = Adam | AdamW | SGD


def _require(holds: bool, what: object, complaint: str) -> None:
    if not holds:
        raise LayerError(f"{what}: {complaint}")
