"""The default strategy with the hour of the day among its features."""

from __future__ import annotations

import math

import backtrader as bt
from small import LAYERS

from bt_neuro import NeuroStrategy


class HourOfDay(bt.Indicator):
    """Position of the hour on circles of 24 and 12 hours."""

    lines = ("sin_24", "cos_24", "sin_12", "cos_12")

    def next(self):
        hour = self.data.opened.datetime(0).hour
        angles = [2 * math.pi * hour / hours for hours in (24, 12)]
        for line, value in zip(self.lines, [f(a) for a in angles for f in (math.sin, math.cos)], strict=True):
            line[0] = value


class Hourly(NeuroStrategy):
    """Knows the hour, as a trader who looks for its direction would let it."""

    def features(self):
        lines = HourOfDay(self.data).lines
        return {**super().features(), **{name: getattr(lines, name) for name in lines.getlinealiases()}}


class SmallHourly(Hourly):
    """The same with a small network on one bar."""

    params = (("history_bars", 1), ("device", "numpy"), ("learning_rate", 0.01))

    def layers(self, inputs):
        return list(LAYERS)
