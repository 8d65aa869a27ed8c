"""Validation of the frame of a feed: columns, times, order."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bt_neuro.errors import BarsError

COLUMNS = ("open", "high", "low", "close", "volume")


def require_bars(bars: pd.DataFrame) -> None:
    """Raise BarsError for bars that backtrader would accept without an error and misread."""
    if not isinstance(bars, pd.DataFrame):
        hint = " Give its .frame." if hasattr(bars, "frame") else ""
        raise BarsError(f"bars must be a pandas DataFrame, got {type(bars).__name__}.{hint}")
    missing = [name for name in ("datetime", *COLUMNS) if name not in bars]
    if missing:
        raise BarsError(f"bars must have the columns {', '.join(missing)}. {_remedy(bars, missing)}")
    if bars["datetime"].dtype.kind != "M":
        raise BarsError("The column datetime must hold times. Convert it with pandas.to_datetime().")
    if bars.empty:
        raise BarsError("bars must hold at least one bar, got none.")
    numbers = [name for name in ("datetime", *COLUMNS, "spread") if name in bars]
    if (holes := bars[numbers].isna().any(axis=1)).any():
        raise BarsError(
            f"Bar {int(holes.argmax())} must have a value in every column. Drop or fill such rows."
        )
    for name in numbers[1:]:
        try:
            is_finite = np.isfinite(bars[name].astype(float))
        except (TypeError, ValueError) as error:
            raise BarsError(
                f"The column {name} must hold numbers: {error}. Convert it with pandas.to_numeric()."
            ) from error
        if not is_finite.all():
            raise BarsError(
                f"Bar {int(is_finite.argmin())} must have a finite {name}, got infinity. Correct or drop such rows."
            )
    if (late := bars["datetime"].diff().dt.total_seconds() <= 0).any():
        raise BarsError(
            f"Bar {int(late.argmax())} must be later than the one before. Sort, and drop duplicates."
        )


def _remedy(bars: pd.DataFrame, missing: list[str]) -> str:
    if set(missing) & {str(name).lower() for name in bars}:
        return "Rename columns to lower case: bars.rename(columns=str.lower)."
    if missing == ["volume"]:
        return "Add it, 0 where it is unknown: bars.assign(volume=0)."
    if "datetime" in missing and isinstance(bars.index, pd.DatetimeIndex):
        return 'Take it from the index: bars.rename_axis("datetime").reset_index().'
    return "Rename columns, or call reset_index() first."
