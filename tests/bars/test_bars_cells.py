"""Times and numbers, in every way they are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from bar_layouts import LAYOUTS, Written, assert_same_bars, frame_of, save, walk

from bt_neuro.bars.dates import LOCAL_DATES
from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import BarsError


class TestTimes:
    SHORT = Written("{t:%d/%m/%Y %H:%M},{o},{h},{l},{c},{v}", "Date,Open,High,Low,Close,Volume\n")

    def test_the_whole_column_decides_on_day_and_month(self, tmp_path: Path) -> None:
        written = walk(200, daily=True, start=datetime(2023, 1, 2))  # its first row above 12 is the tenth
        for row in ("{t:%d/%m/%Y},{o},{h},{l},{c},{v}", "{t:%m/%d/%Y},{o},{h},{l},{c},{v}"):
            layout = Written(row, "Date,Open,High,Low,Close,Volume\n")
            assert_same_bars(read_bars(save(tmp_path, layout.write(written))), frame_of(written))

    @pytest.mark.parametrize("order", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%m-%d-%y"])
    @pytest.mark.parametrize(("step", "n"), [("MS", 13), ("MS", 162), ("QS", 24)])
    def test_months_that_jump_by_a_year_are_days(self, tmp_path: Path, order: str, step: str, n: int) -> None:
        times = pd.date_range("2003-01-01", periods=n, freq=step)
        written = [replace(bar, time=time) for bar, time in zip(walk(n), times, strict=True)]
        layout = Written(f"{{t:{order}}},{{o}},{{h}},{{l}},{{c}}", "Date,Open,High,Low,Close\n")
        assert_same_bars(read_bars(save(tmp_path, layout.write(written))), frame_of(written))

    def test_months_of_one_year_may_be_days(self, tmp_path: Path) -> None:
        times = pd.date_range("2003-01-01", periods=12, freq="MS")
        written = [replace(bar, time=time) for bar, time in zip(walk(12), times, strict=True)]
        layout = Written("{t:%m/%d/%Y},{o},{h},{l},{c}", "Date,Open,High,Low,Close\n")
        with pytest.raises(BarsError, match="may begin with the day or the month"):
            read_bars(save(tmp_path, layout.write(written)))

    def test_hours_of_the_first_days_of_a_month_cannot_be_months(self, tmp_path: Path) -> None:
        written = walk(150, start=datetime(2024, 4, 1))
        assert_same_bars(read_bars(save(tmp_path, self.SHORT.write(written))), frame_of(written))

    @pytest.mark.parametrize(
        "cell",
        [
            "{t:%Y-%m-%d %H:%M:%S}",
            "{t:%Y/%m/%d %H:%M}",
            "{t:%Y.%m.%d %H:%M:%S.%f}",
            "{t:%Y%m%dT%H%M%S}",
            "{t:%Y%m%d%H%M}",
            "{t:%d.%m.%Y %H:%M}",
            "{t:%d-%m-%Y %H:%M}",
            "{t:%m-%d-%Y %H:%M}",
            "{t:%d/%m/%y %H:%M}",
            "{t:%b %d; %Y %H:%M}",
            "{t:%d %b %Y %H:%M}",
            "{t:%d-%b-%Y %H:%M:%S}",
            "{t:%m/%d/%Y %I:%M %p}",
            "{t:%m/%d/%Y %I:%M:%S %p}",
            "{t:%Y-%m-%d %I:%M%p}",
            "{t:%Y-%m-%d %H:%M:%S}+00",
            "{t:%Y-%m-%d %H:%M:%S} UTC",
            "{s}.0",
            "{ms}",
            "{ms}000",
            "{ns}",
        ],
    )
    def test_every_way_to_write_a_time(self, tmp_path: Path, cell: str) -> None:
        cell = f'"{cell.replace(";", ",")}"' if ";" in cell else cell
        layout = Written(cell + ",{o},{h},{l},{c},{v}", "when,open,high,low,close,volume\n")
        assert_same_bars(read_bars(save(tmp_path, layout.write(walk()))), frame_of(walk()))

    def test_am_and_pm_may_be_small(self, tmp_path: Path) -> None:
        written = Written("{t:%m/%d/%Y %I:%M %p},{o},{h},{l},{c}", "when,open,high,low,close\n").write(walk())
        small = written.replace(b"AM", b"am").replace(b"PM", b"pm")
        assert_same_bars(read_bars(save(tmp_path, small)), frame_of(walk()))

    def test_years_of_two_digits_after_the_name_of_a_month(self, tmp_path: Path) -> None:
        layout = Written("{t:%d-%b-%y},{o},{h},{l},{c}", "Date,Open,High,Low,Close\n")
        written = walk(daily=True)
        assert_same_bars(read_bars(save(tmp_path, layout.write(written))), frame_of(written))

    def test_unix_times_may_gain_a_digit(self, tmp_path: Path) -> None:
        written = walk(start=datetime(2001, 9, 8))
        for cell in ("{s}", "{ms}", "{ns}"):
            layout = Written(cell + ",{o},{h},{l},{c}", "time,open,high,low,close\n")
            assert_same_bars(read_bars(save(tmp_path, layout.write(written))), frame_of(written))

    @pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/London", "Asia/Kolkata", "America/Sao_Paulo"])
    @pytest.mark.parametrize("kind", ["csv", "parquet"])
    @pytest.mark.parametrize("last_hour", [0, 6])
    def test_days_with_an_offset_keep_their_local_date(
        self, tmp_path: Path, zone: str, kind: str, last_hour: int
    ) -> None:
        written = walk(
            200, daily=True, start=datetime(2018, 5, 1)
        )  # clocks go back, in Brazil forward, at 0:00
        written[-1] = replace(written[-1], time=written[-1].time.replace(hour=last_hour))
        frame = frame_of(written)
        frame["datetime"] = frame["datetime"].dt.tz_localize(zone, nonexistent="shift_forward")
        bars = read_bars(save_frame(tmp_path, frame, kind))
        assert bars.frame["datetime"].dt.date.tolist() == [bar.time.date() for bar in written]
        assert bars.frame["datetime"].iloc[-1] == pd.Timestamp(written[-1].time)
        assert bars.clock == "file"
        assert LOCAL_DATES in bars.notes

    @pytest.mark.parametrize("hours", [1, 12])
    def test_hours_with_an_offset_are_in_utc(self, tmp_path: Path, hours: int) -> None:
        frame = frame_of(walk(60)).iloc[::hours]
        path = tmp_path / "bars.csv"
        frame.assign(datetime=frame["datetime"].dt.tz_localize("Asia/Tokyo").map(str)).to_csv(
            path, index=False
        )
        bars = read_bars(path)
        assert bars.clock == "UTC"
        assert bars.frame["datetime"].iloc[0] == frame["datetime"].iloc[0] - pd.Timedelta(hours=9)


class TestNumbers:
    @pytest.mark.parametrize(
        ("price", "volume", "expected"),
        [
            ("1234.5", "1500", (1234.5, 1500)),
            ('"1,234.50"', '"1,500"', (1234.5, 1500)),
            ('"1,234.50"', "1500", (1234.5, 1500)),
            ('"1.234,50"', "1500", (1234.5, 1500)),
            ('"1234,5"', '"1,5K"', (1234.5, 1500)),
            ('"1.234,50"', '"1,50M"', (1234.5, 1.5e6)),
            ("1.2345e-05", "1.5e+03", (1.2345e-05, 1500)),
            ("1234", "2.5b", (1234, 2.5e9)),
            ("$1234.5", "1500", (1234.5, 1500)),
            ('"€1.234,50"', '"1,5k"', (1234.5, 1500)),
            ("1 234.5", "1 500", (1234.5, 1500)),
            ('"1 234,5"', "1 500", (1234.5, 1500)),
            ("1\u202f234.5", "1\u00a0500", (1234.5, 1500)),
            ("1'234.5", "1'500", (1234.5, 1500)),
            ("1\u2019234.5", "1500", (1234.5, 1500)),
            ("1234.5", "1.5万", (1234.5, 15_000)),
            ('"12,34,567.5"', '"1,50,000"', (1234567.5, 150_000)),
        ],
    )
    def test_styles(self, tmp_path: Path, price: str, volume: str, expected: tuple[float, float]) -> None:
        rows = (f"2024-01-{day},{price},{price},{price},{price},{volume}\n" for day in range(10, 20))
        bars = read_bars(save(tmp_path, "Date,Open,High,Low,Close,Volume\n" + "".join(rows)))
        assert set(bars.frame["close"]) == {expected[0]}
        assert set(bars.frame["volume"]) == {expected[1]}

    def test_a_sign_of_currency_in_place_of_a_digit_is_refused(self, tmp_path: Path) -> None:
        rows = [f"2024-01-{day},1.1000,1.1020,1.0990,1.1011,5\n" for day in range(10, 20)]
        rows[3] = rows[3].replace("1.1011", "1.101\N{POUND SIGN}")
        path = save(tmp_path, "Date,Open,High,Low,Close,Volume\n" + "".join(rows))
        with pytest.raises(BarsError, match=r"1 row with an unreadable close: line 5: .*1[.]101\xa3"):
            read_bars(path)

    def test_missing_volumes_count_as_0_and_are_told(self, tmp_path: Path) -> None:
        rows = (f"2024-01-{day},1.1,1.2,1.0,1.1,{'-' if day == 12 else 5}\n" for day in range(10, 20))
        bars = read_bars(save(tmp_path, "Date,Open,High,Low,Close,Vol.\n" + "".join(rows)))
        assert bars.frame["volume"].tolist() == [5, 5, 0, 5, 5, 5, 5, 5, 5, 5]
        assert "1 row without volume; it counts as 0." in bars.notes

    def test_columns_told_by_order_are_told_of(self, tmp_path: Path) -> None:
        bars = read_bars(save(tmp_path, LAYOUTS["unknown words and order"].write(walk())))
        note = "Found by order and consistency, not by name: open cc, high dd, low ee, close bb."
        assert note in bars.notes

    def test_lines_of_blanks_and_separators_are_no_rows(self, tmp_path: Path) -> None:
        text = LAYOUTS["MetaTrader 4"].write(walk()).decode()
        bars = read_bars(save(tmp_path, text.replace("\r\n", "\r\n   \r\n,,,\r\n\r\n", 3) + ",,,,,,\n"))
        assert_same_bars(bars, frame_of(walk()))
        assert bars.dropped == {}

    @pytest.mark.parametrize(
        ("price", "volume", "close"),
        [
            ("82,800", "13.09M", 82_800),
            ("82.800", "13,09M", 82_800),
            ("82.800", "1.982.674", 82_800),
            ("82,800", "1.982.674", 82.8),
        ],
    )
    def test_other_cells_show_the_sign_of_thousands(
        self, tmp_path: Path, price: str, volume: str, close: float
    ) -> None:
        cells = ",".join(f'"{cell}"' for cell in (*[price] * 4, volume))
        rows = (f"2024-01-{day},{cells}\n" for day in range(10, 20))
        bars = read_bars(save(tmp_path, "Date,Open,High,Low,Close,Vol.\n" + "".join(rows)))
        assert set(bars.frame["close"]) == {close}

    @pytest.mark.parametrize(("kind", "decimals"), [("float32", 5), ("float64", 5)])
    def test_32_bit_floats_get_their_decimals_back(self, tmp_path: Path, kind: str, decimals: int) -> None:
        frame = frame_of(walk())
        prices = ["open", "high", "low", "close"]
        floats = frame.astype(dict.fromkeys(prices, "float32")).astype(dict.fromkeys(prices, kind))
        path = tmp_path / "bars.parquet"
        floats.to_parquet(path)
        bars = read_bars(path)
        assert_same_bars(bars, frame)
        assert f"Prices were 32-bit floats; they were rounded to {decimals} decimals." in bars.notes

    def test_fractions_of_two_stay(self, tmp_path: Path) -> None:
        rows = (f"2024-01-{day},1.125,1.25,1.0,1.125,5\n" for day in range(10, 20))
        bars = read_bars(save(tmp_path, "Date,Open,High,Low,Close,Vol.\n" + "".join(rows)))
        assert (bars.frame["close"] == 1.125).all()
        assert not any("32-bit" in note for note in bars.notes)


def save_frame(folder: Path, frame: pd.DataFrame, kind: str) -> Path:
    path = folder / f"bars.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


HEAD = "time,open,high,low,close,volume"


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("close_ask,Open,High,Low,Volume,Last", "9,{o},{h},{l},5,{c}"),
        ("Bid Close,low,open,high,volume,close", "9,{l},{o},{h},5,{c}"),
        ("Closing,Highest Price,Session Low,Opening,Lowest Price", "{c},{h},9,{o},{l}"),
        ("bidopen,bidhigh,bidlow,bidclose,askopen,askhigh,asklow,askclose", "{o},{h},{l},{c},9,9,9,9"),
    ],
)
def test_prices_of_one_side_complete_no_others(tmp_path: Path, head: str, row: str) -> None:
    rows = Written("{t}," + row).rows(walk())
    bars = read_bars(save(tmp_path, "\n".join([f"time,{head}", *rows])))
    assert_same_bars(bars, frame_of(walk()))


@pytest.mark.parametrize("order", [1, -1])
def test_a_running_total_is_no_volume(tmp_path: Path, order: int) -> None:
    """IQFeed writes high, low, open, close, the volume of the day so far and that of the bar."""
    written, rows, total = walk(), Written("{t},{h},{l},{o},{c}").rows(walk()), 0
    for i, bar in enumerate(written):
        total += bar.volume
        rows[i] += f",{total},{bar.volume}"
    bars = read_bars(save(tmp_path, "\n".join(rows[::order]) + "\n"))
    assert_same_bars(bars, frame_of(written))
    assert bars.frame["volume"].tolist() == [bar.volume for bar in written]


@pytest.mark.parametrize(
    ("head", "cells"),
    [
        ("Volume USD,Volume BTC", "9,5"),
        ("Volume BTC,Volume USD", "5,9"),
        ("% Volume,Volume", "9,5"),
        ("quote_volume,base_volume", "9,5"),
        ("close_bid,close_ask,volume", "9,9,5"),
        ("Volume MA,Market Cap,Volume", "9,9,5"),
        ("yesterday_open,yesterday_high,yesterday_low,yesterday_close,volume", "9,9,9,9,5"),
    ],
)
def test_columns_beside_the_prices(tmp_path: Path, head: str, cells: str) -> None:
    written = walk()
    rows = [row.replace("X", cells) for row in Written("{t},{o},{h},{l},{c},X").rows(written)]
    text = "\n".join([f"time,open,high,low,close,{head}", *rows])
    bars = read_bars(save(tmp_path, text))
    assert_same_bars(bars, frame_of(written))
    assert set(bars.frame["volume"]) == {5}


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("Total rows: 60", "Line 62 holds no bar: 'Total rows: 60'."),
        ("Highest,1.25,Lowest: 1.18", "Line 62 holds no bar: 'Highest,1.25,Lowest: 1.18'."),
        ("Average,1.1,1.2,1.0,1.1,5", "Dropped 1 row with words for a time, the first in line 62."),
        ("Total,,,,,15000", "Dropped 1 row with words for a time, the first in line 62."),
        ("2024-01-17 12:00,Dividend,0.24,,,", "Dropped 1 row without prices, the first in line 62."),
    ],
)
def test_lines_behind_the_bars_are_no_bars(tmp_path: Path, line: str, note: str) -> None:
    bars = read_bars(save(tmp_path, "\n".join([HEAD, *LAYOUTS["pandas"].rows(walk()), line, ""])))
    assert_same_bars(bars, frame_of(walk()))
    assert note in bars.notes


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (("{s},1.1,1.2,1.0,1.1,5", HEAD), "Times were read as seconds since 1970-01-01, in UTC."),
        (("{excel},1.1,1.2,1.0,1.1,5", HEAD), "Times were read as days since 1899-12-30, as Excel counts."),
        (
            ("{t.day}/{t.month}/64 {t:%H:%M},1.1,1.2,1.0,1.1,5", HEAD),
            "Two-digit years were read as in 1964.",
        ),
        (
            ("{t:%Y-%m-%d};23.450;23.460;23.440;23.450", "Date;Open;High;Low;Close"),
            "Prices such as 1.234 were read with a decimal point, not as thousands.",
        ),
        (("{t},110099,110200,109900,110099,5", HEAD), "Prices are whole numbers of about 110,099; if they are "),
        (("{t},1.1,1.2,1.0,1.1,many", HEAD), "No number stands in volume; volume is 0 in every bar."),
        (
            ("{t},3871.02,3872.5,3870.25,3871.02,5,5", f"{HEAD},spread"),
            "The spread is taken for points of 0.01; if it is a price, name the column spread_price.",
        ),
    ],
)  # fmt: skip
def test_what_a_file_does_not_show_is_noted(tmp_path: Path, text: tuple[str, str], note: str) -> None:
    row, head = text
    daily = row.startswith("{t:%Y-%m-%d};")
    bars = read_bars(save(tmp_path, Written(row, f"{head}\n").write(walk(daily=daily))))
    assert any(said.startswith(note) for said in bars.notes), bars.notes


def test_two_instruments_without_a_name_are_noted(tmp_path: Path) -> None:
    rows = LAYOUTS["MetaTrader 4"].rows(walk(30)) + [
        row.replace(",1.", ",1.2") for row in LAYOUTS["MetaTrader 4"].rows(walk(60)[30:])
    ]
    bars = read_bars(save(tmp_path, "\n".join(rows) + "\n"))
    assert any(note.startswith("1 bar opening far from the close before") for note in bars.notes)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("name", "yes", "no"), [("complete", "True", "False"), ("is_final", "yes", "no"), ("confirm", 1, 0)]
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_last_bar_marked_as_unfinished_is_dropped(
    tmp_path: Path, kind: str, name: str, yes: object, no: object, order: int
) -> None:
    frame = frame_of(walk())
    frame.insert(1, name, [yes] * (len(frame) - 1) + [no])
    path = save_frame(tmp_path, frame[::order], kind)
    bars = read_bars(path)
    assert_same_bars(bars, frame_of(walk()[:-1]))
    assert bars.dropped == {f"that {name} marks as unfinished": 1}


@pytest.mark.parametrize(("name", "kept"), [("complete", True), ("Market closed", False)])
def test_other_marks_are_kept(tmp_path: Path, name: str, kept: bool) -> None:
    frame = frame_of(walk())
    frame[name] = [i % 2 == 0 for i in range(len(frame))]
    bars = read_bars(save_frame(tmp_path, frame, "csv"))
    assert_same_bars(bars, frame_of(walk()))
    note = f"{len(frame) // 2} bars that complete marks as unfinished are not the last alone; kept."
    assert (note in bars.notes) == kept


@pytest.mark.parametrize(
    ("freq", "last", "noted"),
    [
        ("h", "37min", True),
        ("h", "3h37min", True),
        ("h", "5h", False),
        ("D", "6h", True),
        ("D", "4D", False),
        ("W-MON", "4D", True),
        ("W-MON", "6D", False),
        ("MS", "14D", True),
        ("MS", "31D", False),
    ],
)
def test_a_last_bar_within_another_is_noted(tmp_path: Path, freq: str, last: str, noted: bool) -> None:
    frame = frame_of(walk(40))
    frame["datetime"] = pd.date_range("2020-01-01", periods=40, freq=freq)
    frame.loc[39, "datetime"] = frame["datetime"].iloc[38] + pd.Timedelta(last)
    bars = read_bars(save_frame(tmp_path, frame, "csv"))
    assert any("it may be unfinished" in note for note in bars.notes) == noted
    assert len(bars) == 40
