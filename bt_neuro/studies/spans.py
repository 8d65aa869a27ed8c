"""Which bars serve what in a comparison: none that a figure is taken on has served a choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bt_neuro.errors import FoldError
from bt_neuro.validation.folds import MINIMUM_TEST_BARS, Length


@dataclass(frozen=True)
class Spans:
    """Ranges of bars.

    Attributes
    ----------
    choice : the first half; learning rates are chosen on it
    history : the last part of the first half; learned once before the single pass, many times before the test
    rest : the second half, which no choice has seen; the single pass goes through it
    test : its beginning, on which the networks that learned many eras are tested
    """

    choice: range
    history: range
    rest: range
    test: range

    @classmethod
    def cut(cls, times: pd.Series, first: int, history: str, test: str) -> Spans:
        """Cut bars in the middle.

        Parameters
        ----------
        times : of all bars, rising
        first : the first bar with a full window
        history, test : lengths as `Length.parse` reads them, before and after the middle; cut short where the
            file is

        Raises
        ------
        FoldError
            When a part would have fewer than 100 bars.

        Examples
        --------
        >>> hours = pd.Series(pd.date_range("2024-01-01", periods=1000, freq="h"))
        >>> Spans.cut(hours, 52, history="10D", test="200b")  # doctest: +NORMALIZE_WHITESPACE
        Spans(choice=range(52, 500), history=range(260, 500), rest=range(500, 1000),
              test=range(500, 700))
        """
        bars, middle = len(times), len(times) // 2
        begin = max(_moved(times, middle, Length.parse(history), -1), first)
        end = _moved(times, middle, Length.parse(test), 1)
        spans = cls(range(first, middle), range(begin, middle), range(middle, bars), range(middle, end))
        least = min(len(spans.history), len(spans.test))
        if least < MINIMUM_TEST_BARS:
            raise FoldError(
                f"{bars:,} bars, history {history} and test {test} leave a part of {max(least, 0)} bars, and "
                f"{MINIMUM_TEST_BARS} are needed.\nGive longer ones, or a longer file."
            )
        return spans

    def as_dict(self, times: pd.Series) -> dict[str, Any]:
        """Return each part's first and last time and number of bars."""
        return {
            name: {"first": str(times[part[0]]), "last": str(times[part[-1]]), "bars": len(part)}
            for name, part in vars(self).items()
        }


def _moved(times: pd.Series, middle: int, length: Length, sign: int) -> int:
    if length.bars:
        return min(max(middle + sign * length.bars, 0), len(times))
    moment = length.moment(times[middle], sign)
    if moment is None:
        return 0 if sign < 0 else len(times)
    return int(np.searchsorted(times.to_numpy("datetime64[ns]"), np.datetime64(moment), side="left"))
