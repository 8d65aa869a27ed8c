"""Known bar files, containers and ways to write numbers: tables in which a new kind is one row.

A file that no row of FORMATS describes is read all the same: times by their pattern, columns by WORDS or by
order and consistency. A row adds a name, a clock, a scale, or columns without a header.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Format:
    """One kind of file. Patterns match from the start of the cells, joined by commas."""

    name: str  # of the tool
    header: str = ""  # pattern in lower case; empty for a file without header
    row: str = ""  # pattern of the rows of data; empty for any
    title: str = ""  # pattern of the lines above the header, in lower case; empty for any
    columns: str = ""  # roles in order; empty to detect them
    zone: str = ""  # of the clock, where the times do not name it
    scale: int = 1  # divisor of prices that are whole numbers
    closing: bool = False  # whether intraday times are those at which a bar closed
    opening: bool = True  # whether they are else known to be those at which it opened

    def describes(self, header: Sequence[str] | None, rows: Sequence[Sequence[str]], title: str) -> bool:
        names = ",".join(name.strip().lower() for name in header or ())
        if bool(self.header) != (header is not None) or not re.match(self.header, names):
            return False
        matches = sum(bool(re.match(self.row, ",".join(row))) for row in rows)
        # a damaged row is no other format
        return bool(re.match(self.title, title.lower())) and matches >= 0.9 * len(rows)


_DOTTED = r"\d{4}\.\d\d\.\d\d"
_PRICE = r"\d+(?:\.\d+)?"

FORMATS = (
    Format("MetaTrader 5 export", header=r"<date>,(<time>,)?<open>,<high>,<low>,<close>,<tickvol>"),
    Format("MetaTrader 5 export", header=r"(date|time),(time,)?open,high,low,close,tick_?vol"),
    Format("Finam or Stooq", header=r"<ticker>,<per>,<date>,<time>,<open>", opening=False),
    Format("Dukascopy", header=r"(gmt time|time \(utc\)|utc),open,high,low,close", zone="UTC"),
    Format("Dukascopy", header=r"(time \(eet\)|eet),open,high,low,close", zone="Europe/Athens"),
    Format("Dukascopy", header=r"local time,open,high,low,close"),
    Format("yfinance", header=r"price,(.*,)?close"),
    Format("Yahoo", header=r"date(time)?,open,high,low,close,(adj close,volume|volume,adj close)"),
    Format("yfinance", header=r"date(time)?,open,high,low,close,volume,dividends"),
    Format("CryptoDataDownload", header=r"unix( timestamp)?,date,symbol,open,high,low,close", zone="UTC"),
    Format("CryptoDataDownload", header=r"date,symbol,open", title=r".*cryptodatadownload", zone="UTC"),
    Format("TradeStation", header=r"date,time,open,high,low,close,(up,down|vol,oi)$", closing=True),
    Format("TradeStation", header=r"high,low,open,close,timestamp,totalvolume,", closing=True),
    Format("BitMEX", header=r"timestamp,symbol,open,high,low,close,trades,", closing=True),
    Format("Databento", header=r"ts_event,rtype,|.*,publisher_id,instrument_id,", zone="UTC", scale=10**9),
    Format("LEAN", header=r"lean time", scale=10_000),
    Format("LEAN", row=r"\d{8} \d\d:\d\d,(\d{3,7}00,){4}\d+$", columns="date open high low close volume",
           scale=10_000),
    Format("LEAN", row=rf"\d{{8}} \d\d:\d\d,({_PRICE},){{9}}{_PRICE}$", columns="date open high low close volume"),
    Format("investing.com", header=r"([^,]+,){5,6}[^,]*%[^,]*$"),
    Format("TradingView or a broker's API", header=r"time,open,high,low,close", row=r"\d{10},|[\d-]+T"),
    Format("pandas", header=r",open,high,low,close", opening=False),
    Format("MetaTrader 4 rows under a header", header=r".", row=rf"{_DOTTED}[ ,]\d\d:\d\d,{_PRICE},"),
    # HistData has no volume; NinjaTrader writes the same rows, with volume and the closing time.
    Format("HistData ASCII", row=rf"\d{{8}} \d{{6}},({_PRICE},){{4}}0$",
           columns="date open high low close volume", zone="Etc/GMT+5"),
    Format("NinjaTrader", row=rf"\d{{8}} \d{{6}},({_PRICE},){{4}}\d+$",
           columns="date open high low close volume", closing=True),
    Format("HistData MetaTrader", row=rf"{_DOTTED},\d\d:\d\d,(\d+\.\d{{6}},){{4}}0$",
           columns="date clock open high low close volume", zone="Etc/GMT+5"),
    Format("MetaTrader 4 history", row=rf"{_DOTTED},\d\d:\d\d,({_PRICE},){{4}}\d+$",
           columns="date clock open high low close volume"),
    Format("MetaTrader 5 rows without a header", row=rf"{_DOTTED}( \d\d:\d\d(:\d\d)?)?,({_PRICE},){{4}}\d+"),
    Format("Binance", row=rf"\d{{13,16}},({_PRICE},){{5}}\d{{13,16}},",
           columns="date open high low close volume"),
)  # fmt: skip
WITH_HEADER = Format("table with a header", header=".", opening=False)
WITHOUT_HEADER = Format("table without a header", opening=False)

# First bytes of files that hold no text, and the remedy.
_TO_CSV = "Write the table with DataFrame.to_csv or to_parquet."
BINARY = (
    ((b"\x89HDF",), "an HDF5 file", _TO_CSV),
    ((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a Python pickle", _TO_CSV),
    ((b"SQLite format 3",), "an SQLite database", "Export the table as CSV."),
    ((b"\x93NUMPY",), "a NumPy array", "Export the table as CSV."),
    ((b"\xd0\xcf\x11\xe0",), "an old Excel workbook", "Save the sheet as CSV."),
    (
        (b"\x90\x01\0\0", b"\x91\x01\0\0"),
        "a MetaTrader history (.hst)",
        "Export it from the History Center as CSV.",
    ),
    ((b"]\0\0",), "a raw LZMA file, such as Dukascopy's .bi5 of ticks", "Export bars as CSV."),
    ((b"7z\xbc\xaf", b"Rar!", b"PK\x05\x06"), "a 7z, RAR or empty zip archive", "Unpack it."),
    ((b"ORC", b"Obj\x01"), "an ORC or Avro file", "Export the table as CSV or Parquet."),
    ((b"%PDF", b"\x89PNG", b"\xff\xd8"), "a document or picture", "Export the bars as CSV."),
)
WEB_PAGE = rb"\s*<(!doctype|html|head|body|table|\?xml)"


class Number(NamedTuple):
    """One way to write numbers."""

    example: str
    pattern: str
    thousands: str  # sign between them
    point: str  # decimal sign


def _grouped(thousands: str, point: str) -> Number:
    sign, mark = re.escape(thousands), re.escape(point)
    pattern = rf"^-?(\d+|\d{{1,3}}({sign}\d{{3}})+)({mark}\d+)?$"
    return Number(f"1{thousands}234{point}5", pattern, thousands, point)


# The exponent must carry its sign, as every program writes it: a digit damaged into "e" is no number.
NUMBERS = (
    Number("1234.5", r"^-?\d+(\.\d+)?([eE][-+]\d{1,3})?$", "", "."),
    Number("1234,5", r"^-?\d+(,\d+)?$", "", ","),
    *(_grouped(*signs) for signs in (",.", ".,", " .", " ,", "'.", "',")),
    Number("1,23,456.5", r"^-?(\d+|\d{1,2}(,\d{2})*,\d{3})(\.\d+)?$", ",", "."),
)
SUFFIXES = {  # of volumes
    "": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "G": 1e9, "万": 1e4, "萬": 1e4, "만": 1e4, "亿": 1e8,
    "億": 1e8, "억": 1e8, "ТЫС": 1e3, "К": 1e3, "М": 1e6, "МЛН": 1e6, "МЛРД": 1e9, "MIO": 1e6, "MLN": 1e6,
    "MRD": 1e9, "MLD": 1e9, "MN": 1e6, "BN": 1e9, "TSD": 1e3, "CR": 1e7,
}  # fmt: skip
CURRENCY = (
    r"^(?:[A-Z]{1,3})?[$€£¥₹₽₩₺] ?|^(?:[A-Z]{3}|kr|zł) ?|"
    r" ?[$€£¥₹₽₩₺]$| [A-Z]{3}$| (?:kr|zł|Kč|Ft|лв|руб|lei)\.?$"
)
# In lower case.
ABSENT = frozenset(("", "null", "nan", "na", "n/a", "none", "nat", "-", "--", "—", "–", "#n/a"))


def find_format(header: Sequence[str] | None, rows: Sequence[Sequence[str]], title: str = "") -> Format:
    """Return the first row of FORMATS that describes the file."""
    known = (form for form in FORMATS if form.describes(header, rows, title))
    return next(known, WITHOUT_HEADER if header is None else WITH_HEADER)
