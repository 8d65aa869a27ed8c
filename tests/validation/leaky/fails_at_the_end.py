from small import Small


class FailsAtTheEnd(Small):
    """Looks at the next bar and does nothing with it: harmless, until there is no next bar."""

    def decide(self, signal):
        self.tomorrow = self.data.close[1]
