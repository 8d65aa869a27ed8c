"""Layouts in which common tools write bars, as the tests write them: one row per layout."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from bt_neuro.bars.reader import Bars

POINT = 100_000  # a price of the tests is a whole number of points, so its text is exact

MONTHS = ["janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."]


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

    `t` is the time, `s`, `ms`, `ns` the time since 1970, `o h l c v` prices and volume; `cells` has others.
    The written clock is `ahead` hours ahead of the one that must be read, whose zone is `clock`.
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
        return self.join(self.head, self.rows(bars), self.tail)

    def rows(self, bars: Iterable[Bar]) -> list[str]:
        lines = [self.row.format(**self.cells(bar)) for bar in bars]
        return lines[::-1] if self.newest_first else lines

    def join(self, head: str, lines: Iterable[str], tail: str) -> bytes:
        return self.pack(head.replace("\n", self.end) + "".join(line + self.end for line in lines) + tail)

    @property
    def separator(self) -> str:
        return max("\t;,|~^ ", key=self.row.replace(", ", ",").count)

    @property
    def is_text(self) -> bool:
        """Whether lines of any text can be added."""
        return self.pack not in (
            as_parquet,
            as_feather,
            as_typed_parquet,
            as_yfinance_parquet,
            as_json_lists,
            as_json_objects,
            as_json_lines,
            as_json_nested,
            as_json_chart,
        )

    def cells(self, bar: Bar) -> dict[str, object]:
        prices = (f"{p // POINT}.{p % POINT:05d}" for p in (bar.open, bar.high, bar.low, bar.close))
        if self.decimal_comma:
            prices = (price.replace(".", ",") for price in prices)
        seconds = int(bar.time.replace(tzinfo=UTC).timestamp())
        unix = {"s": seconds, "ms": 1_000 * seconds, "ns": 1_000_000_000 * seconds}
        cells = dict(zip("ohlc", prices, strict=True))
        whole = dict(zip(("O", "H", "L", "C"), (bar.open, bar.high, bar.low, bar.close), strict=True))
        time = bar.time + timedelta(hours=self.ahead)
        since = bar.time - datetime(1899, 12, 30)
        others = {
            "net": 621_355_968_000_000_000 + 10_000_000 * seconds,  # ticks of .NET
            "excel": f"{since.days + since.seconds / 86_400:.10f}",
            "hour": time.hour % 12 or 12,
            "half": ("a. m.", "p. m.")[time.hour // 12],
            "korean": ("오전", "오후")[time.hour // 12],
            "avg": f"{(bar.high + bar.low) / 2 / POINT:.6f}",
            "french": MONTHS[time.month - 1],
            "thai": time.year + 543,
            "unpadded": int(f"{time:%H%M%S}"),
            "clock": time.hour * 100 + time.minute,
            "easy": (time.year - 1900) * 10_000 + time.month * 100 + time.day,
            "ms_of_day": 1_000 * (time.hour * 3_600 + time.minute * 60),
        }
        return {"t": time, "v": bar.volume} | cells | whole | unix | others


def coded(page: str) -> Callable[[str], bytes]:
    return lambda text: text.encode(page)


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


def as_named_zip(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("EURUSD", text)
    return packed.getvalue()


def as_parquet(text: str) -> bytes:
    """Return a pandas table with its index of times in UTC."""
    frame = pd.read_csv(io.StringIO(text), index_col=0, parse_dates=True).tz_localize("UTC")
    packed = io.BytesIO()
    frame.to_parquet(packed)
    return packed.getvalue()


def as_typed_parquet(text: str) -> bytes:
    """Return a table of dates and of clocks."""
    frame = pd.read_csv(io.StringIO(text), parse_dates=["date"])
    frame["date"], frame["time"] = (
        frame["date"].dt.date,
        pd.to_datetime(frame["time"], format="%H:%M").dt.time,
    )
    packed = io.BytesIO()
    frame.to_parquet(packed)
    return packed.getvalue()


def as_feather(text: str) -> bytes:
    packed = io.BytesIO()
    pd.read_csv(io.StringIO(text), parse_dates=[0]).to_feather(packed, compression="uncompressed")
    return packed.getvalue()


def as_yfinance_parquet(text: str) -> bytes:
    """Return a table whose columns are pairs of a name and a ticker."""
    frame = pd.read_csv(io.StringIO(text), index_col=0, parse_dates=True)
    frame.columns = pd.MultiIndex.from_tuples([(name, "EURUSD=X") for name in frame.columns])
    packed = io.BytesIO()
    frame.to_parquet(packed)
    return packed.getvalue()


def as_json(cell: str) -> float | int | str:
    return cell if not cell or cell[0].isalpha() else float(cell) if "." in cell else int(cell)


def as_json_lists(text: str) -> bytes:
    return json.dumps([[as_json(cell) for cell in row] for row in csv.reader(io.StringIO(text))]).encode()


def as_json_objects(text: str) -> bytes:
    rows = list(csv.DictReader(io.StringIO(text)))
    return json.dumps([{name: as_json(cell) for name, cell in row.items()} for row in rows]).encode()


def as_json_nested(text: str) -> bytes:
    """Return objects whose names of two words stand for an object in an object."""
    rows: list[dict[str, object]] = []
    for flat in csv.DictReader(io.StringIO(text)):
        row: dict[str, object] = {}
        for name, cell in flat.items():
            outer, _, inner = name.partition(" ")
            row[outer] = {**row.get(outer, {}), inner: cell} if inner else as_json(cell)  # type: ignore[dict-item]
        rows.append(row)
    return json.dumps({"instrument": "EUR_USD", "candles": rows}).encode()


def as_json_chart(text: str) -> bytes:
    columns = {
        name: list(map(as_json, cells)) for name, *cells in zip(*csv.reader(io.StringIO(text)), strict=True)
    }
    times = columns.pop("timestamp")
    chart = {"meta": {"symbol": "EURUSD=X"}, "timestamp": times, "indicators": {"quote": [columns]}}
    return json.dumps({"chart": {"result": [chart], "error": None}}).encode()


def quoted(text: str) -> bytes:
    """Return lines that are quoted as wholes, as Excel saves text of one column."""
    return "".join(f'"{line}"\n' for line in text.splitlines()).encode()


def as_json_lines(text: str) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in csv.DictReader(io.StringIO(text))).encode()


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
        "{t:%Y%m%d %H%M%S};{o};{h};{l};{c};0", format="HistData ASCII", clock="Etc/GMT+5", volume=False),
    "HistData MetaTrader": Written(
        "{t:%Y.%m.%d},{t:%H:%M},{o}0,{h}0,{l}0,{c}0,0", format="HistData MetaTrader", clock="Etc/GMT+5",
        volume=False),
    "HistData, zip": Written(
        "{t:%Y%m%d %H%M%S};{o};{h};{l};{c};0", format="HistData ASCII", clock="Etc/GMT+5", volume=False,
        pack=in_zip),
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
        pack=coded("cp1251")),
    "blanks and trailing separators": Written(
        "{t:%Y-%m-%d %H:%M} , {o} , {h} , {l} , {c} , {v} ,", "time , open , high , low , close , volume\n",
        tail="\n,,,,,,\n"),
    "NinjaTrader": Written(
        "{t:%Y%m%d %H%M%S};{o};{h};{l};{c};{v}", format="NinjaTrader", ahead=1),
    "TradeStation": Written(
        "{t:%m/%d/%Y},{t:%H:%M},{o},{h},{l},{c},{v},0", '"Date","Time","Open","High","Low","Close","Up","Down"\n',
        "TradeStation", ahead=1),
    "Sierra Chart": Written(
        "{t.year}/{t.month}/{t.day}, {t:%H:%M:%S}, {o}, {h}, {l}, {c}, {v}, {v}, 51, 51, {l}, {h}, {l}, {l}",
        "Date, Time, Open, High, Low, Last, Volume, # of Trades, Bid Volume, Ask Volume, Open, High, Low, Close\n"),
    "AkShare": Written(
        "{t:%Y-%m-%d},600000,{o},{c},{h},{l},{v},{v}.5",
        "日期,股票代码,开盘,收盘,最高,最低,成交量,成交额\n", daily=True),
    "Alpha Vantage": Written(
        ISO_ROW, "date,1. open,2. high,3. low,4. close,5. volume\n", newest_first=True),
    "kabu, Shift-JIS": Written(
        "{t:%Y/%m/%d %H:%M:%S},{o},{h},{l},{c},{v}", "日付,始値,高値,安値,終値,出来高\n", pack=coded("cp932")),
    "Taiwan, Big5": Written(
        "{t:%Y/%m/%d},{o},{h},{l},{c},{v}", "日期,開盤價,最高價,最低價,收盤價,成交量\n", daily=True,
        pack=coded("big5")),
    "China, GBK": Written(
        "{t:%Y/%m/%d %H:%M},{o},{h},{l},{c},{v}", "时间,开盘价,最高价,最低价,收盘价,成交量\n", pack=coded("gbk")),
    "Korea, EUC-KR": Written(
        "{t.year}. {t.month}. {t.day}. {korean} {hour}:{t:%M:%S},{o},{h},{l},{c},{v}",
        "일시,시가,고가,저가,종가,거래량\n", pack=coded("euc_kr")),
    "Turkish code page": Written(
        "{t:%d.%m.%Y %H:%M};{o};{h};{l};{c};{v}", "Tarih;Açılış;Yüksek;Düşük;Kapanış;Hacim\n",
        decimal_comma=True, pack=coded("cp1254")),
    "Polish code page": Written(
        "{t:%Y-%m-%d};{o};{h};{l};{c};{v}", "Data;Otwarcie;Najwyższy;Najniższy;Zamknięcie;Wolumen\n", daily=True,
        decimal_comma=True, pack=coded("cp1250")),
    "German dates": Written(
        "{t.day}. {t:%b} {t.year} {t:%H:%M};{o};{h};{l};{c};{v}", "Datum;Eröffnung;Hoch;Tief;Schluss;Volumen\n",
        decimal_comma=True),
    "Japanese dates": Written(
        '"{t.year}年{t.month}月{t.day}日","{c}","{o}","{h}","{l}","{v}K","0.12%"',
        '"日付け","終値","始値","高値","安値","出来高","変化率 %"\n', "investing.com", daily=True,
        newest_first=True, volume=False),
    "Spanish Excel": Written(
        "{t:%d/%m/%Y} {hour}:{t:%M} {half};{o};{h};{l};{c};{v}",
        "Fecha;Apertura;Máximo;Mínimo;Cierre;Volumen\n", decimal_comma=True, pack=coded("cp1252")),
    "Finam, clocks without zeros": Written(
        "EURUSD,60,{t:%Y%m%d},{unpadded},{o},{h},{l},{c},{v}",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n", "Finam or Stooq"),
    "ticker behind names": Written(
        "{t:%Y-%m-%d},{c},{h},{l},{o},{v}", "Date,Close_X=F,High_X=F,Low_X=F,Open_X=F,Volume_X=F\n", daily=True),
    "ticker before names": Written(
        ISO_ROW, "time,BTC:open,BTC:high,BTC:low,BTC:close,BTC:volume\n"),
    "yfinance, Parquet": Written(
        "{t:%Y-%m-%d},{c},{h},{l},{o},{v}", "Date,Close,High,Low,Open,Volume\n", "Parquet table", daily=True,
        pack=as_yfinance_parquet),
    "Feather": Written(
        ISO_ROW, "date,open,high,low,close,volume\n", "Feather table", pack=as_feather),
    "Interactive Brokers": Written(
        "{t:%Y%m%d %H:%M:%S} US/Eastern,{o},{h},{l},{c},{v}", "date,open,high,low,close,volume\n",
        clock="US/Eastern"),
    "Barchart": Written(
        "{t:%Y-%m-%d},{o},{h},{l},{c},0.5,0.12%,{v}", "Time,Open,High,Low,Latest,Change,%Change,Volume\n",
        daily=True, newest_first=True, tail='"Downloaded from Barchart.com as of 03-30-2021 09:16am CDT"\n'),
    "Yahoo, copied": Written(
        "{t:%b} {t.day}, {t.year}\t{o}\t{h}\t{l}\t{c}\t{c}\t{v}",
        "Date\tOpen\tHigh\tLow\tClose Close price adjusted for splits.\tAdj Close Adjusted close\tVolume\n",
        daily=True, newest_first=True, tail="Mar 17, 2021\t0.24 Dividend\n"),
    "date and clock without a header": Written("{t:%Y%m%d},{t:%H%M%S},{o},{h},{l},{c},{v}",
        format="table without a header"),
    "blanks": Written("{t:%Y-%m-%d} {t:%H:%M:%S} {o}  {h}  {l}  {c}  {v}", format="table without a header"),
    "single quotes": Written(
        "'{t:%Y-%m-%d %H:%M}','{o}','{h}','{l}','{c}','{v}'", "'time','open','high','low','close','volume'\n"),
    "blanks before quotes": Written(
        '"{t:%Y-%m-%d %H:%M}", "{o}", "{h}", "{l}", "{c}", "{v}"',
        '"time", "open", "high", "low", "close", "volume"\n'),
    "dollars": Written("{t:%m/%d/%Y},${o},${h},${l},${c},{v}", "Date,Open,High,Low,Close/Last,Volume\n", daily=True),
    "hours": Written("{t:%Y%m%d%H},{o},{h},{l},{c},{v}", "date,open,high,low,close,volume\n"),
    "dates as floats": Written(
        "{t:%Y%m%d}.0,{o},{h},{l},{c},{v}", "date,open,high,low,close,volume\n", daily=True),
    ".NET ticks": Written("{net},{o},{h},{l},{c},{v}", "Time,Open,High,Low,Close,Volume\n", clock="UTC"),
    "days of Excel": Written("{excel},{o},{h},{l},{c},{v}", "Date,Open,High,Low,Close,Volume\n"),
    "Buddhist years": Written("{t.day}/{t.month}/{thai} {t:%H:%M},{o},{h},{l},{c},{v}",
        "Date,Open,High,Low,Close,Volume\n"),
    "Databento": Written(
        "{ns},33,1,5482,{O}0000,{H}0000,{L}0000,{C}0000,{v}",
        "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume\n", "Databento", clock="UTC"),
    "ccxt": Written("{ms},{o},{h},{l},{c},{v}", format="table without a header", clock="UTC", pack=as_json_lists),
    "JSON, objects": Written(
        "{s},{o},{h},{l},{c},{v}", "t,open,high,low,close,volume\n", clock="UTC", pack=as_json_objects),
    "JSON, lines": Written(
        "{t:%Y-%m-%dT%H:%M},{o},{h},{l},{c},{v}", "time,o,h,l,c,v\n", pack=as_json_lines),
    "investing.com, Polish": Written(
        '"{t:%d.%m.%Y}","{c}","{o}","{h}","{l}","{v}","0,12%"',
        '"Data","Ostatnio","Otwarcie","Max.","Min.","Wol.","Zmiana%"\n', "investing.com", daily=True,
        newest_first=True, decimal_comma=True),
    "Ariva": Written(
        "{t:%Y-%m-%d};{o};{h};{l};{c};{v};{v}77", "Datum;Erster;Hoch;Tief;Schlusskurs;Stuecke;Volumen\n", daily=True,
        newest_first=True, decimal_comma=True),
    "Refinitiv": Written(
        "{t:%Y-%m-%d},{c},{h},{l},{o},{v}", "Date,TRDPRC_1,HIGH_1,LOW_1,OPEN_PRC,ACVOL_UNS\n", daily=True),
    "camel case": Written(
        "{s},{o},{h},{l},{c},{v},9,9,9,9,9", "time,openBid,highBid,lowBid,closeBid,volumeBid,openAsk,highAsk,lowAsk,"
        "closeAsk,volumeAsk\n", clock="UTC"),
    "Tiingo": Written(
        "{t:%Y-%m-%d},{c},{h},{l},{o},{v},9,9,9,9,{v}", "date,close,high,low,open,volume,adjClose,adjHigh,adjLow,"
        "adjOpen,adjVolume\n", daily=True),
    "zone in a name": Written(ISO_ROW, "Date (UTC),Open,High,Low,Close,Volume\n", clock="UTC"),
    "currency behind": Written(
        "{t:%Y-%m-%d},{o} USD,{h} USD,{l} USD,{c} USD,{v}", "Date,Open,High,Low,Close,Volume\n", daily=True),
    "LEAN, quotes": Written(
        "{t:%Y%m%d %H:%M},{o},{h},{l},{c},0,{o},{h},{l},{c},0", format="LEAN", volume=False),
    "Kraken": Written(
        "{s},{o},{h},{l},{c},{avg},{v},9", format="table without a header", clock="UTC", pack=as_json_lists),
    "OANDA": Written(
        "{s},{o},{h},{l},{c},{v}", "time,mid o,mid h,mid l,mid c,volume\n", clock="UTC", pack=as_json_nested),
    "Yahoo, chart": Written(
        "{s},{o},{h},{l},{c},{v}", "timestamp,open,high,low,close,volume\n", clock="UTC", pack=as_json_chart),
    "Bloomberg": Written(
        "{t.month}/{t.day}/{t.year},{c},{o},{h},{l}",
        "Security,EURUSD Curncy\nStart Date,1/2/2024\nPeriod,D\n\nDate,PX_LAST,PX_OPEN,PX_HIGH,PX_LOW\n",
        daily=True, volume=False),
    "offset in a name": Written(ISO_ROW, "Time (UTC+05:30),Open,High,Low,Close,Volume\n", clock="UTC+05:30"),
    "zone of America": Written(
        ISO_ROW.replace("S}", "S} America/New_York"), "time,open,high,low,close,volume\n", clock="America/New_York"),
    "SAS": Written("{t:%d%b%Y:%H:%M:%S},{o},{h},{l},{c},{v}", "Date,Open,High,Low,Close,Volume\n"),
    "Slovenian": Written(
        "{t.day}. {t.month}. {t.year} {t.hour}:{t:%M};{o};{h};{l};{c};{v}", "Datum;Open;High;Low;Close;Volumen\n",
        decimal_comma=True),
    "Croatian": Written(
        "{t:%d.%m.%Y}.;{o};{h};{l};{c};{v}", "Datum;Open;High;Low;Close;Volumen\n", daily=True, decimal_comma=True),
    "French": Written(
        "{t.day} {french} {t.year} à {t:%H:%M};{o};{h};{l};{c};{v}", "Date;Ouverture;Haut;Bas;Clôture;Volume\n",
        decimal_comma=True),
    "clocks as floats": Written(
        "{t:%Y%m%d},{clock}.0,{o},{h},{l},{c},{v}", "date,time,open,high,low,close,volume\n"),
    "last minutes": Written("{t:%Y-%m-%d %H}:59,{o},{h},{l},{c},{v}", "time,open,high,low,close,volume\n"),
    "tildes": Written(ISO_ROW.replace(",", "~"), "time~open~high~low~close~volume\n"),
    "carets": Written(ISO_ROW.replace(",", "^"), "time^open^high^low^close^volume\n"),
    "currency before": Written(
        "{t:%Y-%m-%d},CHF {o},CHF {h},CHF {l},CHF {c},{v}", "Date,Open,High,Low,Close,Volume\n", daily=True),
    "kroner behind": Written(
        "{t:%Y-%m-%d};{o} kr;{h} kr;{l} kr;{c} kr;{v}", "Dato;Åbning;Højeste;Laveste;Luk;Volume\n", daily=True,
        decimal_comma=True),
    "Cyrillic, ISO": Written(
        "{t:%Y-%m-%d %H:%M};{o};{h};{l};{c};{v}", "Дата;Открытие;Максимум;Минимум;Закрытие;Объем\n",
        pack=coded("iso8859_5")),
    "MultiCharts": Written(
        "{t:%Y/%m/%d},{t:%H:%M},{o},{h},{l},{c},{v},0", '"Date","Time","O","H","L","C","U","D"\n'),
    "ticks before volume, German": Written(
        "{t:%Y.%m.%d}\t{t:%H:%M}\t{o}\t{h}\t{l}\t{c}\t{v}\t0",
        "Datum\tZeit\tEröffnung\tHoch\tTief\tSchluss\tTickvolumen\tVolumen\n",
        "MetaTrader 4 rows under a header"),
    "zip of a name without suffix": Written(
        ISO_ROW, "time,open,high,low,close,volume\n", pack=as_named_zip),
    "bz2": Written(ISO_ROW, "time,open,high,low,close,volume\n", pack=lambda text: bz2.compress(text.encode())),
    "EasyLanguage": Written("{easy},{clock},{o},{h},{l},{c},{v}", "Date,Time,Open,High,Low,Close,Volume\n"),
    "CSI": Written("{t:%y%m%d},{o},{h},{l},{c},{v},9", "Date,Open,High,Low,Close,Volume,OI\n", daily=True),
    "Finam, short dates": Written(
        "EURUSD;60;{t:%y%m%d};{t:%H%M};{o};{h};{l};{c};{v}",
        "<TICKER>;<PER>;<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<VOL>\n", "Finam or Stooq"),
    "Forex Tester": Written(
        "EURUSD,{t:%Y%m%d},{t:%H%M%S},{o},{h},{l},{c},{v}",
        "<TICKER>,<DTYYYYMMDD>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n"),
    "AlgoSeek": Written(
        "{t:%Y%m%d},EURUSD,{t:%H:%M},{o},{h},{l},{c},{avg},{v},12",
        "Date,Ticker,TimeBarStart,FirstTradePrice,HighTradePrice,LowTradePrice,LastTradePrice,VolumeWeightPrice,Volume,"
        "TotalTrades\n"),
    "BitMEX": Written(
        "{t:%Y-%m-%dT%H:%M:%S}.000Z,XBTUSD,{o},{h},{l},{c},9,{v},{avg},9",
        "timestamp,symbol,open,high,low,close,trades,volume,vwap,lastSize\n", "BitMEX", ahead=1, clock="UTC"),
    "TradeStation, open interest": Written(
        "{t:%m/%d/%Y},{t:%H:%M},{o},{h},{l},{c},{v},9", '"Date","Time","Open","High","Low","Close","Vol","OI"\n',
        "TradeStation", ahead=1),
    "Interactive Brokers, currencies": Written(
        "{t:%Y%m%d %H:%M:%S},{o},{h},{l},{c},-1,-1.0,-1", "date,open,high,low,close,volume,average,barCount\n",
        volume=False),
    "quoted lines": Written(
        MT4_ROW, "Date,Time,Open,High,Low,Close,Volume\n", "MetaTrader 4 rows under a header", pack=quoted),
    "BaoStock": Written(
        "{t:%Y-%m-%d},{t:%Y%m%d%H%M%S}000,sh.600000,{o},{h},{l},{c},{v}",
        "date,time,code,open,high,low,close,volume\n"),
    "IG": Written(
        "{s},{o},9,{h},9,{l},9,{c},9,,{v}", "time,openPrice bid,openPrice ask,highPrice bid,highPrice ask,lowPrice bid,"
        "lowPrice ask,closePrice bid,closePrice ask,closePrice lastTraded,lastTradedVolume\n", clock="UTC",
        pack=as_json_nested),
    "Italian": Written(
        "{t:%d/%m/%Y},{o},{h},{l},{c},{v}", "Data,Apertura,Massimo,Minimo,Chiusura,Volume\n", daily=True),
    "pandas, numbered columns": Written(
        "7,{ms},{o},{h},{l},{c},{v}", ",0,1,2,3,4,5\n", "table without a header", clock="UTC"),
    "TradeStation, JSON": Written(
        "{h},{l},{o},{c},{t:%Y-%m-%dT%H:%M:%S}Z,{v},9,Closed",
        "high,low,open,close,timestamp,totalvolume,upticks,barstatus\n",
        "TradeStation", ahead=1, clock="UTC", pack=as_json_lines),
    "dates and clocks, Parquet": Written(
        "{t:%Y-%m-%d},{t:%H:%M},{o},{h},{l},{c},{v}", "date,time,open,high,low,close,volume\n", "Parquet table",
        pack=as_typed_parquet),
    "kdb+": Written("{t:%Y.%m.%d}D{t:%H:%M:%S}.000000000,{o},{h},{l},{c},{v}", "time,open,high,low,close,vol\n"),
    "xz": Written(ISO_ROW, "time,open,high,low,close,volume\n", pack=lambda text: lzma.compress(text.encode())),
}  # fmt: skip


def frame_of(bars: Iterable[Bar]) -> pd.DataFrame:
    """Return what must be read, without volume."""
    prices = ("open", "high", "low", "close")
    rows = [[bar.time, *(getattr(bar, price) / POINT for price in prices)] for bar in bars]
    frame = pd.DataFrame(rows, columns=["datetime", *prices])
    return frame.astype({"datetime": "datetime64[us]"})


def random_bars(rng: np.random.Generator, start: datetime, daily: bool) -> list[Bar]:
    """Return any valid bars of a market: gaps, every shape of bar, opens at or near the last close."""
    n = int(rng.integers(40, 60))
    step = timedelta(days=1) if daily else timedelta(hours=1)
    times = start + step * np.cumsum(rng.choice([1, 2, 3], n, p=[0.8, 0.1, 0.1]))
    moves = rng.integers(-99, 99, n)
    closes = int(rng.integers(20_000, 900_000)) + np.cumsum(moves)
    opens = closes - moves + rng.integers(-3, 4, n)
    highs = np.maximum(opens, closes) + rng.integers(0, 50, n) * rng.integers(0, 2, n)
    lows = np.minimum(opens, closes) - rng.integers(0, 50, n) * rng.integers(0, 2, n)
    volumes = rng.integers(1, 10 ** rng.integers(1, 10), n)
    columns = (opens, highs, lows, closes, volumes)
    return [Bar(*row) for row in zip(times, *(column.tolist() for column in columns), strict=True)]


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
