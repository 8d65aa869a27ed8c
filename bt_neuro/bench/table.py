"""The figures as a table for the console."""

from __future__ import annotations

from typing import Any

HEAD = "microseconds a bar, median (smallest), times ours"


def render(result: dict[str, Any]) -> str:
    """Return what `run_bench` measured as text: a table, what each variant does, how it was measured."""
    ways: dict[str, str] = result["ways"]
    width = max(len(row["name"]) for row in result["rows"]) + 2
    lines = [HEAD, "", " " * width + "".join(f"{way:>24}" for way in ways)]
    for row in result["rows"]:
        cells = [f"{_cell(row[way]):>24}" for way in ways] if row["status"] == "measured" else [row["status"]]
        lines.append(f"{row['name']:<{width}}" + "".join(cells))
    lines += ["", *(f"{way:<{width}}{what}" for way, what in ways.items())]
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
        *_summary(result),
    ]
    return "\n".join(lines)


def _cell(figures: dict[str, float]) -> str:
    return f"{figures['median_us']:,.0f} ({figures['min_us']:,.0f}) {figures['ratio']:>5.2f}"


def _summary(result: dict[str, Any]) -> list[str]:
    live = [row for row in result["rows"][3:] if row["status"] == "measured"]  # after ours and the reference
    if not live:
        return []
    # A peer may be faster without the reuse: then that is its way of running the stream.
    time, best = min((min(row[way]["median_us"] for way in ("bar", "stream")), row["name"]) for row in live)
    ratio = time / result["rows"][0]["stream"]["median_us"]
    return [
        f"predict and learn as the stream runs: the fastest peer, {best}, takes {ratio:.1f} times as long"
    ]
