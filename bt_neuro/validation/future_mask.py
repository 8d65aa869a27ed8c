"""A curtain over the future: in the middle of a run, what lies ahead in backtrader's lines is hidden."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

import backtrader as bt
import numpy as np


class FutureMask:
    """Hides what lies ahead, at every bar: beyond the present one, all lines hold perturbed prices.

    backtrader has then computed all indicators, from true bars; only what `next` reads ahead, from a line or
    from its array, changes. Each step is
    reversed and made a hundred times as large. Lines of times are left alone: backtrader itself reads the
    next bar's time.
    """

    _SCALE = 100.0

    def __init__(self) -> None:
        self._lines: list[tuple[array[float], array[float]]] | None = None  # as shown, and as they are

    def lift(self, cerebro: bt.Cerebro) -> None:
        """Show the bar that has just closed; the first time, draw the curtain over all that follow."""
        if self._lines is None:
            self._lines = [(line, self._hide(line)) for line in _filled_lines(cerebro)]
        bar = len(cerebro.datas[0]) - 1
        for shown, true in self._lines:
            shown[bar] = true[bar]

    def _hide(self, line: array[float]) -> array[float]:
        kept = line[:]
        true = np.array(line)
        steps = np.diff(true)
        line[1:] = array("d", true[:-1] - self._SCALE * np.where(steps == 0, 1.0, steps))
        return kept


def _filled_lines(cerebro: bt.Cerebro) -> Iterator[array[float]]:
    """Yield the values of all lines that hold a number for each bar of the file already."""
    owners = [*cerebro.datas, *(one for strategy in cerebro.runningstrats for one in indicators_of(strategy))]
    lines = [line for owner in owners for line, alias in lines_of(owner) if alias != "datetime"]
    values = {id(line.array): line.array for line in lines}
    yield from (line for line in values.values() if len(line) == cerebro.datas[0].buflen())


def indicators_of(owner: Any) -> Iterator[Any]:
    """Yield all indicators, and operations on lines, that an owner has, and theirs."""
    for indicator in getattr(owner, "_lineiterators", {}).get(bt.LineIterator.IndType, ()):
        yield indicator
        yield from indicators_of(indicator)


def lines_of(owner: Any) -> Iterator[tuple[Any, str]]:
    """Yield lines and their names; an operation on lines is one line without a name."""
    if isinstance(owner, bt.LineSeries):
        for index, alias in enumerate(owner.lines.getlinealiases()):
            yield owner.lines[index], alias
    else:
        yield owner, ""
