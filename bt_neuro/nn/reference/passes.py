"""Modes of a run, types of a layer's two passes in NumPy, passes of a batch made from those of a window."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Tensors = dict[str, Array]  # of a layer, by short name; gradients too
Saved = dict[str, Any]  # by the forward pass for the backward one: "inp", "out" and more


class Mode:
    """Bits of a run's mode, the same in network.cl. Not an enum: its `|` costs half a microsecond."""

    LEARN = 1
    PREDICT = 2
    BOTH = LEARN | PREDICT
    LEARN_MOVES = 4  # the learning pass moves the running statistics
    PREDICT_MOVES = 8
    REUSE = 16  # the activations of the first window to learn are in place: no forward pass for it
    SLIDING = 32  # each further window to learn is the one predicted just before: no forward pass for it
    SKIPPED = 256  # from this bit on: number of a layer to leave out, counted from 1, to measure its cost


class Pass(NamedTuple):
    """Purpose of a forward pass: `step` is the learning step, None when predicting."""

    moves: bool  # the running statistics
    step: int | None
    key: int  # of random bits

    @property
    def learns(self) -> bool:
        return self.step is not None


# A layer's description comes first, then its tensors, and what the forward pass saves. The backward pass takes the
# gradient of the outputs, sets those of the tensors, and returns that of the inputs.
Forward = Callable[[Any, Tensors, Saved, Pass], Array]
Backward = Callable[[Any, Tensors, Saved, Array, Tensors], Array]
Passes = tuple[Forward, Backward]


def window_by_window(forward: Forward, backward: Backward) -> Passes:
    """Return passes of a batch, from those of one window: windows do not meet, their gradients add up."""

    def forward_batch(layer: Any, t: Tensors, s: Saved, p: Pass) -> Array:
        windows = s["windows"] = [{"inp": window} for window in s["inp"]]
        for window in windows:
            window["out"] = forward(layer, t, window, p)
        return (
            windows[0]["out"][None] if len(windows) == 1 else np.stack([window["out"] for window in windows])
        )

    def backward_batch(layer: Any, t: Tensors, s: Saved, dout: Array, d: Tensors) -> Array:
        if len(dout) == 1:
            return backward(layer, t, s["windows"][0], dout[0], d)[None]
        own = [{name: np.empty_like(sum_) for name, sum_ in d.items()} for _ in dout]
        dinps = [backward(layer, t, *each) for each in zip(s["windows"], dout, own, strict=True)]
        for name, total in d.items():
            total[...] = reduce(add, [each[name] for each in own])
        return np.stack(dinps)

    return forward_batch, backward_batch


@cache
def ones(n: int, dtype: np.dtype[np.floating]) -> Array:
    """Return n ones: a product with them is a sum over rows, in a third of the time of NumPy's own."""
    return np.ones(n, dtype)
