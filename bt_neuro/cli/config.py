"""Configuration file ``bt-neuro.toml``: values of options, for all commands or for one.

A value at the top of the file is for every command that has the option; one in a table such as ``[backtest]`` is
for that command. Options on the command line win.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import typer

from bt_neuro.errors import did_you_mean

FILE = Path("bt-neuro.toml")


def defaults_of(group: Any, path: Path = FILE) -> dict[str, dict[str, Any]]:
    """Return the values of a file by command and parameter; empty if there is no file.

    Parameters
    ----------
    group : the commands, as Typer makes them
    path : of the file

    Raises
    ------
    typer.BadParameter
        If the file is no TOML, or names a command or an option that does not exist.
    """
    if not path.is_file():
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} must be a TOML file: {error}. Mend it.") from error
    names = {
        name: {
            option.lstrip("-"): parameter.name
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("--")
        }
        for name, command in group.commands.items()
    }
    shared = {key: value for key, value in content.items() if not isinstance(value, dict)}
    for key in shared:
        if not any(key in options for options in names.values()):
            every = {option for options in names.values() for option in options}
            raise typer.BadParameter(f"{path}: no command has --{key}.{did_you_mean(key, every)}")
    defaults = {
        name: {options[key]: value for key, value in shared.items() if key in options}
        for name, options in names.items()
    }
    for name, table in content.items():
        if not isinstance(table, dict):
            continue
        if name not in names:
            raise typer.BadParameter(f"{path}: there is no command {name!r}.{did_you_mean(name, names)}")
        for key, value in table.items():
            if key not in names[name]:
                raise typer.BadParameter(f"{path}: {name} has no --{key}.{did_you_mean(key, names[name])}")
            defaults[name][names[name][key]] = value
    return defaults
