"""Refusals: every message, and what --repair does instead."""

from __future__ import annotations

import gzip
import io
import pickle
import resource
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from bar_layouts import as_parquet, save, utf_16

from bt_neuro.bars.reader import read_bars
from bt_neuro.errors import BarsError

HEAD = "Date,Open,High,Low,Close,Volume\n"


def rows(n: int = 30) -> list[str]:
    """Return hourly rows that are all right, the first in line 2 below HEAD."""
    times = pd.date_range("2024-01-15", periods=n, freq="h").strftime("%Y-%m-%d %H:%M")
    return [f"{time},1.1000,1.1020,1.0990,1.1011,{100 + i}" for i, time in enumerate(times)]


def with_lines(**lines: str) -> str:
    """Return good rows in which the line numbered in the name (line7=...) reads otherwise."""
    text = rows()
    for name, row in lines.items():
        text[int(name.removeprefix("line")) - 2] = row
    return HEAD + "\n".join(text) + "\n"


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, HEAD)
    return packed.getvalue()


def two_timeframes(daily_first: bool) -> str:
    days = pd.date_range("2024-01-01" if daily_first else "2024-01-17", periods=25, freq="D")
    hours = pd.date_range("2024-01-26" if daily_first else "2024-01-15", periods=48, freq="h")
    times = days.append(hours) if daily_first else hours.append(days)
    return HEAD + "".join(f"{time:%Y-%m-%d %H:%M},1.1,1.2,1.0,1.1,5\n" for time in times)


@dataclass(frozen=True)
class Refusal:
    """A file, what is said of it, and the bars that --repair leaves."""

    content: bytes | str
    text: str
    repaired: int | None = None  # None: --repair does not help


