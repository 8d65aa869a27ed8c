"""The public face of the engine: ways of learning that must agree to the bit, state, errors."""

from __future__ import annotations

import copy
import os
import pickle
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from bt_neuro.errors import CheckpointError, DeviceError, LayerError, NonFiniteError
from bt_neuro.nn import storage
from bt_neuro.nn.layers import Conv1D, Dense, Dropout, RunningBatchNorm, TransformerEncoder
from bt_neuro.nn.network import Network
from bt_neuro.nn.opencl import device as devices
from bt_neuro.nn.optimizers import SGD, Adam, AdamW, CosineDecay
from bt_neuro.nn.reference.passes import Mode
from tests.helpers import assert_close, assert_same_bits

N, STEPS = 24, 12
LAYERS = [
    RunningBatchNorm(10, "tanh"),
    Conv1D(8, 4, 4),
    TransformerEncoder(1, 2, 3, activation="sigmoid"),
    Dense(16),
    RunningBatchNorm(10, "tanh"),
    Dense(3, "sigmoid"),
]
DROPOUT = [Dense(16, "tanh"), Dropout(0.3), Dense(3, "sigmoid")]


@pytest.fixture
def data(rng):
    """Windows and targets; window i + 1 follows window i, as a learner sees them."""
    return rng.normal(size=(STEPS + 1, N)), rng.uniform(size=(STEPS, 3))


@pytest.fixture(scope="session", params=["learned", "dropped"])
def layers(request):
    return LAYERS if request.param == "learned" else DROPOUT


@pytest.fixture(params=["numpy", "opencl"])
def place(request):
    """NumPy, and the device that a user gets."""
    if request.param == "numpy":
        return "numpy"
    return request.getfixturevalue("best")


def network_of(layers, place, **options):
    return Network(layers, N, **{"optimizer": Adam(1e-3), "seed": 7, "device": place, **options})


def assert_same_state(actual, expected):
    assert actual.steps == expected.steps
    for name, tensor in expected.state().items():
        assert_same_bits(actual.state()[name], tensor, name)


# -- figures that may not drift ------------------------------------------------------------------------------
GOLDEN = [
    0.1918155322544606,
    0.08042681902038289,
    0.26803306851641745,
    0.034332595155413266,
    0.15728586593908278,
    0.14486190811402141,
    0.17421992501538242,
    0.2982621999059361,
    0.14244122942342008,
    0.11660667256894346,
]


def golden_losses(place, precision):
    random = np.random.default_rng(13)
    windows, targets = random.normal(size=(10, N)), random.uniform(size=(10, 3))
    network = network_of(LAYERS, place, optimizer=Adam(1e-2), precision=precision)
    return ((network.learn(windows, targets) - targets) ** 2).mean(axis=1)


def test_ten_losses_are_as_ever():
    """One list that catches forward, backward, optimiser and state. Printed by this file run as a script."""
    assert_close(golden_losses("numpy", "double"), GOLDEN, "double, Adam", "losses")


def test_ten_losses_on_each_runtime(runtime):
    assert_close(golden_losses(runtime, "single"), GOLDEN, "single, ten steps at 0.01", "losses")


def test_golden_losses_notice_a_small_change():
    with pytest.raises(AssertionError, match="worst at"):
        assert_close(np.array(GOLDEN) * (1 + 1e-8), GOLDEN, "double, Adam")


# -- ways of learning that are one and the same --------------------------------------------------------------
def bar_by_bar(network, windows, targets):
    """Predict the first window, then learn each and predict the next: a launch per bar, reused activations."""
    first = network.predict(windows[0], update_statistics=True)
    rest = [network.learn_then_predict(*bar) for bar in zip(windows[:-1], targets, windows[1:], strict=True)]
    return np.array([first, *rest])


def recomputed(network, windows, targets):
    """The same with a prediction between that moves nothing: it stops the reuse of activations."""
    found = [network.predict(windows[0], update_statistics=True)]
    for window, target, following in zip(windows[:-1], targets, windows[1:], strict=True):
        network.predict(window)
        found.append(network.learn_then_predict(window, target, following))
    return np.array(found)


def in_two_calls(network, windows, targets):
    found = [network.predict(windows[0], update_statistics=True)]
    for window, target, following in zip(windows[:-1], targets, windows[1:], strict=True):
        network.learn(window, target, update_statistics=False)
        found.append(network.predict(following, update_statistics=True))
    return np.array(found)


def without_waiting(network, windows, targets):
    """Send all launches, each window learned in one of its own, before the first output is received."""
    none, no_target = windows[:0], targets[:0]
    receives = [network.send(none, no_target, windows[:1])]
    for step in range(len(windows) - 1):
        following = slice(step + 1, step + 2)
        network.send(windows[step : step + 1], targets[step : step + 1], none)
        receives.append(network.send(none, no_target, windows[following]))
    return np.concatenate([receive()[0] for receive in receives])


