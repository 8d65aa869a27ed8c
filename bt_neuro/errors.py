"""Errors that a user can cause. The message states the rule, the value and the remedy in one or two lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NeuroError(Exception):
    """Base class of all errors of the package; the command line prints them without a traceback."""


class BarsError(NeuroError):
    """A bar file that cannot be read or fails validation."""


class DeviceError(NeuroError):
    """No OpenCL device that can build and run a kernel."""


class LayerError(NeuroError):
    """Layers, losses or shapes that do not match."""


class CheckpointError(NeuroError):
    """A checkpoint that cannot be loaded or resumed."""


class NonFiniteError(NeuroError):
    """NaN or infinity in a feature, a target or an output."""


class FoldError(NeuroError):
    """Folds that cannot be cut, run or resumed."""


class StrategyError(NeuroError):
    """A strategy file, class or parameter that cannot be used."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ' Did you mean X?' for a misspelt word, or a list of the known words.

    Examples
    --------
    >>> did_you_mean("treshold", ["threshold", "history_bars"])
    ' Did you mean threshold?'
    >>> did_you_mean("xyz", ["wing", "size"])
    ' Known: size, wing.'
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(word), names, n=1)  # a user's value, of any type
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(names)}."
