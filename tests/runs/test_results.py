"""Results read from folders: the right class by kind, a damaged file by name."""

import json
import os
import random
import re
import shutil

import pytest
from modes import random_hours
from small import Small

from bt_neuro import NeuroError, Result, backtest, open_run
from bt_neuro.learning.checkpoint import MODEL
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.listing import latest_run
from bt_neuro.runs.results import KINDS
from bt_neuro.runs.stream import stream


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    random_hours(200).to_csv(folder / "bars.csv", index=False)
    return backtest(folder / "bars.csv", strategy=Small, out=folder / "run", report=False).folder


@pytest.fixture
def folder(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "run")


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    columns = ["datetime", "open", "high", "low", "close"]
    lines = (",".join(map(str, row)) for row in random_hours(100)[columns].itertuples(index=False))
    return stream(lines, lambda _: None, strategy=Small, out=tmp_path_factory.mktemp("streamed"))


def edited(path, change):
    manifest = json.loads((path / "run.json").read_text())
    change(manifest)
    manifest.pop("manifest_sha256")
    (path / "run.json").write_text(json.dumps(manifest))


def test_a_run_is_opened_as_it_was_returned(sound):
    result = open_run(sound)
    assert type(result) is Result
    assert result.metrics["bars"] == len(result.equity) == 200
    assert result.outputs.shape == (len(result.predictions), 1, 3)
    assert str(result) == result.metrics["sentence"]


def test_a_stream_is_opened_by_its_kind(streamed):
    result = open_run(streamed.folder)
    assert type(result) is type(streamed) is KINDS["stream"]
    assert (len(result.bars), result.metrics["bars"]) == (100, 100)
    assert str(result).startswith("100 bars, 100 of them new: ")


DAMAGE = {
    "no folder": (shutil.rmtree, "no run folder: it has no run.json"),
    "half a manifest": (lambda f: (f / "run.json").write_text("{"), "run.json cannot be read"),
    "deep": (lambda f: (f / "run.json").write_text("[" * 99_999), "run.json"),
    "no bytes of text": (lambda f: (f / "run.json").write_bytes(b"\xff\xfe"), "run.json cannot be read"),
    "a list": (lambda f: (f / "run.json").write_text("[]"), "no manifest"),
    "another version": (
        lambda f: edited(f, lambda m: m.update(schema_version=99)),
        "schema_version must be 1",
    ),
    "another kind": (lambda f: edited(f, lambda m: m.update(kind="x")), "kind must be one of"),
    "not ended": (lambda f: edited(f, lambda m: m.update(status="running")), "continue .* with --resume"),
    "not ended, no checkpoint": (
        lambda f: (edited(f, lambda m: m.update(status="running")), (f / MODEL).unlink()),
        "has not ended.\nWait for it, or run one that was killed again: it has no checkpoint",
    ),
    "no metrics": (lambda f: edited(f, lambda m: m.pop("metrics")), "metrics are missing"),
    "no table": (lambda f: (f / "equity.csv").unlink(), "equity.csv is missing or damaged"),
    "another table": (
        lambda f: (f / "trades.csv").write_text("a,b\n1,2\n"),
        "trades.csv is missing or damaged",
    ),
    "no bytes": (lambda f: (f / "predictions.csv").write_bytes(b""), "predictions.csv is missing or damaged"),
}