def in_one_launch(network, windows, targets):
    first = network.predict(windows[0], update_statistics=True)
    return np.array([first, *network.learn_then_predict(windows[:-1], targets, windows[1:])])


def in_uneven_launches(network, windows, targets):
    found = [network.predict(windows[:1], update_statistics=True)]
    for start, stop in ((0, 5), (5, 6), (6, STEPS)):
        part = windows[start:stop], targets[start:stop], windows[start + 1 : stop + 1]
        found.append(network.learn_then_predict(*part))
    return np.concatenate(found)


WAYS = [recomputed, in_two_calls, without_waiting, in_one_launch, in_uneven_launches]


def run(way, layers, place, data, **options):
    network = network_of(layers, place, **options)
    return way(network, *data), network


@pytest.mark.parametrize("way", WAYS)
def test_ways_of_learning_agree_to_the_bit(way, layers, place, data):
    expected, reference = run(bar_by_bar, layers, place, data)
    found, network = run(way, layers, place, data)
    assert_same_bits(found, expected, way.__name__)
    assert_same_state(network, reference)


def test_ways_of_learning_agree_on_every_device_and_shape(device, data):
    """A network that builds quickly everywhere."""
    layers = [
        RunningBatchNorm(10, "tanh"),
        Dense(16, "leaky_relu"),
        RunningBatchNorm(10),
        Dense(3, "sigmoid"),
    ]
    expected, reference = run(bar_by_bar, layers, device, data)
    for way in (bar_by_bar, *WAYS):
        found, network = run(way, layers, device, data)
        assert_same_bits(found, expected, way.__name__)
        assert_same_state(network, reference)


def test_a_lane_equals_a_network_of_its_own(layers, place, data):
    windows, targets = data
    members = network_of(layers, place, seed=(3, 7, 11))
    out = members.learn_then_predict(windows[:-1], targets, windows[1:])
    assert out.shape == (3, STEPS, 3)
    for member, seed in enumerate(members.seeds):
        alone = network_of(layers, place, seed=seed)
        found = alone.learn_then_predict(windows[:-1], targets, windows[1:])
        assert_same_bits(out[member], found, f"member {member}")
        for name, tensor in alone.state().items():
            assert_same_bits(members.state()[name][member], tensor[0], name)
    assert np.abs(out[0] - out[1]).max() > 1e-3


RATES = [Adam(1e-2), Adam(0.0), Adam(CosineDecay(1e-3, 5)), Adam(1e-2)]


def test_lanes_may_differ_in_their_learning_rates(layers, place, data, tmp_path):
    (windows, targets), seeds = data, (3, 3, 3, 7)
    network = network_of(layers, place, seed=seeds, optimizer=RATES)
    out = network.learn_then_predict(windows[:5], targets[:5], windows[1:6])
    network.save(tmp_path / "n.safetensors")
    loaded = Network.load(tmp_path / "n.safetensors", device=place)
    assert loaded.config() == network.config()
    rest = loaded.learn(windows[6:-1], targets[6:], batch_size=2)
    for member, (optimizer, seed) in enumerate(zip(RATES, seeds, strict=True)):
        alone = network_of(layers, place, seed=seed, optimizer=optimizer)
        found = alone.learn_then_predict(windows[:5], targets[:5], windows[1:6])
        assert_same_bits(out[member], found, f"member {member}")
        assert_same_bits(
            rest[member], alone.learn(windows[6:-1], targets[6:], batch_size=2), f"member {member}"
        )
    assert np.abs(out[0] - out[1]).max() > 1e-3


def test_a_difference_in_the_ways_would_be_seen(place, data):
    """The planted fault: one number changes by a ten thousandth."""
    windows, targets = data
    other = windows.copy()
    other[3, 5] *= 1.0001
    expected, _ = run(in_one_launch, LAYERS, place, (windows, targets))
    found, _ = run(in_one_launch, LAYERS, place, (other, targets))
    assert_same_bits(found[:3], expected[:3])
    with pytest.raises(AssertionError, match="differ"):
        assert_same_bits(found, expected)


def test_reused_activations_belong_to_the_state_they_were_made_with(place, data):
    """A state that is set, or a prediction that leaves the statistics, makes the network compute anew."""
    windows, targets = data
    network = network_of(LAYERS, place)
    network.predict(windows[0], update_statistics=True)
    before = network.state()
    expected = network.learn_then_predict(windows[0], targets[0], windows[1])
    network.predict(windows[0], update_statistics=True)
    network.set_state(before, 0)
    assert_same_bits(network.learn_then_predict(windows[0], targets[0], windows[1]), expected)


def test_learning_that_moves_the_statistics_moves_them_after_a_prediction_too(place, data):
    """Reused activations cannot replace a pass that moves the statistics."""
    windows, targets = data
    reused, recomputed = (network_of(LAYERS, place) for _ in range(2))
    for network in (reused, recomputed):
        network.predict(windows[0], update_statistics=True)
    recomputed.predict(windows[0])
    assert_same_bits(reused.learn(windows[0], targets[0]), recomputed.learn(windows[0], targets[0]))
    assert_same_state(reused, recomputed)


