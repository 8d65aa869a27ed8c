"""Bars line by line: what is understood, what is refused, and that a file reads the same either way."""

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import SAMPLE

from bt_neuro import BarsError, read_bars
from bt_neuro.bars.line_reader import Bar, LineReader

EVE = Bar(datetime(2024, 1, 2, 3), 1.1, 1.3, 1.0, 1.2)
FULL = Bar(datetime(2024, 1, 2, 3), 1.1, 1.3, 1.0, 1.2, 500.0, 12.0)


@pytest.mark.parametrize(
    ("lines", "bar"),
    [
        (["2024-01-02 03:00,1.1,1.3,1.0,1.2"], EVE),
        (["2024-01-02T03:00:00,1.1,1.3,1.0,1.2,500,12"], FULL),
        (["2024.01.02 03:00,1.1,1.3,1.0,1.2,500,12\r\n"], FULL),
        (["2024.01.02,03:00,1.1,1.3,1.0,1.2,500,12"], FULL),
        (["2024/01/02 03:00;1.1;1.3;1.0;1.2"], EVE),
        (['"2024-01-02 03:00", "1.1", "1.3", "1.0", "1.2"'], EVE),
        (["2024-01-02 05:00+02:00,1.1,1.3,1.0,1.2"], EVE),
        (["2024-01-02 03:00:00Z,1.1,1.3,1.0,1.2"], EVE),
        (["1704164400,1.1,1.3,1.0,1.2,,"], EVE),
        (["1704164400000,1.1,1.3,1.0,1.2,nan"], EVE),
        (["1704164400000000,1.1,1.3,1.0,1.2"], EVE),
        (["1704164400000000000,1.1,1.3,1.0,1.2"], EVE),
        (["638397612000000000,1.1,1.3,1.0,1.2"], EVE),  # DateTime.Ticks of .NET
        (['{"t": 133486380000000000, "o": 1.1, "h": 1.3, "l": 1, "c": 1.2}'], EVE),  # FILETIME of Windows
        (["20240102 030000,1.1,1.3,1.0,1.2"], EVE),
        (["02.01.2024 03:00,1.1,1.3,1.0,1.2"], EVE),
        (['{"date": "Jan 02, 2024 03:00", "open": 1.1, "high": 1.3, "low": 1, "close": 1.2}'], EVE),
        (["time,open,high,low,close", "2024-01-02 03:00,1.1,1.3,1.0,1.2"], EVE),
        (["\ufeffclose,spread,low,high,open,date,vol", "1.2,12,1.0,1.3,1.1,2024-01-02 03:00,500"], FULL),
        (
            ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
             "2024.01.02\t03:00:00\t1.1\t1.3\t1.0\t1.2\t500\t0\t12"],
            FULL,
        ),
        (['{"time": "2024-01-02 03:00", "open": 1.1, "high": 1.3, "low": 1, "close": "1.2"}'], EVE),
        (['{"t": 1704164400, "close_bid": 9, "close": 1.2, "open": 1.1, "high": 1.3, "low": 1}'], EVE),
        (["time,open,high,low,last,ema,close", "2024-01-02 03:00,1.1,1.3,1.0,1.2,9,9"], EVE),
        (
            ["time,open,high,low,close,volume,tick_volume,spread", "2024-01-02 03:00,1.1,1.3,1.0,1.2,9,500,12"],
            FULL,
        ),
        (['{"t": 1704164400, "o": 1.1, "h": 1.3, "l": 1, "c": 1.2, "v": 500, "spread": 12, "x": [1]}'], FULL),
        (["", "2024-01-02 03:00,1.1,1.3,1.0,1.2"], EVE),
    ],
)  # fmt: skip
def test_a_line_is_understood(lines, bar):
    reader = LineReader()
    assert [found for line in lines if (found := reader.read(line))] == [bar]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("roses are red", "a line must hold date, open, high, low, close, volume, spread, got 1 cells"),
        ("2024-01-02 03:00,1.1,1.3,1.0", "got 4 cells"),
        ("2024-01-02 03:00,1.1,1.3,1.0,1.2,1,1,1", "got 8 cells"),
        ("2024-01-02 03:00,1.1,1.3,1.0,x", "close must be a number, got 'x'"),
        ("2024-01-02 03:00,1.1,1.3,1.0,1_2", "close must be a number, got '1_2'"),
        ("2024-01-02 03:00,1.1,1.3,1.0,nan", "close is nan"),
        ("2024-01-02 03:00,1.1,inf,1.0,1.2", "high is inf"),
        ("2024-01-02 03:00,1.1,1.0,1.3,1.2", "with the high below the low: high 1.0, low 1.3"),
        (
            "2024-01-02 03:00,1.1,1.3,1.0,1.5",
            "with open or close outside high and low: open 1.1, high 1.3, low 1.0, close 1.5",
        ),
        ("2024-01-02 03:00,1.1,130,1.0,1.2", "five times away"),
        ("2024-01-02 03:00,0,1.3,0,1.2", "with zero or negative prices"),
        ("2024-01-02 03:00,1.1,1.3,1.0,1.2,-5", "with a negative volume: volume -5.0"),
        ("yesterday,1.1,1.3,1.0,1.2", "a time must be such as 2020-01-31 23:00, got 'yesterday'"),
        ("02/01/2024 03:00,1.1,1.3,1.0,1.2", "may begin with the day or the month"),
        ("0001-01-01,1.1,1.3,1.0,1.2", "a time must be one of a market"),
        ("2024-13-02 03:00,1.1,1.3,1.0,1.2", "a time must be such as"),
        ("2024-01-02 03:00,1.1,1.3,1.0,1.2,5,-1", "with a negative spread"),
        ("{", "no JSON object"),
        ("{}", "an object must have a time, open, high, low and close"),
        ('{"time": 1704164400, "o": 1.1, "h": 1.3, "l": 1, "c": true}', "close must be a number, got 'True'"),
        ('{"time": null, "o": 1.1, "h": 1.3, "l": 1, "c": 1}', "got 'None'"),
        ('{"time": {"a": 1}, "o": 1.1, "h": 1.3, "l": 1, "c": [1]}', "a time must be such as"),
        ("[" * 100_000, "got 1 cells"),
        ('{"a":' * 100_000, "no JSON object"),
    ],
)
def test_a_line_that_is_no_bar_says_why(line, complaint):
    with pytest.raises(BarsError, match=complaint):
        LineReader().read(line)


