"""Eras, the article's passes over one history, and its three figures that run through them.

All of it is in-sample: from the second era on each bar has been learned before, and in the first one the
label of a bar is learned at once and not when it becomes known. Scores of a network come from new bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bt_neuro.errors import CheckpointError
from bt_neuro.io import Fields
from bt_neuro.learning.signals import signals_of

ARTICLE_WINDOW = 10_000  # samples that the running figures of the article's experts remember

# The most that a figure of an era may move where eras have settled; see `settled`.
ERROR_MOVES, PERCENT_MOVES = 0.01, 0.1


class RunningMean:
    """Mean of all samples until there are `window`, then their exponential average over that many.

    Examples
    --------
    >>> one, other = RunningMean(2), RunningMean(2)
    >>> for sample in (0, 1, 1, 1):
    ...     one.add(sample)
    >>> other.extend([0, 1, 1, 1])
    >>> one.get(), other.get()
    (0.875, 0.875)
    """

    def __init__(self, window: int) -> None:
        self.window, self.samples, self.value = window, 0, 0.0

    def add(self, sample: float) -> None:
        self.samples += 1
        self.value += (sample - self.value) / min(self.samples, self.window)

    def extend(self, samples: ArrayLike) -> None:
        """Add many samples at once: within rounding what it is to add each."""
        head, tail = np.split(np.asarray(samples, np.float64), [max(self.window - self.samples, 0)])
        if len(head):
            self.samples += len(head)
            self.value += float((head - self.value).sum()) / self.samples
        if len(tail):
            self.samples += len(tail)
            left = (1 - 1 / self.window) ** np.arange(len(tail), -1, -1)  # of the value, of each sample
            # No dot product: the order of its sums depends on the number of threads.
            self.value = float(self.value * left[0] + (tail * left[1:]).sum() / self.window)

    def get(self) -> float | None:
        return self.value if self.samples else None

    def state(self) -> dict[str, Any]:
        return {"samples": self.samples, "value": self.value}

    def restore(self, saved: Fields) -> None:
        self.samples, self.value = saved.integer("samples"), saved.number("value")


class ArticleFigures(NamedTuple):
    """The article's three running figures; what no sample has moved yet is None.

    Attributes
    ----------
    error : root mean square of target - output of a bar, averaged over bars
    undefine_pct : fractals without a signal
    forecast_pct : signals that hit
    """

    error: float | None
    undefine_pct: float | None
    forecast_pct: float | None


class RunningFigures:
    """The article's figures of several networks that learn the same bars side by side.

    They are those of `HitRate` within rounding, many bars at a time.

    Parameters
    ----------
    networks : how many
    window : samples that each figure remembers: of the error bars, of undefine fractals, of forecast signals

    Examples
    --------
    >>> running = RunningFigures(networks=2)
    >>> hits, silent = [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]
    >>> running.add(outputs=[[hits], [silent]], targets=[[0.0, 1.0, 0.0]])
    >>> for figures in running.figures():
    ...     print([figure if figure is None else round(figure, 3) for figure in figures])
    [0.0, 0.0, 100.0]
    [0.816, 100.0, None]
    """

    def __init__(self, networks: int, window: int = ARTICLE_WINDOW) -> None:
        self._networks = [[RunningMean(window) for _ in ArticleFigures._fields] for _ in range(networks)]

    def add(self, outputs: ArrayLike, targets: ArrayLike, signals: ArrayLike | None = None) -> None:
        """Take the next bars.

        Parameters
        ----------
        outputs : (networks, n, 3), of none, buy and sell
        targets : (n, 3), zeros and ones
        signals : (networks, n), 0 none, 1 buy, 2 sell; by default those of the outputs
        """
        said, wanted = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
        errors = np.sqrt(((wanted - said) ** 2).mean(axis=-1))
        is_fractal = wanted[:, 1:].any(axis=1)
        named = signals_of(said) if signals is None else np.asarray(signals)
        for means, of_bars, of_network in zip(self._networks, errors, named, strict=True):
            error, undefine, forecast = means
            error.extend(of_bars)
            undefine.extend(100.0 * (of_network[is_fractal] == 0))
            signalled = np.flatnonzero(of_network)
            forecast.extend(100.0 * (wanted[signalled, of_network[signalled]] == 1))

    def figures(self) -> list[ArticleFigures]:
        """Return the figures of each network."""
        return [ArticleFigures(*(mean.get() for mean in means)) for means in self._networks]

    def state(self) -> list[Any]:
        """Return all that `restore` needs, in plain JSON values."""
        return [
            {name: mean.state() for name, mean in zip(ArticleFigures._fields, means, strict=True)}
            for means in self._networks
        ]

    def restore(self, saved: list[Any]) -> None:
        """Go on from `state`.

        Raises
        ------
        CheckpointError
            When it is no such state, or one of another number of networks.
        """
        if len(saved) != len(self._networks):
            raise CheckpointError(f"running figures of {len(saved)} networks, not of {len(self._networks)}")
        for means, values in zip(self._networks, saved, strict=True):
            fields = Fields(values, "running figures")
            for name, mean in zip(ArticleFigures._fields, means, strict=True):
                mean.restore(fields.group(name))


@dataclass(frozen=True, slots=True)
class Epoch:
    """One network after one pass over its history; all in-sample.

    Attributes
    ----------
    number : 1 for the first
    learning_rate : of its last learning step
    error, undefine_pct, forecast_pct : the running figures as the era left them, see `ArticleFigures`
    """

    number: int
    learning_rate: float
    error: float | None
    undefine_pct: float | None
    forecast_pct: float | None


def settled(previous: Epoch, last: Epoch) -> bool:
    """Tell whether its error has moved by less than 0.01 and its percentages by less than 0.1.

    Notes
    -----
    What ends the training loop of the article's experts (part 2 of the series, section 3.3) is::

        (signal of the last bar != none || forecast > 70)
        && error < 0.1 && |error - previous error| < 0.01
        && |undefine - previous undefine| < 0.1 && |forecast - previous forecast| < 0.1

    The differences are kept, the levels are not: they say what one may wish for, and not that nothing moves
    any more (the same section reports errors of 0.68 and 0.78 after 35 eras). What the demand for a signal
    guards against, a network that settles before it ever speaks, is caught otherwise: a figure that is None
    has not settled.

    Examples
    --------
    >>> settled(Epoch(1, 1e-3, 0.420, 61.00, 52.00), Epoch(2, 1e-3, 0.415, 60.95, 52.03))
    True
    >>> settled(Epoch(1, 1e-3, 0.420, 61.00, None), Epoch(2, 1e-3, 0.420, 61.00, None))
    False
    """
    pairs = (
        (previous.error, last.error, ERROR_MOVES),
        (previous.undefine_pct, last.undefine_pct, PERCENT_MOVES),
        (previous.forecast_pct, last.forecast_pct, PERCENT_MOVES),
    )
    return all(
        before is not None and after is not None and abs(after - before) < most
        for before, after, most in pairs
    )


class EpochLog:
    """The eras of networks that learn side by side, and the figures that run through all of them.

    Parameters
    ----------
    networks : how many

    Attributes
    ----------
    figures : `RunningFigures`, to be fed with what is learned
    ended : an entry an era that has ended: one `Epoch` a network
    """

    def __init__(self, networks: int) -> None:
        self.figures = RunningFigures(networks)
        self.ended: list[tuple[Epoch, ...]] = []

    def end(self, learning_rates: Sequence[float]) -> None:
        """Take note that an era has ended, with the rate at which each network learned last."""
        number, figures = len(self.ended) + 1, self.figures.figures()
        eras = zip(learning_rates, figures, strict=True)
        self.ended.append(tuple(Epoch(number, rate, *one) for rate, one in eras))

    @property
    def has_settled(self) -> bool:
        """Whether every network has, see `settled`."""
        return len(self.ended) > 1 and all(map(settled, *self.ended[-2:]))

    def is_done(self, eras: int, until_settled: bool) -> bool:
        """Tell whether there have been so many eras, or as many as it took to settle."""
        return len(self.ended) >= eras or (until_settled and self.has_settled)

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, in plain JSON values."""
        ended = [[asdict(era) for era in eras] for eras in self.ended]
        return {"figures": self.figures.state(), "ended": ended}

    def restore(self, saved: Fields) -> None:
        """Go on from `state`.

        Raises
        ------
        CheckpointError
            When it is no such state, or one of another number of networks.
        """
        self.figures.restore(saved.items("figures"))
        networks = len(self.figures.figures())
        for eras in saved.items("ended"):
            if not isinstance(eras, list) or len(eras) != networks:
                raise saved.refuse("ended", f"eras of {networks} networks")
            self.ended.append(tuple(_era(Fields(era, "an era")) for era in eras))


def _era(saved: Fields) -> Epoch:
    figures = (None if saved.any(name) is None else saved.number(name) for name in ArticleFigures._fields)
    return Epoch(saved.integer("number", 1), saved.number("learning_rate"), *figures)
