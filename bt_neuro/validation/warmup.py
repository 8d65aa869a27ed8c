"""Warm-up check: runs that start at different bars, compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import StrategyError
from bt_neuro.plugin.strategy import NeuroStrategy
from bt_neuro.runs.manifest import data_manifest
from bt_neuro.validation.parallel import ProcessPool, UnitCounter
from bt_neuro.validation.trace import Floats, Trace
from bt_neuro.validation.trace_recording import FeedBars, TraceTask, record_trace

TOLERANCE = 1e-9  # of a feature, relative to its largest value
AGREEMENT = 0.95  # share of equal buys and sells from which two networks count as agreeing


@dataclass(frozen=True)
class Stage:
    """Comparison of late starts with a start at the first bar, over some bars after the late starts.

    Attributes
    ----------
    from_bar, to_bar : bars since the late start
    bars : number of compared bars, over all late starts
    same_signals : share of them with equal signals
    same_trades : the same among bars with a buy or sell of either; None without such bars
    mean_difference : of the probabilities, absolute
    late_error, early_error : mean squared errors of the outputs; None without a confirmed label
    """

    from_bar: int
    to_bar: int
    bars: int
    same_signals: float
    same_trades: float | None
    mean_difference: float
    late_error: float | None
    early_error: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values, the shares in per cent."""
        shares = {name: getattr(self, name) for name in ("same_signals", "same_trades")}
        plain = {name: value for name, value in asdict(self).items() if name not in shares}
        return plain | {
            f"{name}_pct": None if share is None else 100 * share for name, share in shares.items()
        }


@dataclass(frozen=True)
class WarmupResult:
    """Result of `warmup_check`; printed, it is one sentence.

    Attributes
    ----------
    file, strategy : what was checked
    starts : bars of the late starts
    first_prediction : number of bars up to the first prediction
    features_agree_after : number of bars after which all features agree within 1e-9 of their largest value;
        None if some never do
    slowest_feature : the last one to agree
    stages : each as long as all before it
    data : manifest of the bars, by the file's stem
    """

    file: str
    strategy: str
    starts: tuple[int, ...]
    first_prediction: int
    features_agree_after: int | None
    slowest_feature: str
    stages: tuple[Stage, ...]
    data: dict[str, dict[str, Any]] = field(repr=False)

    @property
    def trades_agree_after(self) -> int | None:
        """Number of bars after which 95 % of the buys and sells are equal, to the end; None if never."""
        agreed = None
        for stage in reversed(self.stages):
            if stage.same_trades is None or stage.same_trades < AGREEMENT:
                break
            agreed = stage.from_bar
        return agreed

    def __str__(self) -> str:
        if self.features_agree_after is None:
            features = f"never agree, because {self.slowest_feature} depends on where the bars begin"
        else:
            features = f"agree after {self.features_agree_after:,} bars, {self.slowest_feature} the last"
        last = self.stages[-1]
        if last.same_trades is None:
            signals = "there are no buys or sells to compare"
        elif self.trades_agree_after is None:
            signals = f"the signals do not agree, after {last.from_bar:,} bars "
        else:
            signals = f"the signals agree after {self.trades_agree_after:,} bars, in the end "
        if last.same_trades is not None:
            signals += f"{100 * last.same_trades:.0f} % of the buys and sells are equal"
        if last.late_error is not None:
            signals += f", with a squared error of {last.late_error:.4f} against {last.early_error:.4f}"
        first, latest = self.starts[0], self.starts[-1]
        later = f"{first:,} bars" if first == latest else f"{first:,} to {latest:,} bars"
        return f"{self.strategy} on {self.file}, started {later} later: the features {features}; {signals}."

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        stages = [stage.as_dict() for stage in self.stages]
        plain = asdict(self) | {"starts": list(self.starts), "stages": stages}
        del plain["data"]  # of the run folder's manifest
        return {**plain, "trades_agree_after": self.trades_agree_after, "sentence": str(self)}