def test_bars_before_say_how_many_digits_prices_have():
    """Of round prices alone it cannot be told how far outside high and low rounding may bring them."""
    row = "2024-01-02 0{}:00,1.2,1.1,1.0,1.1"
    assert LineReader().read(row.format(3)) is not None
    reader = LineReader()
    reader.read("2024-01-02 03:00,1.10001,1.3,1.0,1.2")
    with pytest.raises(BarsError, match="outside high and low"):
        reader.read(row.format(4))


def test_rows_under_a_header_have_its_width():
    reader = LineReader()
    reader.read("time,open,high,low,close,volume")
    with pytest.raises(BarsError, match="5 cells under a header of 6"):
        reader.read("2024-01-02 03:00,1.1,1.3,1.0,1.2")


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
ROWS = st.lists(st.text(max_size=12), max_size=9).map(",".join)
OBJECTS = st.dictionaries(st.sampled_from(["time", "o", "h", "l", "c", "v", "x"]), VALUES).map(json.dumps)


@given(st.text() | ROWS | OBJECTS)
def test_any_text_is_a_sound_bar_or_one_clear_error(text):
    try:
        bar = LineReader().read(text)
    except BarsError:
        return
    assert bar is None or bar.fault() is None


@pytest.mark.slow
def test_a_file_reads_the_same_line_by_line():
    reader = LineReader()
    with SAMPLE.open(encoding="utf-8") as lines:
        bars = [bar for line in lines if (bar := reader.read(line))]
    frame = read_bars(SAMPLE).frame
    assert [bar.time for bar in bars] == [time.to_pydatetime() for time in frame["datetime"]]
    for column in ("open", "high", "low", "close", "volume", "spread"):
        assert [getattr(bar, column) for bar in bars] == frame[column].tolist(), column
