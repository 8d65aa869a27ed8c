"""Description of a bar file: plain values and text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bt_neuro.bars.reader import Bars
from bt_neuro.bars.timeframe import timeframe_name
from bt_neuro.bars.validation import counted


def describe(bars: Bars) -> dict[str, Any]:
    """Return the description of bars as plain JSON values.

    Examples
    --------
    >>> from bt_neuro.bars.reader import read_bars
    >>> known = describe(read_bars("data/SYNTHETIC_EURUSD_H1.csv"))
    >>> known["format"], known["timeframe"], known["bars"], known["gaps"]["weekends"]
    ('MetaTrader 5 export', 'H1', 6000, 50)
    """
    frame, gaps = bars.frame, bars.gaps
    return {
        "file": str(bars.path),
        "format": bars.format,
        "layout": bars.layout,
        "columns": bars.columns,
        "timeframe": timeframe_name(bars.timeframe),
        "timeframe_s": bars.timeframe.total_seconds(),
        "clock": bars.clock,
        "bars": len(bars),
        "point": bars.point,
        "first_bar": _bar(frame.iloc[0]),
        "last_bar": _bar(frame.iloc[-1]),
        "gaps": {
            "count": gaps.count,
            "missing_bars": gaps.bars,
            "longest_s": gaps.longest.total_seconds(),
            "longest_from": None if gaps.longest_from is None else str(gaps.longest_from),
            "weekends": gaps.weekends,
        },
        "dropped_rows": bars.dropped,
        "notes": list(bars.notes),
        "sha256": bars.sha256,
    }


def render(bars: Bars) -> str:
    r"""Return the description of bars as text, one line per fact.

    Examples
    --------
    >>> from bt_neuro.bars.reader import read_bars
    >>> text = render(read_bars("data/SYNTHETIC_EURUSD_H1.csv", end="2024-01-31"))
    >>> print(*text.splitlines()[:2], *text.splitlines()[5:7], sep="\n")
    File        data/SYNTHETIC_EURUSD_H1.csv
    Format      MetaTrader 5 export, tab-separated UTF-8
    Bars        528
    Point       0.00001
    """
    known = describe(bars)
    facts = {
        "File": known["file"],
        "Format": f"{known['format']}, {known['layout']}",
        "Columns": ", ".join(f"{role} {name}" for role, name in bars.columns.items()),
        "Timeframe": known["timeframe"],
        "Clock": "the file's own; its times name no zone" if bars.clock == "file" else bars.clock,
        "Bars": f"{len(bars):,}",
        "Point": np.format_float_positional(bars.point, trim="-"),
        "First": _line(known["first_bar"]),
        "Last": _line(known["last_bar"]),
        "Gaps": _gaps(bars),
        "Dropped": f"{counted(sum(bars.dropped.values()), 'row')}, as noted" if bars.dropped else "nothing",
        "SHA-256": known["sha256"],
    }
    lines = [f"{name:<12}{fact}" for name, fact in facts.items()]
    return "\n".join([*lines, *(f"{'Note':<12}{note}" for note in bars.notes)])


def _bar(row: pd.Series) -> dict[str, Any]:
    numbers = {str(name): float(value) for name, value in row.items() if name != "datetime"}
    return {"datetime": str(row["datetime"])} | numbers


def _line(bar: dict[str, Any]) -> str:
    numbers = (f"{name} {value:.15g}" for name, value in bar.items() if name != "datetime")
    return ", ".join([bar["datetime"], *numbers])


def _gaps(bars: Bars) -> str:
    gaps = bars.gaps
    weekends = f"besides {counted(gaps.weekends, 'weekend')}"
    if not gaps.count:
        return f"none {weekends}"
    hours = gaps.longest.total_seconds() / 3600
    return (
        f"{gaps.count:,}, missing {counted(gaps.bars, 'bar')}; "
        f"the longest {hours:,.4g} hours from {gaps.longest_from}; {weekends}"
    )
