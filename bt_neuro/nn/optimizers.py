"""Frozen descriptions of optimisers and of learning rates that change: Keras's names and options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar

from bt_neuro.errors import LayerError


def check_numbers(description: Any) -> None:
    """Refuse an option that is none of its type: a whole number, a finite one."""
    for field in fields(description):
        value, kind = getattr(description, field.name), str(field.type)
        if (value is None and kind.endswith("None")) or isinstance(value, CosineDecay):
            continue
        if kind.startswith("int") and (not isinstance(value, Integral) or not abs(int(value)) < 2**31):
            raise LayerError(f"{description}: {field.name} must be a whole number")
        if kind.startswith("float") and (not isinstance(value, Real) or not math.isfinite(value)):
            raise LayerError(f"{description}: {field.name} must be a number")
        if kind.startswith(("int", "float")) and isinstance(value, bool):
            raise LayerError(f"{description}: {field.name} must be a number, not {value}")


def require(holds: bool, description: Any, what: str) -> None:
    if not holds:
        raise LayerError(f"{description}: {what}")


@dataclass(frozen=True)
class CosineDecay:
    """Learning rate that rises to its target in a line, then falls along half a cosine, as Keras has it.

    Parameters
    ----------
    initial_learning_rate : at the first update; without warm-up, where the decay starts
    decay_steps : updates that the decay takes
    alpha : what remains at its end, as a share of where it started (0)
    warmup_target, warmup_steps : where the warm-up ends, and after how many updates; by default there is none

    Notes
    -----
    Loshchilov and Hutter 2016.
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        check_numbers(self)
        require(self.decay_steps >= 1, self, "decay_steps must be 1 or more")
        require((self.warmup_target is None) == (not self.warmup_steps), self, "a warm-up needs both options")

    def __call__(self, step: int) -> float:
        """Return the rate of an update, of which 0 is the first."""
        peak = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return peak + (self.warmup_target - peak) * step / self.warmup_steps
            peak, step = self.warmup_target, step - self.warmup_steps
        cosine = 0.5 * (1 + math.cos(math.pi * min(step / self.decay_steps, 1)))
        return peak * ((1 - self.alpha) * cosine + self.alpha)


@dataclass(frozen=True, kw_only=True)
class _Optimizer:
    """What optimisers have in common.

    Parameters
    ----------
    global_clipnorm : the whole gradient is scaled down to this length
    """

    global_clipnorm: float | None = None
    moments: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_numbers(self)
        require(
            self.global_clipnorm is None or self.global_clipnorm > 0, self, "give a positive global_clipnorm"
        )


@dataclass(frozen=True)
class Adam(_Optimizer):
    """Adam (Kingma and Ba 2015), bias-corrected, epsilon outside the root as in Keras and PyTorch.

    `learning_rate` is a number or a `CosineDecay`; ``global_clipnorm=`` limits the length of the gradient.
    """

    learning_rate: float | CosineDecay = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    kind: ClassVar[str] = "adam"
    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = (rate_at(self.learning_rate, 1), self.epsilon, self.beta_1, self.beta_2)
        require(min(numbers) >= 0, self, "rates must be 0 or more")
        require(max(self.beta_1, self.beta_2) < 1, self, "beta_1 and beta_2 must be below 1")

    def rates(self, step: int) -> tuple[float, float, float, float]:
        """Return (step size, epsilon, decay, learning rate) of learning step 1, 2, ...

        Bias corrections are folded in, in double precision: 1 - beta_2^t loses three digits in float32.
        """
        root, rate = math.sqrt(1 - self.beta_2**step), rate_at(self.learning_rate, step)
        return rate * root / (1 - self.beta_1**step), self.epsilon * root, 0.0, rate


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam that also takes learning_rate x weight_decay of every parameter off it.

    Loshchilov and Hutter 2017; the default is Keras's.
    """

    weight_decay: float = 0.004
    kind: ClassVar[str] = "adamw"

    def rates(self, step: int) -> tuple[float, float, float, float]:
        size, epsilon, _, rate = super().rates(step)
        return size, epsilon, rate * self.weight_decay, rate


@dataclass(frozen=True)
class SGD(_Optimizer):
    """Gradient descent with momentum: delta = learning_rate g + momentum delta, parameter -= delta.

    `learning_rate` and ``global_clipnorm=`` are as in `Adam`.
    """

    learning_rate: float | CosineDecay = 1e-3
    momentum: float = 0.0
    kind: ClassVar[str] = "sgd"
    moments: ClassVar[tuple[str, ...]] = ("delta",)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(min(rate_at(self.learning_rate, 1), self.momentum) >= 0, self, "rates must be 0 or more")

    def rates(self, step: int) -> tuple[float, float, float, float]:
        rate = rate_at(self.learning_rate, step)
        return rate, self.momentum, 0.0, rate


Optimizer = Adam | SGD


def one_a_lane(given: Optimizer | Sequence[Optimizer] | None, lanes: int) -> tuple[Optimizer, ...]:
    """Return one optimiser for all lanes, or one a lane: a program holds one kind, and a rate a lane."""
    optimizers = tuple(given) if isinstance(given, Sequence) else (given or Adam(),)
    if not all(isinstance(one, Optimizer) for one in optimizers):
        raise LayerError(f"optimizer is {given!r}: give one such as Adam(1e-4) or SGD(1e-3), or one a lane")
    if isinstance(given, Sequence) and len(optimizers) != lanes:
        raise LayerError(f"{len(optimizers)} optimisers for {lanes} lanes: give one for each seed")
    for one in optimizers:
        alike = replace(one, learning_rate=optimizers[0].learning_rate) == optimizers[0]
        require(alike, one, f"lanes differ in learning_rate alone; the first has {optimizers[0]}")
    return optimizers


def rate_at(learning_rate: float | CosineDecay, step: int) -> float:
    """Return the learning rate of learning step 1, 2, ..."""
    return learning_rate(step - 1) if isinstance(learning_rate, CosineDecay) else learning_rate
