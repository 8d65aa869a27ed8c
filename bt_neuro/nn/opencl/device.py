"""OpenCL runtimes: found, tested, chosen. The only file that imports pyopencl.

Nothing here happens at import: pyopencl itself is imported with the first use of a device.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from bt_neuro.errors import DeviceError
from bt_neuro.nn.opencl.specialize import KernelShape

VENDORS = Path("/etc/OpenCL/vendors")
REMEDY = (
    'Install one: pip install "bt-neuro[cpu]" (x86-64) or Debian\'s pocl-opencl-icd; or use --device numpy.'
)
_PROBE = "kernel void probe(global float* x) { x[get_global_id(0)] += 1; }"


@dataclass(frozen=True)
class Device:
    """A device as its runtime lists it; `problem` is the reason why it cannot be used, once it was tested.

    `memory` and `largest_buffer` are the bytes of its global memory and of one allocation in it.
    """

    index: int
    name: str
    runtime: str
    version: str
    is_gpu: bool
    vector: int
    has_double: bool
    memory: int
    largest_buffer: int
    handle: Any
    problem: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.runtime})"

    def shape(self, *, double: bool = False) -> KernelShape:
        """Return how programs are cut for this device."""
        if double and not self.has_double:
            raise DeviceError(f"{self} has no double precision. Use --param precision=single.")
        if self.is_gpu:
            return KernelShape(vector=1, work_items=64, registers=8, double=double)
        # AVX-512 has 32 registers of 16 floats, everything smaller 16.
        return KernelShape(vector=self.vector, registers=30 if self.vector == 16 else 15, double=double)


@cache
def pyopencl() -> Any:
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

            _platforms(pyopencl)  # the loader reads the folder once, at the first call
        finally:
            del os.environ["OCL_ICD_VENDORS"]
    return pyopencl


def _keeps_builds() -> bool:
    # Where pyopencl cannot write its cache, it fails on every device.
    try:
        for name in ("pyopencl", "pytools"):
            tempfile.TemporaryFile(dir=platformdirs.user_cache_dir(name, name, ensure_exists=True)).close()
    except OSError:
        return False
    return True


def _platforms(cl: Any) -> list[Any]:
    try:
        return list(cl.get_platforms())
    except cl.LogicError:  # raised when there is none at all
        return []


@cache
def listed() -> tuple[Device, ...]:
    """Return every device the runtimes list, CPUs first, not yet tested."""
    try:
        cl = pyopencl()
    except ImportError as error:
        raise DeviceError(f"pyopencl cannot be imported ({error}). Run pip install pyopencl.") from error
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
                    memory=int(handle.global_mem_size),
                    largest_buffer=int(handle.max_mem_alloc_size),
                    handle=handle,
                )
            )
    # One member is one work-group: a GPU runs it on one of its many units, so a CPU core comes first.
    devices.sort(key=lambda d: (d.is_gpu, "Intel" not in d.runtime))
    return tuple(replace(device, index=index) for index, device in enumerate(devices))


def build(cl: Any, context: Any, source: str) -> Any:
    """Return a built program; where pyopencl's cache is damaged, without it and with one line of warning."""
    options = ["-cl-std=CL1.2"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # Intel's compiler reports each kernel that it compiled
        try:
            built = cl.Program(context, source).build(options=options)
        except cl.Error:
            built = None
    if built is not None and not any("caching failed" in str(warning.message) for warning in caught):
        return built
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = cl.Program(context, source).build(options=options, cache_dir=False)
    folder = platformdirs.user_cache_dir("pyopencl", "pyopencl")
    warnings.warn(f"the kernel cache in {folder} is damaged and was not used. Delete it.", stacklevel=2)
    return built


@cache
def tried(device: Device) -> Device:
    """Return the device after building and running a small kernel on it, with `problem` set if that failed.

    Runtimes list devices that they cannot build for (PoCL 3.0 from pip on newer CPUs), so a list is no proof.
    """
    cl = pyopencl()
    try:
        context = cl.Context([device.handle])
        queue = cl.CommandQueue(context)
        program = build(cl, context, _PROBE)
        numbers = np.arange(4, dtype=np.float32)
        buffer = cl.Buffer(context, cl.mem_flags.COPY_HOST_PTR, hostbuf=numbers)
        cl.Kernel(program, "probe")(queue, (4,), None, buffer)
        cl.enqueue_copy(queue, numbers, buffer)
        correct = numbers.tolist() == [1, 2, 3, 4]
    except (cl.Error, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return replace(device, problem=next((line for line in lines if "rror" in line), lines[0])[:200])
    return device if correct else replace(device, problem="a test kernel gave wrong numbers")


def choose(name: str = "auto") -> Device:
    """Return the first working device that fits "auto", "cpu", "gpu", an index, "pocl", or part of a name.

    Raises
    ------
    DeviceError
        When none fits and works; the message names the devices tried and a remedy.
    """
    devices = listed()
    word = {"pocl": "portable computing language"}.get(name.lower(), name.lower())
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
        if word in ("cpu", "gpu"):
            raise DeviceError(f"OpenCL must have a {word.upper()}, got {listing}. Use auto or numpy.")
        raise DeviceError(
            f"device must be one of auto, cpu, gpu, numpy, {listing}, got {name}. Give one of them."
        )
    raise DeviceError(f"no OpenCL device works; tried {'; '.join(attempts)}. {REMEDY}")


def _fits(device: Device, word: str) -> bool:
    if word.isdigit():
        return int(word) == device.index
    kind = "gpu" if device.is_gpu else "cpu"
    return word in ("auto", kind) or (bool(word) and word in str(device).lower())
