"""Work spread over this machine's cores, or over a Dask cluster; results come as they are ready."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from bt_neuro.errors import FoldError, NeuroError

Task = TypeVar("Task")
Done = TypeVar("Done")
RunResult = Generator[tuple[Task, "Done | NeuroError"]]

CLUSTER_ANSWERS_S = 30.0


def cores() -> list[int]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def run_tasks(
    work: Callable[[Task], Done], tasks: Sequence[Task], *, jobs: int = 1, cluster: str | None = None
) -> RunResult[Task, Done]:
    """Yield each task and what `work` made of it, or the NeuroError it raised, in the order of being done.

    Parameters
    ----------
    work : a function that another process can import
    tasks : plain values, which can be sent to another process
    jobs : processes at the same time; 1 works in this one
    cluster : address of a Dask scheduler, used instead of this machine

    Notes
    -----
    Processes are spawned, for after a fork OpenCL does not work, and end when this one does, however it ends.
    A task whose process died is tried once more, alone, so that it is known which one was to blame.
    """
    if cluster is not None:
        return _on_cluster(work, tasks, cluster)
    if jobs == 1 or not tasks:
        return ((task, _outcome(_here(work, task))) for task in tasks)
    return _in_processes(work, tasks, jobs)


def _here(work: Callable[[Task], Done], task: Task) -> Future[Done]:
    future: Future[Done] = Future()
    try:
        future.set_result(work(task))
    except NeuroError as error:
        future.set_exception(error)
    return future


def _outcome(future: Future[Any]) -> Any:
    """Return the result; what is no NeuroError is a fault of ours, and raised."""
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        return FoldError("its process died, twice: the memory may have been too small")
    if isinstance(error, NeuroError):
        return error
    return future.result()


# -- this machine --------------------------------------------------------------------------------------------
def _in_processes(work: Callable[[Task], Done], tasks: Sequence[Task], jobs: int) -> RunResult[Task, Done]:
    together, suspects = deque(tasks), deque[Task]()
    while together or suspects:
        queue = together or deque([suspects.popleft()])
        with _pool(min(jobs, len(queue))) as pool:
            for task, future in _submitted(pool, work, queue, jobs):
                if together is queue and isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(task)
                else:
                    yield task, _outcome(future)


def _submitted(
    pool: Executor, work: Callable[[Task], Done], queue: deque[Task], jobs: int
) -> Iterator[tuple[Task, Future[Done]]]:
    """Submit what is in the queue, `jobs` at a time, until it is empty or the pool is broken."""
    running: dict[Future[Done], Task] = {}
    broken = False
    while running or (queue and not broken):
        while queue and len(running) < jobs and not broken:
            try:
                running[pool.submit(work, queue[0])] = queue[0]
                queue.popleft()
            except BrokenProcessPool:
                broken = True
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            broken = broken or isinstance(future.exception(), BrokenProcessPool)
            yield running.pop(future), future


@contextmanager
def _pool(processes: int) -> Iterator[Executor]:
    context = multiprocessing.get_context("spawn")
    started, lifeline, held = context.Value("i", 0), *context.Pipe(duplex=False)
    scratch = tempfile.mkdtemp(prefix="bt-neuro-")
    pool = ProcessPoolExecutor(processes, context, _begin, (lifeline, started, processes, scratch))
    try:
        yield pool
    except BaseException:
        held.close()  # the processes end at once, in the middle of their work
        # Or in the middle of sending a result, for the rest of which the pool would wait for ever.
        pool._result_queue._writer.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        held.close()
        lifeline.close()
        shutil.rmtree(scratch, ignore_errors=True)
    if not started.value:
        raise NeuroError(
            "no process could be started. In a script, start below `if __name__ == '__main__':`, "
            "or give jobs=1"
        )


def _begin(lifeline: Connection, started: Any, processes: int, scratch: str) -> None:
    """Prepare a new process: it ends with the one that started it, and keeps to its share of the cores.

    OpenCL's threads wander over all cores otherwise, and two processes on two cores take a third longer.
    Temporary files lie in `scratch`: a process that is ended cannot clear up, but the last to go can.
    """
    tempfile.tempdir = scratch
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process decides
    threading.Thread(target=_end_with, args=(lifeline, scratch), daemon=True).start()
    with started.get_lock():
        number = started.value
        started.value += 1
    share = cores()[number % processes :: processes]
    if share and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)


def _end_with(lifeline: Connection, scratch: str) -> None:
    try:
        lifeline.recv()  # nothing is ever sent: the other end was closed, or its process is gone
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)


# -- a cluster -----------------------------------------------------------------------------------------------
def _on_cluster(work: Callable[[Task], Done], tasks: Sequence[Task], address: str) -> RunResult[Task, Done]:
    try:
        from distributed import Client
    except ImportError as error:
        raise NeuroError('--cluster needs Dask: pip install "bt-neuro[cluster]"') from error
    try:
        client = Client(address, timeout=CLUSTER_ANSWERS_S, set_as_default=False)
        client.wait_for_workers(1, timeout=CLUSTER_ANSWERS_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise NeuroError(
            f"no Dask scheduler with workers answers at {address}: {error}.\n"
            "Start `dask scheduler`, and `dask worker ADDRESS --nthreads 1` once for each core."
        ) from error
    with client:
        executor = client.get_executor(pure=False)
        sent: dict[Future[Done], Task] = {executor.submit(work, task): task for task in tasks}
        try:
            for future in as_completed(sent):
                yield sent[future], _outcome(future)
        finally:
            executor.shutdown(wait=False)  # cancels what is not done
