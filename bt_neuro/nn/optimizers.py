"""Optimisers and learning-rate schedules: frozen descriptions with Keras's names and options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from bt_neuro.errors import LayerError
from bt_neuro.nn.config import Config

AVERAGE_EVERY = 10  # steps from one move of the averaged weights to the next: a tenth of their traffic
AVERAGE = "average"  # the slot of the averaged weights, and the end of their tensors' names


@dataclass(frozen=True)
class CosineDecay(Config):
    """Learning rate that falls along half a cosine, after a linear warm-up if there is one.

    Parameters
    ----------
    initial_learning_rate : at the first update; without warm-up, where the decay starts
    decay_steps : updates that the decay takes
    alpha : share of the peak that remains at the end (0)
    warmup_target, warmup_steps : rate at the end of the warm-up, and its updates; none by default

    Notes
    -----
    Loshchilov and Hutter 2016; Keras's schedule.
    """

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.decay_steps >= 1, "decay_steps must be 1 or more")
        self.require((self.warmup_target is None) == (not self.warmup_steps), "a warm-up needs both options")

    def __call__(self, step: int) -> float:
        """Return the rate of update 0, 1, ..."""
        peak = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return peak + (self.warmup_target - peak) * step / self.warmup_steps
            peak, step = self.warmup_target, step - self.warmup_steps
        cosine = 0.5 * (1 + math.cos(math.pi * min(step / self.decay_steps, 1)))
        return peak * ((1 - self.alpha) * cosine + self.alpha)


@dataclass(frozen=True)
class Optimizer(Config, internal=True):
    """Base of the optimisers.

    Parameters
    ----------
    learning_rate : a number, or a `CosineDecay`
    global_clipnorm : keyword; the whole gradient is scaled down to this length
    average : keyword; steps over which to average the weights for predicting, 10 or more;
        learning goes on with the weights themselves. None predicts with these

    Attributes
    ----------
    moments : names of the arrays that stand beside each parameter

    Notes
    -----
    At a constant rate the weights wander around their optimum by single steps; their mean does not. Polyak
    and Juditsky 1992, here with an exponential window that is moved every 10 steps. The network that
    predicts has running statistics of its own.
    """

    learning_rate: float | CosineDecay = 1e-3
    global_clipnorm: float | None = field(default=None, kw_only=True)
    average: int | None = field(default=None, kw_only=True)
    kind: ClassVar[str]
    moments: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        super().__post_init__()
        limit = self.global_clipnorm
        self.require(limit is None or limit > 0, "global_clipnorm must be above 0")
        whole = self.average is None or (isinstance(self.average, int) and self.average >= AVERAGE_EVERY)
        self.require(whole, f"average must be None or an integer, {AVERAGE_EVERY} or more")
        self.require(rate_at(self.learning_rate, 1) >= 0, "rates must be 0 or more")

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the arrays behind the parameters: moments, and averaged weights where there are any."""
        return self.moments if self.average is None else (*self.moments, AVERAGE)

    def rates(self, step: int) -> tuple[float, float, float, float]:
        """Return the four numbers by which the kernels move parameters at learning step 1, 2, ..."""
        raise NotImplementedError


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam with bias correction (Kingma and Ba 2015), epsilon outside the root as in Keras and PyTorch.

    Parameters
    ----------
    learning_rate : a number, or a `CosineDecay` (1e-4)
    beta_1, beta_2 : share of the past in the two moments (0.9, 0.999)
    epsilon : added to the root of the second moment (1e-8)
    global_clipnorm, average : keywords, as in `Optimizer`
    """

    learning_rate: float | CosineDecay = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    kind: ClassVar[str] = "adam"
    moments: ClassVar[tuple[str, ...]] = ("m", "v")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(min(self.epsilon, self.beta_1, self.beta_2) >= 0, "rates must be 0 or more")
        self.require(max(self.beta_1, self.beta_2) < 1, "beta_1 and beta_2 must be below 1")

    def rates(self, step: int) -> tuple[float, float, float, float]:
        """Return step size, epsilon, decay and learning rate of learning step 1, 2, ...

        Moments are sums, m = beta_1 m + g and v = beta_2 v + g^2. The step size and epsilon contain the
        factors (1 - beta) and the bias corrections, in double precision: 1 - beta_2^t loses three digits
        in float32.
        """
        root, rate = math.sqrt((1 - self.beta_2**step) / (1 - self.beta_2)), rate_at(self.learning_rate, step)
        size = rate * root * (1 - self.beta_1) / (1 - self.beta_1**step)
        # Not 0: a gradient below 1e-19 has a square of 0 in float32.
        return size, max(self.epsilon * root, 1e-19), 0.0, rate


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam that also reduces every parameter by learning_rate x weight_decay of itself.

    Options as in `Adam`, and `weight_decay` (0.004, Keras's). Loshchilov and Hutter 2017.
    """

    weight_decay: float = 0.004
    kind: ClassVar[str] = "adamw"

    def rates(self, step: int) -> tuple[float, float, float, float]:
        size, epsilon, _, rate = super().rates(step)
        return size, epsilon, rate * self.weight_decay, rate


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent with momentum: delta = learning_rate g + momentum delta, parameter -= delta.

    Parameters
    ----------
    learning_rate : a number, or a `CosineDecay` (1e-3)
    momentum : share of the last step in the next one (0)
    global_clipnorm, average : keywords, as in `Optimizer`
    """

    momentum: float = 0.0
    kind: ClassVar[str] = "sgd"
    moments: ClassVar[tuple[str, ...]] = ("delta",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require(self.momentum >= 0, "rates must be 0 or more")

    def rates(self, step: int) -> tuple[float, float, float, float]:
        rate = rate_at(self.learning_rate, step)
        return rate, self.momentum, 0.0, rate


def optimizers_of(optimizer: Optimizer | Sequence[Optimizer] | None, members: int) -> tuple[Optimizer, ...]:
    """Return one optimiser for all members, or one for each; these differ in their learning rates alone."""
    optimizers = tuple(optimizer) if isinstance(optimizer, Sequence) else (optimizer or Adam(),)
    if not all(isinstance(each, Optimizer) for each in optimizers):
        raise LayerError(
            f"optimizer must be one such as Adam(1e-4) or SGD(1e-3), or one per member, got {optimizer!r}."
        )
    if isinstance(optimizer, Sequence) and len(optimizers) != members:
        raise LayerError(f"optimizer must be one for each of {members} seeds, got {len(optimizers)}.")
    first = optimizers[0]
    for each in optimizers:
        alike = replace(each, learning_rate=first.learning_rate) == first
        each.require(alike, f"members must differ in learning_rate alone; the first has {first}")
    return optimizers


def rate_at(learning_rate: float | CosineDecay, step: int) -> float:
    """Return the learning rate of learning step 1, 2, ..."""
    return learning_rate(step - 1) if isinstance(learning_rate, CosineDecay) else learning_rate
