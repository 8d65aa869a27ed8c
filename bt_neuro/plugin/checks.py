"""Input validation for `NeuroStrategy`: names, parameters, features, bars passed on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from inspect import getattr_static
from numbers import Integral, Real
from operator import attrgetter
from typing import Any

import backtrader as bt

from bt_neuro.errors import StrategyError

_CHECKED_WHERE_READ = ("pretrain", "resume")  # each may be written in several ways
_KINDS: tuple[tuple[type, str], ...] = ((bool, "True or False"), (Real, "a number"), (str, "text"))
_INTEGERS = (
    ("wing", 1),
    ("history_bars", 1),
    ("eras", 1),
    ("embargo_bars", 0),
    ("seeds", 1),
    ("seed", 0),
)


class ReadOnly(property):
    """An attribute of a strategy that subclasses must not assign; its value is in ``_<name>``."""

    def __set_name__(self, owner: type, name: str) -> None:
        def refuse(strategy: Any, value: Any) -> None:
            raise _taken(type(strategy), name)

        super().__init__(attrgetter(f"_{name}"), refuse)


def is_neural(strategy: Any) -> bool:
    """Return whether a strategy is a `NeuroStrategy`; analyzers are idle beside others."""
    return isinstance(getattr_static(type(strategy), "learner", None), ReadOnly)


def require_init(strategy: Any) -> None:
    """Raise StrategyError if ``__init__`` of a `NeuroStrategy` was not run, and name the class at fault."""
    if hasattr(strategy, "_feature_lines"):
        return
    owner = next(base for base in type(strategy).__mro__ if "__init__" in vars(base))
    hint = "" if hasattr(owner, "learner") else f" Or name {owner.__name__} last among the bases."
    raise StrategyError(f"{owner.__name__}.__init__ must call super().__init__().{hint}")


def check_names(strategy: type) -> None:
    """Raise StrategyError where a subclass redefines a read-only attribute."""
    names = {
        name for base in strategy.__mro__ for name, value in vars(base).items() if isinstance(value, ReadOnly)
    }
    for name in names:
        if not isinstance(getattr_static(strategy, name), ReadOnly):
            raise _taken(strategy, name)


def _taken(strategy: type, name: str) -> StrategyError:
    return StrategyError(
        f"{strategy.__name__} must not assign {name}, a name of NeuroStrategy. Choose another."
    )


def check_parameters(params: Any, defaults: dict[str, Any]) -> None:
    """Raise StrategyError for a parameter of a wrong kind; a subclass's own must be of its default's kind."""
    for name, least in _INTEGERS:
        value = getattr(params, name, least)  # an indicator has fewer
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise StrategyError(f"{name} must be an integer, {least} or more, got {value!r}.")
    for name in ("learning_rate", "size", "budget"):
        value = getattr(params, name, 0.0)
        if not isinstance(value, Real) or not 0 <= float(value) < math.inf:
            raise StrategyError(f"{name} must be a number, 0 or more, got {value!r}.")
    for name, default in defaults.items():
        if name in _CHECKED_WHERE_READ:
            continue
        value = getattr(params, name)
        for kind, rule in _KINDS:
            if isinstance(default, kind):
                if not isinstance(value, kind):
                    raise StrategyError(f"{name} must be {rule}, as its default {default!r}, got {value!r}.")
                break


def checked_features(strategy: Any) -> dict[str, Any]:
    """Return the features of a strategy, if they are lines by name without look-ahead."""
    name = type(strategy).__name__
    try:
        lines = strategy.features()
    except IndexError as error:
        raise StrategyError(
            f"{name}.features() must return lines, such as self.data.close, got a number such as "
            f"self.data.close[0] before the first bar ({error})"
        ) from error
    if not isinstance(lines, dict) or not lines:
        raise StrategyError(f"{name}.features() must return a dict of lines by name, got {lines!r}")
    forward = set(map(id, _forward_lines(strategy)))
    for feature, line in lines.items():
        if not isinstance(line, bt.LineRoot):
            raise StrategyError(f"{name}.features(): {feature} must be a backtrader line, got {line!r}")
        if _looks_ahead(line, forward):
            raise StrategyError(
                f"{name}.features(): {feature} must not read bars to come, as line(1) does. Use line(-1)."
            )
    return lines


def _looks_ahead(line: Any, forward: set[int]) -> bool:
    # Also inside a sum or a comparison of lines.
    parts = (getattr(line, "a", None), getattr(line, "b", None))
    return id(line) in forward or any(
        _looks_ahead(part, forward) for part in parts if isinstance(part, bt.LineRoot)
    )


def _forward_lines(owner: Any) -> Iterator[Any]:
    """Yield the lines that line(1) makes, and those of indicators that show them, such as a chikou span."""
    for indicator in owner.getindicators():
        if isinstance(indicator, bt.linebuffer._LineForward):
            yield indicator
            yield from indicator.bindings
        elif hasattr(indicator, "getindicators"):
            yield from _forward_lines(indicator)


def require_counted(strategy: Any, bars: int) -> None:
    """Raise StrategyError unless prenext and next of a `NeuroStrategy` were called for all bars."""
    if (counted := strategy.fingerprint.bars) != bars:
        raise StrategyError(
            f"prenext() and next() of {type(strategy).__name__} must call super()'s at each of {bars} bars, "
            f"got {counted}"
        )