# -- what learning does --------------------------------------------------------------------------------------
@pytest.mark.parametrize("optimizer", [Adam(0.0), SGD(0.0, momentum=0.9)], ids=["adam", "sgd"])
def test_learning_rate_0_leaves_the_parameters_to_the_bit(optimizer, place, data):
    network = network_of(LAYERS, place, optimizer=optimizer)
    before = network.state()
    network.learn(data[0][:-1], data[1])
    for name, _ in network.layout.parameters():
        assert_same_bits(network.state()[name], before[name], name)
    for name in (name for name in before if ".moving_" in name):
        assert (network.state()[name] != before[name]).any(), name  # these move all the same


def test_the_first_step_of_adam_is_a_learning_rate_against_the_gradient(place, data):
    rate = 2.0**-10
    network = network_of([Dense(5, "tanh"), Dense(3)], place, optimizer=Adam(rate))
    descent = network_of([Dense(5, "tanh"), Dense(3)], place, optimizer=SGD(1.0))
    before = network.state()
    for one in (network, descent):
        one.learn(data[0][0], data[1][0])
    for name, _ in network.layout.parameters():
        gradient = before[name] - descent.state()[name]
        step = network.state()[name] - before[name]
        clear = np.abs(gradient) > 1e-4
        assert clear.any(), name
        np.testing.assert_allclose(step[clear], -rate * np.sign(gradient[clear]), rtol=1e-3, err_msg=name)


def test_learning_lowers_the_loss(place, data):
    windows, targets = data
    network = network_of(LAYERS, place, optimizer=Adam(1e-2))
    losses = [((network.learn(windows[:-1], targets) - targets) ** 2).mean() for _ in range(40)]
    assert losses[-1] < losses[0] / 10


def test_predicting_changes_nothing_unless_asked(place, data):
    network = network_of(LAYERS, place)
    network.predict(data[0], update_statistics=True)
    before = network.state()
    network.predict(data[0])
    for name, tensor in network.state().items():
        assert_same_bits(tensor, before[name], name)


def test_a_window_of_1_switches_batch_norm_off(place, data):
    plain = [Dense(16, "tanh"), Dense(3)]
    switched = [RunningBatchNorm(1), Dense(16, "tanh"), RunningBatchNorm(0), Dense(3)]
    expected = network_of(plain, place).learn(data[0][:-1], data[1])
    assert_same_bits(network_of(switched, place).learn(data[0][:-1], data[1]), expected)


def test_a_tensor_can_be_read_by_itself(place, data):
    network = network_of(LAYERS, place, seed=(1, 2))
    network.learn(data[0][:-1], data[1])
    for name, tensor in network.state().items():
        assert_same_bits(network.tensor(name), tensor, name)
    with pytest.raises(LayerError, match=r"no tensor 'dense.kernel'. Did you mean dense_\d"):
        network.tensor("dense.kernel")


def test_permuted_units_make_the_same_network(data):
    """Hidden units in another order, weights alike: outputs agree to rounding, in double."""
    network = network_of([Dense(16, "tanh"), Dense(3)], "numpy", precision="double")
    other = network_of([Dense(16, "tanh"), Dense(3)], "numpy", precision="double")
    order = np.random.default_rng(1).permutation(16)
    state = other.state()
    for name, axis in (("dense_0.kernel", 2), ("dense_0.bias", 1), ("dense_1.kernel", 1)):
        state[name] = np.take(state[name], order, axis)
    other.set_state(state, 0)
    expected = network.learn(data[0][:-1], data[1])
    assert_close(other.learn(data[0][:-1], data[1]), expected, "double, Adam")


def test_inputs_are_not_touched_and_outputs_are_the_caller_s(place, data):
    windows, targets = (np.ascontiguousarray(part, np.float32) for part in data)
    before = windows.copy(), targets.copy()
    network = network_of(LAYERS, place)
    first = network.learn(windows[:-1], targets)
    kept = first.copy()
    network.predict(windows)
    assert_same_bits(windows, before[0])
    assert_same_bits(targets, before[1])
    assert_same_bits(first, kept, "outputs of an earlier call")


@pytest.mark.parametrize("seed", [3, (3, 4)])
def test_a_copy_of_the_state_brings_it_back_among_launches(place, data, seed):
    windows, targets = data
    network = network_of(LAYERS, place, seed=seed)
    network.learn_then_predict(windows[:3], targets[:3], windows[1:4])
    state, steps, copy = network.state(), network.steps, network.copy_state(over=network.copy_state())
    later = [network.send(windows[i : i + 2], targets[i : i + 2], windows[i + 1 : i + 3]) for i in (3, 5)]
    name = next(iter(state))
    assert_same_bits(network.tensor(name, copy), state[name])
    network.restore_state(copy)
    again = [
        network.learn_then_predict(windows[i : i + 2], targets[i : i + 2], windows[i + 1 : i + 3])
        for i in (3, 5)
    ]
    for receive, outputs in zip(later, again, strict=True):
        assert_same_bits(receive(), outputs.reshape(-1, 2, 3))
    network.restore_state(copy)
    assert network.steps == steps
    for name, tensor in network.state().items():
        assert_same_bits(tensor, state[name], name)


