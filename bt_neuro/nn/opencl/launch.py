"""One launch of a program: staging buffers, the kernel between them, and the wait for its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import DeviceError
from bt_neuro.nn.opencl.device import Device, pyopencl
from bt_neuro.nn.opencl.program import Program
from bt_neuro.nn.reference.passes import Array

_LONG_LAUNCH, _POLL_S = 10_000, 5e-4  # numbers sent, about eight windows of the article's network
_COMPLETE = 0  # of an event's status; errors are below


def naming_device(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method whose OpenCL errors become one that names the device and a remedy."""

    @wraps(method)
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return method(self, *arguments, **options)
        except pyopencl().Error as error:
            remedy = "Choose another device, or use --device numpy."
            if isinstance(error, pyopencl().MemoryError):
                remedy = "Use fewer seeds or a smaller network, or --device numpy."
            reason = " ".join(str(error).split())[:1000]
            raise DeviceError(f"{self.device} cannot run the network: {reason}. {remedy}") from error

    return call


class StagingBuffer:
    """Memory through which host and device exchange numbers; `array` is the host's side.

    A CPU's memory is the device's own: shared (fine-grained SVM), it needs no copy, and a copy is a command
    of its own that costs PoCL as much as half a bar. Other devices get a buffer and copies.
    """

    def __init__(self, cl: Any, context: Any, queue: Any, dtype: type[np.floating], size: int) -> None:
        self._cl, self._queue = cl, queue
        device = context.devices[0]
        shared = getattr(device, "svm_capabilities", 0) & cl.device_svm_capabilities.FINE_GRAIN_BUFFER
        if shared and device.type & cl.device_type.CPU:
            flags = cl.svm_mem_flags.READ_WRITE | cl.svm_mem_flags.SVM_FINE_GRAIN_BUFFER
            self.array: Array = cl.svm_empty(context, flags, size, dtype, alignment=64)
            self.argument, self._buffer = cl.SVM(self.array), None
        else:
            self.array = np.empty(size, dtype)
            self._buffer = self.argument = cl.Buffer(context, cl.mem_flags.READ_WRITE, self.array.nbytes)

    def send(self, size: int) -> None:
        if self._buffer is not None:
            copy, numbers = self._cl.enqueue_copy, self.array[:size]
            # The event is kept, for dropping it would block.
            self._copy = copy(self._queue, self._buffer, numbers, is_blocking=False)

    def receive(self, size: int) -> None:
        if self._buffer is not None:
            self._cl.enqueue_copy(self._queue, self.array[:size], self._buffer)


class Launch:
    """A kernel with its own staging buffers, so that other launches can be enqueued while it runs."""

    _long: ClassVar[set[Launch]] = set()  # launches of one member that are under way, of any network

    def __init__(
        self,
        device: Device,
        enqueue: Any,
        program: Program,
        memory: Any,
        members: int,
        staging: Any,
        free: Any,
        kernel: Any,
    ) -> None:
        self.device, self._enqueue, self._program, self._memory = device, enqueue, program, memory
        self._members, self._staging, self._free, self._kernel = members, staging, free, kernel
        items = program.shape.work_items
        self._items = (members * items,), (items,)  # in all, and of a group
        self._capacity = 0  # windows
        self._prepared: tuple[int, int, int] | None = None
        self._done: Any = None

    def send(
        self, mode: int, learn: Array, targets: Array, predict: Array, rates: Array, first_step: int
    ) -> None:
        if self._prepared != (mode, len(learn), len(predict)):
            self._prepare(mode, len(learn), len(predict))
        first, own_rates, own_targets, own_learn, own_predict = self._inward
        # In the inbox, not an argument: to set one costs pyopencl more than all the rest of a launch.
        first[0] = first_step & 0xFFFFFFFF
        if len(learn):  # here alone numbers become the kernel's own type
            own_rates[...], own_targets[...], own_learn[...] = rates, targets, learn
        if len(predict):
            own_predict[...] = predict
        self._inbox.send(self._sent)
        if self._members == 1 and self._sent > _LONG_LAUNCH:
            self._long.add(self)
        self._done = self._enqueue(self._kernel, *self._items)

    @naming_device
    def receive(self) -> tuple[Array, Array]:
        """Wait, and return both outputs, (members, windows, n_outputs). Call it once."""
        # A runtime spins in wait(), on the core of another process; but several members or networks keep all
        # cores busy, and there the waiting thread is one that computes.
        if self in self._long:
            while self._is_alone() and self._done.command_execution_status > _COMPLETE:
                time.sleep(_POLL_S)
            self._long.discard(self)
        self._done.wait()  # a few microseconds less than the queue's finish()
        self._outbox.receive(self._received)
        learned, predicted = self._outward
        outputs = learned.copy(), predicted.copy()
        self._free.append(self)
        return outputs

    def _is_alone(self) -> bool:
        return all(launch._memory is self._memory for launch in tuple(self._long))

    def _prepare(self, mode: int, learn: int, predict: int) -> None:
        """Cut the staging buffers for a mode and its windows: most launches are like the one before."""
        self._prepared, windows = None, max(learn, predict)
        members, layout = self._members, self._program.layout
        if windows > self._capacity:
            self._inbox = self._staging(2 + windows * (4 * members + layout.n_outputs + 2 * layout.n_inputs))
            self._outbox = self._staging(members * 2 * windows * layout.n_outputs)
            self._capacity = windows
        boxes = self._inbox.argument, self._outbox.argument
        self._kernel.set_args(*self._memory, *boxes, np.int32(mode), np.int32(windows))
        self._inward: list[NDArray[Any]] = [self._inbox.array[:1].view(np.uint32)]
        self._sent = 2
        rates = members, -(-windows // self._program.batch_size), 4
        for shape in (rates, (learn, layout.n_outputs), (learn, layout.n_inputs), (predict, layout.n_inputs)):
            start, self._sent = self._sent, self._sent + math.prod(shape)
            self._inward.append(self._inbox.array[start : self._sent].reshape(shape))
        self._received = members * 2 * windows * layout.n_outputs
        out = self._outbox.array[: self._received].reshape(members, 2, windows, layout.n_outputs)
        self._outward = out[:, 0, :learn], out[:, 1, :predict]
        self._prepared = mode, learn, predict
