"""Tasks on a Dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, TypeVar

from bt_neuro.errors import FoldError, NeuroError

Task = TypeVar("Task")
Output = TypeVar("Output")

CLUSTER_TIMEOUT_S = 30.0
PACKAGE = "bt-neuro"


def run_on_cluster(
    work: Callable[[Task], Output], tasks: Sequence[Task], address: str
) -> Generator[tuple[Task, Output | NeuroError]]:
    """Yield each task with its output or its NeuroError, in the order of completion; see `run_tasks`."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise NeuroError('--cluster needs Dask: pip install "bt-neuro[cluster]"') from error
    with _silenced("distributed.client"):  # tracebacks of errors that are raised here
        try:
            client = Client(address, timeout=CLUSTER_TIMEOUT_S, set_as_default=False)
            client.wait_for_workers(1, timeout=CLUSTER_TIMEOUT_S)
        except (OSError, ValueError, TimeoutError) as error:
            raise NeuroError(
                f"No Dask scheduler with workers answers at {address}: {error}.\n"
                "Start `dask scheduler`, and `dask worker ADDRESS --nthreads 1` once for each core."
            ) from error
        with client:
            _require_same_version(client)
            here = version(PACKAGE)
            futures = {client.submit(_run, here, work, task, pure=False): task for task in tasks}
            for future in as_completed(futures, loop=client.loop):
                yield futures[future], _cluster_output(future, address)


@contextmanager
def _silenced(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _require_same_version(client: Any) -> None:
    """Raise NeuroError if a worker has another bt-neuro, whose results would be mixed with those of this one."""
    here, found = version(PACKAGE), client.run(version, PACKAGE, on_error="return")
    others = {
        address: "none" if isinstance(other, Exception) else other
        for address, other in found.items()
        if other != here
    }
    if others:
        named = ", ".join(f"{other} on {address}" for address, other in sorted(others.items()))
        raise NeuroError(f"All workers must have bt-neuro {here}, got {named}. Install it there.")


def _run(here: str, work: Callable[[Task], Output], task: Task) -> Output:
    """Run a task on a worker, which may have come after the others were checked."""
    if (other := version(PACKAGE)) != here:
        raise FoldError(f"All workers must have bt-neuro {here}, got {other} on one. Install it there.")
    return work(task)


def _cluster_output(future: Any, address: str) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except NeuroError as error:
        return error
    except KilledWorker as error:
        return FoldError(f"The workers that ran it died: {error}. Free memory, or use fewer workers.")
    except CancelledError as error:
        raise NeuroError(
            f"The Dask scheduler at {address} is gone. Start it again with its workers, and resume."
        ) from error
