"""Specialisation of kernel files: a file's macros are set, its text follows, its functions carry its name.

A `KernelShape` turns sizes into vectors and tiles for a device. An `Emitter` collects what layers emit:
specialised files, calls in their order, scratch memory. No C is made here beyond macros and calls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ALIGNMENT = 16  # numbers; each array starts at a multiple, so that a vector load is aligned
_WIDTHS = (16, 8, 4, 2, 1)


def aligned(size: int) -> int:
    """Return a number of elements rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def largest_divisor(n: int, limit: int) -> int:
    return next(d for d in range(min(n, max(limit, 1)), 0, -1) if n % d == 0)


@dataclass(frozen=True)
class KernelShape:
    """The only difference between programs for CPUs and for GPUs.

    Parameters
    ----------
    vector : widest vector, 16, 8 or 4 on CPUs, 1 on GPUs
    work_items : items that share one network, 1 on CPUs, 64 to 256 on GPUs
    registers : vectors that a tile may occupy: its sums, and a number for each of its rows
    double : numbers are float64
    """

    vector: int = 16
    work_items: int = 1
    registers: int = 30
    double: bool = False

    def width(self, n: int) -> int:
        """Return the widest vector that divides n numbers."""
        return next(width for width in _WIDTHS if width <= self.vector and n % width == 0)

    def widest(self, n: int) -> int:
        """Return the widest vector that n numbers fill."""
        return next(width for width in _WIDTHS if width <= min(self.vector, n))

    def lane_width(self, lanes: int, heads: int) -> int:
        """Return the widest vector of attention lanes whose columns repeat from one to the next."""
        fits = (width for width in _WIDTHS if width <= self.vector and lanes % width == 0)
        return next(width for width in fits if width % heads == 0 or heads % width == 0)

    def tile(self, rows: int, vectors: int, *, overlaps: bool = False) -> tuple[int, int]:
        """Return the rows and vectors of the block of sums that needs the fewest loads per product used."""
        if self.work_items > 1:  # neighbouring items take neighbouring columns, and all of them have work
            return largest_divisor(rows, min(self.registers // 2, rows * vectors // self.work_items)), 1
        tiles = dict[tuple[int, int], float]()
        for cols in range(min(self.registers - 1, vectors), 0, -1):
            if overlaps or vectors % cols == 0:
                high = largest_divisor(rows, self.registers // (cols + 1))
                tiles[high, cols] = high * vectors / (high + cols) / -(-vectors // cols)
        return max(tiles, key=tiles.__getitem__)


class Offsets:
    """Named arrays in a row of memory, as the ``AT_`` macros of a kernel file."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.macros: dict[str, int] = {}
        self.end = 0
        for name, size in sizes.items():
            self.macros[f"AT_{name}"] = self.end
            self.end += aligned(size)


class Arrays(NamedTuple):
    """Offsets of a layer's inputs, outputs and their gradients in a member's memory."""

    inp: int
    dinp: int
    out: int
    dout: int


class Emitter:
    """Parts of a program, as its layers emit them.

    Parameters
    ----------
    shape : how kernels are cut for the device
    batch_size : windows that pass through the layers together
    size : numbers of a member's state; scratch memory follows

    Attributes
    ----------
    texts : OpenCL C, in the order in which the functions need each other
    forward, backward : calls; of the backward ones the last runs first
    condition : stands before each call, such as an ``if``
    shared : numbers of local memory that the largest of the layers needs
    """

    def __init__(self, shape: KernelShape, batch_size: int, size: int) -> None:
        self.shape, self.batch_size, self.size = shape, batch_size, aligned(size)
        self._state_size = self.size
        self.texts: list[str] = []
        self.forward: list[str] = []
        self.backward: list[str] = []
        self.condition = ""
        self.shared = shape.work_items + shape.work_items // 8
        self._macros: dict[tuple[str, str], dict[str, Any]] = {}

    def scratch(self, size: int) -> int:
        """Reserve scratch memory for a number of elements; return its offset."""
        offset = self.size
        self.size += aligned(size)
        return offset

    def specialize(self, file: str, name: str, **macros: Any) -> str:
        """Add a kernel file for these macros, once; return the name that its functions end in.

        Macros that the file does not mention are left out, but for offsets.
        """
        words = _words(file)
        macros = {macro: macros[macro] for macro in macros if macro in words or macro.startswith("AT_")}
        while self._macros.setdefault((file, name), macros) != macros:
            name += "_"
        values = {"SHAPE": name, **macros}
        text = "\n".join(
            [
                *(f"#define {macro} {value}" for macro, value in values.items()),
                included(file),
                *(f"#undef {macro}" for macro in values),
            ]
        )
        if text not in self.texts:
            self.texts.append(text)
        return name

    def call_forward(self, function: str, name: str, *arguments: int | str) -> None:
        """Add a call that runs after those added earlier, on the tensors that learn or that predict."""
        self.forward.append(self._call("tensors", function, name, *arguments))

    def call_backward(self, function: str, name: str, *arguments: int | str) -> None:
        """Add a call that runs before those added earlier, on the tensors that learn."""
        self.backward.append(self._call("net", function, name, *arguments))

    def _call(self, tensors: str, function: str, name: str, *arguments: int | str) -> str:
        """Return a call; a number is an offset: in a slot of the state, or else in the member's memory."""
        words = [
            argument
            if isinstance(argument, str)
            else f"{tensors if argument < self._state_size else 'net'} + {argument}"
            for argument in arguments
        ]
        return f"{self.condition}{function}_{name}({', '.join(words)});"


def macro_of(activation: str | None) -> str:
    """Return the ACTIVATION macro of an activation."""
    return (activation or "none").upper()


@cache
def kernel_text(name: str) -> str:
    """Return a file of `kernels/`, from the installed package or from the repository."""
    here = Path(__file__).resolve().parents[2]
    for folder in (here / "kernels", here.parent / "kernels"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise FileNotFoundError(f"kernel file {name} is missing: reinstall bt-neuro")


@cache
def _words(file: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", kernel_text(file)))


def included(file: str) -> str:
    """Return a file's text after a line that makes the compiler's messages name it."""
    return f'#line 1 "{file}"\n{kernel_text(file)}'
