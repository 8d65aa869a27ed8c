"""bt-neuro devices and bench: what this machine offers, and how fast it is."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bt_neuro.cli.common import Device, Json, app, errors


@app.command(epilog="Example: bt-neuro devices")
def devices(as_json: Json = False) -> None:
    """List the OpenCL devices, each tried with a small kernel."""
    with errors():
        from bt_neuro.nn.opencl.device import REMEDY, listed, tried

        found = [tried(device) for device in listed()]
        if as_json:
            rows = [
                {
                    "index": device.index,
                    "name": device.name,
                    "runtime": device.runtime,
                    "version": device.version,
                    "works": device.problem is None,
                    "problem": device.problem,
                }
                for device in found
            ]
            typer.echo(json.dumps(rows, indent=2))
        else:
            for device in found:
                state = f"does not work: {device.problem}" if device.problem else "works"
                typer.echo(f"{device.index}  {device}, {device.version}: {state}")
            typer.echo("numpy  always works, some 20 times slower")
        if not any(device.problem is None for device in found):
            from bt_neuro.errors import DeviceError

            raise DeviceError(f"no OpenCL device works. {REMEDY}")


@app.command(epilog="Example: bt-neuro bench --steps 500 --no-peers")
def bench(
    device: Device = "auto",
    steps: Annotated[int, typer.Option(min=1, help="Calls timed of each way of each variant.")] = 200,
    peers: Annotated[
        bool, typer.Option(help="Time PyTorch and JAX in the same run, where installed.")
    ] = True,
    compiled: Annotated[
        bool, typer.Option(help="Let torch.compile take part; it compiles for long.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Time one bar of the article's network on one core, beside PyTorch and JAX."""
    with errors():
        from bt_neuro.bench import render, run_bench

        result = run_bench(
            device, steps, peers, compiled=compiled, progress=lambda doing: typer.echo(doing, err=True)
        )
        typer.echo(json.dumps(result, indent=2) if as_json else render(result))
