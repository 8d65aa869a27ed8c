"""Run folders: created, resumed and recorded by status; written whole; no link followed."""

import json
import os
import stat

import pandas as pd
import pytest

from bt_neuro import NeuroError
from bt_neuro.io import PARTIAL, atomic_write, open_no_follow
from bt_neuro.runs.folder import RunFolder
from bt_neuro.runs.saved_manifest import MANIFEST, SCHEMA_VERSION

SETTINGS = {"options": {"test": "6M", "seeds": 3}, "data": {"sha256": "ab"}}
SAME = ("options", "data.sha256", "versions.bt-neuro")


def manifest_of(path):
    return json.loads((path / MANIFEST).read_text())


def create(tmp_path, **manifest):
    return RunFolder.create(tmp_path / "run", "x", "compare", {**SETTINGS, **manifest})


def test_a_new_folder_has_a_manifest_at_once(tmp_path):
    folder = create(tmp_path)
    written = manifest_of(folder.path)
    assert written == folder.manifest
    assert (
        written.items() >= {"schema_version": SCHEMA_VERSION, "kind": "compare", "status": "running"}.items()
    )
    assert written.keys() >= {"started", "versions", "platform", "rows", "options", "data"}
    assert folder.kind == written["kind"] == "compare"


def test_a_new_folder_appears_whole(tmp_path):
    """So that a run which is killed at its start either has a folder to resume or none."""
    out, seen = tmp_path / "deep" / "run", []
    RunFolder.create(out, "x", "stream", {}, lambda path: seen.append((out.exists(), path.exists())))
    assert seen == [(False, True)]
    assert [path.name for path in out.parent.iterdir()] == ["run"]


