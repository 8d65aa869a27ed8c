"""Our own network as a variant: on a device, or as the NumPy reference."""

from __future__ import annotations

from bt_neuro.bench.peer import Array, Start
from bt_neuro.nn.models import article_layers
from bt_neuro.nn.network import Network
from bt_neuro.nn.optimizers import Adam


class OwnPeer:
    """`Network`, called as a strategy calls it."""

    def __init__(self, start: Start, network: Network, name: str, about: str) -> None:
        self.name, self.about, self._network = name, about, network
        network.set_state(start.state, 0)

    def predict(self, window: Array) -> Array:
        return self._network.predict(window, update_statistics=True)

    def learn(self, window: Array, target: Array) -> Array:
        return self._network.learn(window, target)

    def bar(self, earlier: Array, target: Array, window: Array) -> Array:
        return self._network.learn_then_predict(earlier, target, window)

    def begin(self, window: Array) -> Array:
        self._last = window
        return self.predict(window)

    def stream(self, target: Array, window: Array) -> Array:
        last, self._last = self._last, window
        return self._network.learn_then_predict(last, target, window)


def article_network(device: str, learning_rate: float) -> Network:
    return Network(article_layers(), 240, optimizer=Adam(learning_rate), device=device)


def reference(start: Start) -> OwnPeer:
    network = article_network("numpy", start.learning_rate)
    return OwnPeer(start, network, "NumPy reference", "the slow definition of the network, not tuned")
