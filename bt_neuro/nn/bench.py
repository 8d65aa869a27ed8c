"""Time of one bar of the article's network on this machine."""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from bt_neuro.nn.layers import Dense
from bt_neuro.nn.models import article_layers
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import Adam
from bt_neuro.nn.reference.passes import Array

WAYS = {
    "predict": "predict one window",
    "learn": "one training step on a window never predicted",
    "bar": "learn an earlier window, predict the next one",
    "stream": "learn the window predicted last, reusing that prediction; predict the next one",
}
OURS, MANY = "bt-neuro", "bt-neuro, many bars a launch"
HEAD = "microseconds a bar, median (smallest), times ours"
_ROUNDS, _WARM_BARS = 10, 200
_CHUNK_S = 0.3  # a slow variant makes fewer calls a round, at least one


class OwnVariant:
    """The article's network as a strategy calls it; the peers have the same methods.

    Predicting moves the running statistics.
    """

    about = "one launch per bar; stream: the activations are still in place"

    def __init__(self, network: Network) -> None:
        self._network = network

    def predict(self, window: Array) -> Array:
        """Return the outputs; nothing is kept for learning."""
        return self._network.predict(window, update_statistics=True)

    def learn(self, window: Array, target: Array) -> Array:
        """Learn a window that was never predicted, moving the statistics; return the outputs before."""
        return self._network.learn(window, target)

    def bar(self, earlier: Array, target: Array, window: Array) -> Array:
        """Learn any earlier window by the statistics as they stand, then predict `window`."""
        return self._network.learn_then_predict(earlier, target, window)

    def begin(self, window: Array) -> Array:
        """Predict so that `stream` can follow."""
        self._last = window
        return self.predict(window)

    def stream(self, target: Array, window: Array) -> Array:
        """Learn the window predicted last, reusing that prediction, then predict `window`."""
        last, self._last = self._last, window
        return self._network.learn_then_predict(last, target, window)


@dataclass(frozen=True)
class Bars:
    """Sliding windows of 20 bars x 12 features that look like standardised ones, and one-hot targets."""

    windows: Array
    targets: Array

    @classmethod
    def make(cls, count: int, seed: int = 0) -> Bars:
        """Return `count` windows; features persist from bar to bar, from not at all to as an RSI does."""
        random = np.random.default_rng(seed)
        rows = random.normal(size=(count + 19, 12))
        keep = np.linspace(0, 0.95, 12)
        for t in range(1, len(rows)):
            rows[t] = keep * rows[t - 1] + np.sqrt(1 - keep**2) * rows[t]
        windows = np.lib.stride_tricks.sliding_window_view(rows, (20, 12)).reshape(count, 240)
        targets = np.eye(3)[random.choice(3, size=count, p=[0.6, 0.2, 0.2])]
        return cls(windows.astype(np.float32), targets.astype(np.float32))


Admit = Callable[[Network, Bars], tuple[list[dict[str, Any]], dict[str, Any]]]


