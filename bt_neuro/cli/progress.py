"""Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing with --quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import typer

SECONDS_A_LINE = 10.0
_is_quiet: ContextVar[bool] = ContextVar("is_quiet", default=False)


@contextmanager
def silenced(quiet: bool) -> Iterator[None]:
    """Show no progress within the block if it is to be quiet."""
    token = _is_quiet.set(quiet)
    try:
        yield
    finally:
        _is_quiet.reset(token)


@contextmanager
def progress_bar(unit: str = "bars") -> Iterator[Callable[..., None]]:
    """Yield a function of work done, total and label that shows them with the rate and the time left."""
    if _is_quiet.get():
        yield lambda *_: None
    elif sys.stderr is None or not sys.stderr.isatty():
        yield _Lines(unit)
    else:
        with _bar(unit) as report:
            yield report


class _Lines:
    """Progress as plain lines, one each ten seconds, for logs."""

    def __init__(self, unit: str) -> None:
        self._unit, self._begun = unit, time.monotonic()
        self._printed = self._begun

    def __call__(self, done: int, total: int, label: str = "") -> None:
        now = time.monotonic()
        if now - self._printed < SECONDS_A_LINE or sys.stderr is None:
            return
        self._printed = now
        head = f"{label} " if label else ""
        share = f" ({100 * done / total:.0f} %)" if total else ""
        rate = done / (now - self._begun)
        left = f", {(total - done) / rate:,.0f} s left" if rate and total else ""
        typer.echo(f"{head}{done:,} of {total:,} {self._unit}{share}{left}", err=True)


@contextmanager
def _bar(unit: str) -> Iterator[Callable[..., None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    one = unit.removesuffix("s")
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(one, total=None, rate="")

        def report(done: int, total: int, label: str = one) -> None:
            speed = bar.tasks[task].speed
            rate = f"{speed:,.0f} {unit}/s" if speed and speed >= 1 else ""
            bar.update(task, description=label, completed=done, total=total, rate=rate)

        yield report