def warmup_check(
    path: str | Path,
    *,
    strategy: type[NeuroStrategy] | str = NeuroStrategy,
    parameters: dict[str, Any] | None = None,
    bars_options: dict[str, Any] | None = None,
    step: int = 500,
    starts: int = 4,
    span: int = 8000,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> WarmupResult:
    """Compare runs of a strategy that start late with a run from the first bar of the file.

    After some bars, most indicators no longer depend on the first bar. The weights of a network always do, so
    its signals and errors are compared.

    Parameters
    ----------
    path : str or Path
        Bar file, in any format of `read_bars`.
    strategy, parameters, bars_options, processes, progress
        As in `lookahead_check`.
    step, starts : int, default 500 and 4
        The late runs start `step`, 2 `step`, ... bars after the first, `starts` times.
    span : int, default 8000
        Bars after each start; fewer if the file is shorter.

    Returns
    -------
    WarmupResult

    Raises
    ------
    NeuroError
        If the file or the strategy is invalid, or the file is too short to predict after a late start.

    Examples
    --------
    >>> result = warmup_check("data/SYNTHETIC_EURUSD_H1.csv", parameters={"device": "numpy"},
    ...                       step=50, starts=1, span=80)
    >>> result.first_prediction, result.starts
    (4, (50,))
    """
    if min(step, starts, span) < 1:
        raise StrategyError(
            f"step, starts and span must be 1 or more, got {step}, {starts} and {span}. Give higher numbers."
        )
    bars = read_bars(path, **(bars_options or {}))
    frame, late = bars.frame, [step * (number + 1) for number in range(starts)]
    bars.require(late[-1] + 2, f"a start {late[-1]:,} bars later")
    span = min(span, len(frame) - late[-1])
    feed, parts = FeedBars.of(bars), [slice(late[-1] + span), *(slice(start, start + span) for start in late)]
    tasks = [TraceTask((feed._replace(frame=frame[part]),), strategy, parameters or {}) for part in parts]
    counter = UnitCounter(progress, sum(len(frame[part]) for part in parts))
    with ProcessPool(record_trace, processes, counter) as pool:
        early, *later = pool.map(tasks)
    for trace in (early, *later):
        if trace.failure:
            raise StrategyError(f"The strategy failed: {trace.failure}")
        if trace.first_signal is None:
            raise StrategyError(
                f"{path}: the strategy must predict bars, got none in {span:,}. Give a longer span or file."
            )
    pairs = [(trace, _part(early, start, span)) for trace, start in zip(later, late, strict=True)]
    agree_after, slowest = _features_agree(pairs)
    return WarmupResult(
        file=bars.path.name,
        strategy=strategy if isinstance(strategy, str) else strategy.__name__,
        starts=tuple(late),
        first_prediction=1 + max(trace.first_signal or 0 for trace in later),
        features_agree_after=agree_after,
        slowest_feature=slowest,
        stages=tuple(stage for stage in _stages(pairs, step, span) if stage),
        data={bars.path.stem: data_manifest(bars)},
    )


def _part(trace: Trace, start: int, span: int) -> Trace:
    part = slice(start, start + span)
    return replace(
        trace,
        lines={name: line[part] for name, line in trace.lines.items()},
        outputs=trace.outputs[part],
        probabilities=trace.probabilities[part],
        targets=trace.targets[part],
        signals=trace.signals[part],
    )


def _features_agree(pairs: Sequence[tuple[Trace, Trace]]) -> tuple[int | None, str]:
    """Return the number of bars after which all features agree, and the slowest feature."""
    last = {name: max(_last_difference(*pair, name) for pair in pairs) for name in pairs[0][0].features}
    slowest = max(last, key=lambda name: last[name])
    never = last[slowest] == min(late.bars for late, _ in pairs)
    return (None if never else last[slowest]), slowest


def _last_difference(late: Trace, early: Trace, name: str) -> int:
    """Return the last bar, counted from 1, at which a feature differs; 0 if it never does."""
    here, there = late.lines[name], early.lines[name]
    size = float(np.nanmax(np.abs(there), initial=0.0))
    agrees = np.abs(here - there) <= TOLERANCE * size  # False where the late one is NaN
    differs = np.flatnonzero(~agrees)
    return int(differs[-1]) + 1 if len(differs) else 0


def _stages(pairs: Sequence[tuple[Trace, Trace]], step: int, span: int) -> list[Stage | None]:
    edges = [0]
    while edges[-1] < span:
        edges.append(min(2 * edges[-1] or step, span))
    return [_stage(pairs, a, b) for a, b in pairwise(edges)]


def _stage(pairs: Sequence[tuple[Trace, Trace]], first: int, end: int) -> Stage | None:
    part = slice(first, end)
    predicted = [(late.signals != "") & (early.signals != "") for late, early in pairs]

    def both(of: Callable[[Trace], NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return a quantity of all late and all early networks, on bars that both predicted."""
        late, early = (
            np.concatenate(
                [of(pair[which])[part][bars[part]] for pair, bars in zip(pairs, predicted, strict=True)]
            )
            for which in (0, 1)
        )
        return late, early

    late, early = both(lambda trace: trace.signals)
    if not len(late):
        return None
    same, trades = late == early, (late != "none") | (early != "none")
    errors = np.stack(both(_squared_errors))
    known = np.isfinite(errors).all(axis=0)
    late_error, early_error = errors[:, known].mean(axis=1).tolist() if known.any() else (None, None)
    return Stage(
        first,
        end,
        bars=len(same),
        same_signals=float(same.mean()),
        same_trades=float(same[trades].mean()) if trades.any() else None,
        mean_difference=float(np.abs(np.subtract(*both(lambda trace: trace.probabilities))).mean()),
        late_error=late_error,
        early_error=early_error,
    )


def _squared_errors(trace: Trace) -> Floats:
    return np.asarray(((trace.outputs - trace.targets) ** 2).mean(axis=1))
