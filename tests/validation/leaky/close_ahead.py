from small import Small


class CloseAhead(Small):
    """Buys before a rise: tomorrow's close, which backtrader's default mode gives away."""

    def decide(self, signal):
        self.order_target_percent(target=0.9 if self.data.close[1] > self.data.close[0] else -0.9)
