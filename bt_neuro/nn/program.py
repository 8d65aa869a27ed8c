"""From layers to kernel source: constants and a sequence of calls around the files of `kernels/`.

A kernel file is a stamp: its macros (listed with a gloss at its head) are set, its text follows, its
functions carry the name of that shape. No C is made here beyond the list of calls.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bt_neuro.nn.layers import (
    SGD,
    BatchNorm,
    Conv1D,
    Dense,
    Dropout,
    TransformerEncoder,
)
from bt_neuro.nn.layout import LayerPlan, Layout, aligned
from bt_neuro.nn.reference import dropout_key, dropout_threshold

_WIDTHS = (16, 8, 4, 2, 1)


@dataclass(frozen=True)
class KernelShape:
    """How a program is cut for a device: the only difference between CPU and GPU.

    Parameters
    ----------
    vector : widest vector, 16, 8 or 4 on CPUs, 1 on GPUs
    work_items : items that share one network, 1 on CPUs, 64 to 256 on GPUs
    registers : vectors that a tile of sums may occupy
    double : numbers are float64
    """

    vector: int = 16
    work_items: int = 1
    registers: int = 25
    double: bool = False

    def width(self, n: int) -> int:
        return next(w for w in _WIDTHS if w <= self.vector and n % w == 0)


def kernel_text(name: str) -> str:
    """Return a file of `kernels/`, from the installed package or from the repository."""
    here = Path(__file__).resolve().parent.parent
    for folder in (here / "kernels", here.parent / "kernels"):
        if (folder / name).is_file():
            return (folder / name).read_text()
    raise FileNotFoundError(f"kernel file {name} is missing: reinstall bt-neuro")


@cache
def _macros(name: str) -> tuple[str, ...]:
    """Return the macros a kernel file asks its stamp to set."""
    head = re.search(r"#ifndef SHAPE\n(.*?)#endif", kernel_text(name), re.DOTALL)
    assert head, f"{name} lists no macros"
    return tuple(re.findall(r"#define (\w+)", head[1]))


def _largest_divisor(n: int, limit: int) -> int:
    return next(d for d in range(min(n, max(limit, 1)), 0, -1) if n % d == 0)


class Program:
    """The kernel source of one network for one kernel shape.

    Attributes
    ----------
    source : OpenCL C, complete
    size : numbers of one lane: the layout's block and the scratch behind it
    """

    def __init__(self, layout: Layout, shape: KernelShape) -> None:
        self.layout, self.shape, self.size = layout, shape, aligned(layout.size)
        self._stamps: dict[tuple[str, str], dict[str, object]] = {}
        self._stamped: list[str] = []
        self._forward: list[str] = []
        self._backward: list[list[str]] = []
        inputs = self._scratch(layout.n_inputs)
        self._out, self._dout = inputs, self._scratch(layout.n_inputs)
        for plan in layout.plans:
            self._backward.append([])
            _EMITTERS[type(plan.layer)](self, plan)
        loss = self._stamp("loss.cl", f"{layout.n_outputs}", N=layout.n_outputs)
        self.source = self._assemble(inputs, loss)

    def _assemble(self, inputs: int, loss: str) -> str:
        optimizer = self.layout.optimizer
        constants = {
            "DOUBLE": int(self.shape.double),
            "VECTOR": self.shape.vector,
            "WORK_ITEMS": self.shape.work_items,
            "OPTIMIZER_ADAM": int(not isinstance(optimizer, SGD)),
            "BETA_1": getattr(optimizer, "beta_1", 0.0),
            "BETA_2": getattr(optimizer, "beta_2", 0.0),
            "SIZE_PARAMETERS": self.layout.size_parameters,
            "NETWORK_SIZE": aligned(self.size),
            "N_INPUTS": self.layout.n_inputs,
            "N_OUTPUTS": self.layout.n_outputs,
            "AT_OUTPUTS": self._out,
        }
        backward = [
            f"mean_squared_error_backward_{loss}({_at(self._dout)}, {_at(self._out)}, target);",
            *(call for calls in reversed(self._backward) for call in calls),
        ]
        self.size = aligned(self.size)
        parts = [
            *(f"#define {name} {value}" for name, value in constants.items()),
            *(
                _included(f)
                for f in ("common.cl", "activation.cl", "random.cl", "optimizer.cl", "transpose.cl")
            ),
            *self._stamped,
            "FUNCTION network_forward(global real* net, global const real* window, const int moves,",
            "    const int learns, const uint step, const uint seed, local real* shared) {",
            f"  FOR_ITEMS(i, N_INPUTS) net[{inputs} + i] = window[i];",
            "  SYNC;",
            *(f"  {call}" for call in self._forward),
            "}",
            "FUNCTION network_backward(global real* net, global const real* target, const real2 rates,",
            "    local real* shared) {",
            *(f"  {call}" for call in backward),
            "}",
            _included("network.cl"),
        ]
        return "\n".join(parts)

    # -- pieces the emitters are made of ---------------------------------------------------------------------
    def _scratch(self, size: int) -> int:
        offset = self.size
        self.size += aligned(size)
        return offset

    def _next_output(self, plan: LayerPlan) -> tuple[int, int, int, int]:
        """Return the offsets (inp, dinp, out, dout) of a layer; its outputs are the next one's inputs."""
        inp, dinp = self._out, self._dout
        size = math.prod(plan.output_shape)
        self._out, self._dout = self._scratch(size), self._scratch(size)
        return inp, dinp, self._out, self._dout

    def _stamp(self, file: str, shape: str, **macros: object) -> str:
        """Stamp a kernel file once per set of macros; return the name its functions end in."""
        while self._stamps.setdefault((file, shape), macros) != macros:
            shape += "_"
        body = _stamp_text(file, shape, macros)
        if body not in self._stamped:
            self._stamped.append(body)
        return shape

    def _matmul(self, positions: int, n_in: int, n_out: int, stride: int, activation: str | None) -> str:
        width = self.shape.width(n_out)
        vectors = n_out // width
        cols = _largest_divisor(vectors, self._registers) if self.shape.vector > 1 else 1
        rows = _largest_divisor(positions, self._registers // cols) if self.shape.vector > 1 else 1
        name = self._stamp(
            "matmul.cl",
            f"{positions}x{n_in}x{n_out}_{activation or 'none'}",
            POSITIONS=positions,
            N_IN=n_in,
            STRIDE=stride,
            N_OUT=n_out,
            WIDTH=width,
            ROWS=rows,
            COLS=cols,
            ACTIVATION=(activation or "none").upper(),
        )
        return f"matmul_{name}"

    @property
    def _registers(self) -> int:
        return self.shape.registers

    def _dense(
        self,
        positions: int,
        n_in: int,
        n_out: int,
        activation: str | None,
        stride: int | None = None,
        wants_dinp: bool = True,
    ) -> str:
        width, tile = self.shape.width(n_out), 1
        many = self.shape.vector > 1
        cols = _largest_divisor(n_out // width, self._registers) if many else 1
        if many:
            tile = next(t for t in (8, 4, 1) if n_in % t == 0 and n_out % t == 0)
        return self._stamp(
            "dense.cl",
            f"{positions}x{n_in}x{n_out}_{activation or 'none'}",
            POSITIONS=positions,
            N_IN=n_in,
            STRIDE=stride or n_in,
            N_OUT=n_out,
            WIDTH=width,
            COLS=cols,
            WEIGHT_ROWS=_largest_divisor(n_in, self._registers // cols) if many else 1,
            TILE=tile,
            ACTIVATION=(activation or "none").upper(),
            WANTS_DINP=int(wants_dinp),
            MATMUL_OUT=self._matmul(positions, n_in, n_out, stride or n_in, activation),
            MATMUL_INP=self._matmul(positions, n_out, n_in, n_out, None)
            if positions > 1 and wants_dinp
            else "unused",
        )

    # -- one emitter a layer -----------------------------------------------------------------------------------
    def _emit_dense(self, plan: LayerPlan) -> None:
        layer = plan.layer
        assert isinstance(layer, Dense)
        inp, dinp, out, dout = self._next_output(plan)
        name = self._dense(
            1, math.prod(plan.input_shape), layer.units, layer.activation, wants_dinp=plan.index > 0
        )
        weight, bias = _tensor(plan, "kernel"), _tensor(plan, "bias")
        self._forward.append(f"dense_forward_{name}({_at(out)}, {_at(inp)}, {weight}, {bias});")
        self._backward[-1].append(
            f"dense_backward_{name}({_at(dinp)}, {_at(dout)}, {_at(dinp)}, {_at(out)}, {_at(inp)}, "
            f"{weight}, {bias}, rates);"
        )

    def _emit_conv1d(self, plan: LayerPlan) -> None:
        layer = plan.layer
        assert isinstance(layer, Conv1D)
        inp, dinp, out, dout = self._next_output(plan)
        channels, positions = layer.channels(plan.input_shape), plan.output_shape[0]
        size, stride = layer.kernel_size * channels, layer.strides * channels
        n, wants_dinp = math.prod(plan.input_shape), plan.index > 0
        name = self._dense(positions, size, layer.filters, layer.activation, stride, wants_dinp)
        weight, bias = _tensor(plan, "kernel"), _tensor(plan, "bias")
        self._forward.append(f"dense_forward_{name}({_at(out)}, {_at(inp)}, {weight}, {bias});")
        tiles_exactly = stride == size and n == positions * size
        drows = dinp if tiles_exactly else self._scratch(positions * size)
        turned = self._scratch(size * layer.filters)
        self._backward[-1].append(
            f"dense_backward_{name}({_at(drows)}, {_at(dout)}, {_at(turned)}, {_at(out)}, {_at(inp)}, "
            f"{weight}, {bias}, rates);"
        )
        if wants_dinp and not tiles_exactly:
            fold = self._stamp(
                "conv1d.cl",
                f"{n}_{positions}x{size}",
                N=n,
                POSITIONS=positions,
                N_IN=size,
                STRIDE=stride,
            )
            self._backward[-1].append(f"conv1d_fold_{fold}({_at(dinp)}, {_at(drows)});")

    def _emit_batch_norm(self, plan: LayerPlan) -> None:
        layer = plan.layer
        assert isinstance(layer, BatchNorm)
        if layer.is_off:
            return
        inp, dinp, out, dout = self._next_output(plan)
        n = math.prod(plan.input_shape)
        xhat = self._scratch(n)
        name = self._stamp(
            "batch_norm.cl",
            f"{n}_{layer.activation or 'none'}",
            N=n,
            WIDTH=self.shape.width(n),
            M=layer.window,
            EPSILON=layer.epsilon,
            ACTIVATION=(layer.activation or "none").upper(),
        )
        mean, variance = _tensor(plan, "moving_mean"), _tensor(plan, "moving_variance")
        gamma, beta = _tensor(plan, "gamma"), _tensor(plan, "beta")
        self._forward.append(
            f"batch_norm_forward_{name}({_at(out)}, {mean}, {variance}, {_at(xhat)}, {_at(inp)}, "
            f"{gamma}, {beta}, moves);"
        )
        self._backward[-1].append(
            f"batch_norm_backward_{name}({_at(dinp)}, {_at(dout)}, {_at(out)}, {_at(xhat)}, {variance}, "
            f"{gamma}, {beta}, rates);"
        )

    def _emit_dropout(self, plan: LayerPlan) -> None:
        layer = plan.layer
        assert isinstance(layer, Dropout)
        inp, dinp, out, dout = self._next_output(plan)
        n = math.prod(plan.input_shape)
        mask = self._scratch(n)
        name = self._stamp(
            "dropout.cl",
            f"{n}",
            N=n,
            THRESHOLD=f"{dropout_threshold(layer.rate)}u",
            KEEP=1 / (1 - layer.rate),
        )
        key = dropout_key(0, plan.index)
        self._forward.append(
            f"dropout_forward_{name}({_at(out)}, {_at(mask)}, {_at(inp)}, seed + {key}u, step, learns);"
        )
        self._backward[-1].append(f"dropout_backward_{name}({_at(dinp)}, {_at(dout)}, {_at(mask)});")

    def _emit_encoder(self, plan: LayerPlan) -> None:
        layer = plan.layer
        assert isinstance(layer, TransformerEncoder)
        inp, dinp, out, dout = self._next_output(plan)
        positions, channels = plan.input_shape
        heads, key_dim, units = layer.num_heads, layer.key_dim, layer.hidden(plan.input_shape)
        context, n = heads * key_dim, positions * channels
        lanes = positions * heads
        width = next(
            w
            for w in _WIDTHS
            if w <= self.shape.vector and lanes % w == 0 and (w % heads == 0 or heads % w == 0)
        )
        period = max(heads, width)
        block, saved_size = self._encoder_offsets(plan), _Offsets()
        for name, size in {
            "QKV": positions * 3 * context,
            "WEIGHTS": positions * lanes,
            "CONTEXT": positions * context,
            "MID": n,
            "HIDDEN": positions * units,
            "NORM": n,
            "RATES": 2,
        }.items():
            saved_size.add(name, size)
        scratch_size = _Offsets()
        for name, size in {
            "WIDE": positions * max(3 * context, units),
            "NARROW": positions * max(context, channels),
            "TURNED": channels * max(3 * context, units, context),
            "LANES": 3 * key_dim * lanes + 2 * positions * key_dim * period + positions * lanes,
        }.items():
            scratch_size.add(name, size)
        name = self._stamp(
            "encoder.cl",
            f"{layer.blocks}x{positions}x{channels}_{layer.activation or 'none'}",
            BLOCKS=layer.blocks,
            N=n,
            WIDTH=self.shape.width(n),
            ACTIVATION=(layer.activation or "none").upper(),
            BLOCK_PARAMETERS=block.end,
            BLOCK_SAVED=saved_size.end,
            **block.macros,
            **saved_size.macros,
            **scratch_size.macros,
            QKV=self._dense(positions, channels, 3 * context, None),
            PROJECT=self._dense(positions, context, channels, None),
            EXPAND=self._dense(positions, channels, units, "leaky_relu"),
            CONTRACT=self._dense(positions, units, channels, None),
            ATTENTION=self._stamp(
                "attention.cl",
                f"{positions}x{key_dim}x{heads}",
                POSITIONS=positions,
                HEADS=heads,
                KEY_DIM=key_dim,
                WIDTH=width,
                HEAD_WIDTH=self.shape.width(heads),
                PERIOD=period,
                SCALE=1 / math.sqrt(key_dim),
            ),
            NORM=self._stamp("layer_norm.cl", f"{n}", N=n, WIDTH=self.shape.width(n), EPSILON=layer.epsilon),
        )
        saved, scratch = self._scratch(layer.blocks * saved_size.end), self._scratch(scratch_size.end)
        parameters = _tensor(plan, "block0.qkv_kernel")
        self._forward.append(
            f"encoder_forward_{name}({_at(out)}, {_at(saved)}, {_at(scratch)}, {_at(inp)}, {parameters}, shared);"
        )
        self._backward[-1].append(
            f"encoder_backward_{name}({_at(dinp)}, {_at(dout)}, {_at(scratch)}, {_at(out)}, {_at(saved)}, "
            f"{_at(inp)}, {parameters}, rates, shared);"
        )

    @staticmethod
    def _encoder_offsets(plan: LayerPlan) -> _Offsets:
        assert isinstance(plan.layer, TransformerEncoder)
        offsets = _Offsets()
        for tensor in plan.layer.block_parameters(plan.input_shape):
            offsets.add(tensor.name.upper(), tensor.size)
        return offsets


class _Offsets:
    """Names in a row of memory, as the AT_ macros of encoder.cl."""

    def __init__(self) -> None:
        self.macros: dict[str, int] = {}
        self.end = 0

    def add(self, name: str, size: int) -> None:
        self.macros[f"AT_{name}"] = self.end
        self.end += aligned(size)


def _at(offset: int) -> str:
    return f"net + {offset}"


def _tensor(plan: LayerPlan, name: str) -> str:
    return _at(plan.tensors[name].offset)


def _included(file: str) -> str:
    # The compiler's messages then name the right file and line.
    return f'#line 1 "{file}"\n{kernel_text(file)}'


def _stamp_text(file: str, shape: str, macros: dict[str, object]) -> str:
    wanted = set(_macros(file)) - {"SHAPE"}
    assert wanted == set(macros), f"{file}: {sorted(wanted ^ set(macros))}"
    values = {"SHAPE": shape, **macros}
    return "\n".join(
        [
            *(f"#define {name} {value}" for name, value in values.items()),
            _included(file),
            *(f"#undef {name}" for name in values),
        ]
    )


_EMITTERS: dict[type, Callable[[Program, LayerPlan], None]] = {
    Dense: Program._emit_dense,
    Conv1D: Program._emit_conv1d,
    BatchNorm: Program._emit_batch_norm,
    Dropout: Program._emit_dropout,
    TransformerEncoder: Program._emit_encoder,
}
