import backtrader as bt
from small import Small


class Learns(bt.Indicator):
    """Learns how much of a move is left in the next; backtrader runs it over the whole file beforehand."""

    lines = ("last",)
    share = 0.0

    def __init__(self):
        self.addminperiod(3)

    def next(self):
        before, now = self.data[-1] - self.data[-2], self.data[0] - self.data[-1]
        self.share += 0.01 * before * 1e4 * (now - self.share * before) * 1e4
        self.lines.last[0] = now


class LearningIndicator(Small):
    """Asks an indicator what it has learned, instead of reading its line."""

    def __init__(self, **unknown):
        self.model = Learns(self.data.close)
        super().__init__(**unknown)

    def decide(self, signal):
        self.order_target_size(target=self.model.share * self.model.last[0])
