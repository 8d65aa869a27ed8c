"""Cells to floats: one way of writing for the whole column, and NaN for whatever is not written so."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bt_neuro.bars.formats import ABSENT, NUMBERS, SUFFIXES, Number
from bt_neuro.errors import BarsError

Floats = NDArray[np.float64]

_ANY_NUMBER = re.compile("|".join(f"(?:{number.pattern})" for number in NUMBERS))


def looks_like_number(cell: str) -> bool:
    """Tell whether a cell is a number in any style, or says that there is none.

    >>> [looks_like_number(cell) for cell in ("1.1", "1,1", "1.234,5", "null", "Open", "2020-01-02")]
    [True, True, True, True, False, False]
    """
    return cell.lower() in ABSENT or _ANY_NUMBER.match(cell) is not None


def find_style(columns: Sequence[pa.ChunkedArray], comma_separated: bool) -> Number:
    """Return the style that most cells of all columns together are written in.

    Raises
    ------
    BarsError
        When every cell reads with a decimal comma as well as with a comma between thousands.
    """
    plain = NUMBERS[0]
    columns = [column for column in columns if _is_text(column)]
    if all(pc.all(_matches(column, plain)).as_py() for column in columns):
        return plain
    counts = [sum(pc.sum(_matches(column, style)).as_py() or 0 for column in columns) for style in NUMBERS]
    best = counts.index(max(counts))
    decimal_comma, thousands_comma = counts[1], counts[2]
    if comma_separated and counts[best] == decimal_comma == thousands_comma:
        raise BarsError("1,234 may be 1.234 or 1234 here.\nExport the prices with a decimal point.")
    return NUMBERS[best]


def parse_numbers(column: pa.ChunkedArray, style: Number = NUMBERS[0]) -> Floats:
    """Return one float a cell; NaN where the cell is not a number in this style."""
    if not _is_text(column):
        return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    fits = _matches(column, style)
    if not pc.all(fits).as_py():
        column = pc.if_else(fits, column, pa.scalar(None, pa.string()))
    for sign, instead in ((style.thousands, ""), (style.point, ".")):
        if sign not in ("", instead):
            column = pc.replace_substring(column, sign, instead)
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)


def parse_volumes(column: pa.ChunkedArray, style: Number) -> Floats:
    """Return volumes, which beside the style of the prices may part thousands and carry K, M or B."""
    volumes = parse_numbers(column, style).copy()
    rest = np.flatnonzero(np.isnan(volumes))
    if not len(rest) or not _is_text(column):
        return volumes
    with_thousands = next(number for number in NUMBERS if number.thousands and number.point == style.point)
    parts = pc.extract_regex(column.take(pa.array(rest)), r"^(?P<number>.*?)(?P<suffix>[KMBkmb]?)$")
    factors = [SUFFIXES[suffix.as_py().upper()] for suffix in pc.struct_field(parts, "suffix")]
    volumes[rest] = parse_numbers(pc.struct_field(parts, "number"), with_thousands) * factors
    return volumes


def price_digits(prices: Floats, at_most: int = 8, share: float = 0.95) -> int:
    """Return how many decimals at least `share` of the prices need, 0 of none; binary noise is no decimal.

    Prices that were once 32-bit floats, as of some data frames and vendors, have more of that noise.

    >>> prices = np.array([1.10001, 1.1, 1.10999999999999999, 1.2345])
    >>> price_digits(prices), price_digits(prices.astype(np.float32).astype(np.float64))
    (5, 5)
    """
    if not len(prices):
        return 0
    were_short = (prices == prices.astype(np.float32)).all()
    noise = (6e-8 if were_short else 1e-9) * np.abs(prices)
    for digits in range(at_most):
        if np.mean(np.abs(prices - np.round(prices, digits)) <= noise) >= share:
            return digits
    return at_most


def written_digits(column: pa.ChunkedArray, style: Number, share: float = 0.95) -> int | None:
    """Return with how many decimals at least `share` of the cells are written; None where that differs.

    >>> written_digits(pa.chunked_array([["1.14920", "1.1", "1.20000"]]), NUMBERS[0], share=0.6)
    5
    """
    if not _is_text(column) or not len(column):
        return None
    at = pc.find_substring(column, style.point)
    after = pc.subtract(pc.subtract(pc.utf8_length(column), at), 1)
    digits = pc.if_else(pc.less(at, 0), 0, after)
    most = pc.mode(digits)
    if not len(most) or most[0]["count"].as_py() < share * len(column):
        return None
    return int(most[0]["mode"].as_py())


def _matches(column: pa.ChunkedArray, style: Number) -> pa.ChunkedArray:
    return pc.match_substring_regex(column, style.pattern)


def _is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type))
