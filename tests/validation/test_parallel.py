"""Folds in many processes and on a cluster: the same results, whatever dies on the way."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from test_walk_forward import COMMAND, SAMPLE, SMALL, assert_same_folds, run

from bt_neuro import FoldError, NeuroError, NeuroStrategy, StrategyError, walk_forward
from bt_neuro.validation import cluster
from bt_neuro.validation.parallel import run_tasks
from bt_neuro.validation.task import processes_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return run(tmp_path_factory.mktemp("walk") / "run")


NOTEBOOK = (
    "from bt_neuro import NeuroStrategy, walk_forward\n"
    "class Mine(NeuroStrategy): pass\n"
    f"walk_forward({str(SAMPLE)!r}, strategy=Mine, train='120b', test='100b', parameters={{'device': 'numpy'}}, "
    "bars_options={'end': '2024-01-16'}, report=False, JOBS)\n"
)


@pytest.mark.parametrize("jobs", ["", "jobs=2"])
def test_a_class_of_a_notebook_runs_here_alone(tmp_path, jobs):
    code = NOTEBOOK.replace("JOBS", jobs)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    if jobs:
        assert "Mine must be in a file, got a class of a notebook or a function" in out.stderr
        assert not list(tmp_path.iterdir())
    else:
        assert out.returncode == 0, out.stderr


def test_a_class_of_a_function_is_not_sent_to_other_processes():
    class Local(NeuroStrategy):
        pass

    assert processes_of(Local, None) == 1
    assert processes_of(NeuroStrategy, 3) == 3
    with pytest.raises(StrategyError, match="Local must be in a file"):
        walk_forward(SAMPLE, strategy=Local, train="300b", test="200b", jobs=2)


@contextmanager
def started(*words, **options):
    process = subprocess.Popen([str(word) for word in words], text=True, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> set[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    own = {int(word) for word in found.stdout.split()}
    return own.union(*(children(child) for child in own))


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and _state(pid) != "Z"}


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def wait_until(is_so, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


COMMAND_2 = [sys.executable, "-m", "bt_neuro", *COMMAND[:-1], "2", "--strategy", SMALL, "--device", "numpy"]


def test_two_jobs_do_what_one_does(tmp_path, result):
    assert_same_folds(run(tmp_path / "two", jobs=2, strategy=SMALL).folder, result.folder)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_goes_on_and_leaves_nothing_behind(tmp_path, result, how):
    folder, kept = tmp_path / "run", tmp_path / "run" / "folds" / "01"
    (scratch := tmp_path / "scratch").mkdir()
    env = {**os.environ, "TMPDIR": str(scratch)}
    with started(*COMMAND_2, "--out", folder, stderr=subprocess.PIPE, env=env) as process:
        wait_until(lambda: any(folder.glob("folds/[0-9]*")))
        family = children(process.pid)
        assert len(family) >= 2
        assert list(scratch.iterdir())
        process.send_signal(how)
        said = process.communicate(timeout=60)[1]
    wait_until(lambda: not alive(family), 10)
    assert not list(scratch.iterdir())
    finished = {path.name: path.stat().st_mtime_ns for path in folder.glob("folds/[0-9]*")}
    assert 0 < len(finished) < 3
    if how != signal.SIGKILL:
        assert process.returncode == 130
        assert f"continue with --resume {folder}" in said
        assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    again = subprocess.run([str(word) for word in [*COMMAND_2, "--resume", folder]], capture_output=True)
    assert again.returncode == 0
    assert_same_folds(folder, result.folder)
    assert {name: (folder / "folds" / name).stat().st_mtime_ns for name in finished} == finished
    assert kept.exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("pause", [0.0, 0.2, 0.5])
def test_a_key_pressed_while_processes_start_prints_no_traceback(tmp_path, pause):
    command = [*COMMAND_2, "--out", tmp_path / "run"]
    with started(*command, stderr=subprocess.PIPE, start_new_session=True) as process:
        wait_until(lambda: len(children(process.pid)) >= 2)  # of them multiprocessing has one
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        message = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in message, message


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("pause", [0.0, 0.1, 0.2, 0.3])
def test_a_killed_run_removes_the_files_that_its_tasks_go_on_writing(tmp_path, pause):
    (scratch := tmp_path / "scratch").mkdir()
    script = tmp_path / "script.py"
    script.write_text(
        "import tempfile\nfrom pathlib import Path\n"
        "from bt_neuro.validation.parallel import ProcessPool, report_progress\n"
        "def work(task):\n"
        "    while True:\n"
        "        folder = Path(tempfile.mkdtemp())\n"
        "        [(folder / str(number)).touch() for number in range(50)]\n"
        "        report_progress(1)\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPool(work, 2) as pool: list(pool.run([1, 2]))\n"
    )
    env = {**os.environ, "TMPDIR": str(scratch)}
    with started(sys.executable, script, env=env) as process:
        wait_until(lambda: any(scratch.glob("*/*/*")))
        time.sleep(pause)
        family = children(process.pid)
        process.kill()
    wait_until(lambda: not alive(family), 10)
    assert not list(scratch.iterdir())


def _crash(task: str) -> str:
    if task == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return task.upper()


def test_a_process_that_dies_loses_only_its_own_task():
    outcomes = dict(run_tasks(_crash, ["a", "b", "dies", "c", "d"], jobs=2))
    assert {task: done for task, done in outcomes.items() if task != "dies"} == {
        "a": "A",
        "b": "B",
        "c": "C",
        "d": "D",
    }
    assert isinstance(outcomes["dies"], FoldError)
    assert "The process died twice" in str(outcomes["dies"])


@pytest.mark.parametrize("wait", [0.1, 0.3, 0.5, 0.7])
def test_it_ends_though_a_result_is_on_its_way(tmp_path, wait):
    """Some 400 MB, which take half a second: what is left of them would be waited for."""
    script = tmp_path / "script.py"
    script.write_text(
        "import time\nfrom bt_neuro.validation.parallel import run_tasks\n"
        "def work(size): return bytes(size)\n"
        "if __name__ == '__main__':\n"
        "    results = run_tasks(work, [1, 400_000_000, 400_000_000], jobs=2)\n"
        f"    next(results); time.sleep({wait}); results.close()\n"
    )
    assert subprocess.run([sys.executable, script], timeout=60).returncode == 0


def test_a_script_without_a_guard_is_told_what_to_do(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from bt_neuro import walk_forward\n"
        f"walk_forward({str(SAMPLE)!r}, strategy={SMALL!r}, train='300b', test='200b', jobs=2, "
        f"bars_options={{'end': '2024-02-16'}}, out={str(tmp_path / 'run')!r})\n"
    )
    out = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert "call below `if __name__ == '__main__':`, or use one process" in out.stderr
    assert not (tmp_path / "run").exists()


@contextmanager
def dask_cluster(tmp_path, workers=2, **options):
    """Give the address of a real scheduler on loopback, its process and those of its workers."""
    file = tmp_path / "scheduler.json"
    here = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path, **options}
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    with ExitStack() as stack:
        scheduler = stack.enter_context(started(*dask, *here, **quiet))
        wait_until(lambda: file.exists() and file.stat().st_size > 0)
        address = json.loads(file.read_text())["address"]
        dask = [sys.executable, "-m", "distributed.cli.dask_worker", address]
        hired = [
            stack.enter_context(
                started(*dask, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name, **quiet)
            )
            for name in range(workers)
        ]
        yield address, scheduler, hired


@pytest.mark.parametrize("killed", [False, True])
def test_a_cluster_does_what_one_process_does(tmp_path, result, killed):
    pytest.importorskip("distributed", reason='needs the extra: pip install "bt-neuro[cluster]"')
    folder, test = tmp_path / "run", "100b" if killed else "200b"  # enough folds to kill in the middle
    expected = run(tmp_path / "here", test=test) if killed else result
    with dask_cluster(tmp_path) as (address, _, workers):
        command = [*COMMAND_2, "--test", test, "--cluster", address, "--out", folder]
        with started(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            if killed:
                wait_until(lambda: any(folder.glob("folds/[0-9]*")))
                workers[0].kill()
            said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert_same_folds(folder, expected.folder)


def test_a_killed_scheduler_is_named_with_what_to_do(tmp_path):
    pytest.importorskip("distributed", reason='needs the extra: pip install "bt-neuro[cluster]"')
    folder = tmp_path / "run"
    with dask_cluster(tmp_path, workers=1) as (address, scheduler, _):
        command = [*COMMAND_2, "--test", "100b", "--cluster", address, "--out", folder]
        with started(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            wait_until(lambda: any(folder.glob("folds/[0-9]*")))
            scheduler.kill()
            message = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert f"The Dask scheduler at {address} is gone. Start it again" in message
    assert "Traceback" not in message
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"


def test_the_log_of_dask_is_left_as_it_was(monkeypatch):
    pytest.importorskip("distributed", reason='needs the extra: pip install "bt-neuro[cluster]"')
    monkeypatch.setattr(cluster, "CLUSTER_TIMEOUT_S", 0.5)
    logger = logging.getLogger("distributed.client")
    before = logger.level
    with pytest.raises(NeuroError, match="No Dask scheduler"):
        list(run_tasks(str.upper, ["a"], cluster="tcp://127.0.0.1:9"))
    assert logger.level == before


def test_workers_with_another_version_are_refused(tmp_path):
    pytest.importorskip("distributed", reason='needs the extra: pip install "bt-neuro[cluster]"')
    (tmp_path / "bt_neuro-0.0.9.dist-info").mkdir()
    (tmp_path / "bt_neuro-0.0.9.dist-info" / "METADATA").write_text("Name: bt-neuro\nVersion: 0.0.9\n")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    refusal = r"must have bt-neuro .*, got 0\.0\.9 on tcp://.* Install it there"
    with (
        dask_cluster(tmp_path, workers=1, env=env) as (address, _, _),
        pytest.raises(NeuroError, match=refusal),
    ):
        list(run_tasks(str.upper, ["a"], cluster=address))


def test_a_worker_that_comes_later_is_refused_too():
    with pytest.raises(FoldError, match=r"must have bt-neuro 0\.0\.9, got"):
        cluster._run("0.0.9", str.upper, "a")
