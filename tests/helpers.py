"""Assert helpers of the engine's tests: one table of tolerances, comparisons that name the worst element.

Every helper is seen to fail in `test_helpers.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bt_neuro.nn.layers import Layer
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.losses import Loss, loss_of
from bt_neuro.nn.numpy_engine import ReferenceNetwork
from bt_neuro.nn.optimizers import SGD, Optimizer
from bt_neuro.nn.reference.passes import Mode

Array = NDArray[np.floating]
Gradients = dict[str, Array]

# What each comparison may differ by, relative to the largest number compared.
TOLERANCES = {
    "gradient": 1e-7,  # finite differences in float64; right gradients reach 1e-9
    "double": 1e-12,  # a kernel in double against the reference: the order of sums
    "double, Adam": 1e-9,  # ... after Adam, which divides small gradients by their size
    "single": 2e-6,  # outputs of a kernel in float against the reference in float64
    "single, ten steps at 0.01": 1e-4,  # the golden losses: at that rate each step multiplies rounding
    # Adam divides a gradient by its own size: where the true one is 0 (the attention's key bias) or within
    # rounding of it, the direction is noise and the parameter may move a learning rate the wrong way.
    "single, a parameter": 1e-2,
}
EPSILON = 1e-5  # of the central differences


def assert_close(
    actual: ArrayLike, expected: ArrayLike, tolerance: str, what: str = "", *, at_least: float = 0.0
) -> None:
    """Fail unless all elements agree within a share of the largest expected one, or of `at_least`.

    NaN agrees with nothing.
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    assert actual.size, f"{what}: nothing to compare"
    assert_finite(actual, f"{what}, actual")
    assert_finite(expected, f"{what}, expected")
    difference = np.abs(actual - expected)
    worst = np.unravel_index(difference.argmax(), difference.shape)
    allowed = TOLERANCES[tolerance] * max(float(np.abs(expected).max()), at_least)
    assert difference[worst] <= allowed, (
        f"{what}: worst at {tuple(map(int, worst))}: {actual[worst]}, expected {expected[worst]}; "
        f"they differ by {difference[worst]:.2e}, allowed {allowed:.2e}"
    )


def assert_finite(numbers: Array, what: str) -> None:
    bad = np.argwhere(~np.isfinite(numbers))
    assert not len(bad), f"{what}: {numbers[tuple(bad[0])]} at {tuple(map(int, bad[0]))}"


