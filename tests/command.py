"""The command line, called in this process."""

from __future__ import annotations

from typer.testing import CliRunner

from bt_neuro.cli import app


def bt_neuro(*words):
    return CliRunner().invoke(app, [str(word) for word in words])
