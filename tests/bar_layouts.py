"""The layouts in which common tools write bars, as the tests write them: one row a layout."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from bt_neuro.bars.reader import Bars

POINT = 100_000  # a price of the tests is a whole number of points, so its text is exact


@dataclass(frozen=True)
class Bar:
    time: datetime
    open: int
    high: int
    low: int
    close: int
    volume: int


@dataclass(frozen=True)
class Written:
    """How one tool writes bars: lines before the rows, and a row as a format string.

    `t` is the time, `s`, `ms`, `ns` the time since 1970, `o h l c v` prices and volume. `ahead` is how
    many hours the written clock is ahead of the one that must be read, `clock` what that one is called.
    """

    row: str
    head: str = ""
    format: str = "table with a header"
    daily: bool = False
    volume: bool = True
    spread: bool = False
    newest_first: bool = False
    decimal_comma: bool = False
    ahead: int = 0
    clock: str = "file"
    end: str = "\n"
    tail: str = ""
    pack: Callable[[str], bytes] = str.encode

    def write(self, bars: Iterable[Bar]) -> bytes:
        lines = [self.row.format(**self.cells(bar)) for bar in bars]
        lines = lines[::-1] if self.newest_first else lines
        head = self.head.replace("\n", self.end)
        return self.pack(head + "".join(line + self.end for line in lines) + self.tail)

    def cells(self, bar: Bar) -> dict[str, object]:
        prices = (f"{p // POINT}.{p % POINT:05d}" for p in (bar.open, bar.high, bar.low, bar.close))
        if self.decimal_comma:
            prices = (price.replace(".", ",") for price in prices)
        seconds = int(bar.time.replace(tzinfo=UTC).timestamp())
        unix = {"s": seconds, "ms": 1_000 * seconds, "ns": 1_000_000_000 * seconds}
        cells = dict(zip("ohlc", prices, strict=True))
        return {"t": bar.time + timedelta(hours=self.ahead), "v": bar.volume} | cells | unix


def utf_16(text: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le")


def with_bom(text: str) -> bytes:
    return text.encode("utf-8-sig")


def in_gzip(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def in_zip(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("DAT_ASCII_EURUSD_M1_2024.csv", text)
        archive.writestr("DAT_ASCII_EURUSD_M1_2024.txt", "Gaps found: none")
    return packed.getvalue()


def as_parquet(text: str) -> bytes:
    """Return a pandas table with its index of times in UTC."""
    frame = pd.read_csv(io.StringIO(text), index_col=0, parse_dates=True).tz_localize("UTC")
    packed = io.BytesIO()
    frame.to_parquet(packed)
    return packed.getvalue()


MT5_HEAD = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
MT5_ROW = "{t:%Y.%m.%d}\t{t:%H:%M:%S}\t{o}\t{h}\t{l}\t{c}\t{v}\t0\t7"
MT4_ROW = "{t:%Y.%m.%d},{t:%H:%M},{o},{h},{l},{c},{v}"
ISO_ROW = "{t:%Y-%m-%d %H:%M:%S},{o},{h},{l},{c},{v}"
YAHOO_HEAD = "Date,Open,High,Low,Close,Adj Close,Volume\n"
YF_HEAD = "Price,Close,High,Low,Open,Volume\nTicker" + ",EURUSD=X" * 5 + "\nDate,,,,,\n"

LAYOUTS = {
    "MetaTrader 5": Written(MT5_ROW, MT5_HEAD, "MetaTrader 5 export", end="\r\n", spread=True),
    "MetaTrader 5, daily": Written(
        MT5_ROW.replace("{t:%H:%M:%S}\t", ""), MT5_HEAD.replace("<TIME>\t", ""), "MetaTrader 5 export",
        daily=True, spread=True),
    "MetaTrader 5, no brackets": Written(
        MT5_ROW, MT5_HEAD.replace("<", "").replace(">", "").title(), "MetaTrader 5 export", spread=True),
    "MetaTrader 5, UTF-16": Written(
        "{t:%Y.%m.%d %H:%M},{o},{h},{l},{c},{v},0", format="MetaTrader 5 rows without a header",
        end="\r\n", pack=utf_16),
    "MetaTrader 4": Written(MT4_ROW, format="MetaTrader 4 history", end="\r\n"),
    "MetaTrader 4, header": Written(
        "{t:%Y.%m.%d %H:%M},{o},{h},{l},{c},{v}", "Date,Open,High,Low,Close,Volume\n",
        "MetaTrader 4 rows under a header", end="\r\n"),
    "Dukascopy, GMT": Written(
        "{t:%d.%m.%Y %H:%M:%S}.000,{o},{h},{l},{c},{v}.5", "Gmt time,Open,High,Low,Close,Volume\n",
        "Dukascopy", clock="UTC"),
    "Dukascopy, local": Written(
        "{t:%d.%m.%Y %H:%M:%S}.000 GMT+0800,{o},{h},{l},{c},{v}", "Local time,Open,High,Low,Close,Volume\n",
        "Dukascopy", ahead=8, clock="UTC"),
    "HistData ASCII": Written(
        "{t:%Y%m%d %H%M%S};{o};{h};{l};{c};{v}", format="HistData ASCII", clock="Etc/GMT+5"),
    "HistData MetaTrader": Written(
        "{t:%Y.%m.%d},{t:%H:%M},{o}0,{h}0,{l}0,{c}0,0", format="HistData MetaTrader", clock="Etc/GMT+5",
        volume=False),
    "HistData, zip": Written(
        "{t:%Y%m%d %H%M%S};{o};{h};{l};{c};{v}", format="HistData ASCII", clock="Etc/GMT+5", pack=in_zip),
    "Yahoo": Written(
        "{t:%Y-%m-%d},{o},{h},{l},{c},{c},{v}", YAHOO_HEAD, "Yahoo", daily=True),
    "Yahoo, empty days": Written(
        "{t:%Y-%m-%d},{o},{h},{l},{c},{c},{v}", YAHOO_HEAD + "1989-01-04" + ",null" * 6 + "\n", "Yahoo",
        daily=True),
    "yfinance": Written("{t:%Y-%m-%d},{c},{h},{l},{o},{v}", YF_HEAD, "yfinance", daily=True),
    "yfinance, offset": Written(
        "{t:%Y-%m-%d %H:%M:%S}-05:00,{o},{h},{l},{c},{v},0.0,0.0",
        "Datetime,Open,High,Low,Close,Volume,Dividends,Stock Splits\n", "yfinance", ahead=-5, clock="UTC"),
    "TradingView, Unix": Written(
        "{s},{o},{h},{l},{c},1.1,1.2,NaN", "time,open,high,low,close,EMA,EMA,Shapes\n",
        "TradingView or a broker's API", clock="UTC", volume=False),
    "TradingView, ISO": Written(
        "{t:%Y-%m-%dT%H:%M:%S}+01:00,{o},{h},{l},{c},{v},NaN", "time,open,high,low,close,Volume,Volume MA\n",
        "TradingView or a broker's API", ahead=1, clock="UTC"),
    "broker, Z": Written(
        "{t:%Y-%m-%dT%H:%M:%S}Z,{o},{h},{l},{c}", "time,open,high,low,close\n",
        "TradingView or a broker's API", clock="UTC", volume=False),
    "broker, bid and ask": Written(
        "{t:%Y-%m-%dT%H:%M:%S.%f}Z,{o},{c},{h},{l},9,9,9,9,{v}",
        "date,bid_open,bid_close,bid_high,bid_low,ask_open,ask_close,ask_high,ask_low,tickqty\n",
        clock="UTC"),
    "broker, milliseconds": Written(
        '"{ms}","{o}","{h}","{l}","{c}","{v}"', '"timestamp","o","h","l","c","v"\n', clock="UTC"),
    "broker, nanoseconds": Written("{ns}|{o}|{h}|{l}|{c}|{v}", "t|open|high|low|close|volume\n", clock="UTC"),
    "Binance": Written(
        "{ms},{o},{h},{l},{c},{v},{ms},1,2,3,4,0", format="Binance", clock="UTC"),
    "CryptoDataDownload": Written(
        "{s},{t:%Y-%m-%d %H:%M:%S},BTC/USD,{o},{h},{l},{c},1.5,{v}",
        "https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USD\n",
        "CryptoDataDownload", newest_first=True, clock="UTC", volume=False),
    "CryptoDataDownload, 12 hours": Written(
        "{t:%Y-%m-%d %I-%p},BTCUSD,{o},{h},{l},{c},{v}",
        "https://www.CryptoDataDownload.com\nDate,Symbol,Open,High,Low,Close,Volume\n",
        "CryptoDataDownload", newest_first=True, clock="UTC"),
    "pandas": Written(ISO_ROW, ",Open,High,Low,Close,Volume\n", "pandas"),
    "pandas, gzip": Written(
        ISO_ROW, ",Open,High,Low,Close,Volume\n", "pandas", pack=in_gzip),
    "pandas, Parquet": Written(
        ISO_ROW, ",Open,High,Low,Close,Volume\n", "Parquet table", clock="UTC", pack=as_parquet),
    "clock before date": Written(
        "{t:%H:%M},{t:%Y-%m-%d},{o},{h},{l},{c},{v}", "Time,Date,Open,High,Low,Close,Volume\n"),
    "close time before open time": Written(
        "{t:%Y-%m-%d %H}:59:59,{t:%Y-%m-%d %H:%M:%S},{o},{h},{l},{c},{v}",
        "close_time,open_time,open,high,low,close,volume\n"),
    "closing time of another name": Written(
        "{t:%Y-%m-%d %H}:59:59,{t:%Y-%m-%d %H:%M:%S},{o},{h},{l},{c},{v}",
        "until,from,open,high,low,close,volume\n"),
    "months first": Written("{t:%m/%d/%Y %H:%M},{o},{h},{l},{c},{v}", "Date,Open,High,Low,Close,Volume\n"),
    "days first": Written("{t:%d/%m/%Y %H:%M},{o},{h},{l},{c},{v}", "Date,Open,High,Low,Close,Volume\n"),
    "Finam": Written(
        "EURUSD,60,{t:%Y%m%d},{t:%H%M%S},{o},{h},{l},{c},{v}",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n", "Finam or Stooq"),
    "investing.com": Written(
        '"{t:%d.%m.%Y}","{c}","{o}","{h}","{l}","1,5K","-0,14%"',
        '"Дата","Цена","Откр.","Макс.","Мин.","Объём","Изм. %"\n', "investing.com",
        daily=True, newest_first=True, decimal_comma=True, volume=False, pack=with_bom),
    "decimal commas": Written(
        "{t:%Y-%m-%d};{t.month};{o};{h};{l};{c};{v};{c}", "Date;Month;Open;High;Low;Close;Volume;target\n",
        daily=True, decimal_comma=True),
    "Spanish": Written(
        "{t:%Y.%m.%d %H:%M};{o};{h};{l};{c};{v}", "FECHA;APERTURA;ALTO;BAJO;CIERRE;VOLUMEN\n",
        "MetaTrader 4 rows under a header"),
    "unknown words": Written("{t:%Y-%m-%d %H:%M};{o};{h};{l};{c}", "aa;bb;cc;dd;ee\n", volume=False),
    "unknown words and order": Written(
        "{t:%Y-%m-%d %H:%M},{c},{o},{h},{l}", "aa,bb,cc,dd,ee\n", newest_first=True, volume=False),
    "old code page": Written(
        "{t:%Y-%m-%d %H:%M};{o};{h};{l};{c};{v}", "Дата;Открытие;Максимум;Минимум;Закрытие;Volume\n",
        pack=lambda text: text.encode("cp1251")),
    "blanks and trailing separators": Written(
        "{t:%Y-%m-%d %H:%M} , {o} , {h} , {l} , {c} , {v} ,", "time , open , high , low , close , volume\n",
        tail="\n,,,,,,\n"),
}  # fmt: skip


def frame_of(bars: Iterable[Bar]) -> pd.DataFrame:
    """Return what must be read, without volume."""
    prices = ("open", "high", "low", "close")
    rows = [[bar.time, *(getattr(bar, price) / POINT for price in prices)] for bar in bars]
    frame = pd.DataFrame(rows, columns=["datetime", *prices])
    return frame.astype({"datetime": "datetime64[us]"})


def walk(n: int = 60, daily: bool = False, start: datetime = datetime(2024, 1, 15)) -> list[Bar]:
    """Return bars of a walk that needs no luck: weekdays, every shape of bar, opens near the last close."""
    step = timedelta(days=1) if daily else timedelta(hours=1)
    times = (start + i * step for i in range(10 * n))
    weekdays = [time for time in times if time.weekday() < 5][:n]
    bars, close = [], 110_000
    for i, time in enumerate(weekdays):
        opens = close + i % 3 - 1
        close = opens + (i * 37) % 101 - 50
        high, low = max(opens, close) + (i * 7) % 13, min(opens, close) - (i * 5) % 11
        bars.append(Bar(time, opens, high, low, close, 100 + i))
    return bars


def save(tmp_path: Path, content: bytes | str, name: str = "bars.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def assert_same_bars(bars: Bars, expected: pd.DataFrame) -> None:
    columns = bars.frame[["datetime", "open", "high", "low", "close"]]
    pd.testing.assert_frame_equal(columns, expected, check_exact=True)
