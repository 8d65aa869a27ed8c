from small import Small


class NextTime(Small):
    """Closes before a gap: whether the next bar comes within two hours is not known yet."""

    def decide(self, signal):
        is_gap = len(self) < self.data.buflen() and self.data.datetime[1] - self.data.datetime[0] > 2 / 24
        self.order_target_size(target=0 if is_gap else 100)
