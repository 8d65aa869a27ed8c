"""A strategy with attributes of many kinds, all of which a restart must bring back."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

import pandas as pd
from small import Small


class Side(enum.Enum):
    FLAT = "flat"
    LONG = "long"


class Rank(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Setup:
    price: float
    sides: list[Side] = field(default_factory=list)
    inner: Point | None = None


@dataclass(frozen=True)
class Point:
    bar: int
    rank: Rank = Rank.LOW


class Remembers(Small):
    """Remembers one value of each kind from bar 100, and counts."""

    ended: ClassVar[list[Remembers]] = []

    def __init__(self, **unknown):
        super().__init__(**unknown)
        self.side, self.when, self.setup, self.point, self.last = Side.FLAT, None, None, Point(0), None
        self.recent = deque(maxlen=3)
        self.count, self.setups, self.wait = 0, {}, None
        self.left = None

    def decide(self, signal):
        self.count += 1
        self.recent.append(signal)
        if signal.bar == 100:
            self.side, self.last, self.point = Side.LONG, signal, Point(100, Rank.HIGH)
            self.when = pd.Timestamp("2024-01-05 04:00:00.000000007", tz="UTC")
            self.setups = {"a": [Setup(1.5), Setup(2.5, [Side.FLAT])]}
            self.wait = pd.Timedelta(hours=3)
            self.setup = Setup(self.data.close[0], [Side.LONG, Side.FLAT], Point(7))

    def stop(self):
        self.ended.append(self)

    def remembered(self):
        last = self.last.data is self.data and self.last
        whole = (self.side, self.when, self.setup, self.point, last, list(self.recent), self.count)
        whole += (self.setups, self.wait)
        return (*whole, self.side is Side.LONG, [one.data is self.data for one in self.recent])


class Forgets(Remembers):
    """Has an attribute that cannot be saved, and an object of a class that its module does not name."""

    def decide(self, signal):
        super().decide(signal)
        self.left = Decimal(1)
        self.odd = type("Local", (), {})()
