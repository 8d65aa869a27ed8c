"""OpenCL engine: a program with the memory of its networks on a device. One call is one launch a buffer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple
from weakref import finalize

import numpy as np

from bt_neuro.errors import DeviceError
from bt_neuro.nn.opencl.device import Device, build, pyopencl
from bt_neuro.nn.opencl.launch import Launch, StagingBuffer, naming_device
from bt_neuro.nn.opencl.program import Program
from bt_neuro.nn.reference.passes import Array, Mode


class _Part(NamedTuple):
    """Members whose networks lie in one buffer, and how launches of them are made."""

    members: slice
    networks: Any
    new: Callable[[list[Launch]], Launch]
    free: dict[int, list[Launch]]  # launches that are done, by mode


class _Joined(NamedTuple):
    """Launches of all parts, received as one."""

    launches: list[Launch]

    def receive(self) -> tuple[Array, Array]:
        """Wait, and return both outputs, (members, windows, n_outputs). Call it once."""
        learned, predicted = zip(*(launch.receive() for launch in self.launches), strict=True)
        return np.concatenate(learned), np.concatenate(predicted)


class _Copy(NamedTuple):
    """Copy of a `Runner`'s state on the device: a buffer for each part, and the event of the last copy."""

    buffers: list[Any]
    done: Any


