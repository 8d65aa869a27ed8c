"""Kernel files as stamps: a file's macros are set, its text follows, its functions carry that shape's name.

Here every size is turned into vectors, tiles and strides for a device; where the numbers lie and in which
order the functions are called is `program`'s. No C is made here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bt_neuro.nn.layer import ActivationName, Layer
from bt_neuro.nn.layers import LSTM, TransformerEncoder
from bt_neuro.nn.layout import LayerPlan, aligned
from bt_neuro.nn.losses import Loss

_WIDTHS = (16, 8, 4, 2, 1)


@dataclass(frozen=True)
class KernelShape:
    """How a program is cut for a device: the only difference between CPU and GPU.

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


class Offsets:
    """Names in a row of memory, as the ``AT_`` macros of a kernel file."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.macros: dict[str, int] = {}
        self.end = 0
        for name, size in sizes.items():
            self.macros[f"AT_{name}"] = self.end
            self.end += aligned(size)


class Stamps:
    """The stamped files of one program: each method stamps one and returns the name its functions end in.

    Attributes
    ----------
    texts : OpenCL C, in the order in which the functions need each other
    """

    def __init__(self, shape: KernelShape) -> None:
        self.shape = shape
        self.texts: list[str] = []
        self._macros: dict[tuple[str, str], dict[str, object]] = {}

    def _stamp(self, file: str, name: str, **macros: object) -> str:
        """Stamp a file once for each set of macros."""
        while self._macros.setdefault((file, name), macros) != macros:
            name += "_"
        text = _stamped(file, name, macros)
        if text not in self.texts:
            self.texts.append(text)
        return name

    def layer(self, plan: LayerPlan, layer: Layer, rows: int) -> str:
        """Stamp the file of a layer that calls no other's functions."""
        file, n = f"{layer.kind}.cl", math.prod(plan.input_shape)
        words = re.findall(r"\w+", kernel_text(file))
        known: dict[str, Any] = {
            "ROWS": rows,
            "N": n,
            "ACTIVATION": _word(getattr(layer, "activation", None)),
        }
        known |= layer.macros(plan.input_shape)
        known["WIDTH"] = self.shape.width(known.get("CHANNELS", n))
        # A tensor that the layer was told to leave out lies nowhere, and nothing reads it.
        known |= {word: 0 for word in words if word.startswith("AT_")}
        known |= {f"AT_{name.upper()}": placed.offset for name, placed in plan.tensors.items()}
        return self._stamp(file, str(plan.index), **{name: known[name] for name in known if name in words})

    def _tile(self, rows: int, vectors: int, *, overlaps: bool = False) -> tuple[int, int]:
        """Return the tile of sums, rows by vectors, that loads least for each product that is of use."""
        limit, tiles = self.shape.registers, dict[tuple[int, int], float]()
        for cols in range(min(limit - 1, vectors), 0, -1):
            if overlaps or vectors % cols == 0:
                high = _largest_divisor(rows, limit // (cols + 1))
                tiles[high, cols] = high * vectors / (high + cols) / -(-vectors // cols)
        return max(tiles, key=tiles.__getitem__)

    def matmul(self, positions: int, n_in: int, n_out: int, stride: int, activation: ActivationName) -> str:
        width = self.shape.widest(n_out)
        vectors = -(-n_out // width)
        rows, cols = self._tile(positions, vectors, overlaps=True)
        return self._stamp(
            "matmul.cl",
            f"{positions}x{n_in}x{n_out}_{activation or 'none'}",
            POSITIONS=positions,
            N_IN=n_in,
            STRIDE=stride,
            N_OUT=n_out,
            WIDTH=width,
            STRIPS=-(-vectors // cols),
            TILE_ROWS=rows,
            TILE_COLS=cols,
            ACTIVATION=_word(activation),
        )

    def dense(
        self,
        positions: int,
        n_in: int,
        n_out: int,
        activation: ActivationName,
        *,
        stride: int | None = None,
        wants_dinp: bool = True,
        has_bias: bool = True,
    ) -> str:
        stride = n_in if stride is None else stride
        width = self.shape.width(n_out)
        # The update's tiles are whole rows of wide vectors, if the registers hold two.
        wide, strip = self.shape.widest(n_out), n_out
        cols = -(-n_out // wide)
        rows = _largest_divisor(n_in, self.shape.registers // (cols + 1))
        if self.shape.registers < 2 * (cols + 1):
            rows, cols = self._tile(n_in, n_out // width)
            wide, strip = width, width * cols
        turns = positions > 1 and wants_dinp
        return self._stamp(
            "dense.cl",
            f"{positions}x{n_in}x{n_out}_{activation or 'none'}",
            POSITIONS=positions,
            N_IN=n_in,
            STRIDE=stride,
            N_OUT=n_out,
            WIDTH=width,
            DOTS=_largest_divisor(n_out // width, 8),
            WIDE=wide,
            COLS=cols,
            STRIP=strip,
            WEIGHT_ROWS=rows,
            TILE=8 if self.shape.vector > 1 and n_in % 8 == 0 == n_out % 8 else 1,
            ACTIVATION=_word(activation),
            WANTS_DINP=int(wants_dinp),
            HAS_BIAS=int(has_bias),
            LINEAR=int(activation is None),
            MATMUL_OUT=f"matmul_{self.matmul(positions, n_in, n_out, stride, activation)}",
            MATMUL_INP=f"matmul_{self.matmul(positions, n_out, n_in, n_out, None)}" if turns else "unused",
        )

    def conv1d(self, n: int, positions: int, size: int, stride: int, rows: int) -> str:
        name = f"{n}_{positions}x{size}"
        return self._stamp("conv1d.cl", name, ROWS=rows, N=n, POSITIONS=positions, N_IN=size, STRIDE=stride)

    def attention(self, positions: int, key_dim: int, heads: int) -> str:
        width = self.shape.lane_width(positions * heads, heads)
        return self._stamp(
            "attention.cl",
            f"{positions}x{key_dim}x{heads}",
            POSITIONS=positions,
            HEADS=heads,
            KEY_DIM=key_dim,
            WIDTH=width,
            HEAD_WIDTH=self.shape.width(heads),
            PERIOD=max(heads, width),
            SCALE=1 / math.sqrt(key_dim),
        )

    def residual_norm(self, n: int, epsilon: float, rows: int) -> str:
        width = self.shape.width(n)
        return self._stamp("residual_norm.cl", f"{n}", ROWS=rows, N=n, WIDTH=width, EPSILON=epsilon)

    def encoder(
        self, positions: int, channels: int, layer: TransformerEncoder, rows: int, block: Offsets,
        saved: Offsets, scratch: Offsets,
    ) -> str:  # fmt: skip
        n, context = positions * channels, layer.num_heads * layer.key_dim
        units = layer.hidden((positions, channels))
        return self._stamp(
            "encoder.cl",
            f"{layer.blocks}x{positions}x{channels}_{layer.activation or 'none'}",
            ROWS=rows,
            BLOCKS=layer.blocks,
            N=n,
            CONTEXT_SIZE=positions * context,
            WEIGHTS_SIZE=positions * positions * layer.num_heads,
            WIDTH=self.shape.width(n),
            ACTIVATION=_word(layer.activation),
            BLOCK_PARAMETERS=block.end,
            BLOCK_SAVED=saved.end,
            **block.macros,
            **saved.macros,
            **scratch.macros,
            QKV=self.dense(rows * positions, channels, 3 * context, None),
            PROJECT=self.dense(rows * positions, context, channels, None),
            EXPAND=self.dense(rows * positions, channels, units, "leaky_relu"),
            CONTRACT=self.dense(rows * positions, units, channels, None),
            ATTENTION=self.attention(positions, layer.key_dim, layer.num_heads),
            NORM=self.residual_norm(n, layer.epsilon, rows),
        )

    def lstm(self, positions: int, channels: int, layer: LSTM, rows: int) -> tuple[str, str, str]:
        """Stamp the recurrence, and the dense layers of the inputs and of the outputs before."""
        u, width = layer.units, self.shape.width(layer.units)
        inputs = self.dense(rows * positions, channels, 4 * u, None)
        recurrence = self._stamp(
            "lstm.cl",
            f"{positions}x{u}",
            ROWS=rows,
            POSITIONS=positions,
            UNITS=u,
            WIDTH=width,
            SEQUENCES=int(layer.return_sequences),
        )
        outputs = self.dense(rows * positions, u, 4 * u, None, wants_dinp=False, has_bias=False)
        return recurrence, inputs, outputs

    def loss(self, n: int, rows: int, loss: Loss) -> str:
        focal = {"GAMMA": float(loss.gamma), "FOCAL": int(loss.gamma > 0)}
        return self._stamp("loss.cl", f"{n}", ROWS=rows, N=n, **focal)


def kernel_text(name: str) -> str:
    """Return a file of `kernels/`, from the installed package or from the repository."""
    here = Path(__file__).resolve().parents[2]
    for folder in (here / "kernels", here.parent / "kernels"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise FileNotFoundError(f"kernel file {name} is missing: reinstall bt-neuro")


def included(file: str) -> str:
    """Return a file's text after a line that makes the compiler's messages name it."""
    return f'#line 1 "{file}"\n{kernel_text(file)}'


def _stamped(file: str, name: str, macros: dict[str, object]) -> str:
    values = {"SHAPE": name, **macros}
    return "\n".join(
        [
            *(f"#define {macro} {value}" for macro, value in values.items()),
            included(file),
            *(f"#undef {macro}" for macro in values),
        ]
    )


def _largest_divisor(n: int, limit: int) -> int:
    return next(d for d in range(min(n, max(limit, 1)), 0, -1) if n % d == 0)


def _word(activation: ActivationName) -> str:
    return (activation or "none").upper()