def assert_same_bits(actual: ArrayLike, expected: ArrayLike, what: str = "") -> None:
    """Fail unless both are equal to the bit, signs of zeros included."""
    actual, expected = np.ascontiguousarray(actual), np.ascontiguousarray(expected)
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype}, expected {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    assert actual.size, f"{what}: nothing to compare"
    assert_finite(actual, what)
    word = {4: np.uint32, 8: np.uint64}[actual.dtype.itemsize]
    differ = np.argwhere(actual.view(word) != expected.view(word))
    if len(differ):
        at = tuple(map(int, differ[0]))
        raise AssertionError(
            f"{what}: {len(differ)} of {actual.size} differ, the first at {at}: "
            f"{actual[at]}, expected {expected[at]}"
        )


class Sample:
    """Layers with random data: windows and targets to learn, `batch_size` of them a step."""

    def __init__(
        self,
        layers: list[Layer],
        inputs: int,
        rng: np.random.Generator,
        optimizer: Optimizer | None = None,
        steps: int = 6,
        noise: float = 0.1,
        loss: str | Loss = "mean_squared_error",
        batch_size: int = 1,
    ) -> None:
        self.layout = Layout(layers, inputs, optimizer or SGD(0.01, momentum=0.9), loss_of(loss))
        self.rng, self.batch_size = rng, batch_size
        # A little off the start, where biases are 0 and scales 1: a fault may hide behind these.
        self.state = self.layout.initial_state(seed=3)
        self.state[: self.layout.size_parameters] += self._noise(noise)
        self.windows = rng.normal(size=(steps, inputs))
        self.targets = self.layout.loss.weighted(rng.uniform(size=(steps, self.layout.n_outputs)))
        self.rates = np.array(
            [self.layout.optimizer.rates(step) for step in range(1, -(-steps // batch_size) + 1)]
        )

    def _noise(self, scale: float) -> Array:
        """Return noise on each parameter, 0 in the gaps between them."""
        noise = np.zeros(self.layout.size_parameters)
        for _, placed in self.layout.parameters():
            placed.view(noise)[...] = self.rng.normal(scale=scale, size=placed.tensor.shape)
        return noise

    def warm_state(self) -> Array:
        """Return the state after all windows but the last ones moved the statistics.

        Before that gradients are not exact: the very first sample's variance is published as a special case.
        """
        network = self.reference()
        for step, window in enumerate(self.windows[: -self.batch_size], start=1):
            network.forward(window, moves=True, step=step)
        return network.state

    def learn(self, engine: Any, steps: slice = slice(None), rates: Array | None = None) -> Array:
        """Learn on a Runner or a ReferenceNetwork; return the outputs that each step started from."""
        first = steps.indices(len(self.windows))[0] + 1
        rates = self.rates[: len(self.windows[steps])] if rates is None else rates
        mode, nothing = Mode.LEARN | Mode.LEARN_MOVES, self.windows[:0]
        out, _ = engine.run(mode, self.windows[steps], self.targets[steps], nothing, rates, first)
        return out

    def reference(self, state: Array | None = None, seed: int = 5) -> ReferenceNetwork:
        return ReferenceNetwork(
            self.layout, (self.state if state is None else state).copy(), seed, self.batch_size
        )


class GradientCheck:
    """The gradients of a network's loss at one sample, by its inputs and parameters, against differences.

    Parameters
    ----------
    sample : the network and its data; the gradient is taken at the last windows, after the others
    """

    def __init__(self, sample: Sample) -> None:
        self.sample, self.layout = sample, sample.layout
        self.state, last = sample.warm_state(), slice(-sample.batch_size, None)
        self.window, self.target = sample.windows[last], sample.targets[last]

    def loss(self, state: Array, window: Array) -> float:
        out = self.sample.reference(state).forward(window, moves=True, step=len(self.sample.windows))
        return float(self.layout.loss.value(out, self.target).mean())

    def gradients(self) -> Gradients:
        """Return what the reference's backward pass says, by name; "inputs" too."""
        network = self.sample.reference(self.state)
        network.forward(self.window, moves=True, step=len(self.sample.windows))
        dinp = network.backward(self.target)
        return network.gradients() | {"inputs": dinp.ravel()}

    def check(self, gradients: Gradients) -> None:
        """Compare with central differences in random and in unit directions."""
        known = {"inputs", *(name for name, _ in self.layout.parameters())}
        assert set(gradients) == known, f"no gradient, or too many: {sorted(set(gradients) ^ known)}"
        for name, gradient in gradients.items():
            self.check_tensor(name, gradient)

    def check_tensor(self, name: str, gradient: Array) -> None:
        places = dict(self.layout.parameters())

        def loss(step: Array) -> float:
            if name == "inputs":
                return self.loss(self.state, self.window + step.reshape(self.window.shape))
            state = self.state.copy()
            places[name].view(state)[...] += step.reshape(places[name].tensor.shape)
            return self.loss(state, self.window)

        compare_directions(gradient.ravel(), loss, self.sample.rng, name)


def compare_directions(
    gradient: Array, loss: Callable[[Array], float], rng: np.random.Generator, what: str
) -> None:
    """Compare a gradient with central differences; differences are measured against its length."""
    length = max(float(np.linalg.norm(gradient)), 1e-3)
    for label, direction in directions(gradient.size, rng):
        difference = (loss(EPSILON * direction) - loss(-EPSILON * direction)) / (2 * EPSILON)
        wrong = abs(float(gradient @ direction) - difference)
        assert math.isfinite(wrong), f"{what}, {label}: {difference} by differences"
        assert wrong <= TOLERANCES["gradient"] * length, (
            f"{what}, {label}: {float(gradient @ direction)}, by differences {difference}; "
            f"they differ by {wrong:.2e}, {wrong / length:.1e} of the gradient's length"
        )


def directions(
    n: int, rng: np.random.Generator, units: int = 5, randoms: int = 2
) -> Iterator[tuple[str, Array]]:
    """Yield some random directions of length 1, and unit ones: the first, the last and some between."""
    for i in range(randoms):
        direction = rng.normal(size=n)
        yield f"random direction {i}", direction / np.linalg.norm(direction)
    for i in sorted({0, n - 1, *rng.integers(0, n, max(units - 2, 0)).tolist()}):
        yield f"element {i}", np.eye(1, n, i)[0]
