"""The Typer application: option groups, errors, exit codes, the split of stdout and stderr, progress."""

from __future__ import annotations

import atexit
import errno
import gc
import io
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

from bt_neuro.cli.config import defaults_of
from bt_neuro.cli.help import PlainCommand, PlainGroup
from bt_neuro.cli.progress import silenced

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(
    cls=PlainGroup,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A neural network that learns on every bar inside backtrader, with measured skill.",
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 a check found something.",
)

SCHEMA_VERSION = 1  # of what --json prints
FOUND = 3  # exit code of a check that found something
FULL_OR_READ_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

Command = Callable[..., Any]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only the first line of the result, and no progress.")
]
Json = Annotated[bool, typer.Option("--json", help="Print only the machine-readable result on stdout.")]


@dataclass(frozen=True)
class Outcome:
    """The result of a command, printed by `command`.

    Attributes
    ----------
    data : plain values by name, for ``--json``, which adds the ``schema_version``
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
    most: int | None = None,
) -> Any:
    """Return an option: help text, unit or kind of value, name, default as the help shows it, limits."""
    names = [name] if name else []
    return typer.Option(*names, help=text, metavar=metavar, show_default=default, min=least, max=most)


def command(
    name: str | None = None, *, example: str, group: str, has_json: bool = True, to: typer.Typer = app
) -> Callable[[Command], Command]:
    """Register a function as a command.

    A parameter whose type is a dataclass stands for the options of that dataclass: its fields become options
    in a help panel of their own, and the function gets an instance. The function returns an `Outcome`, or
    None where it prints by itself.

    Parameters
    ----------
    name : of the command; the function's own by default
    example : shown below the help
    group : heading of the command in the list of all
    to : the application, or the group of a command's own commands
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
            parameters.append(Parameter("quiet", Parameter.KEYWORD_ONLY, default=False, annotation=Quiet))

        def run(**values: Any) -> None:
            if has_json and sys.stdout is None:
                _open_stdout()
            as_json, quiet = values.pop("as_json", False), values.pop("quiet", False)
            for key, group in groups.items():
                values[key] = group(**{field.name: values.pop(field.name) for field in fields(group)})
            with errors(), silenced(quiet):
                with stdout_to_stderr() if as_json else nullcontext():
                    outcome = _call(function, values)
                if outcome is None:
                    return
                if as_json:
                    typer.echo(json.dumps({"schema_version": SCHEMA_VERSION} | outcome.data, indent=2))
                else:
                    print_text(outcome.text[:1] if quiet else outcome.text)
                raise typer.Exit(outcome.exit_code)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        epilog = f"Example: {example}"
        return to.command(name, epilog=epilog, cls=PlainCommand, rich_help_panel=group)(run)

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


def _open_stdout() -> None:
    """Drop what is printed by a process that was started without a stdout; its result is in the run folder."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")


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
    context: typer.Context,
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    # Python looks for cycles to free in all that the libraries hold: 0.2 s of a backtest at its own threshold
    # of 700 new objects, and 0.4 s at the end, when the system takes back the memory anyway.
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be UTF-8
            stream.reconfigure(errors="backslashreplace")
    context.default_map = defaults_of(context.command)


@contextmanager
def errors() -> Iterator[None]:
    """Print an error with a remedy on stderr and exit with code 1; BT_NEURO_DEBUG=1 shows the traceback."""
    try:
        yield
    except Exception as error:
        message = message_of(error)
        if message is None or os.environ.get("BT_NEURO_DEBUG") == "1":
            raise
        if isinstance(error, OSError):
            _drop_unwritable()
        typer.echo(f"Error: {message}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        typer.echo(str(interrupt) or "interrupted", err=True)
        raise typer.Exit(130) from interrupt  # as shells do


def _drop_unwritable() -> None:
    # Python 3.14 keeps what stdout could not write, writes it once more at its end, and would report that too.
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def message_of(error: Exception) -> str | None:
    """Return the remedy of an error; None where only a traceback explains it."""
    from bt_neuro.errors import NeuroError

    if isinstance(error, NeuroError):
        return str(error)
    if isinstance(error, OSError) and error.errno in FULL_OR_READ_ONLY:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}.\nFree some space there, or write elsewhere."
    if "bt_neuro.plugin.loading" not in sys.modules:  # no strategy was loaded
        return None
    from bt_neuro.plugin.loading import user_line

    line = user_line(error)
    return line and f"{line}.\nBT_NEURO_DEBUG=1 shows the whole traceback."
