"""Process pool: runs tasks in processes of this machine, or on a cluster."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from bt_neuro.errors import FoldError, NeuroError
from bt_neuro.validation.cluster import run_on_cluster

Task = TypeVar("Task")
Output = TypeVar("Output")

NOT_STARTED = (
    "No process could be started. In a script, call below `if __name__ == '__main__':`, or use one process "
    "(jobs=1)."
)
DIED_TWICE = "The process died twice. Free memory, or use fewer jobs."
READY, PROGRESS, OUTPUT, FAULT, DIED = range(5)  # kinds of messages from a process

_SPAWN = multiprocessing.get_context("spawn")  # OpenCL does not survive a fork
_report: Callable[[int], object] | None = None


def report_progress(units: int) -> None:
    """Report units of work that the running task has done; no effect outside a `ProcessPool`."""
    if _report:
        _report(units)


class UnitCounter:
    """Callback that adds units of work and passes (done, total) on.

    Attributes
    ----------
    total : units of all work; may grow
    """

    def __init__(self, progress: Callable[[int, int], object] | None, total: int) -> None:
        self._progress, self._done, self.total = progress, 0, total

    def __call__(self, units: int) -> None:
        self._done += units
        if self._progress:
            self._progress(min(self._done, self.total), self.total)


def cores() -> list[int]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def run_tasks(
    work: Callable[[Task], Output], tasks: Sequence[Task], *, jobs: int = 1, cluster: str | None = None
) -> Generator[tuple[Task, Output | NeuroError]]:
    """Yield each task with its output or its NeuroError, in the order of completion.

    Parameters
    ----------
    work : function that another process can import
    tasks : picklable values
    jobs : processes at the same time; 1 runs the tasks in this process
    cluster : address of a Dask scheduler, used instead of this machine
    """
    if cluster is not None:
        yield from run_on_cluster(work, tasks, cluster)
        return
    with ProcessPool(work, min(jobs, len(tasks))) as pool:
        yield from ((tasks[number], output) for number, output in pool.run(tasks))


class ProcessPool(Generic[Task, Output]):
    """Processes that call one function with many tasks.

    A context manager. Leaving it kills the processes and removes their temporary files. They also end when
    this process ends, in any way. A task whose process died runs once more, alone.

    Parameters
    ----------
    work : function that another process can import
    processes : tasks at the same time; up to 1 runs the tasks in this process
    progress : called with the units that running tasks pass to `report_progress`
    """

    # concurrent.futures and loky fail every running task when one process dies. Their processes, and those of
    # pebble, outlive a killed parent. A pipe for each process leaves no lock that a killed one could hold.

    def __init__(
        self, work: Callable[[Task], Output], processes: int, progress: Callable[[int], object] | None = None
    ) -> None:
        self._work, self._processes, self._progress = work, processes, progress
        self._workers: list[_Worker] = []
        self._numbers = list(range(processes))[::-1]  # not in use by a worker
        self._scratch: str | None = None

    def __enter__(self) -> ProcessPool[Task, Output]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in [*self._workers]:
            self._end(worker)
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Output | NeuroError]]:
        """Yield the number of each task with its output or its NeuroError, as tasks complete."""
        if self._processes <= 1:
            return ((number, self._run_here(task)) for number, task in enumerate(tasks))
        return self._run_in_processes(tasks)

    def map(self, tasks: Sequence[Task]) -> Iterator[Output]:
        """Yield the outputs of tasks in their order; raise the first error."""
        outputs: dict[int, Output | NeuroError] = {}
        following = 0
        for number, output in self.run(tasks):
            outputs[number] = output
            while following in outputs:
                ready = outputs.pop(following)
                if isinstance(ready, NeuroError):
                    raise ready
                following += 1
                yield ready

    def _run_here(self, task: Task) -> Output | NeuroError:
        global _report
        _report = self._progress
        try:
            return self._work(task)
        except NeuroError as error:
            return error
        finally:
            _report = None

    def _run_in_processes(self, tasks: Sequence[Task]) -> Iterator[tuple[int, Output | NeuroError]]:
        waiting, lost, died = deque(range(len(tasks))), deque[int](), set[int]()
        idle = [*self._workers]
        running: dict[Connection, tuple[_Worker, int]] = {}

        def start(number: int) -> None:
            worker = idle.pop() if idle else self._start()
            worker.send(tasks[number])
            running[worker.connection] = worker, number

        try:
            while waiting or running or lost:
                while waiting and len(running) < self._processes:
                    start(waiting.popleft())
                if not running:  # alone: memory for several may have been short
                    start(lost.popleft())
                for connection in wait(list(running)):
                    assert isinstance(connection, Connection)
                    worker, number = running[connection]
                    kind, content = worker.receive()
                    if kind == FAULT:
                        raise content
                    if kind == PROGRESS and self._progress:
                        self._progress(content)
                    if kind == OUTPUT:
                        idle.append(running.pop(connection)[0])
                        yield number, content
                    if kind == DIED:
                        self._end(running.pop(connection)[0])
                        if not worker.is_ready:
                            raise NeuroError(NOT_STARTED)
                        if number in died:
                            yield number, FoldError(DIED_TWICE)
                        else:
                            died.add(number)
                            lost.append(number)
        finally:
            for worker, _ in running.values():  # if the caller stopped early
                self._end(worker)

    def _start(self) -> _Worker:
        if self._scratch is None:
            self._scratch = tempfile.mkdtemp(prefix="bt-neuro-")
        number = self._numbers.pop()
        share = cores()[number % self._processes :: self._processes]
        worker = _Worker(number, self._work, share, self._scratch)
        self._workers.append(worker)
        return worker

    def _end(self, worker: _Worker) -> None:
        if worker not in self._workers:
            return
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        self._numbers.append(worker.number)


class _Worker:
    """Handle of a process of a pool."""

    def __init__(self, number: int, work: Callable[[Any], Any], share: list[int], scratch: str) -> None:
        self.number, self.is_ready = number, False
        self.connection, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(theirs, work, share, scratch), daemon=True)
        with _blocked_interrupt():
            self.process.start()
        theirs.close()

    def send(self, task: Any) -> None:
        try:
            content = pickle.dumps(task)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise NeuroError(
                f"A task must be picklable to reach another process: {error}. Give the strategy as "
                "FILE.py:Class, or use one process."
            ) from error
        with suppress(OSError):  # it died; `receive` returns DIED
            self.connection.send_bytes(content)

    def receive(self) -> tuple[int, Any]:
        """Return the kind and content of a message."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            return DIED, None
        self.is_ready = True
        return kind, content


