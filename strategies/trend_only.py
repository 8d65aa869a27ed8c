"""Own features, an own network and own rules: buy signals only, in a rising market, with a stop.

bt-neuro backtest EURUSD_H1.csv --strategy strategies/trend_only.py --param threshold=0.5
"""

import backtrader as bt

from bt_neuro import BatchNorm, Dense, NeuroStrategy


class TrendOnly(NeuroStrategy):
    """Buys confident bottoms above the 200-bar average; leaves at a sell signal or at a stop.

    Params:
      - ``threshold`` (default: ``0.5``): least probability of a buy
      - ``stop_atr`` (default: ``2.0``): distance of the stop below the deciding close, in ATR
    """

    params = (("threshold", 0.5), ("stop_atr", 2.0), ("history_bars", 30))

    def __init__(self, **unknown):
        self.trend = bt.ind.SMA(self.data.close, period=200)
        self.atr = bt.ind.ATR(self.data, period=14)
        self.stop_order = None
        super().__init__(**unknown)

    def features(self):
        return {**super().features(), "slope": bt.ind.ROC(self.data.close, period=20)}

    def layers(self, inputs):
        return [
            BatchNorm(100, activation="tanh"),
            Dense(64, activation="tanh"),
            Dense(3, activation="sigmoid"),
        ]

    def decide(self, signal):
        price = self.data.close[0]
        if self.position:
            if signal.is_sell:
                self.cancel(self.stop_order)
                self.close()
        elif signal.is_buy and signal.confidence > self.p.threshold and price > self.trend[0]:
            entry = self.order_target_percent(target=self.p.size, transmit=False)
            stop = price - self.p.stop_atr * self.atr[0]
            self.stop_order = self.sell(exectype=bt.Order.Stop, size=entry.size, price=stop, parent=entry)
