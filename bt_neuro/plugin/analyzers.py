"""Analyzers: hit rate of the signals, and time of the network per bar."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import backtrader as bt

from bt_neuro.io import Fields
from bt_neuro.learning.epochs import ARTICLE_WINDOW, RunningMean
from bt_neuro.learning.signals import ScoredSignal
from bt_neuro.metrics.classification import RECENT_SIGNALS, percent, ratio, side_metrics
from bt_neuro.plugin.checks import is_neural
from bt_neuro.plugin.model_checkpoint import ModelCheckpoint
from bt_neuro.plugin.observers import HitRateLine, RunningStatistics, Signals
from bt_neuro.plugin.phase import Phase
from bt_neuro.plugin.run_observer import BarRecord

__all__ = ["HitRate", "HitRateLine", "ModelCheckpoint", "RunningStatistics", "Signals", "StepTime"]


class HitRate(bt.Analyzer):
    """Hit rate of the signals, each scored before the network learned from its label.

    A buy or sell signal hits if the label holds it, such as a bottom or a top. The hit rate is of signals;
    the win rate of trades is another figure. ``run.json`` of a backtest has the same keys.

    Params:

      - ``window`` (default: ``1000``): number of signals in the windowed hit rate
      - ``article_window`` (default: ``10000``): samples in the article's three running figures

    Methods
    -------
      - ``get_analysis``: dict with the keys

        ``scored_bars``, ``signals``, ``hits``, ``hit_rate_pct``, ``coverage_pct`` (signals / scored bars),
        ``window_hit_rate_pct``, ``mean_squared_error`` (of the outputs), ``brier_score`` (of the
        probabilities, summed over the classes), ``buy`` and ``sell`` (each ``signals``, ``hits``,
        ``hit_rate_pct``, ``fractals`` and ``recall_pct``), ``labels`` (counts), and the article's ``error``,
        ``undefine_pct`` and ``forecast_pct``; undefined ones are None
    """

    params = (("window", RECENT_SIGNALS), ("article_window", ARTICLE_WINDOW))

    def create_analysis(self) -> None:
        self._is_idle = not is_neural(self.strategy)
        self._scored_bars, self._squared_error, self._brier = 0, 0.0, 0.0
        self._recent: deque[bool] = deque(maxlen=self.p.window)
        self._signals = {"buy": 0, "sell": 0}
        self._hits = {"buy": 0, "sell": 0}
        self._labels = {"none": 0, "buy": 0, "sell": 0, "both": 0}
        self._error, self._forecast, self._undefine = (RunningMean(self.p.article_window) for _ in range(3))

    def next(self) -> None:
        for scored in () if self._is_idle else self.strategy.scored:
            self._add(scored)

    def _add(self, scored: ScoredSignal) -> None:
        name, hit, error = scored.signal.name, scored.is_hit, scored.squared_error
        self._scored_bars += 1
        self._squared_error += error
        self._brier += _brier(scored.signal.probabilities, scored.target)
        self._labels[scored.label] += 1
        self._error.add(math.sqrt(error))
        if hit is not None:
            self._signals[name] += 1
            self._hits[name] += hit
            self._recent.append(hit)
            self._forecast.add(100.0 * hit)
        if scored.label != "none":
            self._undefine.add(100.0 * (name == "none"))

    def get_analysis(self) -> dict[str, Any]:
        signals, hits = sum(self._signals.values()), sum(self._hits.values())
        return {
            "scored_bars": self._scored_bars,
            "signals": signals,
            "hits": hits,
            "hit_rate_pct": percent(ratio(hits, signals)),
            "coverage_pct": percent(ratio(signals, self._scored_bars)),
            "window_hit_rate_pct": percent(ratio(sum(self._recent), len(self._recent))),
            "mean_squared_error": ratio(self._squared_error, self._scored_bars),
            "brier_score": ratio(self._brier, self._scored_bars),
            **side_metrics(self._signals, self._hits, dict(self._labels)),
            "error": self._error.get(),
            "undefine_pct": self._undefine.get(),
            "forecast_pct": self._forecast.get(),
        }

    def state(self) -> dict[str, Any]:
        """Return plain JSON values for `restore`."""
        return {
            "scored_bars": self._scored_bars,
            "squared_error": self._squared_error,
            "brier": self._brier,
            "recent": "".join("1" if hit else "0" for hit in self._recent),
            **{name: dict(counts) for name, counts in self._counts().items()},
            **{name: mean.state() for name, mean in self._means().items()},
        }

    def restore(self, saved: Fields) -> None:
        """Restore `state`."""
        self._scored_bars = saved.integer("scored_bars")
        self._squared_error, self._brier = saved.number("squared_error"), saved.number("brier")
        self._recent = deque((hit == "1" for hit in saved.text("recent")), maxlen=self._recent.maxlen)
        for name, counts in self._counts().items():
            counts.update({key: saved.group(name).integer(key) for key in counts})
        for name, mean in self._means().items():
            mean.restore(saved.group(name))

    def _counts(self) -> dict[str, dict[str, int]]:
        return {"signals": self._signals, "hits": self._hits, "labels": self._labels}

    def _means(self) -> dict[str, RunningMean]:
        return {"error": self._error, "forecast": self._forecast, "undefine": self._undefine}


class StepTime(bt.Analyzer):
    """Seconds per bar spent on launches and on waiting for the network.

    Work of the network that overlaps with backtrader's own is not included.

    Methods
    -------
      - ``get_analysis``: dict with the keys ``bars``, ``total_s``, ``mean_s``, ``p50_s``, ``p99_s`` and
        ``max_s``; percentiles are exact to 2 % (a histogram of fixed size)
    """

    def create_analysis(self) -> None:
        self._is_idle, self._last_bar = not is_neural(self.strategy), None
        self._seconds = Seconds()

    def next(self) -> None:
        if self._is_idle or self.strategy.phase is not Phase.LIVE:
            return
        learner = self.strategy.learner
        if learner.last_bar != self._last_bar:  # else another feed's bar
            self._last_bar = learner.last_bar
            self._seconds.add(learner.last_step_s)

    def get_analysis(self) -> dict[str, Any]:
        return self._seconds.get_analysis()


class Seconds:
    """Counts of `StepTime`, updated by a run observer."""

    _STEP = math.log(1.02)
    _BINS = 1200  # from 1 microsecond to some 5 hours

    def __init__(self) -> None:
        self._counts = [0] * self._BINS
        self._bars, self._total, self._max = 0, 0.0, 0.0
        self._latest, self._bin = 0.0, 0

    def on_bar(self, record: BarRecord) -> None:
        if record.step_s is not None:
            self.add(record.step_s)

    def add(self, seconds: float) -> None:
        self._bars += 1
        self._total += seconds
        self._max = max(self._max, seconds)
        if seconds != self._latest:  # the bars of a launch have the same
            bin_ = int(math.log(max(seconds, 1e-6) / 1e-6) / self._STEP)
            self._latest, self._bin = seconds, min(bin_, self._BINS - 1)
        self._counts[self._bin] += 1

    def get_analysis(self) -> dict[str, Any]:
        return {
            "bars": self._bars,
            "total_s": self._total,
            "mean_s": ratio(self._total, self._bars),
            "p50_s": self._percentile(0.50),
            "p99_s": self._percentile(0.99),
            "max_s": self._max,
        }

    def _percentile(self, share: float) -> float | None:
        below = 0
        for bin_, count in enumerate(self._counts):
            below += count
            if count and below >= share * self._bars:
                return 1e-6 * math.exp((bin_ + 0.5) * self._STEP)
        return None


def _brier(probabilities: tuple[float, ...], target: tuple[float, ...]) -> float:
    # A bar that is top and bottom has probability 1 to share.
    share = 1 / sum(target)
    return sum((p - share * t) ** 2 for p, t in zip(probabilities, target, strict=True))