@pytest.mark.parametrize(("damage", "complaint"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_folder_is_named(folder, damage, complaint):
    damage(folder)
    with pytest.raises(NeuroError, match=complaint):
        open_run(folder)


@pytest.mark.parametrize(
    "name", ["run.json", "predictions.csv", "baselines.csv", "outputs.npy", "features.npy"]
)
def test_a_digit_that_was_changed_is_named(folder, name):
    """All types and lengths stay; only checksums show it."""
    content = bytearray((folder / name).read_bytes())
    digit = max(place for place in range(len(content)) if chr(content[place]) in "246")
    content[digit] += 1
    (folder / name).write_bytes(content)
    with pytest.raises(NeuroError, match=rf"{name} is .*damaged"):
        open_run(folder)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("predictions", "signal", "hold"),
        ("predictions", "p_buy", "inf"),
        ("predictions", "p_buy", ""),
        ("predictions", "bar", "1.5"),
        ("predictions", "datetime", "soon"),
        ("equity", "equity", "much"),
        ("equity", "bar", "99999999999999999999"),
        ("trades", "side", "flat"),
    ],
)
def test_a_cell_of_another_type_is_named(folder, table, column, value):
    path = folder / f"{table}.csv"
    header, first, *rows = path.read_text().splitlines()
    cells = first.split(",")
    cells[header.split(",").index(column)] = value
    path.write_text("\n".join([header, ",".join(cells), *rows]) + "\n")
    edited(folder, lambda manifest: manifest.pop("sha256"))  # as of a run before there were checksums
    with pytest.raises(NeuroError, match=rf"{table}\.csv is missing or damaged"):
        open_run(folder)


@pytest.mark.parametrize("name", ["NA", "NaN", "null", "None"])
def test_texts_that_pandas_takes_for_nothing_are_kept(name, tmp_path):
    """NA is a ticker of Toronto's exchange."""
    lines = [f"2024-01-0{day},1.1,1.1,1.1,1.1,0,0,{symbol}" for day in (1, 2) for symbol in (name, "B")]
    lines = ["time,open,high,low,close,volume,spread,symbol", *lines]
    result = stream(lines, lambda _: None, strategy=Small, out=tmp_path / "run", symbols=[name, "B"])
    assert open_run(result.folder).bars["symbol"].tolist() == [name, "B", name, "B"]


@pytest.mark.parametrize("table", ["predictions", "equity"])
def test_a_table_that_was_cut_off_is_named(folder, table):
    path = folder / f"{table}.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: len(lines) // 2]))
    edited(folder, lambda manifest: manifest.pop("sha256"))
    with pytest.raises(NeuroError, match=rf"{table}\.csv is missing or damaged: it must have \d+ rows"):
        open_run(folder)


def test_a_table_that_is_a_link_is_not_followed(folder, tmp_path):
    shutil.move(folder / "equity.csv", tmp_path / "elsewhere.csv")
    (folder / "equity.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(NeuroError, match=r"equity\.csv is missing or damaged"):
        open_run(folder)


def damage(folder, chance):
    """Damage a file; return its path, or None if it is as it was."""
    path = chance.choice(
        sorted(path for kind in ("run.json", "*.csv", "*.npy") for path in folder.glob(kind))
    )
    before = path.read_bytes()
    content, place = bytearray(before), chance.randrange(len(before))
    match chance.randrange(4):
        case 0:
            content[place] ^= 1 << chance.randrange(8)
        case 1:
            del content[place:]
        case 2:
            content[place:place] = chance.randbytes(chance.choice((1, 8, 100)))
        case 3:
            content[place : place + 512] = bytes(len(content[place : place + 512]))
    path.write_bytes(content)
    return path if content != before else None


def test_what_was_damaged_is_named(sound, streamed, tmp_path):
    for seed in range(int(os.environ.get("BT_NEURO_DAMAGED_FOLDERS", "40"))):
        folder = shutil.copytree((sound, streamed.folder)[seed % 2], tmp_path / str(seed))
        path = damage(folder, random.Random(seed))
        if path is None:
            assert open_run(folder).metrics == open_run(sound).metrics
            continue
        with pytest.raises(NeuroError, match=rf"^{re.escape(str(path))}\b") as raised:
            open_run(folder)
        assert len(str(raised.value)) < 500
        shutil.rmtree(folder)


def test_the_latest_run_is_found(tmp_path):
    with pytest.raises(NeuroError, match="no run in"):
        latest_run(tmp_path)
    first, second = (RunFolder.create(tmp_path / name, "x", "backtest", {}) for name in "ab")
    assert latest_run(tmp_path) == second.path
    first.save(status="failed")
    assert latest_run(tmp_path) == first.path