def test_a_folder_that_another_run_took_meanwhile_is_left_to_it(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(NeuroError, match=r"run must be empty: .*Give another --out"):
        RunFolder.create(
            out, "x", "stream", {}, lambda path: RunFolder.create(out, "x", "stream", {"mine": 1})
        )
    assert manifest_of(out)["mine"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX locks")
def test_a_run_takes_an_empty_folder_before_it_fills_it(tmp_path):
    """So that of two runs which both find it empty, one removes no file of the other."""

    def fill(path):
        with pytest.raises(NeuroError, match="another process writes to"):
            RunFolder.create(tmp_path, "x", "stream", {"mine": 2})
        assert path.exists()

    folder = RunFolder.create(tmp_path, "x", "stream", {"mine": 1}, fill)
    assert manifest_of(tmp_path) == folder.manifest
    folder.save(status="complete")
    with pytest.raises(NeuroError, match=r"must be empty\. Give another --out"):
        RunFolder.create(tmp_path, "x", "stream", {})
    assert manifest_of(tmp_path)["mine"] == 1


def test_save_merges_and_tables_count_their_rows(tmp_path):
    folder = create(tmp_path)
    times = pd.to_datetime(["2024-01-01 10:00", "2024-01-02 00:00"])
    folder.write_table("t.csv", pd.DataFrame({"time": times, "x": [0.1, 1 / 3]}), float_format="%.3g")
    folder.save(status="complete", metrics={"a": 1})
    written = manifest_of(folder.path)
    assert (written["status"], written["metrics"], written["rows"]) == ("complete", {"a": 1}, {"t.csv": 2})
    assert (
        folder.path / "t.csv"
    ).read_text() == "time,x\n2024-01-01 10:00:00,0.1\n2024-01-02 00:00:00,0.333\n"


def test_a_folder_is_resumed_with_the_same_settings(tmp_path):
    create(tmp_path).save(status="interrupted", error="x")
    (tmp_path / "run" / f".predictions.csv.12{PARTIAL}").write_text("left by a kill")
    folder = RunFolder.open(None, tmp_path / "run", "x", "compare", SETTINGS, SAME)
    assert manifest_of(folder.path)["status"] == "running"
    assert "error" not in folder.manifest
    assert [path.name for path in folder.path.iterdir()] == [MANIFEST]


@pytest.mark.parametrize(
    ("kind", "manifest", "complaint"),
    [
        ("tune", SETTINGS, "must hold a tune, got a compare"),
        (
            "compare",
            {**SETTINGS, "options": {"test": "3M", "seeds": 3}},
            "options.test must be 6M, .* got 3M",
        ),
        ("compare", {**SETTINGS, "options": {"test": "6M"}}, "options.seeds must be 3, .* got None"),
        ("compare", {**SETTINGS, "data": {"sha256": "cd"}}, "data.sha256 must be ab, .* got cd"),
    ],
)
def test_another_run_is_not_resumed(tmp_path, kind, manifest, complaint):
    create(tmp_path)
    before = manifest_of(tmp_path / "run")
    with pytest.raises(NeuroError, match=complaint):
        RunFolder.resume(tmp_path / "run", kind, manifest, SAME)
    assert manifest_of(tmp_path / "run") == before


def test_a_new_and_an_old_folder_exclude_each_other(tmp_path):
    with pytest.raises(NeuroError, match="not both"):
        RunFolder.open("a", "b", "x", "compare", {})


@pytest.mark.parametrize(
    ("error", "raised", "status", "message"),
    [
        (
            KeyboardInterrupt("2 of 3 done"),
            "2 of 3 done: continue with --resume",
            "interrupted",
            "2 of 3 done",
        ),
        (KeyboardInterrupt(), "interrupted: continue with --resume", "interrupted", "interrupted"),
        (ValueError("no"), "no", "failed", "no"),
        (ZeroDivisionError(), "^$", "failed", "ZeroDivisionError"),
    ],
)
def test_the_manifest_names_how_a_run_broke_off(tmp_path, error, raised, status, message):
    folder = create(tmp_path)
    with pytest.raises(type(error), match=raised), folder.recording(lambda: True):
        raise error
    written = manifest_of(folder.path)
    assert (written["status"], written["error"]) == (status, message)


def test_an_interrupted_run_that_cannot_be_resumed_gives_no_advice(tmp_path):
    folder = create(tmp_path)
    with (
        pytest.raises(KeyboardInterrupt) as caught,
        folder.recording(lambda: True, can_resume=lambda: False),
    ):
        raise KeyboardInterrupt("stopped")
    assert str(caught.value) == "stopped"


def test_a_folder_without_content_goes_unless_it_was_resumed(tmp_path):
    folder = create(tmp_path)
    with pytest.raises(ValueError, match="no"), folder.recording(lambda: False):
        raise ValueError("no")
    assert not folder.path.exists()
    create(tmp_path)
    again = RunFolder.resume(tmp_path / "run", "compare", SETTINGS)
    with pytest.raises(ValueError, match="no"), again.recording(lambda: False):
        raise ValueError("no")
    assert manifest_of(again.path)["status"] == "failed"


# -- files ---------------------------------------------------------------------------------------------------
def test_a_planted_link_is_replaced_and_its_target_stays(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = create(tmp_path)
    for name in (MANIFEST, f".{MANIFEST}{PARTIAL}", "t.csv"):
        (folder.path / name).unlink(missing_ok=True)
        (folder.path / name).symlink_to(victim)
    folder.save(status="complete")
    folder.write_table("t.csv", pd.DataFrame({"x": [1]}))
    assert victim.read_text() == "mine"
    assert not (folder.path / MANIFEST).is_symlink()
    assert not (folder.path / "t.csv").is_symlink()
    with pytest.raises(OSError, match="symbolic"):
        open_no_follow(folder.path / f".{MANIFEST}{PARTIAL}", "a")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(TypeError), atomic_write(path) as partial:
        partial.write_text(7)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


def test_names_of_temporary_files_are_new_each_time(tmp_path):
    names = set()
    for _ in range(3):
        with atomic_write(tmp_path / "x") as partial:
            names.add(partial.name)
    assert len(names) == 3


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes")
def test_files_have_the_mode_that_open_gives(tmp_path):
    with atomic_write(tmp_path / "x"):
        pass
    (tmp_path / "y").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "xy"]
    assert modes[0] == modes[1]
