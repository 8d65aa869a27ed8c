from small import Small


class LearnsTomorrow(Small):
    """Lets the network learn today's window from tomorrow's close, which it takes from the frame of bars."""

    def decide(self, signal):
        closes = self.data.p.bars["close"]
        if signal.bar + 1 < len(closes):
            rises = closes[signal.bar + 1] > closes[signal.bar]
            self.network.learn(
                self.learner.window, [0.0, float(rises), float(not rises)], update_statistics=False
            )
