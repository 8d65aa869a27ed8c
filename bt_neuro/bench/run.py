"""Checks every variant, then times them in turns."""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np

from bt_neuro.bench.own_peer import OwnPeer, article_network, reference
from bt_neuro.bench.peer import LEARNING_RATE, TOLERANCE, Array, Bars, Factory, Peer, Start, check_outputs
from bt_neuro.nn.layers import Dense
from bt_neuro.nn.network import Network

WAYS = {
    "predict": "predict one window",
    "learn": "one training step on a window never predicted",
    "bar": "learn an earlier window, predict the next one",
    "stream": "learn the window predicted last, reusing that prediction; predict the next one",
}
OURS, MANY = "bt-neuro", "bt-neuro, many bars a launch"
MISSING = "not installed: pip install 'bt-neuro[peers]'"
_ROUNDS = 10
_CHUNK_S = 0.3  # a slow variant makes fewer calls a round, at least one
_WARM_BARS = 200
_PATIENCE_S = 180  # for a variant that compiles


def _from(module: str, name: str) -> Factory:
    return lambda start: getattr(import_module(f"bt_neuro.bench.{module}"), name)(start)


PEERS: dict[str, Factory] = {
    "PyTorch eager": _from("torch_peer", "eager"),
    "PyTorch eager, tuned": _from("torch_peer", "tuned"),
    "JAX": _from("jax_peer", "JaxNetwork"),
}
COMPILED: dict[str, Factory] = {"PyTorch compiled": _from("torch_peer", "compiled")}


def run_bench(
    device: str = "auto",
    steps: int = 200,
    peers: bool = True,
    *,
    compiled: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Time one bar of the article's network, ours and each installed peer's, on one core.

    Parameters
    ----------
    device : as in `Network`
    steps : calls timed of every way of every variant, in ten rounds; variants take turns in each round
    peers : time PyTorch and JAX too, where installed
    compiled : let ``torch.compile`` take part as well; given up when it takes over three minutes
    progress : called with what is being done

    Returns
    -------
    plain JSON values: "machine", "ways" (what each measures), "rows" (one a variant: "status" is measured,
    or why not; per way "median_us" and "min_us" of single calls, "ratio" of its median to ours), "call_us"
    (a network of one neuron: what a call costs besides arithmetic), "build_s"

    Notes
    -----
    Every variant starts from the same numbers and must give our outputs within 3e-6 over 36 bars of all
    ways before it is timed; one that computes something else is reported as wrong.
    """
    tell = progress or (lambda text: None)
    with _one_core() as core:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        tell("building the network")
        began = time.perf_counter()
        network = article_network(device, LEARNING_RATE)
        build_s = time.perf_counter() - began
        bars = Bars.make(_WARM_BARS + max(steps, 50))
        network.predict(bars.windows[:_WARM_BARS], update_statistics=True)
        start = Start(network.state())
        bars = Bars(bars.windows[_WARM_BARS:], bars.targets[_WARM_BARS:])
        ours = OwnPeer(start, network, OURS, "one launch a bar; stream: the activations are still in place")
        rows, variants = _admitted(ours, start, bars, peers, compiled, tell)
        times: dict[str, dict[str, list[float]]] = {row["name"]: {way: [] for way in WAYS} for row in rows}
        times[MANY] = {way: [] for way in WAYS}
        small = Network([Dense(1)], bars.windows.shape[1], device=device)
        calls: list[float] = []
        for turn in range(_ROUNDS):
            tell(f"round {turn + 1} of {_ROUNDS}")
            share = len(range(turn, steps, _ROUNDS))
            for way in WAYS:
                for name, peer in variants.items():
                    times[name][way] += _timed(_caller(peer, way, bars), share)
                times[MANY][way].append(_timed_launch(network, way, bars, steps))
            calls += _timed(lambda i: small.predict(bars.windows[i]), share)
    about = f"{steps} bars in one call of the same kernel"
    rows.insert(1, {"name": MANY, "about": about, "status": "measured"})
    for row in rows:
        if row["status"] == "measured":
            row |= {way: _figures(times[row["name"]][way], times[OURS][way]) for way in WAYS}
    return {
        "network": {"layers": "article", "parameters": network.n_parameters, "optimizer": "Adam"},
        "device": network.device_name,
        "steps": steps,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "core": core,
            "load_average": load,
        },
        "build_s": build_s,
        "call_us": _figures(calls, calls)["median_us"],
        "ways": dict(WAYS),
        "rows": rows,
    }


@contextmanager
def _one_core() -> Iterator[int | None]:
    """Keep this thread, and those it starts, on one core where the system can; yield which."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield max(allowed)
    finally:
        os.sched_setaffinity(0, allowed)


def _admitted(
    ours: OwnPeer, start: Start, bars: Bars, peers: bool, compiled: bool, tell: Callable[[str], None]
) -> tuple[list[dict[str, Any]], dict[str, Peer]]:
    """Return a row for each variant, and those that passed the check, ours first."""
    expected = check_outputs(ours, bars)
    rows: list[dict[str, Any]] = [{"name": OURS, "about": ours.about, "status": "measured"}]
    variants: dict[str, Peer] = {OURS: ours}
    factories: dict[str, Factory] = {"NumPy reference": reference}
    factories |= PEERS if peers else {}
    factories |= COMPILED if peers and compiled else {}
    for name, factory in factories.items():
        tell(f"checking {name}")
        row: dict[str, Any] = {"name": name, "about": "", "status": "measured"}
        rows.append(row)
        began = time.perf_counter()
        try:
            with _patience(_PATIENCE_S):
                peer = factory(start)
                difference = float(np.abs(check_outputs(peer, bars) - expected).max())
        except ModuleNotFoundError as error:
            row["status"] = MISSING if error.name in ("torch", "jax", "jaxlib") else f"failed: {error}"
            continue
        except (RuntimeError, OSError, TypeError, ValueError, AttributeError, TimeoutError) as error:
            row["status"] = f"failed: {(str(error).splitlines() or [type(error).__name__])[0][:200]}"
            continue
        row |= {"about": peer.about, "largest_difference": difference, "ready_s": time.perf_counter() - began}
        if difference <= TOLERANCE:  # false for NaN too
            variants[name] = peer
        else:
            row["status"] = f"wrong: its outputs differ from ours by {difference:.1e}"
    return rows, variants


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after so long, where the system has alarms."""
    import signal
    import threading

    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_: Any) -> None:
        raise TimeoutError(f"not ready after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _caller(peer: Peer, way: str, bars: Bars) -> Callable[[int], Array]:
    """Return the call of one way as a function of the bar's number; bars come around again."""
    w, t, n = bars.windows, bars.targets, len(bars.windows)
    if way == "predict":
        return lambda i: peer.predict(w[i % n])
    if way == "learn":
        return lambda i: peer.learn(w[i % n], t[i % n])
    if way == "bar":  # two bars back, as a fractal's wing of 2 asks
        return lambda i: peer.bar(w[(i - 2) % n], t[(i - 2) % n], w[i % n])
    peer.begin(w[-1])
    return lambda i: peer.stream(t[(i - 1) % n], w[i % n])


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
    median = float(np.median(durations)) if durations else 0.0
    base = float(np.median(ours)) if ours else 0.0
    return {
        "median_us": median,
        "min_us": min(durations, default=0.0),
        "ratio": median / base if base else 0.0,
    }
