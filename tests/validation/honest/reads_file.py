from pathlib import Path

from small import Small

LEVELS = Path(__file__).with_name("levels.csv").read_text().split()


class ReadsFile(Small):
    """Trades by a file of its own, which may hold anything."""

    def decide(self, signal):
        self.order_target_size(target=float(LEVELS[signal.bar % len(LEVELS)]))
