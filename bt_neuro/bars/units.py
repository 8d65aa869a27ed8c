"""Units of a bar file: scale and point of the prices, unit of the spread."""

from __future__ import annotations

import re

import numpy as np

from bt_neuro.bars.formats import Number
from bt_neuro.bars.numbers import Floats, price_digits, written_digits
from bt_neuro.bars.table import Table
from bt_neuro.bars.validation import Inspector, Rows
from bt_neuro.bars.words import PRICES, spread_unit
from bt_neuro.errors import BarsError

PIP = 10  # points
NARROW, WIDE = 0.1, 0.002  # points and share of the price: no typical spread lies outside
UNSET = 0.1  # share of bars without a spread above which the column is doubtful

# Pairs of currencies whose prices are below 1,000.
_PAIR = re.compile(
    r"(EUR|GBP|AUD|NZD|USD|CAD|CHF)[/_-]?(USD|CAD|CHF|GBP|AUD|NZD|EUR|JPY|SEK|NOK)", re.IGNORECASE
)


def scale_prices(rows: Rows, scale: float | None, inspector: Inspector, name: str) -> Rows:
    """Return the rows with prices in their unit, with a note on a scale that is used or likely.

    `scale` is the factor of the prices, None for that of the format; `name` is the name of the file.
    """
    closes = rows["close"][~np.isnan(rows["close"])]
    typical = float(np.median(closes)) if len(closes) else 0.0
    whole = _whole(closes)
    divisor = 1 / scale if scale else inspector.table.format.scale if whole else 1
    divisor = round(divisor) if abs(divisor - round(divisor)) < 1e-9 * divisor else divisor
    if divisor != 1:  # to divide by a whole number rounds once, to multiply by 1e-5 twice
        inspector.notes.append(f"Prices were divided by {divisor:,.10g}.")
        return rows | {role: rows[role] / divisor for role in PRICES}
    if not scale and whole and (typical > 1e6 or (typical > 1e4 and _PAIR.search(name))):
        inspector.notes.append(
            f"Prices are whole numbers of about {typical:,.0f}; if they are scaled, give --scale, such as 0.00001."
        )
    return rows


def find_point(rows: Rows, table: Table, style: Number) -> float:
    """Return the smallest step of the prices, the same for each part of a file.

    Beside a spread, prices are written with all their decimals, zeros too, as MetaTrader does: 1.14920 has
    five. Other programs pad with zeros, or write the noise of floats, and there the values decide.
    """
    closes = rows["close"][~np.isnan(rows["close"])]
    digits = price_digits(closes)
    exact = np.abs(closes - np.round(closes, digits)) <= 1e-9 * closes if "spread" in table.columns else False
    if np.mean(exact) > 0.95:
        digits = max(digits, written_digits(table.columns["close"], style))
    return 10.0**-digits


def spread_in_points(rows: Rows, point: float, inspector: Inspector) -> tuple[Rows, str]:
    """Return the rows with spreads in points, and the unit in which the file has them."""
    if "spread" not in rows:
        return rows, ""
    spread = rows["spread"]
    seen = np.isfinite(spread) & (spread > 0)
    unit = spread_unit(inspector.table.name("spread")) or _unit(spread[seen], rows["close"][seen], point)
    if not unit:
        row = rows["row"][seen][0]
        raise BarsError(
            "the spread must be in points, pips or prices: "
            f"{inspector.describe(row, ('close', 'spread'))}, where a point is {point:g}.\n"
            "Give --point, or rename the column."
        )
    if np.mean(seen) < 1 - UNSET:
        share = f"{100 * (1 - np.mean(seen)):.0f} %"
        inspector.notes.append(f"The spread is 0 in {share} of the bars; give --spread for costs.")
    if unit == "points":
        return rows, unit
    points = np.round(spread * (PIP if unit == "pips" else 1 / point), 3)
    inspector.notes.append(
        f"The spread is written in {unit}; it was converted to points of {np.format_float_positional(point)}."
    )
    return rows | {"spread": points}, unit


def _unit(spreads: Floats, prices: Floats, point: float) -> str:
    """Return the unit of spreads: points if they are integers, else the one that makes them possible."""
    if _whole(spreads):
        return "points"
    typical, widest = np.median(spreads), WIDE * np.median(prices) / point
    factors = {"price": 1 / point, "pips": PIP, "points": 1}
    possible = [unit for unit, factor in factors.items() if NARROW <= factor * typical <= widest]
    whole = [unit for unit in possible if _whole(spreads * factors[unit])]
    return whole[0] if whole else possible[0] if len(possible) == 1 else ""


def _whole(values: Floats) -> bool:
    whole = np.rint(values)
    return bool(((whole > 0) & (np.abs(values - whole) < 1e-3)).mean() > 0.95) if len(values) else True
