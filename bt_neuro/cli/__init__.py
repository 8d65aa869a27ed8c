"""The command line: one thin function a command. Heavy imports happen inside them, so --help is quick."""

from bt_neuro.cli import runs, history, validation, studies, machine  # isort: skip  # the order of the help
from bt_neuro.cli.common import app

__all__ = ["app", "history", "machine", "runs", "studies", "validation"]