def test_networks_at_work_together_are_each_as_if_alone(best, rng):
    lengths = (300, 7, 240)  # of which a launch is long or short

    def launches(seed, network):
        own = np.random.default_rng(seed).normal(size=(301, N))
        targets = np.random.default_rng(seed).uniform(size=(300, 3))
        return [network.send(own[:n], targets[:n], own[1 : n + 1]) for n in lengths]

    networks = [network_of(DROPOUT, best, seed=seed) for seed in range(3)]
    together = [launches(seed, network) for seed, network in enumerate(networks)]
    order = [(seed, launch) for launch in range(len(lengths)) for seed in range(3)]
    found = {
        key: together[key[0]][key[1]]() for key in rng.permutation(order).tolist() for key in [tuple(key)]
    }
    for seed, network in enumerate(networks):
        alone = network_of(DROPOUT, best, seed=seed)
        for launch, receive in enumerate(launches(seed, alone)):
            assert_same_bits(found[seed, launch], receive())
        for name, tensor in alone.state().items():
            assert_same_bits(network.state()[name], tensor, name)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["del network; gc.collect(); time.sleep(0.5)", "sys.exit(0)"])
def test_a_network_may_go_while_its_device_is_at_work(end):
    code = """if True:
        import gc, sys, time
        import numpy as np
        from bt_neuro import Dense, Network
        network = Network([Dense(200, "tanh"), Dense(3, "sigmoid")], inputs=400)
        network.send(np.ones((1000, 400)), np.ones((1000, 3)), np.empty((0, 400)))
        """
    assert subprocess.run([sys.executable, "-c", code + end], timeout=120).returncode == 0


def test_shapes_of_what_comes_back(place, data):
    windows, targets = data
    network = network_of(LAYERS, place)
    assert network.predict(windows).shape == (STEPS + 1, 3)
    assert network.predict(windows[0]).shape == (3,)
    assert network.predict(windows[:0]).shape == (0, 3)
    assert network.learn(windows[:-1], targets).shape == (STEPS, 3)
    assert network.learn_then_predict(windows[0], targets[0], windows[1]).shape == (3,)
    members = network_of(DROPOUT, place, seed=(1, 2))
    assert members.predict(windows).shape == (2, STEPS + 1, 3)
    assert members.predict(windows[0]).shape == (2, 3)
    assert network.steps == STEPS + 1


# -- what is refused -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_refused_and_nothing_moves(bad, place, data):
    windows, targets = (part.copy() for part in data)
    network = network_of(LAYERS, place)
    network.learn(windows[:-1], targets)
    before = network.state()
    windows[4, 2] = bad
    with pytest.raises(NonFiniteError, match="input 2 of step 4 must be finite"):
        network.learn(windows[:-1], targets)
    with pytest.raises(NonFiniteError, match="input 2 of step 4 must be finite"):
        network.predict(windows, update_statistics=True)
    targets[5, 1] = bad
    with pytest.raises(NonFiniteError, match="target 1 of step 5 must be finite"):
        network.learn(data[0][:-1], targets)
    assert network.steps == STEPS
    for name, tensor in network.state().items():
        assert_same_bits(tensor, before[name], name)


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda n, w, t: n.predict(w[:, :-1]), r"windows must have the shape \(steps, 24\), got \(13, 23\)"),
        (lambda n, w, t: n.predict(w[None]), r"the shape \(steps, 24\), got \(1, 13, 24\)"),
        (
            lambda n, w, t: n.learn(w[:-1], t[:, :2]),
            r"targets must have the shape \(steps, 3\), got \(12, 2\)",
        ),
        (lambda n, w, t: n.learn(w, t), "13 windows to learn, 12 targets"),
        (lambda n, w, t: n.learn_then_predict(w[:-1], t, w), "12 targets, 13 to predict"),
    ],
)
def test_shapes_that_do_not_fit_name_the_remedy(call, remedy, data):
    with pytest.raises(LayerError, match=remedy):
        call(network_of(LAYERS, "numpy"), *data)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Network([], 3, device="numpy"), "at least one input and one layer"),
        (lambda: Network([Dense(2)], 0, device="numpy"), "must have at least one input"),
        (lambda: Network(["Dense"], 3, device="numpy"), "got 'Dense'"),
        (
            lambda: Network([TransformerEncoder()], 3, device="numpy"),
            r"layer 0, .*put a Reshape or a Conv1D before it; got \(3,\)",
        ),
        (lambda: Network([Conv1D(2, 5)], 3, device="numpy"), "kernel_size is larger than the input"),
        (
            lambda: Network([Dense(2)], 3, precision="half", device="numpy"),
            "precision must be single or double, got 'half'",
        ),
        (lambda: Network([Dense(2)], 3.5, device="numpy"), "inputs must be an integer, .* got 3.5"),
        (lambda: Network([Dense(2)], 3, device=0), "device must be text, .* the index '0', got 0"),
        (
            lambda: Network([Dense(2)], 3, optimizer="adam", device="numpy"),
            "optimizer must be one such .* got 'adam'",
        ),
        (
            lambda: Network([Dense(2)], 3, seed=(1, 2), optimizer=[Adam()], device="numpy"),
            "optimizer must be one for each of 2 seeds, got 1",
        ),
        (
            lambda: Network([Dense(2)], 3, seed=(1, 2), optimizer=[Adam(), AdamW()], device="numpy"),
            "AdamW.*: members must differ in learning_rate alone; the first has Adam",
        ),
        (lambda: Network([Dense(2)], 3, seed="7", device="numpy"), "seed must be an integer, .* got '7'"),
        (
            lambda: Network([Dense(2)], 3, seed=[1, -1], device="numpy"),
            r"an integer, 0 or more, or several, got \[1, -1\]",
        ),
        (lambda: Dense("3"), "units must be an integer"),
        (lambda: Dense(True), "units must be a number, not True"),
        (lambda: RunningBatchNorm(epsilon=np.nan), "epsilon must be a number"),
        (lambda: Adam("fast"), "learning_rate must be a number"),
        (lambda: Adam(beta_1=1.0), "below 1"),
        (lambda: SGD(momentum=-0.1), "rates must be 0 or more"),
        (lambda: Dense(0), "units must be 1 or more"),
        (lambda: Dense(1, "reluu"), "activation must be one of"),
        (lambda: Dropout(1.0), r"rate must be in \[0, 1\)"),
        (lambda: RunningBatchNorm(epsilon=0.0), "epsilon must be positive"),
    ],
)
def test_layers_that_cannot_be_are_refused(make, complaint):
    with pytest.raises(LayerError, match=complaint):
        make()


