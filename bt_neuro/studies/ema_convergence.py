"""After how many samples an exponential mean or variance joins the moving one: the article's picture.

Both averages remember about a window of samples, but with other weights, so that they never become equal:
once the start is forgotten their difference goes on wandering in a range of its own. To join is to come into
that range, and there are several ways to say so; each of `DEFINITIONS` is one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bt_neuro.nn.reference.normalization import running_batch_norm_move

Floats = NDArray[np.float64]

WINDOW, SAMPLES, DRAWS, RESAMPLES = 100, 1_000, 2_000, 400
CLAIMS = {"mean": (120, 130), "variance": (310, 320)}
# The mean has no slip to mend.
STARTS = {"mean": ("published",), "variance": ("published", "mended")}
DEFINITIONS = {
    "band": "for a whole window, the difference stays in the range that holds 95 % of it later",
    "picture": "the difference is never again larger than it is at any time later in the same draw",
    "spread": "the root mean square difference of all draws stays within a quarter of what it is later",
}


@dataclass(frozen=True)
class Convergence:
    """At which sample, counted from 1, one average joins the moving one, by one definition.

    Attributes
    ----------
    statistic, start, definition : mean or variance; see `exponential`; one of `DEFINITIONS`
    sample : the median of the draws; by the definition "spread" the one number there is
    low, high : its 95 % interval, draws being drawn again
    draws_low, draws_high : hold 95 % of the draws; None where a draw alone has no answer
    claimed_pct : share of draws whose answer is the article's
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
    """Return mean and variance of the last `window` samples, of all while there are fewer.

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
    start : ``published``, from 0, the first squared deviation not divided by the window, a slip; ``mended``,
        divided like every other
    """
    mean: NDArray[np.floating] = np.zeros(len(samples))
    variance: NDArray[np.floating] = np.zeros(len(samples))
    if start == "mended":
        variance += np.finfo(float).tiny  # a variance of 0 is what the slip waits for
    means, variances = np.empty((2, *samples.shape))
    for t, sample in enumerate(samples.T):
        mean, variance = running_batch_norm_move(sample, mean, variance, window)
        means[:, t], variances[:, t] = mean, variance
    return {"mean": means, "variance": variances}


def forgotten(window: int) -> int:
    """Return from which sample on less than 1 % of the start is left."""
    return 5 * window


def joined_band(differences: Floats, window: int) -> NDArray[np.intp]:
    """Return for each draw the sample from which, for a whole window, the difference is in its later range.

    That range holds 95 % of all draws' differences once the start is forgotten. A draw that never stays so
    long counts as joined after its last sample.
    """
    band = np.quantile(np.abs(differences[:, forgotten(window) :]), 0.95)
    outside = np.pad((np.abs(differences) > band).cumsum(axis=1), ((0, 0), (1, 0)))
    stays = outside[:, window:] == outside[:, :-window]
    return np.where(stays.any(axis=1), stays.argmax(axis=1), differences.shape[1]) + 1


def joined_picture(differences: Floats, window: int) -> NDArray[np.intp]:
    """Return for each draw the sample after the last one that is further apart than any later one.

    Later ones are those from where the start is forgotten.
    """
    size, end = np.abs(differences), forgotten(window)
    return _after_last(size[:, :end] > size[:, end:].max(axis=1, keepdims=True))


def joined_spread(spread: Floats, window: int) -> NDArray[np.intp]:
    """Return the sample after the last one, while the start lasts, that is a quarter above the later spread.

    Parameters
    ----------
    spread : (rows, samples), root mean squares over draws
    """
    end = forgotten(window)
    later = np.sqrt((spread[:, end:] ** 2).mean(axis=1, keepdims=True))
    return _after_last(spread[:, :end] > 1.25 * later)


