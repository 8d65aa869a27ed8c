"""Many recorded runs, one after another or in processes of their own, with one progress for all."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from bt_neuro.validation.trace import Trace
from bt_neuro.validation.trace_recording import Run, record

Recorder = Callable[[Iterable[Run]], Iterator[Trace]]


@contextmanager
def recorder(processes: int, progress: Callable[[int], None]) -> Iterator[Recorder]:
    """Give a function that yields the traces of runs, in their order.

    With more than one process the strategy must be one that another process can import: "FILE.py:Class", or a
    class of an importable module. Processes are spawned: after a fork OpenCL does not work.

    Parameters
    ----------
    processes : runs at the same time; 1 stays in this process
    progress : is told how many bars were done since it was last told
    """
    if processes == 1:
        yield lambda runs: (record(run, progress) for run in runs)
        return
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", 0)
    with ProcessPoolExecutor(processes, context, _begin, (done,)) as pool:
        try:
            yield lambda runs: _tapes([pool.submit(_work, run) for run in runs], done, progress)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _tapes(futures: list[Future[Trace]], done: Any, progress: Callable[[int], None]) -> Iterator[Trace]:
    for future in futures:
        while not future.done():
            wait([future], timeout=0.2)
            with done.get_lock():
                bars, done.value = done.value, 0
            progress(bars)
        yield future.result()


def _begin(done: Any) -> None:
    """Prepare a new process: where it counts its bars, and that Ctrl-C ends it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _Work.done = done


def _work(run: Run) -> Trace:
    return record(run, _Work.count)


class _Work:
    done: Any

    @classmethod
    def count(cls, bars: int) -> None:
        with cls.done.get_lock():
            cls.done.value += bars
