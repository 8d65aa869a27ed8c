"""Errors a user can cause: what is wrong, where, and the remedy, in one or two lines.

NeuroError
  BarsError         a bar file that cannot be read, or must not be trusted
  DeviceError       no OpenCL device that can build and run a kernel
  LayerError        layers or shapes that do not fit each other
  CheckpointError   a saved network that cannot be loaded
  NonFiniteError    NaN or infinity in a feature, a target or an output
  FoldError         folds that cannot be cut, run, or gone on with
  StrategyError     a strategy file, class or parameter that cannot be used
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NeuroError(Exception):
    """Base of all errors with a named remedy; the command line prints them without a traceback."""


class BarsError(NeuroError):
    """A bar file that cannot be read, or must not be trusted."""


class DeviceError(NeuroError):
    """No OpenCL device that can build and run a kernel."""


class LayerError(NeuroError):
    """Layers or shapes that do not fit each other."""


class CheckpointError(NeuroError):
    """A saved network that cannot be loaded."""


class NonFiniteError(NeuroError):
    """NaN or infinity where a number must stand."""


class FoldError(NeuroError):
    """Folds that cannot be cut, run, or gone on with."""


class StrategyError(NeuroError):
    """A strategy file, class or parameter that cannot be used."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ' Did you mean X?' for a misspelt word, or the list of what is known.

    Examples
    --------
    >>> did_you_mean("treshold", ["threshold", "history_bars"])
    ' Did you mean threshold?'
    >>> did_you_mean("xyz", ["wing", "size"])
    ' Known: size, wing.'
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(names)}."
