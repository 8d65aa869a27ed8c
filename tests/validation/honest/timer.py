import datetime

from small import Small


class Timer(Small):
    """Trades at a time of day; Cerebro reads the next bar's time for it."""

    def start(self):
        super().start()
        self.rings = 0

    def __init__(self, **unknown):
        super().__init__(**unknown)
        self.add_timer(when=datetime.time(12, 0))

    def notify_timer(self, timer, when):
        self.rings += 1

    def decide(self, signal):
        self.order_target_size(target=100 * (self.rings % 2))
