"""Commands about files and this machine: check, devices, bench."""

from __future__ import annotations

from typing import Annotated

import typer

from bt_neuro.cli.common import Outcome, command, option
from bt_neuro.cli.options import BarFile, BarOptions, Device


@command(group="Look", example="bt-neuro check EURUSD_H1.csv --json")
def check(file: BarFile, bars: BarOptions) -> Outcome:
    """Print the format, period, gaps and notes of a bar file, or why it is rejected."""
    from bt_neuro.bars.describe import describe, render
    from bt_neuro.bars.reader import read_bars

    content = read_bars(file, **bars.as_dict())
    about, days = describe(content), content.frame["datetime"].iloc[[0, -1]].dt.strftime("%Y-%m-%d")
    kind = f"{about['format']}, {about['timeframe']}"
    sentence = f"{content.path.name}, {kind}: {about['bars']:,} bars, {' to '.join(days)}."
    return Outcome(about, [sentence, "", render(content)])


@command(group="Look", example="bt-neuro devices")
def devices() -> Outcome:
    """List the OpenCL devices and test each with a small kernel."""
    from bt_neuro.errors import DeviceError
    from bt_neuro.nn.opencl.device import REMEDY, listed, tried

    names = ("index", "name", "runtime", "version", "problem")
    found = [tried(device) for device in listed()]
    text = [
        f"{device.index}  {device}, {device.version}: "
        + (f"does not work: {device.problem}" if device.problem else "works")
        for device in found
    ]
    if all(device.problem for device in found):
        raise DeviceError(f"no OpenCL device works. {REMEDY}")
    data = [
        {name: getattr(device, name) for name in names} | {"works": device.problem is None}
        for device in found
    ]
    return Outcome({"devices": data}, [*text, "numpy  always works, some 8 times slower"])


@command(group="Look", example="bt-neuro bench --steps 500")
def bench(
    device: Device = "auto",
    steps: Annotated[int, option("Number of timed calls of each operation.", "N", least=1)] = 200,
) -> Outcome:
    """Time one bar of the article's network on one core."""
    from bt_neuro.nn.bench import render, run_bench

    result = run_bench(device, steps, progress=lambda text: typer.echo(text, err=True))
    return Outcome(result, [render(result)])
