"""Analyzers for a strategy with a network: how often its signals hit, and how long a bar takes."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import backtrader as bt

from bt_neuro.io import Fields
from bt_neuro.learning.epochs import ARTICLE_WINDOW, RunningMean
from bt_neuro.learning.signals import ScoredSignal
from bt_neuro.plugin.run_observer import BarRecord


class HitRate(bt.Analyzer):
    """How often the signals were right, each scored before the network learned from it.

    A buy or sell signal hits if the bar turned out to be such a fractal (or whatever the label calls buy and
    sell). Hit rate is of signals; the win rate of trades is another figure.

    Params:
      - ``window`` (default: ``1000``): signals in the windowed hit rate
      - ``article_window`` (default: ``10000``): samples of the article's three running figures
      - ``resumes`` (default: ``True``): where a strategy resumes a checkpoint, go on from its counts; False
        counts only the bars after it

    Methods
    -------
      - ``get_analysis``: dict with the keys

        ``scored_bars``, ``signals``, ``hits``, ``hit_rate``, ``coverage`` (signals / scored bars),
        ``window_hit_rate``, ``mean_squared_error`` (of the outputs), ``brier_score`` (of the probabilities,
        summed over the classes), ``buy`` and ``sell`` (each ``signals``, ``hits``, ``hit_rate``,
        ``fractals`` and ``recall``), ``labels`` (counts), and as the article plots them ``error``,
        ``forecast_pct``, ``undefine_pct``; what is undefined is None
    """

    params = (("window", 1000), ("article_window", ARTICLE_WINDOW), ("resumes", True))

    def create_analysis(self) -> None:
        self._hits = Hits(self.p.window, self.p.article_window, resumes=self.p.resumes)

    def next(self) -> None:
        for scored in self.strategy.scored:
            self._hits.add(scored)

    def get_analysis(self) -> dict[str, Any]:
        return self._hits.get_analysis()

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, in plain JSON values."""
        return self._hits.state()

    def restore(self, saved: Fields) -> None:
        """Go on from `state`."""
        self._hits.restore(saved)


class Hits:
    """What `HitRate` counts; its params and its analysis, for a run_observer to add to."""

    def __init__(
        self, window: int = 1000, article_window: int = ARTICLE_WINDOW, *, resumes: bool = True
    ) -> None:
        self.scored_bars, self._resumes = 0, resumes
        self._recent: deque[bool] = deque(maxlen=window)
        self._squared_error = self._brier = 0.0
        self._signals = {"buy": 0, "sell": 0}
        self._hits = {"buy": 0, "sell": 0}
        self._labels = {"none": 0, "buy": 0, "sell": 0, "both": 0}
        self._error, self._forecast, self._undefine = (RunningMean(article_window) for _ in range(3))

    def on_bar(self, record: BarRecord) -> None:
        for scored in record.scored:
            self.add(scored)

    def add(self, scored: ScoredSignal) -> None:
        name, hit = scored.signal.name, scored.is_hit
        error = scored.squared_error
        self.scored_bars += 1
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
            "scored_bars": self.scored_bars,
            "signals": signals,
            "hits": hits,
            "hit_rate": _ratio(hits, signals),
            "coverage": _ratio(signals, self.scored_bars),
            "window_hit_rate": _ratio(sum(self._recent), len(self._recent)),
            "mean_squared_error": _ratio(self._squared_error, self.scored_bars),
            "brier_score": _ratio(self._brier, self.scored_bars),
            "buy": self._side("buy"),
            "sell": self._side("sell"),
            "labels": dict(self._labels),
            "error": self._error.get(),
            "forecast_pct": self._forecast.get(),
            "undefine_pct": self._undefine.get(),
        }

    def state(self) -> dict[str, Any]:
        return {
            "scored_bars": self.scored_bars,
            "squared_error": self._squared_error,
            "brier": self._brier,
            "recent": "".join("1" if hit else "0" for hit in self._recent),
            **{name: dict(counts) for name, counts in self._counts().items()},
            **{name: mean.state() for name, mean in self._means().items()},
        }

    def restore(self, saved: Fields) -> None:
        if not self._resumes:
            return
        self.scored_bars = saved.integer("scored_bars")
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

    def _side(self, name: str) -> dict[str, Any]:
        signals, hits = self._signals[name], self._hits[name]
        fractals = self._labels[name] + self._labels["both"]
        return {
            "signals": signals,
            "hits": hits,
            "hit_rate": _ratio(hits, signals),
            "fractals": fractals,
            "recall": _ratio(hits, fractals),
        }


class StepTime(bt.Analyzer):
    """Seconds a bar spent on launches and on waiting for the network, which learns and predicts.

    Not in them is what it learns while backtrader is busy with the bar.

    Methods
    -------
      - ``get_analysis``: dict with the keys ``bars``, ``total_s``, ``mean_s``, ``p50_s``, ``p99_s`` and
        ``max_s``; percentiles are exact to 2 % (a histogram of fixed size)
    """

    def create_analysis(self) -> None:
        self._seconds = Seconds()

    def prenext(self) -> None:  # backtrader's own calls next
        pass

    def next(self) -> None:
        if not (self.strategy.replaying or self.strategy.training):
            self._seconds.add(self.strategy.learner.last_step_s)

    def get_analysis(self) -> dict[str, Any]:
        return self._seconds.get_analysis()


class Seconds:
    """What `StepTime` counts, for a run_observer to add to."""

    _STEP = math.log(1.02)
    _BINS = 1200  # from 1 microsecond to some 5 hours

    def __init__(self) -> None:
        self._counts = [0] * self._BINS
        self._bars, self._total, self._max = 0, 0.0, 0.0

    def on_bar(self, record: BarRecord) -> None:
        if record.step_s is not None:
            self.add(record.step_s)

    def add(self, seconds: float) -> None:
        self._bars += 1
        self._total += seconds
        self._max = max(self._max, seconds)
        bin_ = int(math.log(max(seconds, 1e-6) / 1e-6) / self._STEP)
        self._counts[min(bin_, self._BINS - 1)] += 1

    def get_analysis(self) -> dict[str, Any]:
        return {
            "bars": self._bars,
            "total_s": self._total,
            "mean_s": _ratio(self._total, self._bars),
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


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _brier(probabilities: tuple[float, ...], target: tuple[float, ...]) -> float:
    # A bar that is top and bottom has probability 1 to share.
    share = 1 / sum(target)
    return sum((p - share * t) ** 2 for p, t in zip(probabilities, target, strict=True))
