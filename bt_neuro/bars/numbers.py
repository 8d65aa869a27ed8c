"""Numbers in cells: one way of writing for all prices, NaN where a cell is written otherwise."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bt_neuro.bars.formats import ABSENT, CURRENCY, NUMBERS, SUFFIXES, Number
from bt_neuro.errors import BarsError

Floats = NDArray[np.float64]

_ANY_NUMBER = re.compile("|".join(f"(?:{number.pattern})" for number in NUMBERS))
_CURRENCY = re.compile(CURRENCY)
_SUFFIX = re.compile(rf" ?({'|'.join(filter(None, SUFFIXES))})\.?$", re.IGNORECASE)
THIRTY_SECONDS = r"^\d{1,3}'([0-2]\d|3[01])[0257]$"  # in which bonds are quoted
NONE = -1  # Interactive Brokers' volume of a market without one
_PLAIN = np.zeros(256, dtype=np.bool_)  # bytes of 1234.5
_PLAIN[list(b"0123456789.")] = True


def is_absent(cell: str) -> bool:
    """Return whether a cell states that there is no value."""
    return cell.strip().lower() in ABSENT


@lru_cache(1 << 15)
def looks_like_number(cell: str) -> bool:
    """Return whether a cell is a number in any way of writing, or states that there is none.

    >>> [looks_like_number(cell) for cell in ("1.1", "1,1", "$1,234.5", "null", "Open", "2020-01-02")]
    [True, True, True, True, False, False]
    """
    return is_absent(cell) or _ANY_NUMBER.match(_CURRENCY.sub("", cell).strip()) is not None


def looks_like_volume(cell: str) -> bool:
    """Return whether a cell is a number, perhaps with a suffix such as K."""
    return looks_like_number(_SUFFIX.sub("", cell))


def parse_prices(
    columns: Sequence[pa.ChunkedArray], comma_separated: bool = False, point: str = ""
) -> tuple[list[Floats], Number]:
    """Parse columns of prices; return them, and the notation of most cells.

    `point` is the decimal sign of other cells, which decides whether 1,234 and 1.234 are thousands.
    """
    parsed = [_plain_numbers(column) if point != "," else None for column in columns]
    if all(prices is not None for prices in parsed):
        return [prices for prices in parsed if prices is not None], NUMBERS[0]
    texts = [_without_currency(column) for column in columns if _is_text(column)]
    counts = [
        sum(pc.sum(_matches(column, style.pattern)).as_py() or 0 for column in texts) for style in NUMBERS
    ]
    best = counts.index(max(counts))
    alike = [i for i, style in enumerate(NUMBERS) if counts[i] == counts[best] and style.point == point]
    if alike:
        best = alike[0]
    elif comma_separated and counts[best] == counts[1] == counts[2] > counts[0]:
        # A comma before three digits.
        raise BarsError(
            "prices must not be ambiguous, got 1,234: 1.234 or 1234.\nExport the prices with a decimal point."
        )
    if NUMBERS[best].thousands == "'" and all(
        pc.all(_matches(column, THIRTY_SECONDS)).as_py() for column in texts
    ):
        raise BarsError(
            "prices must not be ambiguous, got 1'165: 1165, or 1 and 16.5/32.\nExport the prices with a decimal point."
        )
    return [parse_numbers(column, NUMBERS[best]) for column in columns], NUMBERS[best]


def parse_numbers(column: pa.ChunkedArray, style: Number) -> Floats:
    """Return one float per cell, NaN where the cell is no number in this style."""
    if not _is_text(column):
        return _floats(column)
    column = _without_currency(column)
    column = pc.if_else(_matches(column, style.pattern), column, pa.scalar(None, pa.string()))
    for sign, instead in ((style.thousands, ""), (style.point, ".")):
        if sign not in ("", instead):
            column = pc.replace_substring(column, sign, instead)
    return _floats(column)


def parse_volumes(column: pa.ChunkedArray, style: Number) -> Floats:
    """Return volumes, which beside the style of the prices may have thousands and a suffix such as K."""
    plain = _plain_numbers(column) if style is NUMBERS[0] else None
    volumes = parse_numbers(column, style) if plain is None else plain
    if (volumes == NONE).all():
        return np.zeros(len(volumes))
    rest = np.flatnonzero(np.isnan(volumes))
    if not len(rest) or not _is_text(column):
        return volumes
    volumes, cells = volumes.copy(), column.take(pa.array(rest)).to_pylist()
    suffixes = [match[1].upper() if (match := _SUFFIX.search(cell)) else "" for cell in cells]
    numbers = pa.chunked_array([[_SUFFIX.sub("", cell) for cell in cells]], pa.string())
    for other in NUMBERS:
        if other.point == style.point and other.thousands:
            found = parse_numbers(numbers, other) * [SUFFIXES[suffix] for suffix in suffixes]
            volumes[rest] = np.where(np.isnan(volumes[rest]), found, volumes[rest])
    return volumes


def price_digits(prices: Floats, share: float = 0.95, least: int = 0) -> int:
    """Return the decimals that at least `share` of the prices need, 0 of none, or `least` if that is more.

    They are at most 8, and for prices below 0.1 as many more as zeros follow the decimal point.

    Noise is no decimal: of binary fractions, or of prices that were 32-bit floats, however they were
    written since. It must be far below a step of the price, or it would hide one.

    >>> prices = np.array([1.10001, 1.1, 1.10999999999999999, 1.2345])
    >>> price_digits(prices), price_digits(prices.astype(np.float32).astype(np.float64))
    (5, 5)
    >>> price_digits(np.array([1.2345001, 1.2344999, 1.1, 1.2346])), price_digits(np.array([612345.67]))
    (4, 2)
    >>> price_digits(np.array([1.7666e-8, 1.7679e-8]))
    12
    """
    if least and _fitting(prices, least) >= share:  # of bar after bar, the usual case
        return least
    at_most = 8 + leading_zeros(prices)
    few = prices[:: len(prices) // 1000 + 1]  # show at once that far too few fit
    for digits in range(at_most if len(prices) else 0):
        if _fitting(few, digits) >= share - 0.1 and _fitting(prices, digits) >= share:
            return max(digits, least)
    return max(at_most, least) if len(prices) else least


def leading_zeros(prices: Floats) -> int:
    """Return how many zeros follow the decimal point of a typical price, at most 12.

    >>> leading_zeros(np.array([1.7666e-8, 1.7679e-8])), leading_zeros(np.array([0.1, 1.1, 1234.5]))
    (7, 0)
    """
    typical = float(np.median(prices)) if len(prices) else 0.0
    return min(math.ceil(-math.log10(typical)) - 1, 12) if 0 < typical < 0.1 else 0


def point_digits(point: float) -> int:
    """Return the number of decimals of prices whose smallest step is `point`; below 0 for tens.

    >>> point_digits(1e-5), point_digits(0.25), point_digits(10.0)
    (5, 2, -1)
    """
    return -int(Decimal(f"{point:.10g}").normalize().as_tuple().exponent)


def written_digits(column: pa.ChunkedArray, style: Number, share: float = 0.95) -> int:
    """Return the decimals with which at least `share` of the cells are written, 0 where that differs."""
    most = pc.mode(_decimals(column, style)).to_pylist() if _is_text(column) else []
    filled = (pc.count(column).as_py() - (pc.sum(pc.equal(column, "")).as_py() or 0)) if most else 0
    return most[0]["mode"] if most and most[0]["count"] >= share * filled else 0


def without_short(prices: Floats, column: pa.ChunkedArray, style: Number) -> Floats:
    """Return prices, NaN where a cell has fewer decimals than nearly all: a blank may stand for its last digit."""
    if not (most := written_digits(column, style)):
        return prices
    return np.where(np.asarray(pc.less(_decimals(column, style), most).fill_null(False)), np.nan, prices)


def _decimals(column: pa.ChunkedArray, style: Number) -> pa.ChunkedArray:
    at = pc.find_substring(column, style.point)
    return pc.if_else(pc.less(at, 0), 0, pc.subtract(pc.subtract(pc.utf8_length(column), at), 1))


def _fitting(prices: Floats, digits: int) -> float:
    """Return the share of the prices that need no more decimals, but for noise."""
    sizes = np.abs(prices)
    noise = np.where(1.3e-7 * sizes < 0.1 * 10.0**-digits, 1.3e-7, 1e-9) * sizes
    return float(np.mean(np.abs(prices - np.round(prices, digits)) <= noise))


def _plain_numbers(column: pa.ChunkedArray) -> Floats | None:
    """Return the numbers of cells that are all written as 1234.5, ten times as fast as by the pattern."""
    if not _is_text(column):
        return _floats(column)
    for chunk in column.chunks:
        _, offsets, content = chunk.buffers()
        if chunk.null_count or content is None:
            return None
        ends = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        text = np.frombuffer(content, np.uint8)[ends[0] : ends[-1]]
        ends = ends - ends[0]
        if not _PLAIN[text].all() or (ends[1:] == ends[:-1]).any():
            return None
        if (text[ends[:-1]] == ord(".")).any() or (text[ends[1:] - 1] == ord(".")).any():
            return None
    try:
        return _floats(column)
    except pa.ArrowInvalid:  # two points
        return None


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _without_currency(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Remove the signs of currencies where most cells have one; a sign in a few stands for a lost digit."""
    signs = pc.sum(pc.match_substring_regex(column, CURRENCY)).as_py() or 0
    if 2 * signs > len(column) - column.null_count:
        # Not trimmed: a blank may stand for a lost digit.
        return pc.replace_substring_regex(column, CURRENCY, "")
    return column


def _matches(column: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    return pc.match_substring_regex(column, pattern)


def _is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type))
