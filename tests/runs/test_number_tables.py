"""Tables of numbers: the bytes that pandas writes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bt_neuro.runs.tables import is_numeric, write_numbers

NUMBERS = st.floats(allow_nan=False) | st.floats(0, 1).map(np.float32).map(float)


@given(st.lists(st.tuples(st.integers(-(2**53), 2**53), NUMBERS, NUMBERS), max_size=5))
@pytest.mark.parametrize("float_format", ["%.6g", "%.10g"])
def test_bytes_are_those_of_pandas(tmp_path_factory, float_format, rows):
    path = tmp_path_factory.getbasetemp() / "numbers.csv"
    table = pd.DataFrame(rows, columns=["bar", "p_buy", "p_sell"]).astype(
        {"bar": "int64", "p_buy": float, "p_sell": float}
    )
    write_numbers(path, table, float_format)
    table.to_csv(path.with_suffix(".pandas"), index=False, lineterminator="\n", float_format=float_format)
    assert path.read_bytes() == path.with_suffix(".pandas").read_bytes()


def test_more_rows_than_a_block(tmp_path):
    table = pd.DataFrame({"bar": range(3000), "p": np.arange(3000) / 7})
    write_numbers(tmp_path / "a", table, "%.6g")
    table.to_csv(tmp_path / "b", index=False, lineterminator="\n", float_format="%.6g")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2], True), ([1.5, np.nan], False), (["a", "b"], False), ([True, False], False)],
)
def test_other_tables_are_left_to_pandas(values, expected):
    assert is_numeric(pd.DataFrame({"a": values, "b": [1.0, 2.0]})) is expected