@contextmanager
def _blocked_interrupt() -> Iterator[None]:
    """Block Ctrl-C here, and in the processes started meanwhile: an import would end with a traceback."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # else `start` does so, and unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, work: Callable[[Any], Any], share: list[int], scratch: str) -> None:
    """Run tasks from a connection, in a new process."""
    global _report
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent acts
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # `_blocked_interrupt`
    tempfile.tempdir = scratch  # a process that is killed cannot clear up
    ending = threading.Thread(target=_end_with_parent, args=(scratch,), daemon=True)
    ending.start()
    if share and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)  # OpenCL's threads wander otherwise: a third slower on two cores
    with suppress(EOFError, OSError):  # the parent has ended
        connection.send((READY, None))
        _report = lambda units: connection.send((PROGRESS, units))  # noqa: E731
        while True:
            connection.send(_message(work, connection.recv()))
    ending.join()  # returning would end the process before its files are removed


def _message(work: Callable[[Any], Any], task: Any) -> tuple[int, Any]:
    try:
        return OUTPUT, work(task)
    except NeuroError as error:
        return OUTPUT, error
    except Exception as error:  # noqa: BLE001 - raised by the parent
        error.add_note(traceback.format_exc())
        return FAULT, error


def _end_with_parent(scratch: str) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    moved = f"{scratch}-ended"
    with suppress(OSError):  # another process has moved it
        Path(scratch).rename(moved)  # or tasks that still run could add files while they are removed
    for folder in (moved, scratch):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
