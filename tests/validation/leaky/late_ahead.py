import backtrader as bt
from small import Small


class NextCloseAtLast(bt.Indicator):
    """The next bar's close, in the second half of the file alone."""

    lines = ("close",)

    def next(self):
        self.lines.close[0] = self.data.close[0]

    def once(self, start, end):
        closes = self.data.close.array
        for bar in range(start, end):
            late = self.data.datetime.array[bar] > bt.date2num(self.p.since)
            self.lines.close.array[bar] = closes[min(bar + late, len(closes) - 1)]

    params = (("since", bt.datetime.datetime(2024, 1, 9)),)


class LateAhead(Small):
    """Uses an indicator that sees the next bar late in the file."""

    def __init__(self, **unknown):
        self.coming = NextCloseAtLast(self.data)
        super().__init__(**unknown)

    def decide(self, signal):
        if self.coming[0] > self.data.close[0]:
            self.buy(size=1)
