"""EMA convergence: the sample from which exponential averages agree with moving ones.

The two weight samples differently and never become equal. Once the start is forgotten, their difference stays
in a range. Convergence is reaching that range, measured in the three ways of `DEFINITIONS`.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.nn.reference.normalization import running_batch_norm_move
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.results import EmaConvergence

Floats = NDArray[np.float64]

WINDOW, SAMPLES, DRAWS, RESAMPLES = 100, 1_000, 2_000, 400
CLAIMS = {"mean": (120, 130), "variance": (310, 320)}
# The mean has no error to correct.
STARTS = {"mean": ("published",), "variance": ("published", "mended")}
DEFINITIONS = {
    "band": "for a whole window, the difference stays in the range that holds 95 % of it later",
    "picture": "the difference is never again larger than it is at any time later in the same draw",
    "spread": "the root mean square difference of all draws stays within a quarter of what it is later",
}


def ema_convergence(out: str | Path | None = None, *, seed: int = 0) -> EmaConvergence:
    """Measure when the averages of `RunningBatchNorm` agree with moving ones, and write a folder.

    Parameters
    ----------
    out : folder to write, new or empty; default ``runs/ema-convergence-<time>``
    seed : of the random numbers
    """
    started = time.perf_counter()
    options = {"window": WINDOW, "samples": SAMPLES, "draws": DRAWS, "seed": seed}
    folder = RunFolder.create(out, "ema-convergence", "ema-convergence", {"options": options})
    with folder.recording(lambda: False):
        measurement = measure_ema_convergence(seed)
        folder.write_table("draws.csv", measurement.draws)
        folder.write_table("lines.csv", measurement.lines)
        folder.save(
            status="complete",
            metrics=measurement.metrics(),
            time={"wall_s": time.perf_counter() - started},
        )
    result = EmaConvergence(folder.path, folder.manifest)
    from bt_neuro.report.page import write_page  # loads Bokeh

    write_page(result)
    return result


@dataclass(frozen=True)
class Convergence:
    """The sample, counted from 1, from which an average agrees with the moving one, by one definition.

    Attributes
    ----------
    statistic, start, definition : mean or variance; see `exponential`; one of `DEFINITIONS`
    sample : median of the draws; a single number of "spread"
    low, high : its 95 % interval, by resampling draws
    draws_low, draws_high : range of 95 % of the draws; None if a single draw has no value
    claimed_pct : share of draws in the article's range
    """

    statistic: str
    start: str
    definition: str
    sample: float
    low: float
    high: float
    draws_low: float | None
    draws_high: float | None
    claimed_pct: float | None


def moving(samples: Floats, window: int) -> dict[str, Floats]:
    """Return mean and variance of the last `window` samples, or of all if there are fewer.

    Examples
    --------
    >>> moving(np.array([[1.0, 3.0, 5.0]]), 2)["mean"]
    array([[1., 2., 4.]])
    """
    ends = np.arange(1, samples.shape[1] + 1)
    begins = np.maximum(ends - window, 0)
    mean, square = (
        (sums[:, ends] - sums[:, begins]) / (ends - begins)
        for sums in (np.pad(values.cumsum(axis=1), ((0, 0), (1, 0))) for values in (samples, samples**2))
    )
    return {"mean": mean, "variance": square - mean**2}


def exponential(samples: Floats, window: int, start: str) -> dict[str, Floats]:
    """Return the running mean and variance of `RunningBatchNorm` at each sample of each draw.

    Parameters
    ----------
    samples : (draws, samples)
    start : "published", from 0, with the first squared deviation not divided by the window, an error;
        "mended", divided like all others
    """
    mean: NDArray[np.floating] = np.zeros(len(samples))
    variance: NDArray[np.floating] = np.zeros(len(samples))
    if start == "mended":
        variance += np.finfo(float).tiny  # the error occurs at a variance of 0
    means, variances = np.empty((2, *samples.shape))
    for t, sample in enumerate(samples.T):
        mean, variance = running_batch_norm_move(sample, mean, variance, window)
        means[:, t], variances[:, t] = mean, variance
    return {"mean": means, "variance": variances}


def forgotten(window: int) -> int:
    """Return the sample from which less than 1 % of the start is left."""
    return 5 * window


def band_convergence(differences: Floats, window: int) -> NDArray[np.intp]:
    """Return for each draw the sample from which the difference stays in its later range for a window.

    The range holds 95 % of the differences of all draws once the start is forgotten. A draw that never stays
    in it converges after its last sample.
    """
    band = np.quantile(np.abs(differences[:, forgotten(window) :]), 0.95)
    outside = np.pad((np.abs(differences) > band).cumsum(axis=1), ((0, 0), (1, 0)))
    stays = outside[:, window:] == outside[:, :-window]
    return np.where(stays.any(axis=1), stays.argmax(axis=1), differences.shape[1]) + 1


def picture_convergence(differences: Floats, window: int) -> NDArray[np.intp]:
    """Return for each draw the sample after the last whose difference exceeds all after the start is forgotten."""
    size, end = np.abs(differences), forgotten(window)
    return _after_last(size[:, :end] > size[:, end:].max(axis=1, keepdims=True))


def spread_convergence(spread: Floats, window: int) -> NDArray[np.intp]:
    """Return the sample after the last 25 % above the spread once the start is forgotten.

    `spread` is (rows, samples), root mean squares over draws.
    """
    end = forgotten(window)
    later = np.sqrt((spread[:, end:] ** 2).mean(axis=1, keepdims=True))
    return _after_last(spread[:, :end] > 1.25 * later)


def _after_last(apart: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for each row the sample, counted from 1, after the last that is set."""
    return np.where(apart.any(axis=1), apart.shape[1] - apart[:, ::-1].argmax(axis=1), 0) + 1


