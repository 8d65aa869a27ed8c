"""How `bt-neuro stream` behaves over a long life: latency of a line, memory, time, restart as bars go by.

    python benchmarks/stream.py                        # 1,000,000 bars, a small network; some minutes
    python benchmarks/stream.py --bars 0 --device auto # only latency and restart, of the article's network too

Latency is from a line written to the process's stdin to the signal read from its stdout, one line at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

TINY = """
from bt_neuro import Dense, NeuroStrategy, RunningBatchNorm

class Tiny(NeuroStrategy):
    params = (("history_bars", 4),)

    def layers(self, inputs):
        return [RunningBatchNorm(100, activation="tanh"), Dense(8, "tanh"), Dense(3, "sigmoid")]
"""


def lines(count: int) -> Iterator[bytes]:
    """Yield bars of a random walk in pips, one a minute."""
    rng = np.random.default_rng(7)
    start = np.datetime64("2000-01-01T00:00:00")
    close = 1.1
    for first in range(0, count, 10_000):
        moves = rng.normal(0, 2e-4, (10_000, 3)).tolist()
        for bar, (move, up, down) in enumerate(moves[: count - first], start=first):
            open_, close = close, max(round(close + move, 5), 0.5)
            high = round(max(open_, close) + abs(up), 5)
            low = round(min(open_, close) - abs(down), 5)
            yield f"{start + np.timedelta64(bar, 'm')},{open_},{high},{low},{close},500\n".encode()


def process(
    folder: Path, device: str, strategy: Path | None, *more: str, **pipes: object
) -> subprocess.Popen[bytes]:
    """Start a stream in a new folder, or in place."""
    words = ["-m", "bt_neuro", "stream", "--resume" if folder.exists() else "--out", str(folder), *more]
    words += ["--device", device] + (["--strategy", str(strategy)] if strategy else [])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} | pipes
    return subprocess.Popen([sys.executable, *words], **pipes)


def restart(folder: Path, device: str, strategy: Path | None, times: int = 5) -> dict[str, float]:
    """Kill a stream and start it again; seconds from the start of the process to its `ready`."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        ran = process(folder, device, strategy, stderr=subprocess.PIPE)
        ready = json.loads(ran.stderr.readline())
        found.append(time.perf_counter() - start)
        assert ready["event"] == "ready", ready
        ran.kill()
        ran.communicate()
    return {"bars": ready["bars"], "min_s": min(found), "median_s": statistics.median(found)}


def latency(folder: Path, device: str, strategy: Path | None, bars: int) -> dict[str, float]:
    """Write one line, wait for its signal, and so on; times in milliseconds."""
    ran = process(folder, device, strategy)
    times = []
    for bar, line in enumerate(lines(bars)):
        start = time.perf_counter()
        ran.stdin.write(line)
        ran.stdin.flush()
        said = json.loads(ran.stdout.readline())
        times.append(1e3 * (time.perf_counter() - start))
        assert said["bar"] == bar
    ran.stdin.close()
    assert ran.wait() == 0
    times = times[200:]  # after the warm-up
    p50, p99 = np.percentile(times, [50, 99])
    return {"p50_ms": p50, "p99_ms": p99, "max_ms": max(times), "mean_ms": statistics.fmean(times)}


def endurance(folder: Path, device: str, strategy: Path, bars: int, part: int) -> list[dict[str, float]]:
    """Write all bars as fast as they are taken; return memory and time after each part."""
    ran = process(folder, device, strategy)

    def write() -> None:
        for line in lines(bars):
            ran.stdin.write(line)
        ran.stdin.close()

    threading.Thread(target=write, daemon=True).start()
    found, start, cpu = [], time.perf_counter(), 0.0
    for number, _ in enumerate(ran.stdout, start=1):
        if number % part == 0:
            status = Path(f"/proc/{ran.pid}/status").read_text()
            memory = next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmRSS"))
            now, used = time.perf_counter(), cpu_seconds(ran.pid)
            times = {"us_a_bar": 1e6 * (now - start) / part, "cpu_us_a_bar": 1e6 * (used - cpu) / part}
            found.append({"bars": number, "rss_mb": memory / 1024, **times})
            print(json.dumps(found[-1]), file=sys.stderr, flush=True)
            start, cpu = now, used
    assert ran.wait() == 0
    return found


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used: beside other work, wall time says little."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--part", type=int, default=50_000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--latency-bars", type=int, default=3000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        tiny = here / "tiny.py"
        tiny.write_text(TINY)
        result = {
            "cpus": os.cpu_count(),
            "latency_article": latency(here / "article", asked.device, None, asked.latency_bars),
            "latency_small": latency(here / "small", asked.device, tiny, asked.latency_bars),
            "restart_article": restart(here / "article", asked.device, None),
        }
        if asked.bars:
            parts = endurance(here / "long", asked.device, tiny, asked.bars, asked.part)
            first, rest = parts[0]["rss_mb"], [part["rss_mb"] for part in parts]
            result |= {"parts": parts, "rss_growth_pct": 100 * (max(rest) / first - 1)}
            result["restart_long"] = restart(here / "long", asked.device, tiny)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