def test_a_profile_shows_layers_and_times_and_changes_nothing(layers, place, data):
    windows, targets = data
    network, silent = network_of(layers, place), network_of(layers, place)
    steps = (windows[:4], targets[:4], windows[1:5]), (windows[4:-1], targets[4:], windows[5:])
    for one in (network, silent):
        one.learn_then_predict(*steps[0])
    shown = [line.split() for line in network.profile().splitlines()[1:]]
    assert_same_bits(network.learn_then_predict(*steps[1]), silent.learn_then_predict(*steps[1]))
    assert_same_state(network, silent)
    assert shown[0] == ["24", "inputs"]
    assert shown[1] == ["name", "layer", "outputs", "parameters", "us", "share"]
    assert [line[0] for line in shown[2:-1]] == [plan.name for plan in network.layout.plans]
    assert shown[-1][0] == f"{network.n_parameters:,}"
    assert float(shown[-1][1]) > 0


def test_a_summary_is_static_text(layers):
    network = network_of(layers, "numpy")
    assert str(network) == network.summary() == network.summary()
    shown = [line.split() for line in network.summary().splitlines()]
    assert shown[1] == ["name", "layer", "outputs", "parameters"]
    assert [line[0] for line in shown[2:-3]] == [plan.name for plan in network.layout.plans]
    assert shown[-3] == [f"{network.n_parameters:,}"]
    assert "\n" not in repr(network)


def test_a_profile_where_no_layer_can_be_left_out(best):
    """A barrier must not stand behind a condition, so a kernel of many work-items leaves nothing out."""
    shown = network_of(DROPOUT, replace(best, is_gpu=True)).profile().splitlines()
    assert [line.split()[-2:] for line in shown[3:6]] == [["--", "--"]] * 3


def test_a_layer_left_out_is_left_out_on_every_device(best, data):
    """Else its time would not be what is saved without it."""
    windows, targets = data
    rates = np.array([[Adam().rates(1)] * len(targets)])

    def said(place, skipped):
        engine = network_of(LAYERS, place, precision="double")._engines.current
        engine.run(Mode.PREDICT, windows[:0], targets[:0], windows[:1], rates[:, :0], 1)  # fills every place
        mode = Mode.LEARN | Mode.PREDICT | skipped * Mode.SKIPPED
        return engine.run(mode, windows[:-1], targets, windows[1:], rates, 1)[1]

    whole = said(best, 0)
    for skipped in range(1, len(LAYERS) + 1):
        expected = said("numpy", skipped)
        np.testing.assert_allclose(said(best, skipped), expected, rtol=1e-9, atol=1e-12)
        assert (expected != whole).any()


