"""What a strategy is refused for: wrong parameters, features that look ahead, bars it did not pass on."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import backtrader as bt

from bt_neuro.errors import StrategyError

_CHECKED_WHERE_READ = ("pretrain", "resume")  # each may be written in several ways
_KINDS: tuple[tuple[type, str], ...] = ((bool, "True or False"), (Real, "a number"), (str, "text"))


def check_parameters(given: Any, defaults: dict[str, Any]) -> None:
    """Refuse parameters of a wrong kind, also a subclass's own: each must be of the kind of its default."""
    whole_numbers = (
        ("wing", 1),
        ("history_bars", 1),
        ("eras", 1),
        ("embargo_bars", 0),
        ("seeds", 1),
        ("seed", 0),
    )
    for name, least in whole_numbers:
        value = getattr(given, name)
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise StrategyError(f"{name} is {value!r}: give a whole number, {least} or more")
    for name in ("learning_rate", "size"):
        value = getattr(given, name)
        if not isinstance(value, Real) or not 0 <= float(value) < math.inf:
            raise StrategyError(f"{name} is {value!r}: give a number, 0 or more")
    if not isinstance(given.learning, bool):
        raise StrategyError(f"learning is {given.learning!r}: give True or False")
    for name, default in defaults.items():
        if name in _CHECKED_WHERE_READ:
            continue
        value = getattr(given, name)
        for kind, what in _KINDS:
            if isinstance(default, kind):
                if not isinstance(value, kind):
                    raise StrategyError(f"{name} is {value!r}: give {what}, as its default {default!r}")
                break


def checked_features(make: Callable[[], Any], name: str) -> dict[str, Any]:
    """Return the features that it makes, if they are lines by name that do not look ahead."""
    try:
        features = make()
    except IndexError as error:
        raise StrategyError(
            f"{name}.features() reads a bar, and there is none yet ({error}): return lines, such as "
            "self.data.close, not their numbers, such as self.data.close[0]"
        ) from error
    if not isinstance(features, dict) or not features:
        raise StrategyError(
            f"{name}.features() must return a dict of lines by name; it returned {features!r}"
        )
    for feature, line in features.items():
        if not isinstance(line, bt.LineRoot):
            raise StrategyError(f"{name}.features(): {feature} is {line!r}, not a backtrader line")
        if _looks_ahead(line):
            raise StrategyError(
                f"{name}.features(): {feature} reads bars to come, as line(1) does; use line(-1)"
            )
    return features


def _looks_ahead(line: Any) -> bool:
    # What line(1) makes, also inside a sum or a comparison of lines.
    parts = (getattr(line, "a", None), getattr(line, "b", None))
    return isinstance(line, bt.linebuffer._LineForward) or any(
        _looks_ahead(part) for part in parts if isinstance(part, bt.LineRoot)
    )


def require_counted(strategy: Any, bars: int) -> None:
    """Raise StrategyError unless a `NeuroStrategy` saw so many bars: it may override what sees them."""
    if (seen := strategy.fingerprint.bars) != bars:
        counted = f"{type(strategy).__name__}: of {bars} bars {seen} were counted"
        raise StrategyError(f"{counted}; prenext() and next() must call super()'s")
