"""Tables of a network: one row per layer, with or without its microseconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from bt_neuro.nn.engines import Engine
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.reference.passes import Mode

_WINDOWS, _RUN_S, _ROUNDS = 64, 0.01, 5


def table(layout: Layout, times: Sequence[float] = ()) -> str:
    """Return one row per layer: outputs, parameters, and the time it adds to a window (see `layer_times`)."""
    heads = ("us", "share") if times else ()
    rows: list[tuple[str, ...]] = [("name", "layer", "outputs", "parameters", *heads)]
    whole, *added = times or (0.0,)
    for plan, took in zip_longest(layout.plans, added):
        shape = " x ".join(map(str, plan.output_shape))
        size = sum(place.tensor.size for _, place in plan.named() if place.offset < layout.size_parameters)
        cost = ("--", "--") if took is None else (f"{took:.1f}", f"{took / whole:.0%}")
        rows.append((plan.name, type(plan.layer).__name__, shape, f"{size:,}", *cost[: len(heads)]))
    rows.append(("", "", "", f"{layout.n_parameters:,}", *(f"{whole:.1f}", "")[: len(heads)]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{'<' if i < 2 else '>'}{widths[i]}}" for i, cell in enumerate(row)).rstrip()
        for row in rows
    ]
    return "\n".join([f"{layout.n_inputs} inputs", *lines])


def layer_times(layout: Layout, engine: Engine) -> list[float]:
    """Return the microseconds to learn and predict a window, then those each layer adds, if measurable.

    A layer adds the time saved by leaving it out: alone, in warm caches, it would seem quicker. The engine's
    state is put back as it was.
    """
    state, skipped = engine.read(), range(len(layout.plans) + 1 if engine.can_skip else 1)
    try:
        first = _timed(layout, engine, 1)
        windows = max(min(int(_RUN_S / first()), _WINDOWS), 1)
        run = _timed(layout, engine, windows)
        rounds = [list(map(run, skipped)) for _ in range(_ROUNDS)]
    finally:
        engine.write(state)
    whole, *without = 1e6 / windows * np.min(rounds, axis=0)
    return [float(whole), *(max(float(whole - left), 0.0) for left in without)]


def _timed(layout: Layout, engine: Engine, windows: int) -> Callable[..., float]:
    """Return a function that gives the seconds of a run with a layer left out, none for 0."""
    random = np.random.default_rng(0)
    inputs: NDArray[np.float32] = random.normal(size=(2, windows, layout.n_inputs)).astype(np.float32)
    targets = np.eye(layout.n_outputs, dtype=np.float32)[random.integers(0, layout.n_outputs, windows)]
    rates = np.array([[layout.optimizer.rates(step) for step in range(1, windows + 1)]])

    def run(skipped: int = 0) -> float:
        mode = Mode.BOTH | Mode.PREDICT_MOVES | skipped * Mode.SKIPPED
        start = time.perf_counter()
        engine.run(mode, inputs[0], targets, inputs[1], rates, 1)
        return time.perf_counter() - start

    run()
    return run
