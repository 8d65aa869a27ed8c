"""Instruments of a bar file: one is read, several are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bt_neuro.bars.columns import several_instruments
from bt_neuro.bars.formats import ABSENT
from bt_neuro.bars.validation import Inspector
from bt_neuro.bars.words import parse_name, plain
from bt_neuro.errors import BarsError

APART = 4.0  # prices of two instruments differ by as many moves of one
LEVEL, LEAP = 20.0, 0.02  # ... and where one follows another: moves, and share of the price


def select_symbol(frame: pd.DataFrame, symbol: str, inspector: Inspector) -> pd.DataFrame:
    """Return the rows of one instrument; `symbol` is empty for a file of one."""
    table = inspector.table
    found = plain(symbol) == plain(table.roles.ticker)
    for name, cells in table.symbols.items():
        coded = pc.dictionary_encode(pc.utf8_trim_whitespace(pc.cast(cells, pa.string()))).combine_chunks()
        codes = np.asarray(coded.indices.fill_null(-1))[frame.index]
        values = {
            i: value for i, value in enumerate(coded.dictionary.to_pylist()) if value.lower() not in ABSENT
        }
        held = {i: values[i] for i in np.unique(codes).tolist() if i in values}
        if chosen := [i for i, value in held.items() if symbol and plain(value) == plain(symbol)]:
            found = True
            if len(held) > 1:
                inspector.notes.append(
                    f"Read {symbol}; {int((codes != chosen[0]).sum()):,} rows of others were left out."
                )
            frame = frame[codes == chosen[0]]
        elif len(held) > 1 and (parse_name(name).role == "symbol" or _are_instruments(frame, codes)):
            raise several_instruments(list(held.values()), symbol)
    if symbol and not found:
        raise BarsError(f"the file names no instrument {symbol!r}.\nLeave --symbol out.")
    return frame


def _are_instruments(frame: pd.DataFrame, codes: np.ndarray) -> bool:
    """Return whether rows with different codes are of different instruments.

    They are if they share times, or if prices continue those of the same code and not those of the row before.
    """
    times = frame["datetime"].to_numpy()
    if len(np.unique(codes)) > len(codes) // 2:
        return False
    if len(np.unique(times)) < len(pd.DataFrame({"time": times, "code": codes}).drop_duplicates()):
        return True
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = pd.Series(np.log(frame["close"].to_numpy(dtype=np.float64)))
    moves, own = logs.diff().abs(), logs.groupby(codes).diff().abs()
    switches = pd.Series(codes).diff().fillna(0) != 0
    across, within, usual = moves[switches].median(), own[switches].median(), moves[~switches].median()
    if np.isnan(within):  # one follows the other
        return bool(across > LEVEL * usual and across > LEAP)
    return bool(across > APART * within)
