"""The command line: one thin function a command. Heavy imports happen inside them, so --help is quick."""

# The order of these imports is the order of the commands in --help.
from bt_neuro.cli import backtest, check, machine, tune, walk_forward
from bt_neuro.cli.common import app

__all__ = ["app", "backtest", "check", "machine", "tune", "walk_forward"]
