"""Units of a bar file: scale and point of the prices, unit of the spread."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from bt_neuro.bars.formats import Number
from bt_neuro.bars.numbers import Floats, leading_zeros, price_digits, written_digits
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
    if not scale and whole and typical > (1e3 if _PAIR.search(name) else 1e4):
        inspector.notes.append(
            f"Prices are whole numbers of about {typical:,.0f}; if they are scaled, give --scale, such as 0.00001."
        )
    return rows


def find_point(rows: Rows, table: Table, style: Number | None) -> float:
    """Return the smallest step of the prices, the same for each part of a file.

    `style` is that of the cells, None where prices were rounded since.

    Beside a spread, prices are written with all their decimals, zeros too, as MetaTrader does: 1.14920 has
    five. Other programs pad with zeros, or write the noise of floats, and there the values decide.
    """
    closes = rows["close"][~np.isnan(rows["close"])]
    digits = price_digits(closes)
    exact = np.abs(closes - np.round(closes, digits)) <= 1e-9 * closes if "spread" in table.columns else False
    if style and np.mean(exact) > 0.95:
        digits = max(digits, written_digits(table.columns["close"], style))
    return 10.0**-digits


def spread_in_points(rows: Rows, point: float, inspector: Inspector) -> tuple[Rows, str]:
    """Return the rows with spreads in points, and the unit in which the file has them."""
    if "spread" not in rows:
        return rows, ""
    spread = rows["spread"]
    seen = np.isfinite(spread) & (spread > 0)
    stated = spread_unit(inspector.table.name("spread"))
    units = [stated] if stated else _units(spread[seen], rows["close"][seen], point)
    if not units:
        row = rows["row"][seen][0]
        raise BarsError(
            "the spread must be in points, pips or prices: "
            f"{inspector.describe(row, ('close', 'spread'))}, where a point is {point:g}.\n"
            "Give --point, or name the column spread_points, spread_pips or spread_price."
        )
    if np.mean(seen) < 1 - UNSET:
        share = f"{100 * (1 - np.mean(seen)):.0f} %"
        inspector.notes.append(f"The spread is 0 in {share} of the bars; give --spread for costs.")
    if len(units) > 1 and not inspector.table.format.opening:
        inspector.notes.append(
            f"The spread is taken for points of {point:g}; if it is a price, name the column spread_price."
        )
    if (unit := units[0]) == "points":
        return rows, unit
    points = np.round(spread * (PIP if unit == "pips" else 1 / point), 3)
    inspector.notes.append(
        f"The spread is written in {unit}; it was converted to points of {np.format_float_positional(point)}."
    )
    return rows | {"spread": points}, unit


def _units(spreads: Floats, prices: Floats, point: float) -> list[str]:
    """Return the units of spreads: points if they are integers, else the one that makes them possible."""
    if not len(spreads):
        return ["points"]
    typical, widest = np.median(spreads), WIDE * np.median(prices) / point
    factors = {"price": 1 / point, "pips": PIP, "points": 1}
    possible = [unit for unit, factor in factors.items() if NARROW <= factor * typical <= widest]
    if _whole(spreads):
        return ["points", *(unit for unit in possible if unit == "price" and point < 1)]
    whole = [unit for unit in possible if _whole(spreads * factors[unit])]
    return whole[:1] or (possible if len(possible) == 1 else [])


def without_noise(rows: Rows, inspector: Inspector) -> Rows:
    """Return the rows with the decimals that prices had before they became 32-bit floats, with a note."""
    closes = rows["close"][~np.isnan(rows["close"])]
    few = closes[:: len(closes) // 1000 + 1]
    if not len(few) or np.mean(np.abs(few.astype(np.float32) - few) <= 1e-9 * few) < 0.95:
        return rows
    step = np.spacing(np.float32(np.median(few)))
    possible = (n for n in range(8 + leading_zeros(few)) if step < 0.8 / 10**n)
    digits = next((n for n in possible if np.mean(_is_float_of(few, few.round(n))) >= 0.95), None)
    if digits is None or np.mean(np.abs(few.round(digits) - few) <= 1e-12 * few) > 0.05:
        return rows  # without decimals of their own, or such as 1.25, the same in any precision
    inspector.notes.append(f"Prices were 32-bit floats; they were rounded to {digits} decimals.")
    prices = {role: (rows[role], rows[role].round(digits)) for role in PRICES}
    return rows | {role: np.where(_is_float_of(was, now), now, was) for role, (was, now) in prices.items()}


def _is_float_of(prices: Floats, rounded: Floats) -> NDArray[np.bool_]:
    return prices.astype(np.float32) == rounded.astype(np.float32)


def _whole(values: Floats) -> bool:
    whole = np.rint(values)
    return bool(((whole > 0) & (np.abs(values - whole) < 1e-3)).mean() > 0.95) if len(values) else True
