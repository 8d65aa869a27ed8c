"""The command line: one thin function a command. Heavy imports happen inside them, so --help is quick."""

from bt_neuro.cli import (
    backtest,
    check,
    compare,
    lookahead,
    machine,
    report,
    stream,
    tune,
    walk_forward,
    warmup,
)
from bt_neuro.cli.common import app

__all__ = [
    "app",
    "backtest",
    "check",
    "compare",
    "lookahead",
    "machine",
    "report",
    "stream",
    "tune",
    "walk_forward",
    "warmup",
]
