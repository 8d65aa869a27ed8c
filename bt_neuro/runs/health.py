"""Health of a stream: a small file for watchers, and heartbeats."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bt_neuro.io import Fields, atomic_write
from bt_neuro.metrics.classification import percent, ratio
from bt_neuro.metrics.drift import latest_change
from bt_neuro.plugin.run_observer import BarRecord

HEALTH = "health.json"
FILE_S = 5.0
ERRORS = 2_000  # scored bars in which drift is looked for
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
        self._bars: deque[int] = deque(maxlen=ERRORS)
        self._hits: deque[int] = deque(maxlen=RECENT)
        self._last_write = self._last_beat = self._last_bar = time.monotonic()

    def on_bar(self, record: BarRecord) -> None:
        self._last_bar = time.monotonic()
        for scored in record.scored:
            share = 1 / sum(scored.target)
            pairs = zip(scored.signal.probabilities, scored.target, strict=True)
            self._errors.append(round(0.5 * sum((p - share * t) ** 2 for p, t in pairs), 5))
            self._bars.append(scored.signal.bar)
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
        """Return seconds since the last bar, recent hit rate, and the last bar at which the error changed."""
        change = latest_change(np.array(self._errors))
        return {
            **self._counts(),
            "lag_s": round(time.monotonic() - self._last_bar, 3),
            "recent_signals": len(self._hits),
            "recent_hit_rate_pct": percent(ratio(sum(self._hits), len(self._hits))),
            "drift_bar": None if change is None else self._bars[change],
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
        return {"errors": list(self._errors), "bars": list(self._bars), "hits": list(self._hits)}

    def restore(self, saved: Fields) -> None:
        """Restore `state`."""
        self._errors.extend(saved.numbers("errors"))
        self._bars.extend(saved.integers("bars"))
        self._hits.extend(saved.integers("hits", most=1))
