from small import HigherClose, Small


class Rises(Small):
    """Learns another label."""

    def label(self):
        return HigherClose()
