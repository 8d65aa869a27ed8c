"""`python -m bt_neuro` is the command line."""

from bt_neuro.cli import app

app()