class Runner:
    """A built program with the state of one or more networks ("members") on a device.

    Members that do not fit a device's largest buffer are spread over several, each with a launch of its own, one
    after another.

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
        When the device cannot build the program, or has not the memory.
    """

    def __init__(self, program: Program, device: Device, state: Array, seeds: tuple[int, ...]) -> None:
        self._cl = pyopencl()
        self._program, self.device, self._members = program, device, len(seeds)
        self.batch_size, self.can_skip = program.batch_size, program.shape.work_items == 1
        self._dtype: type[np.floating] = np.float64 if program.shape.double else np.float32
        self._open(state, seeds)

    @naming_device
    def _open(self, state: Array, seeds: tuple[int, ...]) -> None:
        cl, program = self._cl, self._program
        a_buffer = self._members_a_buffer()
        context = cl.Context([self.device.handle])
        self._queue, self._copies = cl.CommandQueue(context), None
        built = build(cl, context, program.source)
        staging = partial(StagingBuffer, cl, context, self._queue, self._dtype)
        enqueue = partial(cl.enqueue_nd_range_kernel, self._queue)

        def part_of(members: slice) -> _Part:
            own = np.array([seed & 0xFFFFFFFF for seed in seeds[members]], np.uint32)
            networks = cl.Buffer(context, cl.mem_flags.READ_WRITE, len(own) * self._bytes_a_member)
            cl.enqueue_fill_buffer(self._queue, networks, np.zeros(1, self._dtype), 0, networks.size)
            flags = cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR
            memory = networks, cl.Buffer(context, flags, hostbuf=own)
            launch = partial(Launch, self.device, enqueue, program, memory, len(own), staging)
            kernel = partial(cl.Kernel, built, "network_run")  # its arguments stay from launch to launch
            return _Part(members, networks, lambda free: launch(free, kernel()), defaultdict(list))

        starts = range(0, len(seeds), a_buffer)
        self._parts = [part_of(slice(start, start + a_buffer)) for start in starts]
        self._launches: list[Launch] = []  # all: a staging buffer must outlive the kernel that writes to it
        finalize(self, Launch._long.difference_update, self._launches)
        finalize(self, self._queue.finish)
        self.write(state)

    def _members_a_buffer(self) -> int:
        """Return how many members share a buffer: as few buffers as the device allows, equally full."""
        device, members, size = self.device, self._members, self._bytes_a_member
        fit = min(device.largest_buffer // size, device.memory // size)
        if not fit:
            most = min(device.largest_buffer, device.memory)
            raise DeviceError(f"{device} has {most} bytes for a network, not {size}. Use a smaller network.")
        if members * size > device.memory:
            most = device.memory // size
            raise DeviceError(
                f"{device} has {device.memory} bytes for networks, not {members * size}. Use at most {most} seeds."
            )
        return -(-members // -(-members // fit))

    @property
    def _bytes_a_member(self) -> int:
        return self._program.size * np.dtype(self._dtype).itemsize

    @naming_device
    def write(self, state: Array) -> None:
        """Set the state of all members, (members, layout.size)."""
        layout = self._program.layout
        numbers = np.ascontiguousarray(state, self._dtype).reshape(self._members, layout.size)
        for member, part, offset in self._places():
            self._cl.enqueue_copy(self._queue, self._parts[part].networks, numbers[member], dst_offset=offset)

    def _places(self) -> Iterator[tuple[int, int, int]]:
        """Yield each member, the number of its part, and its offset there in bytes."""
        for number, part in enumerate(self._parts):
            for place, member in enumerate(range(self._members)[part.members]):
                yield member, number, place * self._bytes_a_member

    @naming_device
    def read(self, first: int = 0, size: int | None = None, copy: _Copy | None = None) -> Array:
        """Return `size` columns of the state of all members or of a copy, (members, size); by default all."""
        state = np.empty((self._members, self._program.layout.size if size is None else size), self._dtype)
        buffers, queue, after = [part.networks for part in self._parts], self._queue, None
        if copy is not None:  # a queue of its own: launches that were sent later are not waited for
            self._copies = self._copies or self._cl.CommandQueue(self._queue.context)
            buffers, queue, after = copy.buffers, self._copies, [copy.done]
        skipped = first * state.itemsize
        for member, part, offset in self._places():
            self._cl.enqueue_copy(
                queue, state[member], buffers[part], src_offset=offset + skipped, wait_for=after
            )
        return state

    @naming_device
    def send(self, mode: int, *numbers: Any) -> Launch | _Joined:
        """Start to learn and predict windows in turns; what is sent next follows in order.

        Parameters
        ----------
        mode : see `Mode`
        numbers : windows to learn, their targets, windows to predict; rates (members, steps, 4), or
            (1, steps, 4) for all members; number of the first learning step, from 1 on

        Returns
        -------
        an object whose ``receive()`` returns both outputs, (members, windows, n_outputs)
        """
        if len(self._parts) == 1:
            launch = self._launch(self._parts[0], mode)
            launch.send(mode, *numbers)
            return launch
        learn, targets, predict, rates, first_step = numbers
        launches = [self._launch(part, mode) for part in self._parts]
        for part, launch in zip(self._parts, launches, strict=True):
            own = rates if len(rates) == 1 else rates[part.members]
            launch.send(mode, learn, targets, predict, own, first_step)
        return _Joined(launches)

    def _launch(self, part: _Part, mode: int) -> Launch:
        free = part.free[mode & Mode.BOTH]
        if not free:
            self._launches.append(launch := part.new(free))
            return launch
        return free.pop()

    def run(self, mode: int, *numbers: Any) -> tuple[Array, Array]:
        """Learn and predict windows in turns, as `send`, and wait."""
        return self.send(mode, *numbers).receive()

    @naming_device
    def flush(self) -> None:
        """Start the work on the device; without it a runtime may start only when the caller waits."""
        self._queue.flush()

    @naming_device
    def copy(self, over: _Copy | None = None) -> _Copy:
        """Return a copy of the state after all that was sent, made on the device in its turn.

        It takes the memory of `over`: the pages of fresh memory cost more than the copy.
        """
        if over is not None:
            buffers = over.buffers
        else:
            context, flags = self._queue.context, self._cl.mem_flags.READ_WRITE
            buffers = [self._cl.Buffer(context, flags, part.networks.size) for part in self._parts]
        done = [
            self._cl.enqueue_copy(self._queue, buffer, part.networks)
            for buffer, part in zip(buffers, self._parts, strict=True)
        ]
        return _Copy(buffers, done[-1])

    @naming_device
    def restore(self, copy: _Copy) -> None:
        """Set the state to that of a copy, after all that was sent."""
        for buffer, part in zip(copy.buffers, self._parts, strict=True):
            self._cl.enqueue_copy(self._queue, part.networks, buffer)
