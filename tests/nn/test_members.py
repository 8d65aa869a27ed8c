"""Members spread over several buffers, where a device's largest holds only some of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bt_neuro import Adam, Dense, Dropout, Network, RunningBatchNorm
from bt_neuro.errors import DeviceError
from bt_neuro.nn.opencl.device import Device
from bt_neuro.nn.opencl.program import Program
from tests.helpers import assert_same_bits

LAYERS = [RunningBatchNorm(10), Dense(17, "tanh"), Dropout(0.3), Dense(3)]
INPUTS, MEMBERS, STEPS, BATCH = 5, 5, 6, 4


def network_on(device: Device, **options) -> Network:
    optimizers = [Adam(1e-3 * (1 + member)) for member in range(MEMBERS)]
    return Network(LAYERS, INPUTS, optimizer=optimizers, seed=range(MEMBERS), device=device, **options)


def limited(device: Device, batch_size: int = 1, **members: int) -> Device:
    """Return the device with room for so many members: `largest_buffer` in a buffer, `memory` in all."""
    size = 4 * Program(network_on(device).layout, device.shape(), batch_size).size
    return replace(device, **{limit: count * size for limit, count in members.items()})


def outputs_of(network: Network, windows, targets) -> list[np.ndarray]:
    """Return what each method returns in turn: predictions, a copy restored, learning, batches, streams."""
    first = network.learn_then_predict(windows[:-1], targets[:-1], windows[1:])
    copy = network.copy_state()
    away = network.learn(windows, targets)
    kept = network.tensor("dense_1.kernel", copy)
    network.restore_state(copy)
    again = network.copy_state(copy)
    sent = network.send(windows[:2], targets[:2], windows[1:3])()
    network.restore_state(again)
    batches = network.learn(windows, targets, batch_size=BATCH)
    return [first, away, kept, sent, batches, network.predict(windows), *network.state().values()]


@pytest.mark.parametrize(("in_a_buffer", "buffers"), [(1, 5), (2, 3), (3, 2), (5, 1)])
def test_members_in_several_buffers_have_the_bits_of_one(in_a_buffer, buffers, best, rng):
    windows, targets = rng.normal(size=(STEPS, INPUTS)), rng.normal(size=(STEPS, 3))
    whole = outputs_of(network_on(best), windows, targets)
    device = limited(best, BATCH, largest_buffer=in_a_buffer)
    network = network_on(device)
    parts = outputs_of(network, windows, targets)
    sizes = [part.networks.size for part in network._engines.current._parts]
    assert len(sizes) == buffers
    assert max(sizes) <= device.largest_buffer
    assert np.abs(whole[0][0] - whole[0][-1]).max() > 1e-3  # the members differ
    for one, other in zip(whole, parts, strict=True):
        assert_same_bits(other, one)


@pytest.mark.parametrize(
    ("limits", "remedy"),
    [
        ({"memory": 3}, r"bytes for networks, not \d+\. Use at most 3 seeds"),
        ({"memory": 0}, r"has 0 bytes for a network, not \d+\. Use a smaller network"),
        ({"largest_buffer": 0}, r"has 0 bytes for a network, not \d+\. Use a smaller network"),
    ],
)
def test_members_beyond_the_memory_are_refused_by_name(limits, remedy, best):
    with pytest.raises(DeviceError, match=remedy):
        network_on(limited(best, **limits))
