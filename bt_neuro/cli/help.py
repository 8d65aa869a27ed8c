"""Plain help texts: two columns that fit a terminal of 80, options and commands by group."""

from __future__ import annotations

from typing import Any

from typer import BadParameter
from typer.core import TyperCommand, TyperGroup

UsageError: Any = BadParameter.__base__  # typer exports no more of click
FIRST_COLUMN = 30  # characters


def write_groups(formatter: Any, rows: list[tuple[str, tuple[str, str]]]) -> None:
    """Write rows of two columns under the heading of their group, groups in the order of their first row."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for heading, row in rows:
        groups.setdefault(heading, []).append(row)
    for heading, group in groups.items():
        with formatter.section(heading):
            formatter.write_dl(group, col_max=FIRST_COLUMN)


def is_alone(args: list[str], index: int) -> bool:
    """Return whether an argument is ``--repair`` without one of its values behind it."""
    return args[index] == "--repair" and args[index + 1 : index + 2] not in (["drop"], ["widen"], ["all"])


class PlainCommand(TyperCommand):
    """A command whose help lists its options by group; ``--repair`` may stand alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Typer has no option with an optional value.
        words = ["--repair=drop" if is_alone(args, i) else arg for i, arg in enumerate(args)]
        try:
            return super().parse_args(ctx, words)
        except UsageError as error:
            arguments = [one for one in self.params if one.param_type_name == "argument"]
            if [one.metavar for one in arguments] == [
                "FILE"
            ] and "unexpected extra argument" in error.message:
                error.message = f"{ctx.info_name} takes one file, got several. Run it for each of them."
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        rows = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_argument = parameter.param_type_name == "argument"
                panel = getattr(parameter, "rich_help_panel", None)
                group = "Arguments" if is_argument else panel or "Options"
                rows.append((group, record))
        write_groups(formatter, rows)


class PlainGroup(TyperGroup):
    """A group whose help lists its commands by group."""

    command_class = PlainCommand

    def format_options(self, ctx: Any, formatter: Any) -> None:
        PlainCommand.format_options(self, ctx, formatter)  # type: ignore[arg-type]
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows: list[tuple[str, tuple[str, str]]] = [
            (getattr(command, "rich_help_panel", None) or "Commands", (name, command.get_short_help_str(200)))
            for name, command in commands
            if command is not None
        ]
        write_groups(formatter, rows)
