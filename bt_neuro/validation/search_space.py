"""Search spaces: ranges and choices of a strategy's parameters."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bt_neuro.errors import StrategyError
from bt_neuro.plugin.defaults import all_parameters
from bt_neuro.plugin.loading import parse_parameters
from bt_neuro.plugin.strategy import NeuroStrategy

Parameters = dict[str, Any]

# Parameters that cannot be searched, and why.
EXCLUDED = {
    "seed": "the best of several seeds is luck, not a better strategy",
    "device": "it changes no result",
}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; integers if both are `int`; with `log` on a log scale."""

    low: float
    high: float
    log: bool = False

    @property
    def is_integer(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def values(self) -> Sequence[Any] | None:
        """All values of an integer range; None of a continuous one."""
        return range(int(self.low), int(self.high) + 1) if self.is_integer else None

    def __contains__(self, value: object) -> bool:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{':log' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ",".join(map(str, self.values))


Space = dict[str, Range | Choice]


def parse_search(search: Mapping[str, Any] | Iterable[str], strategy: type[NeuroStrategy]) -> Space:
    """Return the search space for ``name=low..high``, ``name=low..high:log`` and ``name=a,b,c``.

    Parameters
    ----------
    search : such texts, or a dict of names to the part after ``=`` or to a list of values
    strategy : class with these parameters; parameters with a float default have ranges of floats

    Examples
    --------
    >>> space = parse_search(["learning_rate=1e-5..1e-2:log", "wing=1,2,3"], NeuroStrategy)
    >>> space["learning_rate"], space["wing"]
    (Range(low=1e-05, high=0.01, log=True), Choice(values=(1, 2, 3)))
    >>> parse_search({"size": "0..1", "history_bars": [10, 20]}, NeuroStrategy)
    {'size': Range(low=0.0, high=1.0, log=False), 'history_bars': Choice(values=(10, 20))}
    """
    items = search.items() if isinstance(search, Mapping) else map(_split, search)
    defaults = all_parameters(strategy)
    space: Space = {}
    for key, values in items:
        ((name, _),) = parse_parameters([f"{key}=0"], strategy).items()  # raises for an unknown one
        if name in EXCLUDED:
            raise StrategyError(f"{name} cannot be searched: {EXCLUDED[name]}. Fix it as a parameter.")
        if name in space:
            raise StrategyError(f"{name} must be searched once, got it twice. Give all its values together.")
        space[name] = _parse(name, values, strategy, isinstance(defaults[name], float))
    if not space:
        raise StrategyError(
            "There is nothing to search. Give parameters, such as --search learning_rate=1e-5..1e-2:log."
        )
    return space


def _split(text: str) -> tuple[str, str]:
    name, equals, values = text.partition("=")
    if not equals:
        raise StrategyError(
            f"A search must have values, got {text!r}. Give name=low..high, name=low..high:log or name=a,b,c."
        )
    return name.strip(), values.strip()


def _parse(name: str, values: Any, strategy: type[NeuroStrategy], is_float: bool) -> Range | Choice:
    if isinstance(values, Range | Choice):
        return values
    if isinstance(values, str):
        if ".." in values:
            return _parse_range(name, values, is_float)
        values = [parse_parameters([f"{name}={text}"], strategy)[name] for text in values.split(",")]
    if not isinstance(values, Sequence):
        raise StrategyError(
            f"{name} must have a range or a list, got {values!r}. Give 'low..high' or values."
        )
    for value in values:
        if not isinstance(value, str | int | float | bool | None):
            raise StrategyError(f"{name} must be numbers, texts, True or False, got {value!r}.")
    different = tuple(dict.fromkeys(values))
    if len(different) < 2:
        raise StrategyError(
            f"{name} must have several values, got {','.join(map(str, different))}. "
            "Give low..high or a,b,c, or fix it as a parameter."
        )
    return Choice(different)


def _parse_range(name: str, text: str, is_float: bool) -> Range:
    found = re.fullmatch(r"(.+?)\.\.(.+?)(:log)?", text)
    try:
        if found is None:
            raise ValueError
        low, high = _number(found[1]), _number(found[2])
    except ValueError:
        raise StrategyError(
            f"{name} must be a range, got {text}. Give low..high or low..high:log, such as 10..40 or "
            "1e-5..1e-2:log."
        ) from None
    is_integer = isinstance(low, int) and isinstance(high, int) and not is_float
    low, high = (low, high) if is_integer else (float(low), float(high))
    if not low < high:
        raise StrategyError(f"{name} must go from the lower to the higher number, got {text}. Swap them.")
    if found[3] and low <= 0:
        raise StrategyError(f"{name}: a log range must be positive, got {text}. Start above 0, or drop :log.")
    return Range(low, high, log=bool(found[3]))


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def combinations(space: Space, at_most: int) -> list[Parameters] | None:
    """Return all combinations of a space; None if there are more than `at_most`.

    Examples
    --------
    >>> combinations({"wing": Range(1, 2), "learning": Choice((True, False))}, at_most=4)[:2]
    [{'wing': 1, 'learning': True}, {'wing': 1, 'learning': False}]
    >>> combinations({"size": Range(0.1, 0.2)}, at_most=4)
    """
    values = [part.values for part in space.values() if part.values is not None]
    if len(values) < len(space) or math.prod(map(len, values)) > at_most:
        return None
    return [dict(zip(space, combination, strict=True)) for combination in itertools.product(*values)]
