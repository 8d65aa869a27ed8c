"""Fixtures of all tests: seeded random numbers, and every working OpenCL device in every kernel shape."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings

from bt_neuro.errors import DeviceError
from bt_neuro.nn.network import Network
from bt_neuro.nn.opencl.device import Device, listed, tried

# The same examples in every run, so that a change is not blamed for what it did not do; other examples with
# `pytest --hypothesis-profile random`.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None)
settings.load_profile("same")

# A script that starts the tests in the background lets them ignore Ctrl-C, and those of it would fail.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(20261120)


@pytest.fixture
def launches(monkeypatch):
    """Windows predicted by each launch of the networks of a test."""
    sent, send = [], Network.send

    def counted(network, *windows):
        sent.append(len(windows[2]))
        return send(network, *windows)

    monkeypatch.setattr(Network, "send", counted)
    return sent


def shapes(device: Device) -> dict[str, Device]:
    """Return a device in each way of cutting kernels for it: the GPU's runs on CPUs too, slow and right.

    Narrow vectors on one runtime are enough: they choose other macros, not other source.
    """
    name = f"{device.index}-{device.runtime.split()[0].replace('(R)', '')}"
    if device.is_gpu:
        return {f"{name}-items": device}
    cuts = {f"{name}-vector{device.vector}": device, f"{name}-items": replace(device, is_gpu=True)}
    return cuts if device.index else cuts | {f"{name}-vector4": replace(device, vector=4)}


def working() -> list[Device]:
    try:
        return [device for device in map(tried, listed()) if device.problem is None]
    except DeviceError:
        return []


def pytest_generate_tests(metafunc):
    """Run a test that asks for `device` on each, and one that asks for `runtime` in its own shape only."""
    if "device" in metafunc.fixturenames:
        cut = {name: one for device in working() for name, one in shapes(device).items()}
        metafunc.parametrize("device", params(cut), indirect=True)
    if "runtime" in metafunc.fixturenames:
        named = {device.runtime.split()[0].replace("(R)", ""): device for device in working()}
        metafunc.parametrize("runtime", params(named), indirect=True)


def params(devices: dict[str, Device]) -> list[object]:
    """Return the devices as parameters; quick are the first one's own shape and the GPU's."""
    if not devices:
        return [pytest.param(None, id="none")]
    first = next(iter(devices.values())).index
    slow = {name for name, device in devices.items() if device.index != first or name.endswith("vector4")}
    return [
        pytest.param(device, id=name, marks=[pytest.mark.slow] if name in slow else [])
        for name, device in devices.items()
    ]


@pytest.fixture(scope="session")
def device(request):
    """A working device; its `shape()` says how kernels are cut."""
    return present(request.param)


@pytest.fixture(scope="session")
def runtime(request):
    """A working device, kernels cut in its own way."""
    return present(request.param)


@pytest.fixture(scope="session")
def best():
    """The device that a user gets."""
    found = working()
    return present(found[0] if found else None)


def present(device: Device | None) -> Device:
    if device is None:
        reason = "no OpenCL device works here: see `bt-neuro devices`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return device
