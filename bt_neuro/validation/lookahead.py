"""Look-ahead check: runs with equal pasts and different futures must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bt_neuro.bars.reader import Bars, read_bars
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.default_features import input_files
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.cerebro import shared_options
from bt_neuro.runs.manifest import data_manifest
from bt_neuro.runs.portfolio import bar_files
from bt_neuro.validation.future import perturbed
from bt_neuro.validation.lookahead_result import CUT, MASK, PERTURBED, Leak, LookaheadResult
from bt_neuro.validation.moments import Moments, Part
from bt_neuro.validation.parallel import ProcessPool, UnitCounter
from bt_neuro.validation.task import processes_of
from bt_neuro.validation.trace import Trace, differences
from bt_neuro.validation.trace_recording import AddFeeds, FeedBars, TraceTask, record_traces


def lookahead_check(
    path: str | Path | Sequence[str | Path],
    *,
    strategy: type[NeuroStrategy] | str = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    inputs: Sequence[str | Path] = (),
    add_feeds: AddFeeds | None = None,
    bars_options: dict[str, Any] | None = None,
    cuts: int = 12,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> LookaheadResult:
    """Check whether a strategy depends on bars that have not closed.

    One run takes the file as it is. In a second run all lines hold other values beyond the present bar. At
    each cut, the bars before it run three times: followed by the true bars, by none, and by perturbed ones.
    Before the change all runs must be bit-identical: lines of indicators, predictions, signals, orders and
    the network. The account has 10,000 and pays the file's spread.

    Parameters
    ----------
    path : str, Path or sequence of them
        Bar file, in any format of `read_bars`. Several files, or a folder, are checked as a portfolio: at a cut
        each file ends with its last bar that has closed.
    strategy : class or str
        "FILE.py:Class" is loaded anew for each run, so that runs share no state of the module.
    parameters : dict, optional
        Parameters of the strategy.
    inputs : sequence of files, optional
        Further feeds, ``self.datas[1:]``, that are not traded. Default: the files of the parameter ``inputs``.
    add_feeds : callable, optional
        Function of a Cerebro and a dict of frames by the files' names that adds the feeds itself, in the order of
        the files, to check feeds of backtrader and their stamps. The whole files are then of one strategy.
    bars_options : dict, optional
        Options of `read_bars`.
    cuts : int, default 12
        Number of cuts, evenly from the first prediction to the last bar. A run before a cut has a third of
        the file over the number of cuts, at least twice the bars up to the first prediction. All cuts cost as
        much as one run over the file.
    processes : int, default 1
        Number of runs at the same time. More than 1 requires a strategy that other processes can import and,
        in a script, ``if __name__ == "__main__":``.
    progress : callable, optional
        Called with the number of bars done and of all bars.

    Returns
    -------
    LookaheadResult

    Raises
    ------
    NeuroError
        If the file or the strategy is invalid, nothing is predicted, or two runs over the same bars differ.

    Examples
    --------
    >>> result = lookahead_check("data/SYNTHETIC_EURUSD_H1.csv", parameters={"device": "numpy"}, cuts=3,
    ...                          bars_options={"end": "2024-01-08"})
    >>> result.passed, result.cuts
    (True, (4, 62, 119))
    """
    if cuts < 1:
        raise StrategyError(f"cuts must be 1 or more, got {cuts}. Give a higher number.")
    files = bar_files([path] if isinstance(path, str | Path) else path)
    inputs = inputs or input_files((parameters or {}).get("inputs"))
    bars = [read_bars(file, **(bars_options or {})) for file in files]
    bars += [read_bars(file, **shared_options(bars_options)) for file in inputs]
    feeds = tuple(map(FeedBars.of, bars))
    whole = TraceTask(
        feeds, strategy, parameters or {}, instruments=1 if add_feeds else len(files), add_feeds=add_feeds
    )
    learned = sum(map(len, bars[: whole.instruments]))
    counter = UnitCounter(progress, 2 * learned)
    with ProcessPool(record_traces, processes_of(strategy, processes), counter) as pool:
        truth, masked = pool.map([whole, replace(whole, mask=True)])
        moments = Moments(feeds)
        first, warm_up = _first_prediction(truth, moments)
        if first is None or first + 1 == len(moments):
            failed = f" It failed: {truth[0].failure}" if truth[0].failure else ""
            names = ", ".join(map(str, files))
            few = f"{names}: the strategy must predict some of the {learned:,} bars, got too few"
            raise StrategyError(f"{few}. Give a longer file.{failed}")
        chosen = places(first, bars=len(moments), count=cuts)
        stretch = max(2 * (warm_up + 1), len(moments) // (3 * cuts))
        everything = Part(feeds, tuple(map(len, bars)), (0,) * len(feeds))
        leak = _leak(truth, masked, MASK, everything)
        if leak is None:
            least = 1 + max(trace.first_signal or 0 for trace in truth)
            parts = [_part(moments, cut, stretch, least) for cut in chosen]
            counter.total += sum(3 * sum(part.before[: whole.instruments]) for part in parts)
            leak = _first_leak(pool.map([task for part in parts for task in _tasks(whole, part)]), parts)
        if leak is not None:
            # To the end: over a few bars two runs of a random strategy may be equal.
            (again,) = pool.map([whole])
            _require_equal(truth, again)
    if truth[0].failure and not leak:
        done = sum(trace.bars for trace in truth)
        raise StrategyError(f"The strategy failed after {done:,} bars: {truth[0].failure}")
    return LookaheadResult(
        file=", ".join(one.path.name for one in bars),
        strategy=strategy if isinstance(strategy, str) else strategy.__name__,
        bars=sum(trace.bars for trace in truth),  # a strategy may end its run
        predicted_bars=sum(int((trace.signals != "").sum()) for trace in truth),
        cuts=tuple(chosen),
        stretch_bars=stretch,
        orders=sum(len(trace.orders) for trace in truth),
        files=tuple(dict.fromkeys(file for trace in truth for file in trace.files)),
        leak=leak,
        data=_manifests(bars),
    )


def _manifests(bars: Sequence[Bars]) -> dict[str, dict[str, Any]]:
    data: dict[str, dict[str, Any]] = {}
    for one in bars:
        stem = one.path.stem  # of an input too, in another folder
        data[str(one.path) if stem in data else stem] = data_manifest(one)
    return data


def places(first: int, *, bars: int, count: int) -> list[int]:
    """Return the bars at which to cut, evenly from the one after the first prediction to the last.

    Examples
    --------
    >>> places(52, bars=1000, count=5)
    [53, 290, 526, 762, 999]
    """
    return np.unique(np.linspace(first + 1, bars - 1, count).round().astype(int)).tolist()


def _first_prediction(truth: list[Trace], moments: Moments) -> tuple[int | None, int]:
    """Return the moment from which all learned feeds are predicted, and the moments that one needs to warm up."""
    found = [(trace.feed, bar) for trace in truth if (bar := trace.first_signal) is not None]
    if not found:
        return None, 0
    firsts = [(moments.position(*one), moments.position(one[0], 0)) for one in found]
    begun = moments.all_begun
    return max(begun, *(at for at, _ in firsts)), max(at - start for at, start in firsts)


def _part(moments: Moments, cut: int, stretch: int, least: int) -> Part:
    start = max(0, cut - stretch)
    return moments.part(start, cut, min(2 * cut - start, len(moments)), least)


def _tasks(whole: TraceTask, part: Part) -> list[TraceTask]:
    """Return runs over the bars before a cut: with the true bars behind it, none, and perturbed ones."""
    cuts = zip(part.feeds, part.before, strict=True)
    ended, other = [], []
    for feed, n in cuts:
        ended.append(feed._replace(frame=feed.frame[:n]))
        other.append(feed._replace(frame=perturbed(feed.frame, n) if len(feed.frame) > n else feed.frame))
    true = replace(whole, feeds=part.feeds, digest_after=part.before, stops=True)
    return [true, replace(true, feeds=tuple(ended), stops=False), replace(true, feeds=tuple(other))]


def _first_leak(traces: Iterator[list[Trace]], parts: list[Part]) -> Leak | None:
    for part in parts:
        truth = next(traces)
        for future in (CUT, PERTURBED):
            leak = _leak(truth, next(traces), future, part)
            if leak is not None:
                return leak
    return None


def _leak(truth: list[Trace], traces: list[Trace], future: str, part: Part) -> Leak | None:
    """Return the first difference of two runs before a cut, its bar counted from the start of the file."""
    if traces[0].failure and not any(trace.bars for trace in traces):
        change = "ends" if future == CUT else "continues with perturbed bars"
        raise StrategyError(
            f"The strategy must run where the file {change} at bar {part.starts[0] + part.before[0]:,}, got an "
            f"error before its first bar: {traces[0].failure}"
        )
    leaks = []
    for one, other in zip(truth, traces, strict=False):
        feed, before, start = part.feeds[one.feed], part.before[one.feed], part.starts[one.feed]
        first = min(differences(one, other, before), key=lambda difference: difference.bar, default=None)
        if first is None:
            continue
        bar, time = start + first.bar, str(feed.frame["datetime"].iloc[first.bar])
        from_bar = bar + 1 if future == MASK else start + before
        name = feed.name if len(part.feeds) > 1 else ""
        leaks.append(Leak(bar, time, first.what, first.one, first.other, future, from_bar, start, name))
    return min(leaks, key=lambda leak: leak.time, default=None)


def _require_equal(truth: list[Trace], again: list[Trace]) -> None:
    for one, other in zip(truth, again, strict=False):
        for difference in differences(one, other, one.bars):
            raise StrategyError(
                f"Two runs over the same bars must be equal, got {difference.one} and {difference.other} for "
                f"{difference.what} at bar {difference.bar:,}.\nSeed random numbers, and do not read the clock."
            )