def test_large_numbers_are_numbers(data):
    """The check for larger ones is silent."""
    network = network_of([RunningBatchNorm(10, "tanh"), Dense(3)], "numpy")
    assert np.isfinite(network.predict(np.full(N, 1e15))).all()
    with pytest.raises(NonFiniteError, match="input 1 of step 0 must be finite"):
        network.predict(np.array([1e15, np.inf, *np.zeros(N - 2)]))


# -- small things of a library -------------------------------------------------------------------------------
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_a_copy_goes_on_alike_and_alone(copied, layers, place, data):
    windows, targets = data
    network = network_of(layers, place, seed=(1, 2))
    network.learn_then_predict(windows[:6], targets[:6], windows[1:7])
    other = copied(network)
    assert (other.config(), other.device_name) == (network.config(), network.device_name)
    rest = windows[6:-1], targets[6:], windows[7:]
    expected = network.learn_then_predict(*rest)
    assert other.steps == 6
    assert_same_bits(copied(other).learn_then_predict(*rest), expected)  # a copy that was never used
    assert_same_bits(other.learn_then_predict(*rest), expected)
    assert_same_state(other, network)


def test_a_window_may_be_bars_of_features(place, data):
    windows, targets = data
    flat, shaped = network_of(LAYERS, place), network_of(LAYERS, place)
    bars = windows.reshape(-1, 4, 6)
    assert_same_bits(shaped.predict(bars[0]), flat.predict(windows[0]))
    assert_same_bits(shaped.learn(bars[:-1], targets), flat.learn(windows[:-1], targets))
    assert_same_bits(shaped.learn(bars[0], targets[0]), flat.learn(windows[0], targets[0]))
    found = shaped.learn_then_predict(bars[0], targets[0], bars[1])
    assert_same_bits(found, flat.learn_then_predict(windows[0], targets[0], windows[1]))


def test_seeds_may_be_an_array(data):
    expected = network_of(DROPOUT, "numpy", seed=(0, 1, 2)).predict(data[0])
    assert_same_bits(network_of(DROPOUT, "numpy", seed=np.arange(3)).predict(data[0]), expected)


@pytest.mark.parametrize("seed", [7, (7, 8)])
def test_one_tensor_can_be_set(seed, place, data):
    network, other = network_of(LAYERS, place, seed=seed), network_of(LAYERS, place, seed=seed)
    network.predict(data[0][0], update_statistics=True)
    state = network.state()
    state["dense_3.bias"][:] = np.arange(16)
    network.set_tensor("dense_3.bias", np.arange(16))
    for name, tensor in network.state().items():
        assert_same_bits(tensor, state[name], name)
    other.set_state(state, 0)  # the activations in place belong to the old bias
    step = data[0][0], data[1][0], data[0][1]
    assert_same_bits(network.learn_then_predict(*step), other.learn_then_predict(*step))
    for value in (np.zeros(3), np.full(16, np.nan)):
        with pytest.raises(LayerError, match=r"dense_3.bias must be \(\d, 16\) finite numbers"):
            network.set_tensor("dense_3.bias", value)
    with pytest.raises(LayerError, match=r"no tensor 'dense\.bias'"):
        network.set_tensor("dense.bias", 0)


def test_the_learning_rate_can_be_changed(place, data, tmp_path):
    windows, targets = data
    network, other = network_of(LAYERS, place), network_of(LAYERS, place, optimizer=Adam(0.01))
    assert network.learning_rate == 1e-3
    network.learning_rate = 0.01
    assert_same_bits(network.learn(windows[:-1], targets), other.learn(windows[:-1], targets))
    assert_same_state(network, other)
    network.save(tmp_path / "n.safetensors")
    assert Network.load(tmp_path / "n.safetensors", device="numpy").learning_rate == 0.01
    with pytest.raises(LayerError, match="rates must be 0 or more"):
        network.learning_rate = -1.0


def test_members_may_get_learning_rates_of_their_own(data):
    windows, targets = data
    network = network_of(LAYERS, "numpy", seed=(1, 1))
    network.learning_rate = [1e-2, 1e-4]
    assert network.learning_rate == [1e-2, 1e-4]
    expected = network_of(LAYERS, "numpy", seed=(1, 1), optimizer=[Adam(1e-2), Adam(1e-4)])
    assert_same_bits(network.learn(windows[:-1], targets), expected.learn(windows[:-1], targets))


@pytest.mark.parametrize("loss", ["mean_squared_error", "categorical_crossentropy"])
def test_learning_can_return_the_loss(loss, place, data):
    windows, targets = data
    layers = [Dense(16, "tanh"), Dense(3, "softmax")]
    network = network_of(layers, place, loss=loss, seed=(1, 2), precision="double")
    out, losses = network.learn(windows[:-1], targets, return_loss=True)
    if loss == "mean_squared_error":
        expected = ((out - targets) ** 2).mean(axis=-1)
    else:
        expected = -(targets / targets.sum(axis=-1, keepdims=True) * np.log(out)).sum(axis=-1)
    assert losses.shape == (2, STEPS)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    alone = network_of(layers, place, loss=loss)
    assert np.ndim(alone.learn(windows[0], targets[0], return_loss=True)[1]) == 0


