"""OpenCL engine: a network's program with its memory on a device. One call is one launch."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import DeviceError
from bt_neuro.nn.opencl.device import Device, build, pyopencl
from bt_neuro.nn.opencl.program import Program
from bt_neuro.nn.reference.passes import Array, Mode


class _StagingBuffer:
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
            self._copy = copy(
                self._queue, self._buffer, numbers, is_blocking=False
            )  # kept: dropped, it blocks

    def receive(self, done: Any, size: int) -> None:
        if self._buffer is not None:
            self._cl.enqueue_copy(self._queue, self.array[:size], self._buffer)
        else:
            done.wait()  # a few microseconds less than the queue's finish()


class _Launch:
    """A kernel with staging buffers of its own: another one can be sent while this one runs."""

    def __init__(
        self, enqueue: Any, program: Program, memory: Any, members: int, staging: Any, kernel: Any
    ) -> None:
        self._enqueue, self._program, self._memory = enqueue, program, memory
        self._members, self._staging, self._kernel = members, staging, kernel
        self._capacity = 0  # windows
        self._prepared: tuple[int, int, int] | None = None
        self._done: Any = None

    def send(
        self, mode: int, learn: Array, targets: Array, predict: Array, rates: Array, first_step: int
    ) -> None:
        if self._done is not None:
            self._done.wait()  # until then the staging buffers are the last launch's
        launch = mode, len(learn), len(predict)
        if self._prepared != launch:
            self._prepare(*launch)
        first, *parts = self._inward
        # In the inbox, not an argument: to set one costs pyopencl more than all the rest of a launch.
        first[0] = first_step & 0xFFFFFFFF
        for part, numbers in zip(parts, (rates, targets, learn, predict), strict=True):
            if numbers.size:
                part[...] = numbers  # the one place where numbers become the kernel's own type
        self._inbox.send(self._sent)
        items = self._program.shape.work_items
        self._done = self._enqueue(self._kernel, (self._members * items,), (items,))

    def receive(self) -> tuple[Array, Array]:
        self._outbox.receive(self._done, self._received)
        learned, predicted = self._outward
        return learned.copy(), predicted.copy()

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


class Runner:
    """A built program with the state of one or more networks ("members") on a device.

    Parameters
    ----------
    program : the network's program
    device : where it runs
    state : (members, layout.size), the numbers to start with
    seeds : one a member

    Attributes
    ----------
    batch_size : windows that make one learning step
    can_skip : whether it can leave a layer out (`Mode.SKIPPED`)

    Raises
    ------
    DeviceError
        When the device cannot build the program.
    """

    def __init__(self, program: Program, device: Device, state: Array, seeds: tuple[int, ...]) -> None:
        cl = self._cl = pyopencl()
        self._program, self.device, self._members = program, device, len(seeds)
        self.batch_size, self.can_skip = program.batch_size, program.shape.work_items == 1
        self._dtype: type[np.floating] = np.float64 if program.shape.double else np.float32
        context = cl.Context([device.handle])
        self._queue = cl.CommandQueue(context)
        try:
            built = build(cl, context, program.source)
        except cl.Error as error:
            raise DeviceError(f"{device} cannot build the network: {str(error)[:2000]}") from error
        size = len(seeds) * program.size * np.dtype(self._dtype).itemsize
        self._networks = cl.Buffer(context, cl.mem_flags.READ_WRITE, size)
        cl.enqueue_fill_buffer(self._queue, self._networks, np.zeros(1, self._dtype), 0, self._networks.size)
        folded = np.array([seed & 0xFFFFFFFF for seed in seeds], np.uint32)
        flags = cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR
        memory = self._networks, cl.Buffer(context, flags, hostbuf=folded)
        staging = partial(_StagingBuffer, cl, context, self._queue, self._dtype)
        enqueue = partial(cl.enqueue_nd_range_kernel, self._queue)
        launch = partial(_Launch, enqueue, program, memory, len(seeds), staging)
        modes = Mode.LEARN, Mode.PREDICT, Mode.BOTH
        self._launches = {mode: launch(cl.Kernel(built, "network_run")) for mode in modes}
        finalize(self, self._queue.finish)  # a staging buffer must outlive the launch that writes to it
        self.write(state)

    def write(self, state: Array) -> None:
        """Set the state of all members, (members, layout.size)."""
        layout = self._program.layout
        numbers = np.ascontiguousarray(state, self._dtype).reshape(self._members, layout.size)
        for member, own in enumerate(numbers):
            offset = member * self._program.size * own.itemsize
            self._cl.enqueue_copy(self._queue, self._networks, own, dst_offset=offset)

    def read(self, first: int = 0, size: int | None = None) -> Array:
        """Return the state of all members, (members, layout.size), or so many numbers of it."""
        state = np.empty((self._members, self._program.layout.size if size is None else size), self._dtype)
        for member, own in enumerate(state):
            offset = (member * self._program.size + first) * own.itemsize
            self._cl.enqueue_copy(self._queue, own, self._networks, src_offset=offset)
        return state

    def run(
        self, mode: int, *numbers: Any, meanwhile: Callable[[], None] | None = None, wait: bool = True
    ) -> tuple[Array, Array]:
        """Learn and predict windows in turns; return both outputs, (members, windows, n_outputs).

        Parameters
        ----------
        mode : see `Mode`
        numbers : windows to learn, their targets, windows to predict; rates (members, steps, 4), or
            (1, steps, 4) for all members; number of the first learning step, from 1 on
        meanwhile : called once the device is at work; its error is raised once the device is done
        wait : False returns at once and without outputs; the next run follows in order
        """
        launch = self._launches[mode & Mode.BOTH]
        launch.send(mode, *numbers)
        if meanwhile is not None or not wait:
            self._queue.flush()  # else a runtime may start the work only at the wait
        if not wait:
            return (np.empty((self._members, 0, self._program.layout.n_outputs), self._dtype),) * 2
        try:
            if meanwhile is not None:
                meanwhile()
        finally:
            outputs = launch.receive()
        return outputs
