"""Vocabulary of bar files: names of columns, months, halves of the day and time zones.

Names and months are in words.csv, one row per language. Of the words for one role in a file the first is taken,
so their order matters: MetaTrader's tick volume before its real volume, which is 0 in currencies.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PRICES = ("open", "high", "low", "close")
# Words that name a column only where no other word of its name does.
WEAK = {
    "price", "last", "first", "max", "min", "latest", "settle", "o", "h", "l", "c", "v", "t", "u", "d", "up", "down",
    "name", "time", "data",
}  # fmt: skip
SIDES = ("", "trade", "trades", "bid", "mid", "ask")  # beside the names of prices; of equals, the first
# A name with one of these beside its word is no price and no volume of the bar.
STUDIES = {
    "adj", "adjusted", "prev", "previous", "change", "chg", "ha", "heikin", "ma", "sma", "ema", "avg", "average",
    "mean", "interest", "yesterday", "session", "prior", "next", "unadjusted", "unadj", "time", "date", "trades",
    "deliverable",
}  # fmt: skip
# Beside "volume" they are the money that was paid, of which the instrument has another column.
MONEY = {"usd", "usdt", "usdc", "eur", "quote", "currency"}
HALVES = {  # of the day, and the hours that they add
    "am": 0, "pm": 12, "上午": 0, "下午": 12, "午前": 0, "午後": 12, "오전": 0, "오후": 12, "sa": 0, "ch": 12,
    "öö": 0, "ös": 12, "πμ": 0, "μμ": 12, "ص": 0, "م": 12,
}  # fmt: skip
# Offsets from UTC in minutes. Abbreviations of more than one zone, such as CST and IST, are absent.
ZONES = {
    "Z": 0, "UTC": 0, "GMT": 0, "EST": -300, "EDT": -240, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480,
    "PDT": -420, "WET": 0, "WEST": 60, "CET": 60, "CEST": 120, "MEZ": 60, "MESZ": 120, "EET": 120,
    "EEST": 180, "MSK": 180, "JST": 540, "KST": 540, "HKT": 480, "SGT": 480, "AEST": 600, "AEDT": 660,
}  # fmt: skip


@lru_cache(4096)
def plain(name: str) -> str:
    """Return the letters and digits of a name in lower case, as words.csv spells it.

    >>> plain("<TICKVOL>"), plain("bid_open"), plain("Vol.")
    ('tickvol', 'bidopen', 'vol')
    """
    return "".join(letter for letter in name.casefold() if letter.isalnum())


with Path(__file__).with_name("words.csv").open(encoding="utf-8") as _file:
    _LANGUAGES = list(csv.DictReader(_file, delimiter=";"))
WORDS = {
    role: [plain(word) for row in _LANGUAGES for word in row[role].split()]
    for role in (*PRICES, "volume", "spread", "symbol", "date", "clock", "up", "down")
}
_FOREIGN = {word for row in _LANGUAGES[2:] for role in PRICES for word in map(plain, row[role].split())}
_FOREIGN -= {plain(word) for role in PRICES for word in _LANGUAGES[1][role].split()}
MONTHS = {word: number for row in _LANGUAGES for number, word in enumerate(row["months"].split(), 1)}
_ROLES: dict[str, tuple[str, int]] = {}
for _role, _words in WORDS.items():
    for _rank, _word in enumerate(_words):
        _ROLES.setdefault(_word, (_role, _rank))


@dataclass(frozen=True)
class Name:
    """Name of a column, taken apart."""

    role: str = ""  # key of WORDS; empty where no word is known
    rank: int = 0  # of the word among those of its role; the lowest is preferred
    rest: str = ""  # beside the word, such as a ticker
    leads: bool = True  # whether the word stands before the rest

    @property
    def is_study(self) -> bool:
        """Whether the rest names something derived from the bars."""
        return bool(STUDIES.intersection(self._words))

    @property
    def is_footnote(self) -> bool:
        """Whether the rest may explain the word before it, as in Close (last), and not in Close (adjusted)."""
        return self.leads and not {*STUDIES, *SIDES}.intersection(self._words[:1])

    @property
    def is_other(self) -> bool:
        """Whether the rest names a study or a side, so that other names do not complete it."""
        return bool({*STUDIES, *SIDES}.intersection(self._words))

    @property
    def _words(self) -> list[str]:
        return re.findall(r"[^\W\d_]+", self.rest.casefold())


@lru_cache(4096)
def parse_name(text: str) -> Name:
    """Return the role that a column's name gives it.

    >>> parse_name("4. close").role, parse_name("Close_EURUSD=X").rest, parse_name("BTC:open").rest
    ('close', 'EURUSD=X', 'BTC')
    >>> parse_name("('Close', 'EURUSD=X')").rest, parse_name("adjClose").is_study, parse_name("bidclose").rest
    ('EURUSD=X', True, 'bid')
    """
    if "%" in text:
        return Name()
    text = re.sub(r"^\s*\d+[a-z]?[.)]\s*", "", text)
    if found := _ROLES.get(plain(text)):
        return Name(*found)
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    text = re.sub(r"(?i)^(bid|ask|mid)(?=[a-z])|(?<=[a-z])(bid|ask|mid)$", r" \1\2 ", text)
    tokens = list(re.finditer(r"[^\W_]+", text))
    names = []
    for n in range(len(tokens) - 1, 0, -1):
        head, tail = tokens[n - 1].end(), tokens[-n].start()
        for word, rest, leads in ((text[:head], text[head:], True), (text[tail:], text[:tail], False)):
            if found := _ROLES.get(plain(word)):
                name = Name(*found, rest.strip(" _:.-|/,()[]{}'\"<>#*"), leads)
                names.append((plain(word) in WEAK, name))
    return min(names, key=lambda name: name[0])[1] if names else Name()


def is_foreign(names: Iterable[str]) -> bool:
    """Return whether prices are named in another language than English, where dates begin with the day.

    >>> is_foreign(["Data", "Apertura", "Massimo", "Minimo", "Chiusura"]), is_foreign(["Date", "Open"])
    (True, False)
    """
    return any(plain(name) in _FOREIGN for name in names)


def spread_unit(text: str) -> str | None:
    """Return the unit that the name of a spread's column states, empty for none, None for no spread.

    >>> spread_unit("Spread (pips)"), spread_unit("spread"), spread_unit("Spread High-Low")
    ('pips', '', None)
    """
    name = parse_name(text)
    units = {"point": "points", "pts": "points", "pip": "pips", "price": "price"}
    unit = next((unit for word, unit in units.items() if word in name.rest.casefold()), "")
    return unit if name.role == "spread" and (unit or not name.rest) else None