@dataclass(frozen=True, eq=False)
class Measurement:
    """Convergence of all draws.

    Attributes
    ----------
    convergences : one for each statistic, start and definition
    draws : one row per draw, statistic and start, with its sample by ``band`` and by ``picture``
    lines : averages of the first draws, one row per draw, statistic and sample: ``moving`` and each start
    """

    convergences: list[Convergence]
    draws: pd.DataFrame
    lines: pd.DataFrame

    def metrics(self) -> dict[str, Any]:
        """Return the article's claims with verdicts, all values, and a sentence."""
        claims = [claim(statistic, self.convergences) for statistic in CLAIMS]
        return {
            "sentence": " ".join(one["sentence"] for one in claims),
            "claims": claims,
            "definitions": DEFINITIONS,
            "convergences": [asdict(one) for one in self.convergences],
        }


def measure_ema_convergence(
    seed: int = 0, *, window: int = WINDOW, samples: int = SAMPLES, draws: int = DRAWS, shown: int = 4
) -> Measurement:
    """Measure the convergence on uniform random numbers in [-1, 1].

    Parameters
    ----------
    seed : of the numbers
    window : of both averages
    samples : number in a draw, at least ten windows
    draws, shown : number of draws, and of those whose lines are kept
    """
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(-1, 1, (draws, samples))
    again = rng.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES)  # times each draw is in a resample
    slow = moving(numbers, window)
    starts = dict.fromkeys(start for names in STARTS.values() for start in names)
    fast = {start: exponential(numbers, window, start) for start in starts}
    convergences, tables, lines = [], [], []
    for statistic, names in STARTS.items():
        kept = {start: fast[start][statistic][:shown].ravel() for start in names}
        lines.append(_lines(statistic, slow[statistic][:shown], kept))
        for start in names:
            differences = fast[start][statistic] - slow[statistic]
            alone = {
                "band": band_convergence(differences, window),
                "picture": picture_convergence(differences, window),
            }
            tables.append(
                pd.DataFrame({"statistic": statistic, "start": start, "draw": range(draws), **alone})
            )
            convergences += [_of_draws((statistic, start, name), each, again) for name, each in alone.items()]
            convergences.append(_of_spread((statistic, start, "spread"), differences, again, window))
    return Measurement(
        convergences, pd.concat(tables, ignore_index=True), pd.concat(lines, ignore_index=True)
    )


def claim(statistic: str, convergences: list[Convergence]) -> dict[str, Any]:
    """Return a claim of the article with its verdict.

    It holds if the interval of every definition meets the claimed range, and does not hold if all lie on one
    side of it. Otherwise it is inconclusive.
    """
    low, high = CLAIMS[statistic]
    found = {(one.start, one.definition): one for one in convergences if one.statistic == statistic}
    ours = {name: found["published", name] for name in DEFINITIONS}
    sides = [(one.low > high) - (one.high < low) for one in ours.values()]
    on_one_side = set(sides) in ({1}, {-1})
    verdict = "does not hold" if on_one_side else "inconclusive" if any(sides) else "holds"
    outcome = f"is {verdict}, because it depends on the definition" if verdict == "inconclusive" else verdict
    band = ours["band"]
    others = " and ".join(f"{ours[name].sample:.0f}" for name in DEFINITIONS if name != "band")
    text = f"The exponential {statistic} agrees with the moving one after {low} to {high} samples"
    return {
        "claim": text,
        "verdict": verdict,
        "statistic": statistic,
        "claimed": [low, high],
        "sentence": (
            f"{text}: this {outcome}. Half of the draws have converged by sample "
            f"{band.sample:.0f} ({band.draws_low:.0f} to {band.draws_high:.0f} in 95 % of them, {low} to "
            f"{high} in {band.claimed_pct:.0f} %). By two other definitions it is {others}."
        ),
    }


def _lines(statistic: str, slow: Floats, fast: dict[str, Floats]) -> pd.DataFrame:
    draws, samples = np.indices(slow.shape).reshape(2, -1)
    index = {"statistic": statistic, "draw": draws, "sample": samples + 1}
    return pd.DataFrame({**index, "moving": slow.ravel(), **fast})


def _of_draws(
    names: tuple[str, str, str], converged: NDArray[np.intp], again: NDArray[np.int64]
) -> Convergence:
    low, high = np.quantile(converged, [0.025, 0.975])
    medians = [np.median(converged.repeat(times)) for times in again]
    first, last = CLAIMS[names[0]]
    share = 100 * float(((converged >= first) & (converged <= last)).mean())
    return Convergence(
        *names, float(np.median(converged)), *_interval(medians), float(low), float(high), share
    )


def _of_spread(
    names: tuple[str, str, str], differences: Floats, again: NDArray[np.int64], window: int
) -> Convergence:
    squares = differences**2
    value = spread_convergence(np.sqrt(squares.mean(axis=0, keepdims=True)), window)[0]
    resampled = spread_convergence(np.sqrt((again / len(squares)) @ squares), window)
    return Convergence(*names, float(value), *_interval(resampled), None, None, None)


def _interval(values: Any) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