REFUSALS = {
    "its only row broken off": Refusal(
        "Date,Open,High,Low,Close\n2024-01-15 00:00,1.1000,1.1020,1.0990,",
        "1 row with an unreadable close: line 2: 2024-01-15 00:00, close ''.\n"
        "Correct them, or let --repair drop them.",
    ),
    "empty": Refusal("", "the file is empty.\nExport the bars again."),
    "no table": Refusal(
        "<!DOCTYPE html>\n<html><body>Not found</body></html>\n",
        "a web page, not a table of bars.\nDownload the file of bars itself.",
    ),
    "header alone": Refusal(
        HEAD,
        "the file must hold bars, got 'Date,Open,High,Low,Close,Volume' and no row of numbers.\n"
        "Expected are lines such as 2020-01-31 23:00,1.1,1.2,1.0,1.15,500.",
    ),
    "times unlike any": Refusal(
        HEAD + "Oct 4th 2006 9 pm,1.1000,1.1020,1.0990,1.1011,100\n" * 3,
        "line 2, column 1 must be a time, got 'Oct 4th 2006 9 pm'.\n"
        "Expected are lines such as 2020-01-31 23:00,1.1,1.2,1.0,1.15,500.",
    ),
    "price unlike any": Refusal(
        "Date,Open,High,Low,Close\n" + "2024-01-15,1.1000,1.1020,about 1,1.1011\n" * 3,
        "line 2, column 4 must be a number, got 'about 1'.\n"
        "Expected are lines such as 2020-01-31 23:00,1.1,1.2,1.0,1.15,500.",
    ),
    "ticks without names": Refusal(
        "2024-01-15 00:00:00.125,1.1000,1.1001\n" * 3,
        "line 1 must hold a time and four prices, got '2024-01-15 00:00:00.125 | 1.1000 | 1.1001'.\n"
        "Ticks, of a time with a bid and an ask, are no bars: build bars of them first.",
    ),
    "zone of several meanings": Refusal(
        "Date,Open,High,Low,Close\n"
        + "".join(f"2024-01-15 {h:02}:00 CST,1.1000,1.1020,1.0990,1.1011\n" for h in range(3)),
        "the zone of the times must be an offset or a name such as Europe/Athens, got 'CST'.\n"
        "Give --tz FROM,TO, such as --tz America/New_York,UTC.",
    ),
    "step that is no timeframe": Refusal(
        "time,open,high,low,close\n" + "".join(f"{1_700_000_000 + 36 * i},1.1,1.2,1.0,1.1\n" for i in range(9)),
        "the timeframe must be one in use, such as M1, H1 or D1, got 36s: "
        "line 2: 1700000000; line 3: 1700000036.\nWrite times as 2020-01-31 23:59.",
    ),
    "unit of the spread unknown": Refusal(
        "time,open,high,low,close,spread\n"
        + "".join(f"2024-01-{day},1.10001,1.2,1.0,1.10002,{1.23 + day / 1000:.3f}\n" for day in range(10, 20)),
        "the spread must be in points, pips or prices: line 2: 2024-01-10, close 1.10002, spread 1.240, "
        "where a point is 1e-05.\nGive --point, or name the column spread_points, spread_pips or spread_price.",
    ),
    "names of prices twice": Refusal(
        "Date,Open,High,Low,Volume,Close,Open,High,Low,EMA,Close\n"
        + "".join(f"2024-01-{day},1,2,1,5,2,1,2,1,1,2\n" for day in range(10, 20)),
        "open, high, low and close must be neighbours where names are repeated, got open in column 2, "
        "high in column 3, low in column 4, close in column 6, open in column 7, high in column 8, "
        "low in column 9, close in column 11.\nRename the columns of studies.",
    ),
    "clocks from and to": Refusal(
        HEAD + "".join(f"2024-01-15 {h:02}:00-{h + 1:02}:00,1.1,1.2,1.0,1.1,5\n" for h in range(9, 13)),
        "4 rows with an unreadable time: line 2: 2024-01-15 09:00-10:00; line 3: 2024-01-15 10:00-11:00; "
        "line 4: 2024-01-15 11:00-12:00; and 1 more.\nCorrect them, or let --repair drop them.",
    ),
    "years since 1900 or 1911": Refusal(
        HEAD + "".join(f"11301{day},1.1,1.2,1.0,1.1,5\n" for day in range(10, 20)),
        "dates such as 1130110 may begin with the year or the year of the Republic of China.\n"
        "Write dates as 2020-01-31.",
    ),
    "months for days": Refusal(
        HEAD
        + "".join(
            f"{f'{day}.1' if day > 12 else f'1.{day}'}.2024,{p},{p + 2},{p - 2},{p + 1},5\n"
            for day in range(2, 30)
            for p in [1000 + day]
        ),
        "prices continue from row to row, but times do not: line 12: 1.12.2024, close 1013; "
        "line 13: 13.1.2024, close 1014.\nWrite dates as 2020-01-31.",
    ),
    "open and close swapped": Refusal(
        "Date,Close,High,Low,Open\n"
        + "".join(f"2024-01-{day},{p},{p + 9},{p - 9},{p + 5}\n" for day in range(10, 32) for p in [1000 + 5 * day]),
        "each bar must open near the close before it, but closes are near the opens before: "
        "line 2: 2024-01-10, open 1055, close 1050 and the next.\n"
        "Correct the names of open and close, or the times.",
    ),
    "German thousands or decimals": Refusal(
        "Datum;Hoch;Tief;Schluss;Eröffnung\n"
        + "".join(f"2024-01-{day};16.510;16.490;16.500;16.500\n" for day in range(10, 20)),
        "prices must not be ambiguous, got 1.234: 1.234 or 1234.\n"
        "Give --scale 1 if the point is decimal, --scale 1000 if not.",
    ),
    "adjusted close alone": Refusal(
        "Date,Open,High,Low,Close (adjusted)\n"
        + "".join(f"2024-01-{day},{p},{p + 9},{p - 9},{p + 4}\n" for day in range(10, 32) for p in [1000 + 5 * day]),
        "no column is called close, nor do order and consistency show it, got Date, Open, High, Low, Close (adjusted)."
        "\nName the columns time, open, high, low, close.",
    ),
    "columns swapped in a second part": Refusal(
        with_lines(line9="Date,Close,High,Low,Open,Volume"),
        "columns must keep their order, got another header in line 9: Date, open Close, high High, low Low, "
        "close Open.\nSplit the file.",
    ),
    "a bid among prices without names": Refusal(
        "".join(
            f"2024-01-{day},{p},{p + 4},{p + 9},{p - 9},{p + 5},77\n" for day in range(10, 32) for p in [1000 + 5 * day]
        ),
        "no column is called open or high or low or close, nor do order and consistency show it, got 2024-01-10, 1050, "
        "1054, 1059, 1041, 1055, 77.\nName the columns time, open, high, low, close.",
    ),
    "price with a sign": Refusal(
        HEAD + "2024-01-15,1.1000,1.1020,1.0990,\u25b21.1011,100\n" * 3,
        "Close must hold numbers, got '\u25b21.1011'.\nWrite prices as 1.2345.",
    ),
    "prices in eighths": Refusal(
        HEAD + "2024-01-15,452'4,455'2,450'6,453'0,100\n" * 3,
        "line 2, column 2 must be a number, got \"452'4\".\n"
        "Expected are lines such as 2020-01-31 23:00,1.1,1.2,1.0,1.15,500.",
    ),
    "repeated hour": Refusal(
        HEAD
        + "".join(
            f"2024-11-03 {hour:02}:00,1.1000,1.1020,1.0990,1.1011,{i}\n" for i, hour in enumerate((0, 1, 1, 2, 3))
        ),
        "an hour comes twice, where clocks go back: line 3: 2024-11-03 01:00, close 1.1011; "
        "line 4: 2024-11-03 01:00, close 1.1011.\n"
        "Name the zone of the file's clock to keep both bars: --tz FROM,UTC, such as --tz America/New_York,UTC.",
    ),
    "HDF5": Refusal(
        b"\x89HDF\r\n\x1a\n" + bytes(9),
        "an HDF5 file, not a table of bars.\nWrite the table with DataFrame.to_csv or to_parquet.",
    ),
    "SQLite": Refusal(
        b"SQLite format 3\0", "an SQLite database, not a table of bars.\nExport the table as CSV."
    ),
    "pickle": Refusal(
        pickle.dumps([1]),
        "a Python pickle, not a table of bars.\nWrite the table with DataFrame.to_csv or to_parquet.",
    ),
    "JSON without bars": Refusal(
        '{"error": "no such symbol", "code": {"n": 404}}',
        "JSON without a list of bars.\nConvert it to CSV: time,open,high,low,close,volume.",
    ),
    "two lists of JSON": Refusal(
        '{"AAA": [[1705276800, 1, 1, 1, 1], [1705280400, 1, 1, 1, 1]], '
        '"BBB": [[1705276800, 2, 2, 2, 2], [1705280400, 2, 2, 2, 2]]}',
        "a JSON file must hold one list of bars, got AAA, BBB.\nSplit the file.",
    ),
    "nested JSON": Refusal(
        '{"a":' * 100_000,
        "JSON without a list of bars.\nConvert it to CSV: time,open,high,low,close,volume.",
    ),
    "web page behind blanks": Refusal(
        "\n <table><tr><td>2024-01-15</td></tr></table>",
        "a web page, not a table of bars.\nDownload the file of bars itself.",
    ),
    "history of MetaTrader": Refusal(
        b"\x91\x01\0\0" + bytes(99),
        "a MetaTrader history (.hst), not a table of bars.\nExport it from the History Center as CSV.",
    ),
    "gzip in gzip": Refusal(
        gzip.compress(gzip.compress(with_lines().encode())),
        "an archive within an archive.\nUnpack it, and name one file.",
    ),
    "wide": Refusal(
        "2024-01-15 00:00" + ",1" * 60_000,
        "line 1 must have at most 1,000 columns, got 60,001.\nGive one row per bar.",
    ),
    "bid prices without one": Refusal(
        "time,bid_open,bid_high,bd_low,bid_close,ask_open,ask_high,ask_low,ask_close\n"
        + "2024-01-15,1,1,1,1,2,2,2,2\n" * 3,
        "open, high, low and close must be named alike, got open, high, close beside the four of ask.\n"
        "Correct the names of the columns.",
    ),
    "blank in place of a digit": Refusal(
        with_lines(line4="2024-01-15 02:00,1.1000,1.1020,1.099 ,1.1011,1"),
        "1 row with an unreadable low: line 4: 2024-01-15 02:00, low 1.099 .\n"
        "Correct them, or let --repair drop them.",
        repaired=29,
    ),
    "binary": Refusal(
        b"a,b\nc,\0d\n" * 100, "line 2: binary data, not text.\nExport the bars as CSV."
    ),
    "broken UTF-16": Refusal(
        utf_16(with_lines())[:-1], "line 31: broken UTF-16-LE text.\nExport the bars again."
    ),
    "broken gzip": Refusal(
        gzip.compress(with_lines().encode())[:-20],
        "cannot be unpacked (Compressed file ended before the end-of-stream marker was reached).\n"
        "Unpack it yourself, or export it again.",
    ),
    "two files in a zip": Refusal(
        zipped("EURUSD.csv", "GBPUSD.csv"),
        "a zip must hold one bar file, got EURUSD.csv, GBPUSD.csv.\nUnpack it and name the file.",
    ),
    "broken Parquet": Refusal(
        as_parquet(with_lines())[:-1],
        "damaged Parquet.\nWrite the file again.",
    ),
    "ticks": Refusal(
        "time,bid,ask,last,volume\n2024-01-15 00:00:00,1.1,1.2,1.1,5\n2024-01-15 00:00:01,1.3,1.2,1.4,5\n",
        "ticks, not bars: the columns are time, bid, ask, last, volume.\nBuild bars of them first.",
    ),
    "times unread": Refusal(
        with_lines(line5="2024-01-15 3 o'clock,1.1,1.2,1.0,1.1,5", line9="2024-02-30 10:00,1.1,1.2,1.0,1.1,5"),
        "2 rows with an unreadable time: line 5: 2024-01-15 3 o'clock; line 9: 2024-02-30 10:00.\n"
        "Correct them, or let --repair drop them.",
        repaired=28,
    ),
    "one offset missing": Refusal(
        "time,open,high,low,close\n2024-01-15T00:00Z,1.1,1.2,1.0,1.1\n2024-01-15T01:00,1.1,1.2,1.0,1.1\n"
        "2024-01-15T02:00Z,1.1,1.2,1.0,1.1\n",
        "1 row with an unreadable time: line 3: 2024-01-15T01:00.\nCorrect them, or let --repair drop them.",
        repaired=2,
    ),
    "day or month": Refusal(
        HEAD + "".join(f"{day:02d}/03/2024,1.1,1.2,1.0,1.1,5\n" for day in range(1, 12)),
        "dates such as 01/03/2024 may begin with the day or the month.\n"
        "Write dates as 2020-01-31.",
    ),
    "price unread": Refusal(
        with_lines(line4="2024-01-15 02:00,1.1000,1.10.20,1.0990,1.1010,1"),
        "1 row with an unreadable high: line 4: 2024-01-15 02:00, high 1.10.20.\n"
        "Correct them, or let --repair drop them.",
        repaired=29,
    ),
    "prices missing": Refusal(
        with_lines(
            line4="2024-01-15 02:00,1.1000,,1.0990,,1",
            line5="2024-01-15 03:00,1.1000,1e5,1.0990,1.1010,1",
            line6="2024-01-15 04:00,1.1000,1.1020,1.0990,nan,1",
            line7="2024-01-15 05:00,1.1000,1.1020,1.0990,1.10 10,1",
        ),
        "4 rows with an unreadable high or close: line 4: 2024-01-15 02:00, high '', close ''; "
        "line 5: 2024-01-15 03:00, high 1e5, close 1.1010; line 6: 2024-01-15 04:00, high 1.1020, close nan; "
        "and 1 more.\nCorrect them, or let --repair drop them.",
        repaired=26,
    ),
    "volume unread": Refusal(
        with_lines(line3="2024-01-15 01:00,1.1000,1.1020,1.0990,1.1010,many"),
        "1 row with an unreadable volume: line 3: 2024-01-15 01:00, volume many.\n"
        "Correct them, or let --repair drop them.",
        repaired=29,
    ),
    "thousands or decimals": Refusal(
        HEAD + "".join(f'2024-01-{day},"12,345","12,350","12,340","12,344",5\n' for day in range(10, 20)),
        "prices must not be ambiguous, got 1,234: 1.234 or 1234.\nExport the prices with a decimal point.",
    ),
    "thirty-seconds": Refusal(
        HEAD + "".join(f"2024-01-{day},132'165,132'200,132'100,132'165,5\n" for day in range(10, 20)),
        "prices must not be ambiguous, got 1'165: 1165, or 1 and 16.5/32.\nExport the prices with a decimal point.",
    ),
    "numbers of instruments": Refusal(
        "time,id,open,high,low,close\n"
        + "".join(
            f"2024-01-15 0{h}:{m},{11 + h},{p / 1e4},{(p + 5) / 1e4},{(p - 5) / 1e4},{(p + 1) / 1e4}\n"
            for h in range(2)
            for m in range(10, 30)
            for p in [11_000 + 5_000 * h + m]
        ),
        "a file must hold one instrument, got 11, 12.\nRead one with --symbol '11', or split the file.",
    ),
    "torn lines": Refusal(
        with_lines(
            line4="2024-01-15 02:00,1.1000,1.1020", line8="2024-01-15 06:00,1,1000,1.1020,1.0990,1.1010,1"
        ),
        "2 lines without the 6 cells of the others: line 4: '2024-01-15 02:00,1.1000,1.1020'; "
        "line 8: '2024-01-15 06:00,1,1000,1.1020,1.0990,1.'.\nCorrect them, or let --repair drop them.",
        repaired=28,
    ),
    "torn first line": Refusal(
        with_lines(line2="2024-01-15 00:00,1.1000,1.1020"),
        "1 line without the 6 cells of the others: line 2: '2024-01-15 00:00,1.1000,1.1020'.\n"
        "Correct them, or let --repair drop them.",
        repaired=29,
    ),
    "open quotation mark": Refusal(
        with_lines(line4='2024-01-15 02:00,"1.1000,1.1020,1.0990,1.1010,1'),
        "line 4: a quotation mark is not closed.\nCorrect the line, or delete it.",
    ),
    "zero prices": Refusal(
        with_lines(line2="1970-01-01 00:00,0,0,0,0,0", line3="1970-01-01 00:00,0,0,0,0,0"),
        "2 rows with zero or negative prices: line 2: 1970-01-01 00:00, open 0, high 0, low 0, close 0; "
        "line 3: 1970-01-01 00:00, open 0, high 0, low 0, close 0.\nCorrect them, or let --repair drop them.",
        repaired=28,
    ),
    "high below low": Refusal(
        with_lines(line6="2024-01-15 04:00,1.1000,1.0990,1.1020,1.1010,1"),
        "1 row with the high below the low: line 6: 2024-01-15 04:00, high 1.0990, low 1.1020.\n"
        "Correct them, or let --repair drop them.",
        repaired=29,
    ),
    "close outside": Refusal(
        with_lines(line6="2024-01-15 04:00,1.1000,1.1020,1.0990,1.1023,1"),
        "1 row with open or close outside high and low: line 6: 2024-01-15 04:00, open 1.1000, high 1.1020, "
        "low 1.0990, close 1.1023.\n"
        "Keep them with --repair=widen, which moves high and low to hold them, or drop them with --repair.",
        repaired=29,
    ),
    "lost decimal point": Refusal(
        with_lines(line6="2024-01-15 04:00,1.1000,11020,1.0990,1.1010,1"),
        "1 row with a high or low five times away from open and close: line 6: 2024-01-15 04:00, "
        "open 1.1000, high 11020, low 1.0990, close 1.1010.\nCorrect them, or let --repair drop them.",
        repaired=29,
    ),
    "negative volume": Refusal(
        with_lines(line6="2024-01-15 04:00,1.1000,1.1020,1.0990,1.1010,-1"),
        "1 row with a negative volume: line 6: 2024-01-15 04:00, volume -1.\n"
        "Correct them, or let --repair drop them.",
        repaired=29,
    ),
    "negative spread": Refusal(
        "time,open,high,low,close,volume,spread\n"
        + "".join(f"{row},{-10 if number == 4 else 10}\n" for number, row in enumerate(rows())),
        "1 row with a negative spread: line 6: 2024-01-15 04:00, spread -10.\n"
        "Correct them, or let --repair drop them.",
        repaired=29,
    ),
    "contradiction": Refusal(
        with_lines(line7="2024-01-15 04:00,1.1000,1.1030,1.0990,1.1010,1"),
        "2 rows contradicting another of the same time: "
        "line 6: 2024-01-15 04:00, open 1.1000, high 1.1020, low 1.0990, close 1.1011, volume 104; "
        "line 7: 2024-01-15 04:00, open 1.1000, high 1.1030, low 1.0990, close 1.1010, volume 1.\n"
        "Correct them, or let --repair drop them.",
        repaired=28,
    ),
    "future": Refusal(
        with_lines(line7="2142-01-15 05:00,1.1000,1.1030,1.0990,1.1010,1"),
        "1 row in the future: line 7: 2142-01-15 05:00.\nCorrect them, or let --repair drop them.",
        repaired=29,
    ),
    "time backwards": Refusal(
        with_lines(line7="2014-01-15 05:00,1.1000,1.1030,1.0990,1.1010,1"),
        "1 row where time goes backwards: line 7: 2014-01-15 05:00.\n"
        "Correct them, or let --repair drop them.",
        repaired=29,
    ),
    "days, then hours": Refusal(
        two_timeframes(daily_first=True),
        "two timeframes: the bars are H1, but D1 from line 2 (2024-01-01 00:00:00) "
        "to line 27 (2024-01-26 00:00:00).\n"
        'Read the H1 bars alone with --from "2024-01-26 00:00:00".',
    ),
    "hours, then days": Refusal(
        two_timeframes(daily_first=False),
        "two timeframes: the bars are H1, but D1 from line 50 (2024-01-17 00:00:00) "
        "to line 74 (2024-02-10 00:00:00).\n"
        'Read the H1 bars alone with --to "2024-01-16 23:00:00".',
    ),
    "one bar": Refusal(
        HEAD + rows()[0] + "\n", "1 bar; a timeframe needs two.\nGive a longer file."
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_names_line_value_and_remedy(tmp_path: Path, name: str) -> None:
    case = REFUSALS[name]
    path = save(tmp_path, case.content)
    with pytest.raises(BarsError) as refused:
        read_bars(path)
    assert str(refused.value) == f"{path}: {case.text}"


@pytest.mark.parametrize("name", REFUSALS)
def test_repair_drops_what_it_can_and_notes_it(tmp_path: Path, name: str) -> None:
    case = REFUSALS[name]
    path = save(tmp_path, case.content)
    if case.repaired is None:
        with pytest.raises(BarsError):
            read_bars(path, repair="all")
        return
    bars = read_bars(path, repair="all")
    assert len(bars) == case.repaired
    [(what, dropped)] = bars.dropped.items()
    assert dropped == int(case.text.split()[0])
    assert any(note.startswith("Dropped") and what in note for note in bars.notes)


@pytest.mark.parametrize(("bad", "dropped"), [(2, True), (3, False)])
def test_repair_alone_drops_at_most_two_percent(tmp_path: Path, bad: int, dropped: bool) -> None:
    lines = rows(100)
    for i in range(bad):
        lines[10 * i] = lines[10 * i].replace("1.1020", "0")
    path = save(tmp_path, HEAD + "\n".join(lines) + "\n")
    if dropped:
        assert len(read_bars(path, repair=True)) == 98
        return
    with pytest.raises(
        BarsError, match=r"at most 2 % of 100 rows\. Correct them, or let --repair=all drop them\."
    ):
        read_bars(path, repair=True)


def test_widening_keeps_every_bar(tmp_path: Path) -> None:
    text = with_lines(
        line6="2024-01-15 04:00,1.1000,1.1020,1.0990,1.1023,1",
        line7="2024-01-15 05:00,1.0980,1.1020,1.0990,1.1,1",
    )
    bars = read_bars(save(tmp_path, text), repair="widen")
    assert len(bars) == 30
    assert bars.frame["high"].iloc[4] == 1.1023
    assert bars.frame["low"].iloc[5] == 1.0980
    assert "Widened high or low of 2 bars to hold open and close." in bars.notes


def test_a_repair_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BarsError, match="--repair must be drop, widen, all or nothing, got 'some'"):
        read_bars(save(tmp_path, with_lines()), repair="some")


def test_the_cut_heals_two_timeframes(tmp_path: Path) -> None:
    path = save(tmp_path, two_timeframes(daily_first=True))
    assert len(read_bars(path, start="2024-01-26 00:00:00")) == 48
    path = save(tmp_path, two_timeframes(daily_first=False))
    assert len(read_bars(path, end="2024-01-16 23:00:00")) == 48


def test_a_bad_row_outside_the_cut_does_not_matter(tmp_path: Path) -> None:
    path = save(tmp_path, with_lines(line3="2024-01-15 01:00,0,0,0,0,0"))
    assert len(read_bars(path, start="2024-01-15 02:00")) == 28


def test_exact_duplicates_are_dropped_with_a_count(tmp_path: Path) -> None:
    lines = rows()
    bars = read_bars(save(tmp_path, HEAD + "\n".join(lines[:20] + lines[10:]) + "\n"))
    assert bars.dropped == {"repeating another exactly": 10}
    assert len(bars) == 30


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    text = "A title\n\n" + with_lines(line9="2024-01-15 07:00,1.1,0,1.0,1.1,1")
    text = text.replace("2024-01-15 04:00", "\n2024-01-15 04:00")  # blank lines count too
    with pytest.raises(BarsError, match=r"line 12: 2024-01-15 07:00, open 1\.1, high 0"):
        read_bars(save(tmp_path, text))


@pytest.mark.parametrize("missing", ["bars.cvs", "nowhere/bars.csv", "quite_another_name.csv"])
def test_missing_files(tmp_path: Path, missing: str) -> None:
    save(tmp_path, with_lines())
    save(tmp_path, "", "trades.csv")
    with pytest.raises(BarsError) as refused:
        read_bars(tmp_path / missing)
    hint = " Did you mean bars.csv?" if missing == "bars.cvs" else ""
    assert str(refused.value) == f"{tmp_path / missing}: no such file.{hint}"


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(BarsError) as refused:
        read_bars(tmp_path)
    assert str(refused.value) == f"{tmp_path}: a folder, not a file.\nName one bar file in it."


def test_devices(tmp_path: Path) -> None:
    with pytest.raises(BarsError, match=r"a device, not a file\.\nName a bar file\."):
        read_bars("/dev/zero")


@pytest.mark.parametrize("write", ["to_parquet", "to_feather"])
def test_packed_tables_need_little_memory(
    tmp_path: Path, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal rows pack into nothing: their number is bounded while they are unpacked."""
    monkeypatch.setattr("bt_neuro.bars.table.MOST_CELLS", 1_000_000)
    frame = pd.DataFrame(dict.fromkeys(("time", "open", "high", "low", "close"), [1.1] * 400_000))
    getattr(frame, write)(tmp_path / "bars")
    with pytest.raises(BarsError, match="a table must have at most 1,000,000 cells, got more"):
        read_bars(tmp_path / "bars")


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"\0", b"0", b"\n", b"2024-01-15 00:00,1,1,1,1\n"])
def test_compressed_bombs_need_little_memory(tmp_path: Path, content: bytes) -> None:
    """Four gigabytes in four megabytes are refused before they are unpacked."""
    path = tmp_path / "bars.csv.gz"
    block = zlib.compressobj(9, zlib.DEFLATED, 31)
    chunk = content * ((1 << 24) // len(content))
    with path.open("wb") as file:
        for _ in range(80 if content == b"\0" else 70):
            file.write(block.compress(chunk))
        file.write(block.flush())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BarsError, match=r"binary data|at most 1 GiB"):
        read_bars(path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 2_500_000  # KiB