def test_calls_from_several_threads_follow_one_another(place, data):
    windows, _ = data
    network = network_of(DROPOUT, place)
    expected = [network.predict(window) for window in windows]

    def ask(thread):
        for turn in range(200):
            i = (turn + thread) % len(windows)
            assert_same_bits(network.predict(windows[i]), expected[i])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))


# -- save and load -------------------------------------------------------------------------------------------
def test_a_loaded_network_goes_on_to_the_bit(layers, place, data, tmp_path):
    windows, targets = data
    network = network_of(layers, place)
    network.learn_then_predict(windows[:6], targets[:6], windows[1:7])
    network.save(tmp_path / "n.safetensors", extra={"ring": np.arange(3.0)}, about={"wing": "1"})
    rest = windows[6:-1], targets[6:], windows[7:]
    expected = network.learn_then_predict(*rest)
    loaded = Network.load(tmp_path / "n.safetensors", device=place)
    assert loaded.steps == 6
    assert loaded.config() == {**network.config(), "steps": 6}
    assert_same_bits(loaded.learn_then_predict(*rest), expected)
    assert_same_state(loaded, network)
    assert [file.name for file in tmp_path.iterdir()] == ["n.safetensors"]


def test_lanes_are_saved_as_lanes(tmp_path, data):
    network = network_of(DROPOUT, "numpy", seed=(1, 2), precision="double", optimizer=SGD(0.1, 0.5))
    network.learn(data[0][:-1], data[1])
    network.save(tmp_path / "n.safetensors")
    loaded = Network.load(tmp_path / "n.safetensors", device="numpy")
    assert_same_bits(loaded.predict(data[0]), network.predict(data[0]))


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def no_tensors_file(path):
    path.write_text("bar,datetime\n")


def empty(path):
    path.write_bytes(b"")


def missing(path):
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        *(
            (damage, "is not a network this version can read: .+")
            for damage in (cut_short, no_tensors_file, empty)
        ),
        (missing, r"does not exist\. Give the folder of a run, or its model\.safetensors\."),
    ],
)
def test_a_damaged_file_is_named(damage, complaint, tmp_path):
    path = tmp_path / "n.safetensors"
    network_of(DROPOUT, "numpy").save(path)
    damage(path)
    with pytest.raises(CheckpointError, match=rf"n\.safetensors {complaint}"):
        Network.load(path, device="numpy")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"format": "bt-neuro-network-9"},
            "the format must be bt-neuro-network-4, got bt-neuro-network-9. Update bt-neuro",
        ),
        (
            {"layers": [{"class": "Dens", "units": 3}]},
            "unknown layer, optimiser or loss 'Dens'. Did you mean Dense",
        ),
        ({"layers": [{"class": "Dense", "unit": 3}]}, "Dense has no option 'unit'. Did you mean units"),
        ({"layers": [{"class": "Dense", "units": 7}]}, "dense_0.kernel must have the shape (1, 24, 7), got"),
        ({"layers": [{"class": "Dense", "units": "3"}]}, "units must be an integer"),
        ({"layers": [{"class": "Adam"}]}, "must be a layer, got Adam"),
        ({"optimizer": {"class": "SGD", "momentum": -1}}, "rates must be 0 or more"),
        ({"optimizer": []}, "one for each of 1 seeds, got 0"),
        ({"loss": None}, "loss"),
        ({"inputs": None}, "inputs must be an integer from 1 to "),
        ({"inputs": 10**15}, "got 1000000000000000"),
        ({"seeds": []}, "seeds must be one number, got []"),
        ({"steps": "many"}, "of at least 0, got 'many'"),
        ({"steps": -1}, "of at least 0, got -1"),
        ({"precision": "double"}, "must be float64, got float32"),
    ],
)
def test_a_file_of_another_network_says_how(change, complaint, tmp_path):
    path = tmp_path / "n.safetensors"
    network = network_of(DROPOUT, "numpy")
    storage.write(path, network.state(), {"network": {**network.config(), **change}})
    with pytest.raises(CheckpointError, match=re.escape(complaint)):
        Network.load(path, device="numpy")


def test_a_weight_that_changed_on_the_disk_is_found(tmp_path):
    path = tmp_path / "n.safetensors"
    network_of(DROPOUT, "numpy").save(path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="the checksum differs"):
        Network.load(path, device="numpy")


def test_a_diverged_network_is_not_loaded(tmp_path):
    path = tmp_path / "n.safetensors"
    network = network_of(DROPOUT, "numpy")
    state = network.state()
    state["dense_0.bias"][0, 1] = np.nan
    storage.write(path, state, {"network": network.config()})
    with pytest.raises(CheckpointError, match=r"dense_0.bias must be finite, got NaN"):
        Network.load(path, device="numpy")


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot write .*; free some space, or give another folder"):
        network_of(DROPOUT, "numpy").save(tmp_path / "gone" / "n.safetensors")
    with pytest.raises(CheckpointError, match="must be plain JSON values"):
        network_of(DROPOUT, "numpy").save(tmp_path / "n.safetensors", about={"wing": {1, 2}})
    assert not list(tmp_path.iterdir())


