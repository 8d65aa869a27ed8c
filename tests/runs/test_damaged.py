"""A checkpoint that was damaged is a CheckpointError or loads right; nothing else ever happens."""

import copy
import random
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modes import random_hours, run
from small import Small

from bt_neuro import CheckpointError, Network, NeuroError, backtest
from bt_neuro.learning.checkpoint import Checkpoint
from bt_neuro.nn import storage

backtest = partial(backtest, report=False)  # the page takes as long as all the rest

ODD = (
    *(None, True, -1, 0, 1, 0.5, 2**31, 10**18, -(10**30), 1e308, float("nan"), float("inf")),
    *("", "x" * 50, "Dense", [], [[]], [None], {}, {"": 0}, [1, 2, 3], ["a"]),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A checkpoint of a backtest, its bytes and its bars."""
    folder = tmp_path_factory.mktemp("sound")
    bars = random_hours(120)
    bars.to_csv(folder / "bars.csv", index=False)
    ran = backtest(folder / "bars.csv", strategy=Small, out=folder / "run")
    return ran.folder / "model.safetensors", (ran.folder / "model.safetensors").read_bytes()


def flip(content, random):
    """Change a byte, or some."""
    for _ in range(random.choice((1, 1, 1, 2, 5, 50))):
        # Half of the hits go to the header, which is where the words are.
        place = random.randrange(len(content) if random.random() < 0.5 else min(6000, len(content)))
        content[place] ^= 1 << random.randrange(8)


def cut(content, random):
    del content[random.randrange(len(content)) :]


def remove(content, random):
    start = random.randrange(len(content))
    del content[start : start + random.choice((1, 8, 100, 1000))]


def insert(content, random):
    start = random.randrange(len(content))
    content[start:start] = random.randbytes(random.choice((1, 8, 100)))


def overwrite(content, random):
    """As a file system that lost a block."""
    start = random.randrange(len(content))
    content[start : start + 512] = bytes(len(content[start : start + 512]))


def exchange(content, random):
    """Put a huge or odd number where there was a digit."""
    digits = [i for i, byte in enumerate(content[:6000]) if chr(byte).isdigit()]
    place = random.choice(digits)
    content[place : place + 1] = random.choice((b"9" * 12, b"-1", b"1e9", b"0", b"null", b'"a"'))


DAMAGE = (flip, cut, remove, insert, overwrite, exchange)


def outcome(action, error):
    """Return what an action gives, or the text of its error; any other error is the test's failure."""
    try:
        return action(), ""
    except error as told:
        return None, str(told)


def check(path, sound):
    """Load a file in all ways there are; a load must give what was saved."""
    for load in (
        lambda: Network.load(path, device="numpy").state(),
        lambda: Checkpoint.read(path).network.tensors,
    ):
        tensors, told = outcome(load, CheckpointError)
        assert tensors or (str(path) in told and len(told) < 1000), told
        for name, tensor in (tensors or {}).items():
            assert np.array_equal(tensor, original(sound).tensors[name]), name


def damaged_bytes(seed, sound, tmp_path):
    chance = random.Random(seed)
    content = bytearray(sound[1])
    chance.choice(DAMAGE)(content, chance)
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    check(path, sound)


def places(values, path=()):
    """Yield the path of every value in nested lists and dicts."""
    items = (
        values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    )
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def damaged_values(seed, sound, tmp_path):
    """Remove a value or make it another, and write a right checksum: what a faulty writer might do."""
    chance = random.Random(seed)
    tensors, about = dict(original(sound).tensors), copy.deepcopy(original(sound).about.values)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        *path, last = chance.choice(list(places(about)))
        inside = about
        for key in path:
            inside = inside[key]
        if chance.random() < 0.4:
            del inside[last]
        else:
            inside[last] = copy.deepcopy(chance.choice(ODD))
    if chance.random() < 0.3:
        name = chance.choice(list(tensors))
        changes = [
            lambda t: t.astype(chance.choice((np.float64, np.float32, np.int64, np.uint8))),
            lambda t: t[:0],
            lambda t: t.ravel(),
            lambda t: np.full_like(t, chance.choice((np.nan, np.inf, -5))),
            lambda t: np.concatenate([t, t]),
        ]
        tensors[name] = chance.choice(changes)(tensors[name])
    path = tmp_path / "damaged.safetensors"
    storage.write(path, tensors, about)
    go_on(path)


def original(sound):
    return storage.SavedNetwork.read(sound[0])


BARS = random_hours(125)


def go_on(path):
    """Resume a run from the file, and use its network: both work, or there is one of our errors."""
    for action in (
        lambda: run(Small, BARS, {}, resume=path),
        lambda: Network.load(path, device="numpy").predict(np.zeros(48)),
    ):
        with np.errstate(all="ignore"):  # a rate of 1e308 is a number, and warns as numbers do
            done, told = outcome(action, NeuroError)
        assert done is not None or 0 < len(told) < 3000, told


@pytest.mark.parametrize("damage", [damaged_bytes, damaged_values])
def test_a_damaged_checkpoint_is_one_clear_error(damage, sound, tmp_path):
    for seed in range(60):
        damage(seed, sound, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [damaged_bytes, damaged_values])
def test_two_thousand_damaged_checkpoints(damage, sound, tmp_path):
    for seed in range(1000, 3000):
        damage(seed, sound, tmp_path)


def test_a_checker_of_damage_sees_other_weights(sound, tmp_path):
    """Without its checksum a changed weight would load, and `check` finds that."""
    tensors = {name: tensor.copy() for name, tensor in original(sound).tensors.items()}
    tensors["dense_1.kernel"][0, 0, 0] += 1
    storage.write(tmp_path / "other.safetensors", tensors, original(sound).about.values)
    with pytest.raises(AssertionError, match=r"dense_1\.kernel"):
        check(tmp_path / "other.safetensors", sound)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
REST = ("optimizer", "seeds", "single_member", "precision", "steps", "inputs")
NAMES = (*REST, "format", "layers", "class", "units")
GROUP = st.dictionaries(st.sampled_from(NAMES), PLAIN | st.lists(PLAIN))
NETWORK = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from([storage.FORMAT, "x"]) | PLAIN,
        "layers": st.lists(GROUP) | PLAIN,
        **{name: GROUP | PLAIN | st.lists(PLAIN) for name in REST},
    },
)


@given(st.fixed_dictionaries({}, optional={"network": NETWORK | PLAIN, "learner": GROUP}))
@settings(max_examples=50)
def test_any_values_at_all_are_no_network(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    storage.write(path, {"dense_0.bias": np.zeros((1, 3), np.float32)}, values)
    with pytest.raises(CheckpointError, match="is not a network this version can read"):
        Network.load(path)
