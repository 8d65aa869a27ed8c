import numpy as np
from small import Small


class WholeScaling(Small):
    """Scales a feature by mean and deviation of the whole file."""

    def features(self):
        closes = np.array(self.data.close.array)
        return {
            "move": self.data.close - self.data.open,
            "scaled": (self.data.close - closes.mean()) / closes.std(),
        }