def test_an_interrupted_save_leaves_the_old_file(tmp_path, data):
    path = tmp_path / "n.safetensors"
    network = network_of(DROPOUT, "numpy")
    network.save(path)
    before = path.read_bytes()
    network.learn(data[0][:-1], data[1])
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever safetensors says
        network.save(path, extra={"names": np.array(["text"])})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["n.safetensors"]


# -- devices -------------------------------------------------------------------------------------------------
def test_every_listed_device_was_tried_or_says_why(runtime):
    assert runtime.problem is None
    assert devices.choose(str(runtime.index)) == runtime
    assert devices.choose(runtime.runtime.split()[0]) == runtime


def test_an_unknown_device_names_those_there_are(best):
    with pytest.raises(DeviceError, match=r"device must be one of auto, cpu, gpu, numpy, 0 .*, got quantum"):
        Network(DROPOUT, N, device="quantum")


def test_a_gpu_where_there_is_none_is_told_so(best, monkeypatch):
    monkeypatch.setattr(devices, "listed", lambda: [replace(best, is_gpu=False)])
    with pytest.raises(DeviceError, match=r"OpenCL must have a GPU, got 0 .*\. Use auto or numpy\."):
        devices.choose("gpu")


def test_a_device_without_double_precision_says_so(best):
    with pytest.raises(DeviceError, match=r"has no double precision\. Use --param precision=single"):
        Network(DROPOUT, N, device=replace(best, has_double=False), precision="double")


def in_a_fresh_process(code, **environment):
    """Run code where OpenCL has not been asked yet."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    found = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


ASK = """
from bt_neuro.nn.opencl import device
from bt_neuro.errors import DeviceError
try:
    print(device.choose({wanted!r}))
except DeviceError as error:
    print("DeviceError:", error)
"""


def test_no_runtime_at_all_names_the_one_command(tmp_path):
    said = in_a_fresh_process(ASK.format(wanted="auto"), OCL_ICD_VENDORS=str(tmp_path))
    assert said.startswith("DeviceError: no OpenCL runtime is installed")
    assert 'pip install "bt-neuro[cpu]"' in said
    assert len(said.splitlines()) == 1


def test_a_runtime_that_cannot_be_loaded_is_as_none(tmp_path):
    (tmp_path / "broken.icd").write_text("/nowhere/libbroken.so\n")
    said = in_a_fresh_process(ASK.format(wanted="auto"), OCL_ICD_VENDORS=str(tmp_path))
    assert said.startswith("DeviceError: no OpenCL runtime is installed")


def test_a_cache_that_cannot_be_written_is_done_without(best, tmp_path):
    (tmp_path / "file").write_text("")
    said = in_a_fresh_process(ASK.format(wanted="auto"), XDG_CACHE_HOME=str(tmp_path / "file" / "cache"))
    assert said == str(best)


@pytest.mark.slow
def test_a_device_that_lists_but_cannot_build_is_refused(best):
    """The probe is replaced by one that does not compile, and by one that computes something else."""
    broken = "device._PROBE = 'kernel void probe(global float* x) { nonsense }'\n"
    said = in_a_fresh_process("from bt_neuro.nn.opencl import device\n" + broken + ASK.format(wanted="auto"))
    assert said.startswith("DeviceError: no OpenCL device works; tried ")
    assert 'pip install "bt-neuro[cpu]"' in said
    wrong = "device._PROBE = 'kernel void probe(global float* x) { x[get_global_id(0)] += 2; }'\n"
    said = in_a_fresh_process("from bt_neuro.nn.opencl import device\n" + wrong + ASK.format(wanted="auto"))
    assert "a test kernel gave wrong numbers" in said


def test_importing_the_engine_starts_no_opencl():
    code = "import sys, bt_neuro.nn.network; print('pyopencl' in sys.modules)"
    assert in_a_fresh_process(code) == "False"


PROGRAM_TEXT = """
import hashlib
from bt_neuro.nn.models import article_layers
from bt_neuro.nn.layout import Layout
from bt_neuro.nn.optimizers import Adam
from bt_neuro.nn.opencl.program import KernelShape, Program
layout = Layout(article_layers(12), 240, Adam())
print(hashlib.sha256(Program(layout, KernelShape(vector=4)).source.encode()).hexdigest())
"""


def test_a_program_is_the_same_text_in_every_process():
    """Else a cache of built programs never finds it, and each start pays a second for the compiler."""
    assert len({in_a_fresh_process(PROGRAM_TEXT, PYTHONHASHSEED=seed) for seed in ("1", "2")}) == 1


if __name__ == "__main__":
    print(*(f"    {loss!r}," for loss in golden_losses("numpy", "double").tolist()), sep="\n")
