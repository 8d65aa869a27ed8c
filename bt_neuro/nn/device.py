"""OpenCL runtimes: found, tried, chosen; programs built and launched. The only file that imports pyopencl.

Nothing here happens at import: pyopencl itself is imported when the first device is asked for.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bt_neuro.errors import DeviceError
from bt_neuro.nn.program import Program
from bt_neuro.nn.stamps import KernelShape

VENDORS = Path("/etc/OpenCL/vendors")
REMEDY = (
    'Install one: pip install "bt-neuro[cpu]" (x86-64) or Debian\'s pocl-opencl-icd; or use --device numpy.'
)
_PROBE = "kernel void probe(global float* x) { x[get_global_id(0)] += 1; }"


@dataclass(frozen=True)
class Device:
    """A device as its runtime lists it; `problem` says why it cannot be used, once it was tried."""

    index: int
    name: str
    runtime: str
    version: str
    is_gpu: bool
    vector: int
    has_double: bool
    handle: Any
    problem: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.runtime})"

    def shape(self, *, double: bool = False) -> KernelShape:
        """Return how programs are cut for this device."""
        if double and not self.has_double:
            raise DeviceError(
                f"{self} has no double precision: use precision single (--param precision=single)"
            )
        if self.is_gpu:
            return KernelShape(vector=1, work_items=64, registers=1, double=double)
        # AVX-512 has 32 registers of 16 floats, everything smaller 16.
        return KernelShape(vector=self.vector, registers=25 if self.vector == 16 else 12, double=double)


@cache
def _pyopencl() -> Any:
    """Import pyopencl so that it also finds pip's Intel runtime, which registers itself nowhere."""
    # pyopencl reads this variable without a default when its cache folder is not writable.
    os.environ.setdefault("PYOPENCL_CACHE_FAILURE_FATAL", "")
    if not _keeps_builds():
        os.environ.setdefault("PYOPENCL_NO_CACHE", "1")
    found = next(Path(sys.prefix).glob("lib*/libintelocl.so"), None)
    if found is None or "OCL_ICD_VENDORS" in os.environ:
        import pyopencl

        return pyopencl
    with tempfile.TemporaryDirectory(prefix="bt-neuro-vendors-") as folder:
        others = (*VENDORS.glob("*.icd"), *Path(sys.prefix, "etc/OpenCL/vendors").glob("*.icd"))
        for number, icd in enumerate(others):
            Path(folder, f"{number}-{icd.name}").symlink_to(icd)
        Path(folder, "bt-neuro-intel.icd").write_text(f"{found}\n")
        os.environ["OCL_ICD_VENDORS"] = folder
        try:
            import pyopencl

            _platforms(pyopencl)  # the loader reads the folder once, at the first question
        finally:
            del os.environ["OCL_ICD_VENDORS"]
    return pyopencl


def _keeps_builds() -> bool:
    """Tell whether pyopencl can write where it keeps what it built; otherwise it fails on every device."""
    import platformdirs  # as pyopencl does

    folders = [Path(platformdirs.user_cache_dir(name, name)) for name in ("pyopencl", "pytools")]
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return all(os.access(folder, os.W_OK) for folder in folders)


def _platforms(cl: Any) -> list[Any]:
    try:
        return list(cl.get_platforms())
    except cl.LogicError:  # raised when there is none at all
        return []


@cache
def listed() -> tuple[Device, ...]:
    """Return every device the runtimes list, CPUs first, not yet tried."""
    try:
        cl = _pyopencl()
    except ImportError as error:
        raise DeviceError(f"pyopencl cannot be imported ({error}): pip install pyopencl") from error
    devices: list[Device] = []
    for runtime in _platforms(cl):
        for handle in runtime.get_devices():
            native = int(handle.native_vector_width_float)
            devices.append(
                Device(
                    index=0,
                    name=handle.name.strip(),
                    runtime=runtime.name.strip(),
                    version=handle.driver_version.strip(),
                    is_gpu=not handle.type & cl.device_type.CPU,
                    vector=next(w for w in (16, 8, 4) if w <= max(native, 4)),
                    has_double=bool(handle.double_fp_config),
                    handle=handle,
                )
            )
    # One lane is one work-group: a GPU runs it on one of its many units, so a CPU core comes first.
    devices.sort(key=lambda d: (d.is_gpu, "Intel" not in d.runtime))
    return tuple(replace(device, index=index) for index, device in enumerate(devices))


