"""Split of a file into the bars of all trials and held-out bars."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bt_neuro.bars.reader import Bars
from bt_neuro.errors import FoldError
from bt_neuro.validation.folds import Length


@dataclass(frozen=True)
class Split:
    """Bars of a file: those of all trials, then the held-out ones."""

    times: pd.Series
    holdout: range

    @classmethod
    def of(cls, bars: Bars, holdout: str) -> Split:
        times, start = bars.frame["datetime"], len(bars)
        if holdout != "0":
            length = Length.parse(holdout)
            if length.bars:
                start -= length.bars
            else:
                first = length.moment(times.iloc[-1], -1)
                start = 0 if first is None else int(times.searchsorted(first, side="right"))
        if start < 1:
            raise FoldError(f"{bars.path}: {len(bars):,} bars are too few to hold out {holdout}. Give less.")
        return cls(times, range(start, len(bars)))

    @property
    def until_holdout(self) -> dict[str, str]:
        """Option of `read_bars` that ends before the held-out bars."""
        # A second before the first of them, not the time of the bar before it, which may be built from
        # finer bars.
        if not self.holdout:
            return {}
        return {"end": str(self.times[self.holdout.start] - pd.Timedelta(seconds=1))}

    def since(self, bar: int) -> dict[str, str]:
        """Option of `read_bars` that starts with a bar."""
        return {"start": str(self.times[bar])}
