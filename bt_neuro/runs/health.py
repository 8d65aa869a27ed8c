"""Health of a stream: a small file for monitors, and heartbeats."""

from __future__ import annotations

import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from bt_neuro.io import Fields, atomic_write
from bt_neuro.metrics.classification import percent, ratio
from bt_neuro.plugin.run_observer import BarRecord

HEALTH = "health.json"
FILE_S = 5.0
ERRORS, NEW_ERRORS = 1_000, 200  # scored bars: in all, and those that are recent
RECENT = 1_000  # signals


class Health:
    """Subscriber that keeps the recent errors, and writes ``health.json`` every five seconds.

    Parameters
    ----------
    folder : of the run
    event : called with a heartbeat
    every_s : seconds between heartbeats; None for none
    counts : returns further values
    """

    def __init__(
        self,
        folder: Path,
        event: Callable[[dict[str, Any]], None],
        every_s: float | None,
        counts: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._path, self._event, self._every_s, self._counts = folder / HEALTH, event, every_s, counts
        self._errors: deque[float] = deque(maxlen=ERRORS)
        self._hits: deque[int] = deque(maxlen=RECENT)
        self._last_write = self._last_beat = self._last_bar = time.monotonic()

    def on_bar(self, record: BarRecord) -> None:
        self._last_bar = time.monotonic()
        for scored in record.scored:
            share = 1 / sum(scored.target)
            pairs = zip(scored.signal.probabilities, scored.target, strict=True)
            self._errors.append(round(0.5 * sum((p - share * t) ** 2 for p, t in pairs), 5))
            if scored.is_hit is not None:
                self._hits.append(int(scored.is_hit))

    def beat(self) -> None:
        """Write the file and send a heartbeat if it is time."""
        now = time.monotonic()
        if now - self._last_write >= FILE_S:
            self.write("running")
        if self._every_s is not None and now - self._last_beat >= self._every_s:
            self._last_beat = now
            self._event({"event": "heartbeat", **self.values()})

    def values(self) -> dict[str, Any]:
        """Return seconds since the last bar, recent hit rate, and the recent error against the one before."""
        return {
            **self._counts(),
            "lag_s": round(time.monotonic() - self._last_bar, 3),
            "recent_signals": len(self._hits),
            "recent_hit_rate_pct": percent(ratio(sum(self._hits), len(self._hits))),
            **drift(list(self._errors)),
        }

    def write(self, status: str) -> None:
        """Write the file; a power failure may lose it."""
        self._last_write = time.monotonic()
        about = {
            "status": status,
            "pid": os.getpid(),
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with atomic_write(self._path, sync=False) as partial:
            partial.write_text(json.dumps({**about, **self.values()}, indent=2) + "\n", encoding="utf-8")

    def state(self) -> dict[str, Any]:
        """Return plain JSON values for `restore`."""
        return {"errors": list(self._errors), "hits": list(self._hits)}

    def restore(self, saved: Fields) -> None:
        """Restore `state`."""
        self._errors.extend(saved.numbers("errors"))
        self._hits.extend(saved.integers("hits", most=1))


def drift(errors: list[float]) -> dict[str, float | None]:
    """Return the mean of the recent errors, of those before, and their difference in standard errors.

    Examples
    --------
    >>> found = drift([0.1, 0.2] * 200 + [0.4, 0.5] * 100)
    >>> found["recent_error"], found["error_before"], found["drift_z"] > 50
    (0.45, 0.15, True)
    """
    recent, before = errors[-NEW_ERRORS:], errors[:-NEW_ERRORS]
    if len(before) < NEW_ERRORS:
        return {"recent_error": None, "error_before": None, "drift_z": None}
    now, then = fmean(recent), fmean(before)
    spread = math.sqrt(variance(recent) / len(recent) + variance(before) / len(before))
    z = (now - then) / spread if spread else None
    return {"recent_error": round(now, 6), "error_before": round(then, 6), "drift_z": z and round(z, 2)}
