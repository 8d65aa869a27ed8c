"""Time one bar of the article's network in bt-neuro beside PyTorch and JAX, on one core.

    python benchmarks/peers.py                          # ours, PyTorch and JAX, where installed
    python benchmarks/peers.py --compiled --steps 500   # torch.compile takes part; it compiles for long

Every variant starts from the same numbers, and its outputs must equal ours within 3e-6 over 36 bars of all
ways before it is timed; other outputs are reported as wrong.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bt_neuro import Network
from bt_neuro.nn.bench import OURS, Bars, OwnVariant, render, run_bench
from bt_neuro.nn.reference.passes import Array

# Sound peers differ from ours by 0.4e-6, float64 by 0.9e-6. Faults that must show: the query gradient of one
# of five blocks with the wrong sign, 7e-6; batch normalisation's gradient without its last factor, 5e-4.
TOLERANCE = 3e-6
PATIENCE_S = 180  # for a variant that compiles
MISSING = "not installed: pip install 'bt-neuro[peers]'"

State = dict[str, Array]  # tensors by name, (1, ...); statistics that hold some bars already
Factory = Callable[[State, float], Any]  # of a state and a learning rate


def _from(module: str, name: str) -> Factory:
    return lambda *start: getattr(import_module(f"benchmarks.{module}"), name)(*start)


PEERS: dict[str, Factory] = {
    "PyTorch eager": _from("torch_peer", "TorchNetwork"),
    "PyTorch eager, tuned": _from("torch_peer", "TunedTorchNetwork"),
    "JAX": _from("jax_peer", "JaxNetwork"),
}
COMPILED: dict[str, Factory] = {"PyTorch compiled": _from("torch_peer", "CompiledTorchNetwork")}


def check_outputs(variant: Any, bars: Bars) -> Array:
    """Run every way of the variant for a few bars; return all outputs."""
    w, t = bars.windows, bars.targets
    outputs = [variant.begin(w[0])]
    outputs += [variant.stream(t[i - 1], w[i]) for i in range(1, 16)]
    outputs += [variant.bar(w[i - 2], t[i - 2], w[i]) for i in range(16, 24)]
    outputs += [variant.learn(w[i], t[i]) for i in range(24, 32)]
    outputs += [variant.predict(w[i]) for i in range(32, 36)]
    return np.array(outputs)


def admit(
    factories: dict[str, Factory], network: Network, bars: Bars
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a row for each peer, and the peers whose outputs are ours."""
    start = network.state(), float(network.optimizers[0].learning_rate)
    expected = check_outputs(OwnVariant(network), bars)
    rows: list[dict[str, Any]] = []
    variants: dict[str, Any] = {}
    for name, factory in factories.items():
        print(f"checking {name}", file=sys.stderr)
        row: dict[str, Any] = {"name": name, "about": "", "status": "measured"}
        rows.append(row)
        began = time.perf_counter()
        try:
            with _patience(PATIENCE_S):
                peer = factory(*start)
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


def fastest(result: dict[str, Any]) -> str:
    """Return a sentence on the fastest peer; without the reuse it may be faster than with it."""
    peers = [row for row in result["rows"] if row["name"] in {**PEERS, **COMPILED}]
    peers = [row for row in peers if row["status"] == "measured"]
    if not peers:
        return "no peer was measured"
    time_us, best = min(
        (min(row[way]["median_us"] for way in ("bar", "stream")), row["name"]) for row in peers
    )
    ours = next(row for row in result["rows"] if row["name"] == OURS)
    ratio = time_us / ours["stream"]["median_us"]
    return f"predict and learn as the stream runs: the fastest peer, {best}, takes {ratio:.1f} times as long"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    factories = {**PEERS, **(COMPILED if options.compiled else {})}
    result = run_bench(
        options.device, options.steps, admit=lambda network, bars: admit(factories, network, bars)
    )
    print(json.dumps(result, indent=2) if options.json else f"{render(result)}\n{fastest(result)}")


if __name__ == "__main__":
    main()
