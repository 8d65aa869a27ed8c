"""What is known of the files that traders have: three tables, to which a row can be added.

FORMATS   the tools that write bar files, and what their files leave unsaid
WORDS     how columns are called, in the languages that export them
NUMBERS   how a price may be written (the table for times is in `times`)

A file that no row of FORMATS describes is read all the same: its times are known by their looks, its
columns by WORDS or by order and consistency. A row adds a name, a clock, or columns without a header.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Format:
    """One kind of file. Patterns are matched from the start of the cells joined by commas.

    Parameters
    ----------
    name : str
        As traders call it.
    header : str, default ""
        Pattern of the header in lower case; empty for a file without header.
    row : str, default ""
        Pattern of the first row of data; empty for any.
    columns : str, default ""
        Roles in order, "-" for a column of no use; empty to find them.
    zone : str, default ""
        The clock such files are known to keep, where their times do not say so.
    """

    name: str
    header: str = ""
    row: str = ""
    columns: str = ""
    zone: str = ""

    def describes(self, header: Sequence[str] | None, row: Sequence[str]) -> bool:
        if bool(self.header) != (header is not None):
            return False
        names = ",".join(name.strip().lower() for name in header or ())
        return bool(re.match(self.header, names) and re.match(self.row, ",".join(row)))


_DOTTED = r"\d{4}\.\d\d\.\d\d"
_PRICE = r"\d+(?:\.\d+)?"

FORMATS = (
    Format("MetaTrader 5 export", header=r"<date>,(<time>,)?<open>,<high>,<low>,<close>,<tickvol>"),
    Format("MetaTrader 5 export", header=r"(date|time),(time,)?open,high,low,close,tick_?vol"),
    Format("Finam or Stooq", header=r"<ticker>,<per>,<date>,<time>,<open>"),
    Format("Dukascopy", header=r"(gmt time|time \(utc\)|utc),open,high,low,close", zone="UTC"),
    Format("Dukascopy", header=r"(time \(eet\)|eet),open,high,low,close", zone="Europe/Athens"),
    Format("Dukascopy", header=r"local time,open,high,low,close"),
    Format("yfinance", header=r"price,(.*,)?close"),
    Format("Yahoo", header=r"date(time)?,open,high,low,close,(adj close,volume|volume,adj close)"),
    Format("yfinance", header=r"date(time)?,open,high,low,close,volume,dividends"),
    Format("CryptoDataDownload", header=r"(unix( timestamp)?,)?date,symbol,open,high,low,close", zone="UTC"),
    Format("investing.com", header=r"([^,]+,){5,6}[^,]*%[^,]*$"),
    Format("TradingView or a broker's API", header=r"time,open,high,low,close", row=r"\d{10}|[\d-]+T"),
    Format("pandas", header=r",open,high,low,close"),
    Format("MetaTrader 4 rows under a header", header=r".", row=rf"{_DOTTED}[ ,]\d\d:\d\d,{_PRICE},"),
    Format("HistData ASCII", row=rf"\d{{8}} \d{{6}},({_PRICE},){{4}}\d+$",
           columns="date open high low close volume", zone="Etc/GMT+5"),
    Format("HistData MetaTrader", row=rf"{_DOTTED},\d\d:\d\d,(\d+\.\d{{6}},){{4}}0$",
           columns="date clock open high low close volume", zone="Etc/GMT+5"),
    Format("MetaTrader 4 history", row=rf"{_DOTTED},\d\d:\d\d,({_PRICE},){{4}}\d+$",
           columns="date clock open high low close volume"),
    Format("MetaTrader 5 rows without a header", row=rf"{_DOTTED}( \d\d:\d\d(:\d\d)?)?,({_PRICE},){{4}}\d+"),
    Format("Binance", row=rf"\d{{13,16}},({_PRICE},){{5}}\d{{13,16}},",
           columns="date open high low close volume"),
)  # fmt: skip
WITH_HEADER, WITHOUT_HEADER = Format("table with a header", header="."), Format("table without a header")

# The first word found wins, so the order matters: MetaTrader's tick volume before its real volume,
# which is 0 in currencies; a close before a last price. Only letters and digits count, in lower case.
WORDS = {
    "open": (
        "open o openprice bidopen openbid midopen openmid first "
        "apertura abertura ouverture ouv eröffnung eröffn eroffnung opening otwarcie открытие откр"
        " açılış 开盘 始値 시가"
    ),
    "high": (
        "high h highprice bidhigh highbid midhigh highmid max "
        "alto máximo maximo máxima máx haut plushaut hoch höchst massimo hoog najwyzszy najwyższy"
        " максимум макс yüksek 最高 高値 고가"
    ),
    "low": (
        "low l lowprice bidlow lowbid midlow lowmid min "
        "bajo mínimo minimo mínima mín baixo bas plusbas tief tiefst minimo laag najnizszy najniższy"
        " минимум мин düşük 最低 安値 저가"
    ),
    "close": (
        "close c closeprice bidclose closebid midclose closemid last price "
        "cierre fechamento clôture cloture dernier schluss schlusskurs zuletzt chiusura ultimo último slot"
        " ostatnio zamkniecie zamknięcie закрытие цена kapanış şimdi 收盘 終値 종가"
    ),
    "volume": (
        "tickvol tickvolume tickqty volume vol v "
        "volumen volumi wolumen объем объём hacim hac 交易量 出来高 거래량"
    ),
    "spread": "spread",
}


@dataclass(frozen=True)
class Number:
    """One way to write numbers: which sign parts the thousands, which one the decimals."""

    example: str
    pattern: str
    thousands: str
    point: str


# The exponent must carry its sign, as every program writes it: so a digit damaged into "e" is no number.
NUMBERS = (
    Number("1234.5", r"^-?\d+(\.\d+)?([eE][-+]\d{1,3})?$", "", "."),
    Number("1234,5", r"^-?\d+(,\d+)?$", "", ","),
    Number("1,234.5", r"^-?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?$", ",", "."),
    Number("1.234,5", r"^-?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?$", ".", ","),
)
SUFFIXES = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}  # of volumes
ABSENT = frozenset({"", "null", "nan", "na", "n/a", "none", "nat", "-", "--"})  # in lower case


def plain(name: str) -> str:
    """Return a column's name as WORDS spells it.

    >>> plain("<TICKVOL>"), plain("bid_open"), plain("Vol.")
    ('tickvol', 'bidopen', 'vol')
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def find_format(header: Sequence[str] | None, row: Sequence[str]) -> Format:
    """Return the first row of FORMATS that describes the file."""
    known = (form for form in FORMATS if form.describes(header, row))
    return next(known, WITHOUT_HEADER if header is None else WITH_HEADER)
