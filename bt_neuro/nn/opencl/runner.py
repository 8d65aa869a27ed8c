"""A network's program with its memory on a device: one call is one launch."""

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
from bt_neuro.nn.reference.network import Mode

Array = NDArray[np.floating]


class _Mailbox:
    """Numbers that host and device hand each other; `array` is the host's side.

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
            self._copy = copy(self._queue, self._buffer, numbers, is_blocking=False)  # dropped, it would wait

    def receive(self, done: Any, size: int) -> None:
        if self._buffer is not None:
            self._cl.enqueue_copy(self._queue, self.array[:size], self._buffer)
        else:
            done.wait()  # a few microseconds less than the queue's finish()


class _Launch:
    """A kept kernel with mailboxes of its own: another one can be sent while this one is still at work."""

    def __init__(
        self, enqueue: Any, program: Program, memory: Any, lanes: int, mailbox: Any, kernel: Any
    ) -> None:
        self._enqueue, self._program, self._memory = enqueue, program, memory
        self._lanes, self._mailbox, self._kernel = lanes, mailbox, kernel
        self._windows = 0  # there is room for
        self._prepared: tuple[int, int, int] | None = None
        self._done: Any = None

    def send(
        self, mode: int, learn: Array, targets: Array, predict: Array, rates: Array, first_step: int
    ) -> None:
        if self._done is not None:
            self._done.wait()  # until then the mailboxes are the last launch's
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
        self._done = self._enqueue(self._kernel, (self._lanes * items,), (items,))

    def receive(self) -> tuple[Array, Array]:
        self._outbox.receive(self._done, self._received)
        learned, predicted = self._outward
        return learned.copy(), predicted.copy()

    def _prepare(self, mode: int, learn: int, predict: int) -> None:
        """Cut the mailboxes for a mode and so many windows: most launches are like the one before."""
        self._prepared, windows = None, max(learn, predict)
        lanes, layout = self._lanes, self._program.layout
        if windows > self._windows:
            self._allocate(windows)
        mail = self._inbox.argument, self._outbox.argument
        self._kernel.set_args(*self._memory, *mail, np.int32(mode), np.int32(windows))
        self._inward: list[NDArray[Any]] = [self._inbox.array[:1].view(np.uint32)]
        self._sent = 2
        rates = lanes, -(-windows // self._program.rows), 4
        for shape in (rates, (learn, layout.n_outputs), (learn, layout.n_inputs), (predict, layout.n_inputs)):
            start, self._sent = self._sent, self._sent + math.prod(shape)
            self._inward.append(self._inbox.array[start : self._sent].reshape(shape))
        self._received = lanes * 2 * windows * layout.n_outputs
        out = self._outbox.array[: self._received].reshape(lanes, 2, windows, layout.n_outputs)
        self._outward = out[:, 0, :learn], out[:, 1, :predict]
        self._prepared = mode, learn, predict

    def _allocate(self, windows: int) -> None:
        lanes, layout = self._lanes, self._program.layout
        self._inbox = self._mailbox(2 + windows * (4 * lanes + layout.n_outputs + 2 * layout.n_inputs))
        self._outbox = self._mailbox(lanes * 2 * windows * layout.n_outputs)
        self._windows = windows


class Runner:
    """A built program with its memory on a device. One call is one launch.

    Parameters
    ----------
    program : the network's program
    device : where it runs
    block : (lanes, layout.size) the networks' numbers to start with
    seeds : one a lane

    Attributes
    ----------
    rows : windows that make one learning step
    can_skip : whether it can leave a layer out (`Mode.SKIPPED`)
    """

    def __init__(self, program: Program, device: Device, block: Array, seeds: tuple[int, ...]) -> None:
        cl = self._cl = pyopencl()
        self._program, self.device, self._lanes = program, device, len(seeds)
        self.rows, self.can_skip = program.rows, program.shape.work_items == 1
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
        mailbox = partial(_Mailbox, cl, context, self._queue, self._dtype)
        enqueue = partial(cl.enqueue_nd_range_kernel, self._queue)
        launch, kernel = partial(_Launch, enqueue, program, memory, len(seeds), mailbox), "network_run"
        self._launches = {n: launch(cl.Kernel(built, kernel)) for n in (Mode.LEARN, Mode.PREDICT, Mode.BOTH)}
        finalize(self, self._queue.finish)  # a mailbox must not go while a launch writes to it
        self.write(block)

    def write(self, block: Array) -> None:
        """Set the state of all lanes, (lanes, layout.size)."""
        layout = self._program.layout
        numbers = np.ascontiguousarray(block, self._dtype).reshape(self._lanes, layout.size)
        for lane, state in enumerate(numbers):
            offset = lane * self._program.size * state.itemsize
            self._cl.enqueue_copy(self._queue, self._networks, state, dst_offset=offset)

    def read(self, first: int = 0, size: int | None = None) -> Array:
        """Return the state of all lanes, (lanes, layout.size), or so many numbers of it."""
        block = np.empty((self._lanes, self._program.layout.size if size is None else size), self._dtype)
        for lane, state in enumerate(block):
            offset = (lane * self._program.size + first) * state.itemsize
            self._cl.enqueue_copy(self._queue, state, self._networks, src_offset=offset)
        return block

    def run(
        self, mode: int, *numbers: Any, meanwhile: Callable[[], None] | None = None, wait: bool = True
    ) -> tuple[Array, Array]:
        """Run steps as `ReferenceNetwork.run` does; return both outputs, (lanes, windows, n_outputs).

        The learning rates are (lanes, steps, 4), or (steps, 4) for all lanes alike. `meanwhile` is called
        once the device is at work, and what it raises once the device is done. Without `wait` the device may
        still be at work, and there are no windows in the outputs; what is sent next is done next.
        """
        launch = self._launches[mode & Mode.BOTH]
        launch.send(mode, *numbers)
        if meanwhile is not None or not wait:
            self._queue.flush()  # else a runtime may wait for the wait
        if not wait:
            return (np.empty((self._lanes, 0, self._program.layout.n_outputs), self._dtype),) * 2
        try:
            if meanwhile is not None:
                meanwhile()
        finally:
            outputs = launch.receive()
        return outputs