def run_bench(
    device: str = "auto",
    steps: int = 200,
    *,
    admit: Admit | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Time one bar of the article's network on one core.

    Parameters
    ----------
    device : as in `Network`
    steps : calls timed of each way of each variant, in ten rounds; variants take turns in each round
    admit : returns rows and variants to be timed beside ours, for a network with some bars behind it
    progress : called with the name of each part of the work

    Returns
    -------
    plain JSON values: "machine", "ways" (the work of each), "rows" (one a variant: "status" is measured, or
    the reason why not; per way "median_us" and "min_us" of single calls, "ratio" of its median to ours),
    "call_us" (a network of one neuron: the cost of a call without arithmetic), "build_s"
    """
    tell = progress or (lambda text: None)
    with one_core() as core:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        tell("building the network")
        began = time.perf_counter()
        network = Network(article_layers(), 240, optimizer=Adam(1e-4), device=device)
        build_s = time.perf_counter() - began
        bars = Bars.make(_WARM_BARS + max(steps, 50))
        network.predict(bars.windows[:_WARM_BARS], update_statistics=True)
        bars = Bars(bars.windows[_WARM_BARS:], bars.targets[_WARM_BARS:])
        rows, others = admit(network, bars) if admit else ([], {})
        variants = {OURS: OwnVariant(network), **others}
        rows = [
            {"name": OURS, "about": OwnVariant.about, "status": "measured"},
            {"name": MANY, "about": f"{steps} bars in one call of the same kernel", "status": "measured"},
            *rows,
        ]
        times: dict[str, dict[str, list[float]]] = {row["name"]: {way: [] for way in WAYS} for row in rows}
        small = Network([Dense(1)], bars.windows.shape[1], device=device)
        calls: list[float] = []
        for turn in range(_ROUNDS):
            tell(f"round {turn + 1} of {_ROUNDS}")
            share = len(range(turn, steps, _ROUNDS))
            for way in WAYS:
                for name, variant in variants.items():
                    times[name][way] += _timed(_caller(variant, way, bars), share)
                times[MANY][way].append(_timed_launch(network, way, bars, steps))
            calls += _timed(lambda i: small.predict(bars.windows[i]), share)
    for row in rows:
        if row["status"] == "measured":
            row |= {way: _figures(times[row["name"]][way], times[OURS][way]) for way in WAYS}
    machine: dict[str, Any] = {"processor": platform.processor(), "system": platform.platform(), "core": core}
    machine |= {"python": platform.python_version(), "numpy": np.__version__, "load_average": load}
    about = {"device": network.device_name, "steps": steps, "machine": machine, "build_s": build_s}
    return {**about, "call_us": float(np.median(calls)), "ways": dict(WAYS), "rows": rows}


def render(result: dict[str, Any]) -> str:
    """Return the result of `run_bench` as text: a table, the work of each way, the machine."""
    width = max(len(row["name"]) for row in result["rows"]) + 2
    lines = [HEAD, "", " " * width + "".join(f"{way:>24}" for way in WAYS)]
    for row in result["rows"]:
        cells = [f"{_cell(row[way]):>24}" for way in WAYS] if row["status"] == "measured" else [row["status"]]
        lines.append(f"{row['name']:<{width}}" + "".join(cells))
    lines += ["", *(f"{way:<{width}}{work}" for way, work in WAYS.items())]
    lines += ["", *(f"{row['name']:<{width}}{row['about']}" for row in result["rows"] if row["about"])]
    machine = result["machine"]
    load = machine["load_average"]
    pinned = "not pinned to a core" if machine["core"] is None else f"one core ({machine['core']})"
    noise = "" if load is None else f", load average {load:.1f}"
    lines += [
        "",
        f"{result['device']}, {pinned}{noise}, Python {machine['python']}, {result['steps']} calls each",
        f"a call of a network of one neuron takes {result['call_us']:.0f} microseconds; "
        f"the article's network was built in {result['build_s']:.1f} s (less when a cache holds it)",
    ]
    return "\n".join(lines)


def _cell(figures: dict[str, float]) -> str:
    return f"{figures['median_us']:,.0f} ({figures['min_us']:,.0f}) {figures['ratio']:>5.2f}"


@contextmanager
def one_core() -> Iterator[int | None]:
    """Keep this thread, and those it starts, on one core where the system can; yield its number."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield max(allowed)
    finally:
        os.sched_setaffinity(0, allowed)


def _caller(variant: Any, way: str, bars: Bars) -> Callable[[int], Array]:
    """Return the call of one way as a function of the bar's number; bars come around again."""
    w, t, n = bars.windows, bars.targets, len(bars.windows)
    if way == "predict":
        return lambda i: variant.predict(w[i % n])
    if way == "learn":
        return lambda i: variant.learn(w[i % n], t[i % n])
    if way == "bar":  # two bars back, as the label of a fractal with wing 2
        return lambda i: variant.bar(w[(i - 2) % n], t[(i - 2) % n], w[i % n])
    variant.begin(w[-1])
    return lambda i: variant.stream(t[(i - 1) % n], w[i % n])


def _timed(call: Callable[[int], Array], count: int) -> list[float]:
    """Return the microseconds of each of `count` calls, after one that does not count."""
    clock, durations = time.perf_counter, []
    call(0)
    enabled = gc.isenabled()
    gc.disable()
    try:
        end = clock() + _CHUNK_S
        for i in range(1, count + 1):
            began = clock()
            call(i)
            durations.append((clock() - began) * 1e6)
            if clock() > end:
                break
    finally:
        if enabled:
            gc.enable()
    return durations


def _timed_launch(network: Network, way: str, bars: Bars, steps: int) -> float:
    """Return the microseconds a bar in one call of `steps` bars."""
    w, t = bars.windows[:steps], bars.targets[:steps]
    earlier, targets = (np.roll(array, 1 if way == "stream" else 2, axis=0) for array in (w, t))
    began = time.perf_counter()
    if way == "predict":
        network.predict(w, update_statistics=True)
    elif way == "learn":
        network.learn(w, t)
    else:
        network.learn_then_predict(earlier, targets, w)
    return (time.perf_counter() - began) * 1e6 / steps


def _figures(durations: list[float], ours: list[float]) -> dict[str, float]:
    median, base = (float(np.median(some)) if some else 0.0 for some in (durations, ours))
    ratio = median / base if base else 0.0
    return {"median_us": median, "min_us": min(durations, default=0.0), "ratio": ratio}
