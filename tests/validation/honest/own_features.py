import backtrader as bt
from small import Small


class OwnFeatures(Small):
    """Own indicators, a running mean of its own, a stop, and what it says of past bars kept in lists."""

    def __init__(self, **unknown):
        self.mean, self.seen = 0.0, 0
        super().__init__(**unknown)

    def features(self):
        return {
            "slope": bt.ind.ROC(period=10),
            "range": self.data.high - self.data.low,
            "before": self.data.close(-1) - self.data.open(-1),
        }

    def decide(self, signal):
        self.seen += 1
        self.mean += (self.data.close[0] - self.mean) / self.seen
        if not self.position and self.data.close[0] > self.mean and self.data.close[-1] < self.data.close[0]:
            self.buy(size=100, exectype=bt.Order.StopTrail, trailpercent=0.001)
        elif self.position and signal.is_sell:
            self.close()
