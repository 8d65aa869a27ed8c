"""Engines of one network: a program for each batch size, of which one holds the state."""

from __future__ import annotations

from typing import Any

import numpy as np

from bt_neuro.errors import LayerError
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.numpy_engine import NumpyEngine
from bt_neuro.nn.opencl.device import Device, choose
from bt_neuro.nn.opencl.program import Program
from bt_neuro.nn.opencl.runner import Runner
from bt_neuro.nn.reference.passes import Array

Engine = Runner | NumpyEngine


class Engines:
    """Engines made when needed; a copy carries the state and the device's name.

    Parameters
    ----------
    layout, seeds, precision : the network
    device : "numpy", a device, or words that `choose` takes
    """

    def __init__(self, layout: Layout, seeds: tuple[int, ...], precision: str, device: str | Device) -> None:
        self.layout, self.seeds, self.precision, self.device = layout, seeds, precision, device
        self.dtype: type[np.floating] = np.float64 if precision == "double" else np.float32
        # Before there is an engine, the state lies here.
        try:
            self._state: Array | None = np.empty((len(seeds), layout.size), self.dtype)
        except MemoryError as error:
            raise LayerError(f"{len(seeds)} networks need more memory: {error}. Use fewer seeds.") from error
        for own, seed in zip(self._state, seeds, strict=True):
            own[...] = layout.initial_state(seed)
        self._by_size: dict[int, Engine] = {}
        self._current: Engine | None = None

    @property
    def current(self) -> Engine:
        """The engine that holds the state."""
        return self._current or self.of(1)

    def of(self, batch_size: int) -> Engine:
        """Return the engine of a batch size, with the state in it."""
        if self._current is None or self._current.batch_size != batch_size:
            state = self._read()
            if batch_size in self._by_size:
                self._by_size[batch_size].write(state)
            else:
                self._by_size[batch_size] = self._new(batch_size, state)
            self._current, self._state = self._by_size[batch_size], None
        return self._current

    def _read(self) -> Array:
        return self.current.read() if self._state is None else self._state

    def _new(self, batch_size: int, state: Array) -> Engine:
        if self.device == "numpy":
            return NumpyEngine(self.layout, state, self.seeds, batch_size)
        device = self.device = choose(self.device) if isinstance(self.device, str) else self.device
        program = Program(self.layout, device.shape(double=self.precision == "double"), batch_size)
        return Runner(program, device, state, self.seeds)

    def __getstate__(self) -> dict[str, Any]:
        state = {"_state": self._read(), "_by_size": {}, "_current": None}
        return {**vars(self), "device": str(self.device), **state}
