"""The Typer application: option groups, errors, exit codes, the split of stdout and stderr, progress."""

from __future__ import annotations

import atexit
import errno
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A neural network that learns on every bar inside backtrader, with measured skill.",
    epilog="Exit codes: 0 done, 1 problem, 2 wrong usage, 3 a check found something.",
)

FOUND = 3  # exit code of a check that found something
FULL_OR_READ_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Command = Callable[..., Any]
Json = Annotated[bool, typer.Option("--json", help="Print the machine-readable result alone on stdout.")]


@dataclass(frozen=True)
class Outcome:
    """The result of a command, printed by `command`.

    Attributes
    ----------
    data : plain values, for ``--json``
    text : texts and rich tables, printed below each other
    exit_code : 0, or 3 where a check found something
    """

    data: Any
    text: Sequence[RenderableType]
    exit_code: int = 0


def option(
    text: str,
    metavar: str | None = None,
    *,
    name: str = "",
    default: str | bool = True,
    least: int | None = None,
) -> Any:
    """Return an option: help text, unit or kind of value, name, default as the help shows it, minimum."""
    names = [name] if name else []
    return typer.Option(*names, help=text, metavar=metavar, show_default=default, min=least)


def command(name: str | None = None, *, example: str, has_json: bool = True) -> Callable[[Command], Command]:
    """Register a function as a command.

    A parameter whose type is a dataclass stands for the options of that dataclass: its fields become options
    in a help panel of their own, and the function gets an instance. The function returns an `Outcome`, or
    None where it prints by itself.

    Parameters
    ----------
    name : of the command; the function's own by default
    example : shown below the help
    has_json : add the option ``--json``, under which stdout holds the result and nothing else
    """

    def register(function: Command) -> Command:
        hints = get_type_hints(function, include_extras=True)
        groups: dict[str, Any] = {}
        parameters: list[Parameter] = []
        for parameter in signature(function).parameters.values():
            hint = hints[parameter.name]
            if is_dataclass(hint):
                groups[parameter.name] = hint
                parameters += _options(hint)
            else:
                parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=hint))
        if has_json:
            parameters.append(Parameter("as_json", Parameter.KEYWORD_ONLY, default=False, annotation=Json))

        def run(**values: Any) -> None:
            as_json = values.pop("as_json", False)
            for key, group in groups.items():
                values[key] = group(**{field.name: values.pop(field.name) for field in fields(group)})
            with errors():
                with stdout_to_stderr() if as_json else nullcontext():
                    outcome = _call(function, values)
                if outcome is None:
                    return
                if as_json:
                    typer.echo(json.dumps(outcome.data, indent=2))
                else:
                    print_text(outcome.text)
                raise typer.Exit(outcome.exit_code)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return app.command(name, epilog=f"Example: {example}")(run)

    return register


def _call(function: Command, values: dict[str, Any]) -> Any:
    from bt_neuro.errors import StrategyError

    try:
        return function(**values)
    except SystemExit as exit_call:  # by a strategy: the run is not done
        message = f"the strategy called exit({exit_call.code!r}). To end a run, call self.env.runstop()."
        raise StrategyError(message) from exit_call


def _options(group: Any) -> Iterator[Parameter]:
    """Yield the fields of a group as parameters; each names the group's panel."""
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        kind, option = get_args(hints[field.name])
        option = copy(option)
        option.rich_help_panel = group.panel
        yield Parameter(
            field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[kind, option]
        )


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Redirect what strategies print, in this process and in those that it starts."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def print_text(parts: Sequence[RenderableType]) -> None:
    """Print texts and tables on stdout: folded to a terminal's width, unfolded where there is none."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout, width=None if terminal else 240, markup=False, emoji=False, highlight=False
    )
    for part in parts:
        console.print(part, soft_wrap=not terminal and isinstance(part, str))


def _print_version(is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import version

        typer.echo(f"bt-neuro {version('bt-neuro')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    # Python looks for cycles to free in all that the libraries hold: 0.2 s of a backtest at its own threshold
    # of 700 new objects, and 0.4 s at the end, when the system takes back the memory anyway.
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)


@contextmanager
def errors() -> Iterator[None]:
    """Print an error with a remedy on stderr and exit with code 1; BT_NEURO_DEBUG=1 shows the traceback."""
    from bt_neuro.errors import NeuroError

    try:
        yield
    except (NeuroError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError):
            if error.errno not in FULL_OR_READ_ONLY:
                raise
            where = f"{error.filename}: " if error.filename else ""
            message = f"{where}{error.strerror}.\nMake room there, or write elsewhere."
        if os.environ.get("BT_NEURO_DEBUG") == "1":
            raise
        typer.echo(f"Error: {message}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        typer.echo(str(interrupt) or "interrupted", err=True)
        raise typer.Exit(130) from interrupt  # as shells do


@contextmanager
def progress_bar(unit: str = "bars") -> Iterator[Callable[..., None]]:
    """Show the work done, its rate and the time left on stderr; nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(unit.removesuffix("s"), total=None, rate="")

        def report(done: int, total: int, label: str = unit.removesuffix("s")) -> None:
            speed = bar.tasks[task].speed
            rate = f"{speed:,.0f} {unit}/s" if speed and speed >= 1 else ""
            bar.update(task, description=label, completed=done, total=total, rate=rate)

        yield report