def _built(cl: Any, context: Any, source: str) -> Any:
    with warnings.catch_warnings():
        # Intel's compiler tells of each kernel that it was compiled.
        warnings.simplefilter("ignore", cl.CompilerWarning)
        return cl.Program(context, source).build(options=["-cl-std=CL1.2"])


@cache
def tried(device: Device) -> Device:
    """Return the device after building and running a small kernel on it, with `problem` set if that failed.

    Runtimes list devices that they cannot build for (PoCL 3.0 from pip on newer CPUs), so a list is no proof.
    """
    cl = _pyopencl()
    try:
        context = cl.Context([device.handle])
        queue = cl.CommandQueue(context)
        program = _built(cl, context, _PROBE)
        numbers = np.arange(4, dtype=np.float32)
        buffer = cl.Buffer(context, cl.mem_flags.COPY_HOST_PTR, hostbuf=numbers)
        cl.Kernel(program, "probe")(queue, (4,), None, buffer)
        cl.enqueue_copy(queue, numbers, buffer)
        correct = numbers.tolist() == [1, 2, 3, 4]
    except (cl.Error, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return replace(device, problem=next((line for line in lines if "rror" in line), lines[0])[:200])
    return device if correct else replace(device, problem="a test kernel gave wrong numbers")


def choose(wanted: str = "auto") -> Device:
    """Return the first working device that fits "auto", "cpu", "gpu", an index, "pocl", or part of a name.

    Raises
    ------
    DeviceError
        When none fits and works; it says what was tried and the one command that mends it.
    """
    devices = listed()
    word = {"pocl": "portable computing language"}.get(wanted.lower(), wanted.lower())
    fits = [device for device in devices if _fits(device, word)]
    attempts: list[str] = []
    for device in map(tried, fits):
        if device.problem is None:
            return device
        attempts.append(f"{device}: {device.problem}")
    if not devices:
        raise DeviceError(f"no OpenCL runtime is installed on this {platform.machine()} machine. {REMEDY}")
    if not fits:
        listing = ", ".join(f"{device.index} {device}" for device in devices)
        raise DeviceError(f"no OpenCL device fits --device {wanted}; there are: {listing}, or numpy")
    raise DeviceError(f"no OpenCL device works; tried {'; '.join(attempts)}. {REMEDY}")


def _fits(device: Device, word: str) -> bool:
    if word.isdigit():
        return int(word) == device.index
    kind = "gpu" if device.is_gpu else "cpu"
    return word in ("auto", kind) or (bool(word) and word in str(device).lower())


class _Mailbox:
    """Numbers that host and device hand each other; `array` is the host's side.

    A CPU's memory is the device's own: shared (fine-grained SVM), it needs no copy, and a copy is a command
    of its own that costs PoCL as much as half a bar. Other devices get a buffer and copies.
    """

    def __init__(self, cl: Any, context: Any, queue: Any, size: int, dtype: type[np.floating]) -> None:
        self._cl, self._queue = cl, queue
        device = context.devices[0]
        shared = getattr(device, "svm_capabilities", 0) & cl.device_svm_capabilities.FINE_GRAIN_BUFFER
        if shared and device.type & cl.device_type.CPU:
            flags = cl.svm_mem_flags.READ_WRITE | cl.svm_mem_flags.SVM_FINE_GRAIN_BUFFER
            self.array: NDArray[np.floating] = cl.svm_empty(context, flags, size, dtype, alignment=64)
            self.argument, self._buffer = cl.SVM(self.array), None
        else:
            self.array = np.empty(size, dtype)
            self._buffer = self.argument = cl.Buffer(context, cl.mem_flags.READ_WRITE, self.array.nbytes)

    def send(self, size: int) -> None:
        if self._buffer is not None:
            self._cl.enqueue_copy(self._queue, self._buffer, self.array[:size], is_blocking=False)

    def receive(self, done: Any, size: int) -> NDArray[np.floating]:
        if self._buffer is not None:
            self._cl.enqueue_copy(self._queue, self.array[:size], self._buffer)
        else:
            done.wait()  # a few microseconds less than the queue's finish()
        return self.array[:size].copy()


class Runner:
    """A built program with its memory on a device. One call is one launch.

    Parameters
    ----------
    program : the network's program
    device : where it runs
    block : (lanes, layout.size) the networks' numbers to start with
    seeds : one a lane
    """

    def __init__(
        self, program: Program, device: Device, block: NDArray[np.floating], seeds: tuple[int, ...]
    ) -> None:
        cl = self._cl = _pyopencl()
        self._program, self.device, self._lanes = program, device, len(seeds)
        self.rows, self.can_skip = program.rows, program.shape.work_items == 1
        self._dtype: type[np.floating] = np.float64 if program.shape.double else np.float32
        context = self._context = cl.Context([device.handle])
        self._queue = cl.CommandQueue(context)
        try:
            built = _built(cl, context, program.source)
        except cl.Error as error:
            raise DeviceError(f"{device} cannot build the network: {str(error)[:2000]}") from error
        self._kernel = cl.Kernel(built, "network_run")  # kept: program.name would make one at each call
        self._networks = cl.Buffer(
            context, cl.mem_flags.READ_WRITE, len(seeds) * program.size * np.dtype(self._dtype).itemsize
        )
        cl.enqueue_fill_buffer(self._queue, self._networks, np.zeros(1, self._dtype), 0, self._networks.size)
        folded = np.array([seed & 0xFFFFFFFF for seed in seeds], np.uint32)
        self._seeds = cl.Buffer(context, cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR, hostbuf=folded)
        self._windows = 0  # there is room for
        self._launched: tuple[int, int] | None = None
        self.write(block)

    def write(self, block: NDArray[np.floating]) -> None:
        """Set the state of all lanes, (lanes, layout.size)."""
        layout = self._program.layout
        numbers = np.ascontiguousarray(block, self._dtype).reshape(self._lanes, layout.size)
        for lane, state in enumerate(numbers):
            offset = lane * self._program.size * state.itemsize
            self._cl.enqueue_copy(self._queue, self._networks, state, dst_offset=offset)

    def read(self, first: int = 0, size: int | None = None) -> NDArray[np.floating]:
        """Return the state of all lanes, (lanes, layout.size), or so many numbers of it."""
        block = np.empty((self._lanes, self._program.layout.size if size is None else size), self._dtype)
        for lane, state in enumerate(block):
            offset = (lane * self._program.size + first) * state.itemsize
            self._cl.enqueue_copy(self._queue, state, self._networks, src_offset=offset)
        return block

    def run(
        self,
        mode: int,
        learn: NDArray[np.floating],
        targets: NDArray[np.floating],
        predict: NDArray[np.floating],
        rates: NDArray[np.floating],
        first_step: int,
        meanwhile: Callable[[], None] | None = None,
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Run steps as `ReferenceNetwork.run` does; return both outputs, (lanes, windows, n_outputs).

        `rates` are (lanes, steps, 4), or (steps, 4) for all lanes alike.
        `meanwhile` is called once the device is at work, and what it raises once the device is done.
        """
        windows = max(len(learn), len(predict))
        if windows > self._windows:
            self._allocate(windows)
        # In the inbox, not an argument: to set one costs pyopencl more than all the rest of a launch.
        self._inbox.array[:1].view(np.uint32)[0] = first_step & 0xFFFFFFFF
        steps = -(-windows // self.rows)
        end = 2 + 4 * self._lanes * steps
        self._inbox.array[2:end].reshape(self._lanes, steps, 4)[...] = rates if rates.size else 0
        for part in (targets, learn, predict):
            # The one place where numbers become the kernel's own type.
            self._inbox.array[end : end + part.size] = part.ravel()
            end += part.size
        kernel = self._kernel
        if self._launched != (mode, windows):
            kernel.set_arg(4, np.int32(mode))
            kernel.set_arg(5, np.int32(windows))
            self._launched = (mode, windows)
        items = self._program.shape.work_items
        self._inbox.send(end)
        done = self._cl.enqueue_nd_range_kernel(self._queue, kernel, (self._lanes * items,), (items,))
        size = self._lanes * 2 * windows * self._program.layout.n_outputs
        try:
            if meanwhile is not None:
                self._queue.flush()  # else a runtime may wait for the wait
                meanwhile()
        finally:
            out = self._outbox.receive(done, size).reshape(self._lanes, 2, windows, -1)
        return out[:, 0, : len(learn)], out[:, 1, : len(predict)]

    def _allocate(self, windows: int) -> None:
        layout = self._program.layout
        make = partial(_Mailbox, self._cl, self._context, self._queue, dtype=self._dtype)
        self._inbox = make(size=2 + windows * (4 * self._lanes + layout.n_outputs + 2 * layout.n_inputs))
        self._outbox = make(size=self._lanes * 2 * windows * layout.n_outputs)
        self._windows, self._launched = windows, None
        arguments = (self._networks, self._seeds, self._inbox.argument, self._outbox.argument)
        for index, argument in enumerate(arguments):
            self._kernel.set_arg(index, argument)