def _after_last(apart: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return for each row the sample, counted from 1, after the last that is apart."""
    return np.where(apart.any(axis=1), apart.shape[1] - apart[:, ::-1].argmax(axis=1), 0) + 1


@dataclass(frozen=True, eq=False)
class EmaConvergence:
    """What was found.

    Attributes
    ----------
    joinings : one of each statistic, start and definition
    draws : one row a draw, statistic and start: when it joined by ``band`` and by ``picture``
    lines : the first draws to look at, one row a draw, statistic and sample: ``moving`` and each start
    """

    joinings: list[Convergence]
    draws: pd.DataFrame
    lines: pd.DataFrame

    def metrics(self) -> dict[str, Any]:
        """Return the article's claims with their verdicts, all figures, and the sentence of them all."""
        claims = [claim(statistic, self.joinings) for statistic in CLAIMS]
        return {
            "sentence": " ".join(one["sentence"] for one in claims),
            "claims": claims,
            "definitions": DEFINITIONS,
            "joinings": [asdict(joining) for joining in self.joinings],
        }


def measure_ema_convergence(
    seed: int = 0, *, window: int = WINDOW, samples: int = SAMPLES, draws: int = DRAWS, shown: int = 4
) -> EmaConvergence:
    """Draw uniform numbers in [-1, 1] and see when the averages join.

    Parameters
    ----------
    seed : of the numbers
    window : of both averages
    samples : of a draw, at least ten windows, of which the last half is the later part
    draws : how many
    shown : draws whose lines are kept
    """
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(-1, 1, (draws, samples))
    again = rng.multinomial(draws, np.full(draws, 1 / draws), RESAMPLES)  # times each draw is in a resample
    slow = moving(numbers, window)
    starts = dict.fromkeys(start for some in STARTS.values() for start in some)
    fast = {start: exponential(numbers, window, start) for start in starts}
    joinings, tables, lines = [], [], []
    for statistic, some in STARTS.items():
        kept = {start: fast[start][statistic][:shown].ravel() for start in some}
        lines.append(_lines(statistic, slow[statistic][:shown], kept))
        for start in some:
            differences = fast[start][statistic] - slow[statistic]
            alone = {
                "band": joined_band(differences, window),
                "picture": joined_picture(differences, window),
            }
            tables.append(
                pd.DataFrame({"statistic": statistic, "start": start, "draw": range(draws), **alone})
            )
            joinings += [_of_draws((statistic, start, name), joined, again) for name, joined in alone.items()]
            joinings.append(_of_spread((statistic, start, "spread"), differences, again, window))
    return EmaConvergence(joinings, pd.concat(tables, ignore_index=True), pd.concat(lines, ignore_index=True))


def claim(statistic: str, joinings: list[Convergence]) -> dict[str, Any]:
    """Answer a claim of the article: holds, does not, or cannot be told because the definitions disagree.

    It holds if the interval of every definition meets the range that is claimed, and does not if all lie on
    one side of it.
    """
    low, high = CLAIMS[statistic]
    found = {
        (joining.start, joining.definition): joining for joining in joinings if joining.statistic == statistic
    }
    ours = {name: found["published", name] for name in DEFINITIONS}
    sides = [(joining.low > high) - (joining.high < low) for joining in ours.values()]
    on_one_side = set(sides) in ({1}, {-1})
    verdict = "does not hold" if on_one_side else "cannot be told" if any(sides) else "holds"
    why = ", for it depends on what joining means" if verdict == "cannot be told" else ""
    band = ours["band"]
    others = " and ".join(f"{ours[name].sample:.0f}" for name in DEFINITIONS if name != "band")
    text = f"The exponential {statistic} joins the moving one after {low} to {high} samples"
    return {
        "claim": text,
        "verdict": verdict,
        "statistic": statistic,
        "claimed": [low, high],
        "sentence": (
            f"That {text[0].lower()}{text[1:]} {verdict}{why}: half of the draws have joined by sample "
            f"{band.sample:.0f} ({band.draws_low:.0f} to {band.draws_high:.0f} in 95 % of them, {low} to "
            f"{high} in {band.claimed_pct:.0f} %), by two other definitions it is {others}."
        ),
    }


def _lines(statistic: str, slow: Floats, fast: dict[str, Floats]) -> pd.DataFrame:
    draws, samples = np.indices(slow.shape).reshape(2, -1)
    index = {"statistic": statistic, "draw": draws, "sample": samples + 1}
    return pd.DataFrame({**index, "moving": slow.ravel(), **fast})


def _of_draws(names: tuple[str, str, str], joined: NDArray[np.intp], again: NDArray[np.int64]) -> Convergence:
    low, high = np.quantile(joined, [0.025, 0.975])
    medians = [np.median(joined.repeat(times)) for times in again]
    first, last = CLAIMS[names[0]]
    share = 100 * float(((joined >= first) & (joined <= last)).mean())
    return Convergence(*names, float(np.median(joined)), *_interval(medians), float(low), float(high), share)


def _of_spread(
    names: tuple[str, str, str], differences: Floats, again: NDArray[np.int64], window: int
) -> Convergence:
    squares = differences**2
    value = joined_spread(np.sqrt(squares.mean(axis=0, keepdims=True)), window)[0]
    resampled = joined_spread(np.sqrt((again / len(squares)) @ squares), window)
    return Convergence(*names, float(value), *_interval(resampled), None, None, None)


def _interval(values: Any) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
