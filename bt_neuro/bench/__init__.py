"""How long one bar takes on this machine, here and elsewhere: the article's network against its peers."""

from bt_neuro.bench.run import run_bench
from bt_neuro.bench.table import render

__all__ = ["render", "run_bench"]
