"""Epochs over a pretraining span, and the article's three running figures.

All figures here are in-sample: the network learns the label of a bar in the same pass that predicts it.
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

ARTICLE_WINDOW = 10_000  # samples in the running figures of the article's experts

# Largest change of a figure from epoch to epoch where epochs have settled; see `settled`.
ERROR_MOVES, PERCENT_MOVES = 0.01, 0.1


class RunningMean:
    """Mean of the first `window` samples, then an exponential average over as many.

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
        """Add many samples; equal to `add` of each within rounding."""
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
    """The article's three running figures; None without a sample.

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
    """The article's figures of several networks over the same bars, many bars at a time.

    Equal to those of `HitRate` within rounding.

    Parameters
    ----------
    networks : number of networks
    window : samples in each figure: bars of the error, fractals of undefine, signals of forecast

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
        """Add the next bars.

        Parameters
        ----------
        outputs : (networks, n, 3), of none, buy and sell
        targets : (n, 3), zeros and ones
        signals : (networks, n), 0 none, 1 buy, 2 sell; by default those of the outputs
        """
        outputs, targets = np.asarray(outputs, np.float64), np.asarray(targets, np.float64)
        errors = np.sqrt(((targets - outputs) ** 2).mean(axis=-1))
        is_fractal = targets[:, 1:].any(axis=1)
        signals = signals_of(outputs) if signals is None else np.asarray(signals)
        for means, of_bars, of_network in zip(self._networks, errors, signals, strict=True):
            error, undefine, forecast = means
            error.extend(of_bars)
            undefine.extend(100.0 * (of_network[is_fractal] == 0))
            signalled = np.flatnonzero(of_network)
            forecast.extend(100.0 * (targets[signalled, of_network[signalled]] == 1))

    def figures(self) -> list[ArticleFigures]:
        """Return the figures of each network."""
        return [ArticleFigures(*(mean.get() for mean in means)) for means in self._networks]

    def state(self) -> list[Any]:
        """Return the state for `restore`, as plain JSON values."""
        return [
            {name: mean.state() for name, mean in zip(ArticleFigures._fields, means, strict=True)}
            for means in self._networks
        ]

    def restore(self, saved: list[Any]) -> None:
        """Set the state that `state` returned.

        Raises
        ------
        CheckpointError
            When a value is missing or invalid, or the number of networks differs.
        """
        if len(saved) != len(self._networks):
            n = len(self._networks)
            raise CheckpointError(f"running figures must be of {n} networks, got {len(saved)}")
        for means, values in zip(self._networks, saved, strict=True):
            fields = Fields(values, "running figures")
            for name, mean in zip(ArticleFigures._fields, means, strict=True):
                mean.restore(fields.group(name))


@dataclass(frozen=True, slots=True)
class Epoch:
    """Figures of one network after one pass over the pretraining span; all in-sample.

    Attributes
    ----------
    number : from 1 on
    learning_rate : of the last learning step
    error, undefine_pct, forecast_pct : the running figures at the end, see `ArticleFigures`
    """

    number: int
    learning_rate: float
    error: float | None
    undefine_pct: float | None
    forecast_pct: float | None


def settled(previous: Epoch, last: Epoch) -> bool:
    """Return whether the error moved by less than 0.01 and both percentages by less than 0.1.

    Notes
    -----
    The training loop of the article's experts (part 2 of the series, section 3.3) ends when::

        (signal of the last bar != none || forecast > 70)
        && error < 0.1 && |error - previous error| < 0.01
        && |undefine - previous undefine| < 0.1 && |forecast - previous forecast| < 0.1

    The differences are kept. The levels are not: the same section reports errors of 0.68 and 0.78 after 35
    passes. A figure that is None has not settled, which covers a network without any signal.

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
    """Epochs of several networks over the same span, and the running figures.

    Parameters
    ----------
    networks : number of networks

    Attributes
    ----------
    figures : `RunningFigures` over all epochs
    epochs : the epochs that have ended, each a tuple with one `Epoch` a network
    """

    def __init__(self, networks: int) -> None:
        self.figures = RunningFigures(networks)
        self.epochs: list[tuple[Epoch, ...]] = []

    def end(self, learning_rates: Sequence[float]) -> None:
        """Add an epoch, with the last learning rate of each network."""
        number, figures = len(self.epochs) + 1, self.figures.figures()
        rates = zip(learning_rates, figures, strict=True)
        self.epochs.append(tuple(Epoch(number, rate, *of_network) for rate, of_network in rates))

    @property
    def has_settled(self) -> bool:
        """Whether every network has settled, see `settled`."""
        return len(self.epochs) > 1 and all(map(settled, *self.epochs[-2:]))

    def is_done(self, epochs: int, until_settled: bool) -> bool:
        """Return whether there are `epochs` epochs, or enough to settle."""
        return len(self.epochs) >= epochs or (until_settled and self.has_settled)

    def state(self) -> dict[str, Any]:
        """Return the state for `restore`, as plain JSON values."""
        epochs = [[asdict(epoch) for epoch in of_networks] for of_networks in self.epochs]
        return {"figures": self.figures.state(), "ended": epochs}

    def restore(self, saved: Fields) -> None:
        """Set the state that `state` returned.

        Raises
        ------
        CheckpointError
            When a value is missing or invalid, or the number of networks differs.
        """
        self.figures.restore(saved.items("figures"))
        networks = len(self.figures.figures())
        for of_networks in saved.items("ended"):
            if not isinstance(of_networks, list) or len(of_networks) != networks:
                raise saved.invalid("ended", f"epochs of {networks} networks")
            self.epochs.append(tuple(_epoch(Fields(values, "an epoch")) for values in of_networks))


def _epoch(saved: Fields) -> Epoch:
    figures = (None if saved.any(name) is None else saved.number(name) for name in ArticleFigures._fields)
    return Epoch(saved.integer("number", 1), saved.number("learning_rate"), *figures)
