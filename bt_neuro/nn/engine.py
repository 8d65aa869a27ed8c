"""What runs a network's arithmetic: OpenCL, or what needs nothing but NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bt_neuro.nn.layout import Layout
from bt_neuro.nn.opencl.runner import Runner
from bt_neuro.nn.reference.activations import Array
from bt_neuro.nn.reference.network import ReferenceNetwork


class NumpyEngine:
    """The reference network behind the face of a `Runner`."""

    def __init__(self, layout: Layout, block: Array, seeds: Sequence[int], rows: int = 1) -> None:
        self.rows, self.can_skip = rows, True
        self._networks = [
            ReferenceNetwork(layout, state.copy(), seed, rows)
            for state, seed in zip(block, seeds, strict=True)
        ]

    def run(self, *call: Any, meanwhile: Any = None, wait: bool = True) -> tuple[Array, Array]:
        *passes, rates, first_step = call
        by_lane = np.broadcast_to(rates, (len(self._networks), *rates.shape[-2:]))
        calls = zip(self._networks, ((*passes, own, first_step) for own in by_lane), strict=True)
        learned, predicted = zip(*(network.run(*arguments) for network, arguments in calls), strict=True)
        if meanwhile is not None:
            meanwhile()
        return np.stack(learned), np.stack(predicted)

    def read(self, first: int = 0, size: int | None = None) -> Array:
        end = None if size is None else first + size
        return np.stack([network.block[first:end] for network in self._networks])

    def write(self, block: Array) -> None:
        for network, state in zip(self._networks, block, strict=True):
            network.block[...] = state


Engine = Runner | NumpyEngine
