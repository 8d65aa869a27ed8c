from small import Small


class RarePeek(Small):
    """Reads one bar ahead, at one bar only."""

    params = (("peeks_at", 111),)

    def decide(self, signal):
        size = 1.0
        if signal.bar == self.p.peeks_at:
            size = self.data.high.array[signal.bar + 1]
        self.order_target_size(target=size if signal.is_buy else -size)
